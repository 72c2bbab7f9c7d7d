//! Path templates, in the grammar of `google/api/http.proto`.
//!
//! ```text
//! Template = "/" Segments [ ":" LITERAL ] ;
//! Segments = Segment { "/" Segment } ;
//! Segment  = "*" | "**" | LITERAL | "{" FieldPath [ "=" Segments ] "}" ;
//! ```

use std::string::FromUtf8Error;

/// Why a path template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It does not begin with `/`.
    #[error("the template does not begin with a slash")]
    NoLeadingSlash,
    /// A segment, literal, variable name or verb is empty.
    #[error("the template has an empty part")]
    Empty,
    /// A literal or a verb has a character that belongs to the grammar or cannot stand in a path.
    #[error("`{0}` cannot stand in a path")]
    Literal(String),
    /// A brace is missing, or variables are nested.
    #[error("the braces of the template do not match")]
    Braces,
    /// `**` is not the last segment.
    #[error("`**` is not the last segment")]
    RestNotLast,
    /// One field is bound twice.
    #[error("the field `{0}` is bound twice")]
    Twice(String),
}

/// A parsed path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) segments: Vec<Segment>,
    pub(crate) verb: Option<String>,
    pub(crate) variables: Vec<Variable>,
}

/// What one segment of a path may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// This text, as it is sent.
    Literal(String),
    /// `*`: any one segment.
    Single,
    /// `**`: all segments that are left, or none.
    Rest,
}

/// A field that takes its value from the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// The path of the field, with dots.
    pub(crate) field: String,
    start: usize,
    /// One past the last segment; none if it takes what is left.
    end: Option<usize>,
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let path = text.strip_prefix('/').ok_or(TemplateError::NoLeadingSlash)?;
        let (path, verb) = split_verb(path);
        let mut template = Self { segments: Vec::new(), verb: None, variables: Vec::new() };
        if let Some(verb) = verb {
            template.verb = Some(literal(verb)?);
        }
        for part in split_outside_braces(path)? {
            template.push_part(part)?;
        }

        let last = template.segments.len().saturating_sub(1);
        if template.segments.iter().take(last).any(|segment| *segment == Segment::Rest) {
            return Err(TemplateError::RestNotLast);
        }
        Ok(template)
    }

    fn push_part(&mut self, part: &str) -> Result<(), TemplateError> {
        let Some(variable) = part.strip_prefix('{') else {
            self.segments.push(segment(part)?);
            return Ok(());
        };
        let variable = variable.strip_suffix('}').ok_or(TemplateError::Braces)?;
        let (field, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
        if field.split('.').any(str::is_empty) {
            return Err(TemplateError::Empty);
        }
        if self.variables.iter().any(|known| known.field == field) {
            return Err(TemplateError::Twice(field.to_owned()));
        }

        let start = self.segments.len();
        for part in pattern.split('/') {
            self.segments.push(segment(part)?);
        }
        let takes_rest = self.segments.last() == Some(&Segment::Rest);
        let end = (!takes_rest).then_some(self.segments.len());
        self.variables.push(Variable { field: field.to_owned(), start, end });
        Ok(())
    }

    /// The value of a variable in a path that matched, percent-decoded. The verb is the last of the segments.
    pub(crate) fn capture(&self, variable: &Variable, path: &[&str]) -> Result<String, FromUtf8Error> {
        let end = variable.end.unwrap_or(path.len().saturating_sub(usize::from(self.verb.is_some())));
        let segments = path.get(variable.start..end).unwrap_or_default();
        let reserved = match variable.end {
            Some(end) if end - variable.start == 1 => Reserved::Decode,
            _ => Reserved::Keep,
        };
        let mut value = Vec::new();
        for (position, segment) in segments.iter().enumerate() {
            if position > 0 {
                value.push(b'/');
            }
            percent_decode(segment, reserved, &mut value);
        }
        String::from_utf8(value)
    }
}

/// What to do with the encoded reserved characters of RFC 6570.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserved {
    Decode,
    Keep,
}

/// Appends the decoded text. What is not a valid escape stays as it is.
pub(crate) fn percent_decode(text: &str, reserved: Reserved, into: &mut Vec<u8>) {
    const RESERVED: &[u8] = b"!#$&'()*+,/:;=?@[]";
    let mut bytes = text.as_bytes();
    while let Some((&first, after)) = bytes.split_first() {
        if let Some((byte, left)) = escaped(bytes)
            && (reserved == Reserved::Decode || !RESERVED.contains(&byte))
        {
            into.push(byte);
            bytes = left;
        } else {
            into.push(first);
            bytes = after;
        }
    }
}

fn escaped(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, left @ ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(*high)? << 4 | digit(*low)?, left))
}

/// Splits off `:verb`. A colon inside braces or before the last slash is none.
fn split_verb(path: &str) -> (&str, Option<&str>) {
    let tail = path.rfind(['/', '}']).map_or(0, |position| position + 1);
    match path[tail..].rfind(':') {
        Some(colon) => (&path[..tail + colon], Some(&path[tail + colon + 1..])),
        None => (path, None),
    }
}

fn split_outside_braces(path: &str) -> Result<Vec<&str>, TemplateError> {
    let mut parts = Vec::new();
    let mut inside = false;
    let mut start = 0;
    for (position, character) in path.char_indices() {
        match character {
            '{' if inside => return Err(TemplateError::Braces),
            '}' if !inside => return Err(TemplateError::Braces),
            '{' => inside = true,
            '}' => inside = false,
            '/' if !inside => {
                parts.push(&path[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err(TemplateError::Braces);
    }
    parts.push(&path[start..]);
    Ok(parts)
}

fn segment(part: &str) -> Result<Segment, TemplateError> {
    match part {
        "*" => Ok(Segment::Single),
        "**" => Ok(Segment::Rest),
        _ => literal(part).map(Segment::Literal),
    }
}

fn literal(text: &str) -> Result<String, TemplateError> {
    if text.is_empty() {
        return Err(TemplateError::Empty);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;@%".contains(&byte);
    if !text.bytes().all(allowed) {
        return Err(TemplateError::Literal(text.to_owned()));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal_of(text: &str) -> Segment {
        Segment::Literal(text.to_owned())
    }

    #[test]
    fn templates_of_the_grammar_parse() {
        let template = Template::parse("/v1/{name=shelves/*/books/*}/notes/{note.id}:publish").unwrap();
        assert_eq!(
            template.segments,
            [
                literal_of("v1"),
                literal_of("shelves"),
                Segment::Single,
                literal_of("books"),
                Segment::Single,
                literal_of("notes"),
                Segment::Single,
            ]
        );
        assert_eq!(template.verb.as_deref(), Some("publish"));
        let fields: Vec<_> = template.variables.iter().map(|variable| variable.field.as_str()).collect();
        assert_eq!(fields, ["name", "note.id"]);
    }

    #[test]
    fn malformed_templates_are_refused() {
        let cases = [
            ("v1", TemplateError::NoLeadingSlash),
            ("/", TemplateError::Empty),
            ("/v1//x", TemplateError::Empty),
            ("/v1/{}", TemplateError::Empty),
            ("/v1/{a..b}", TemplateError::Empty),
            ("/v1/{a=}", TemplateError::Empty),
            ("/v1/x:", TemplateError::Empty),
            ("/v1/{a", TemplateError::Braces),
            ("/v1/a}", TemplateError::Braces),
            ("/v1/{a={b}}", TemplateError::Braces),
            ("/v1/{a}b", TemplateError::Braces),
            ("/v1/**/x", TemplateError::RestNotLast),
            ("/v1/{a=**}/{b}", TemplateError::RestNotLast),
            ("/v1/{a}/{a}", TemplateError::Twice("a".to_owned())),
            ("/v1/a b", TemplateError::Literal("a b".to_owned())),
            ("/v1/a*", TemplateError::Literal("a*".to_owned())),
        ];
        for (text, error) in cases {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn captures_decode_by_the_number_of_segments() {
        let single = Template::parse("/v1/{a}").unwrap();
        assert_eq!(single.capture(&single.variables[0], &["v1", "x%2Fy%20z%zz%"]).unwrap(), "x/y z%zz%");

        let rest = Template::parse("/v1/{a=files/**}:open").unwrap();
        let path = ["v1", "files", "x%2Fy", "z%20%C3%A4", "open"];
        assert_eq!(rest.capture(&rest.variables[0], &path).unwrap(), "files/x%2Fy/z ä");

        assert!(single.capture(&single.variables[0], &["v1", "%ff"]).is_err());
    }
}
