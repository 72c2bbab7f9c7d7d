//! Comments of protos as Markdown.
//!
//! A comment is plain text: paragraphs, lists of lines that begin with `- `, and code between backticks or, without
//! spaces, between quotation marks. All else that Markdown would take for markup is escaped.

use std::iter;

/// How a word becomes a link, if it is a name.
pub(crate) trait Names: Fn(&str) -> Option<String> {}

impl<F: Fn(&str) -> Option<String>> Names for F {}

/// The whole comment, its paragraphs one below the other.
pub(crate) fn text(comment: &str, names: &impl Names) -> String {
    let mut text = String::new();
    for (number, block) in blocks(comment).iter().enumerate() {
        let gap = match block {
            _ if number == 0 => "",
            Block::Item(_) => "\n",
            Block::Paragraph(_) => "\n\n",
        };
        text.push_str(gap);
        text.push_str(&block.markdown("- ", names));
    }
    text
}

/// The whole comment as a cell of a table.
pub(crate) fn cell(comment: &str, names: &impl Names) -> String {
    let blocks: Vec<_> = blocks(comment).iter().map(|block| block.markdown("• ", names)).collect();
    blocks.join("<br>").replace('|', "\\|")
}

/// The first sentence as a cell of a table.
pub(crate) fn summary(comment: &str, names: &impl Names) -> String {
    let blocks = blocks(comment);
    let Some(Block::Paragraph(first) | Block::Item(first)) = blocks.first() else { return String::new() };
    let end = first.match_indices(". ").map(|(dot, _)| dot + 1);
    let end = end.into_iter().find(|&end| first[end..].trim_start().starts_with(char::is_uppercase));
    inline(&first[..end.unwrap_or(first.len())], names).replace('|', "\\|")
}

enum Block {
    Paragraph(String),
    Item(String),
}

impl Block {
    fn markdown(&self, bullet: &str, names: &impl Names) -> String {
        match self {
            Self::Paragraph(text) => match text.strip_prefix(ERRORS) {
                Some(errors) => format!("**{ERRORS}**{}", inline(errors, names)),
                None => inline(text, names),
            },
            Self::Item(text) => format!("{bullet}{}", inline(text, names)),
        }
    }
}

/// Begins a paragraph wherever it stands.
const ERRORS: &str = "Errors:";

fn blocks(comment: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut goes_on = false;
    for line in comment.lines().map(str::trim) {
        if let Some(item) = line.strip_prefix("- ") {
            blocks.push(Block::Item(item.to_owned()));
        } else if let Some(Block::Paragraph(text) | Block::Item(text)) =
            blocks.last_mut().filter(|_| goes_on && !line.is_empty() && !line.starts_with(ERRORS))
        {
            text.push(' ');
            text.push_str(line);
        } else if !line.is_empty() {
            blocks.push(Block::Paragraph(line.to_owned()));
        }
        goes_on = !line.is_empty();
    }
    blocks
}

/// One paragraph.
fn inline(text: &str, names: &impl Names) -> String {
    let mut markdown = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if let Some(code) = quoted(rest, first) {
            markdown.extend(["`", code, "`"]);
            code.len() + 2
        } else if is_part(first) {
            let word = word(rest);
            match names(word) {
                Some(link) => markdown.push_str(&link),
                None if is_code(word) => markdown.extend(["`", word, "`"]),
                None => markdown.push_str(word),
            }
            word.len()
        } else {
            if first.is_ascii_punctuation() && "\\`*[]<>#~&".contains(first) {
                markdown.push('\\');
            }
            markdown.push(first);
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    markdown
}

/// The code between the quotes or backticks that a text begins with.
fn quoted(text: &str, quote: char) -> Option<&str> {
    let code = match quote {
        '`' => text[1..].split_once('`')?.0,
        '"' => text[1..].split_once('"')?.0,
        _ => return None,
    };
    let plain = !code.is_empty() && !code.contains(['`', '\\']);
    (plain && (quote == '`' || !code.contains(char::is_whitespace))).then_some(code)
}

/// The word that a text begins with. Dots and slashes belong to it where it goes on behind them.
fn word(text: &str) -> &str {
    let mut next = text.chars().skip(1).chain(iter::once(' '));
    let end = text.char_indices().find(|&(_, c)| {
        let goes_on = next.next().is_some_and(is_part);
        let joins = matches!(c, '.' | '/') && goes_on;
        !is_part(c) && !joins
    });
    &text[..end.map_or(text.len(), |(end, _)| end)]
}

/// Whether a word is a field's name, a code or a reason rather than an acronym.
fn is_code(word: &str) -> bool {
    word.contains('_') || (word.len() >= SHORTEST_CODE && word.bytes().all(|byte| byte.is_ascii_uppercase()))
}

/// `KICKED`.
const SHORTEST_CODE: usize = 6;

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Event, Options, Parser};

    use super::*;

    const NOBODY: fn(&str) -> Option<String> = |_| None;

    #[test]
    fn nothing_but_code_is_markup() {
        for comment in [
            "*a* and **b**, 2 * 3, ~~c~~, [d](e), <b>, &lt;, #1, \\, a\\*, ![x][y], |p − 1/n|",
            "\" a quote\" that does not end\", and `so",
            "> not quoted",
            "# no heading",
        ] {
            let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
            let markdown = text(comment, &NOBODY);
            let shown: Vec<_> = Parser::new_ext(&markdown, options).collect();
            let words: String = shown
                .iter()
                .filter_map(|event| if let Event::Text(text) = event { Some(&**text) } else { None })
                .collect();
            assert_eq!(words, comment);
            assert!(!shown.iter().any(|event| matches!(event, Event::Code(_))), "{shown:?}");
        }
    }

    #[test]
    fn code_is_told_from_words() {
        let comment =
            "The \"key\" of `a b`, game_id or a/b_c.d: NOT_FOUND (KICKED), JSON, \"two words\", 1.5, e.g. e/f.";
        let expected =
            "The `key` of `a b`, `game_id` or `a/b_c.d`: `NOT_FOUND` (`KICKED`), JSON, \"two words\", 1.5, e.g. e/f.";
        assert_eq!(text(comment, &NOBODY), expected);
    }

    #[test]
    fn names_become_links() {
        let names = |word: &str| (word == "a.v1.Service/Method").then(|| "[it]".to_owned());
        assert_eq!(text("See a.v1.Service/Method.", &names), "See [it].");
    }

    #[test]
    fn paragraphs_lists_and_errors_stay_apart() {
        let comment = " One\n two.\n Errors: NO_WAY,\n none.\n\n Three:\n - a\n   b\n - c\n";
        assert_eq!(text(comment, &NOBODY), "One two.\n\n**Errors:** `NO_WAY`, none.\n\nThree:\n- a b\n- c");
        assert_eq!(cell(comment, &NOBODY), "One two.<br>**Errors:** `NO_WAY`, none.<br>Three:<br>• a b<br>• c");
    }

    #[test]
    fn a_summary_is_the_first_sentence() {
        assert_eq!(summary(" At 1.5 e.g. here. There.", &NOBODY), "At 1.5 e.g. here.");
        assert_eq!(summary(" No end", &NOBODY), "No end");
        assert_eq!(summary("", &NOBODY), "");
    }

    #[test]
    fn a_cell_keeps_its_bars() {
        assert_eq!(cell("a|b or `c|d`", &NOBODY), "a\\|b or `c\\|d`");
    }
}
