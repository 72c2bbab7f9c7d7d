//! `muster apply`: a game and its rules, brought to what a file says.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_api::game::v1::{ApplyGameRequest, ApplyGameResponse, ChangeKind, DefinitionChange};
use pkg_definition::{FileProblem, GameFile};
use pkg_middleware::{CallRefused, RemoteChannel};
use secrecy::{ExposeSecret, SecretString};

/// A message of the API is not larger, and the text of a game hardly is.
const FILE_BYTES: u64 = 1024 * 1024;
/// How much is printed of a value.
const VALUE_CHARS: usize = 120;

const EXAMPLES: &str = "\
Beside a running `muster dev`, with its data in the same folder:
  export MUSTER_TOKEN=$(muster token)
  muster apply examples/duel/game.toml

The file holds the fields of a game (key, name, short_description, …) and of its definition (session_rules, queues,
leaderboards), as proto/muster/game/v1 describes them. What it leaves out has its default, and what was there before and
is not in the file is removed. A file that was applied can be applied again: then nothing happens.

Exit code 0: the game is as the file says, or with --dry-run could be made so. 1: it is not.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// The game: one TOML file.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Where Muster is served, by `muster dev` or at the edge.
    #[arg(long, env = "MUSTER_ADDRESS", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    address: String,

    /// An admin's access token, as `muster token` prints one.
    #[arg(long, env = "MUSTER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: SecretString,

    /// Check the file and show what would change, but change nothing.
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let file = read(&options.file)?;
    let channel = RemoteChannel::connect(&options.address, options.token.expose_secret()).await;
    let channel = channel.context("--address (MUSTER_ADDRESS), --token (MUSTER_TOKEN)")?;
    let request = ApplyGameRequest {
        game: Some(file.game.clone()),
        definition: Some(file.definition.clone()),
        expected_version: 0,
        validate_only: options.dry_run,
    };
    let answer = CatalogServiceClient::new(channel).apply_game(request).await.map_err(CallRefused::from);
    let applied = answer.map_err(|refused| anyhow!(refusal(&options.file, &file, &refused)))?.into_inner();
    std::io::stdout().write_all(difference(&file.game.key, &applied, options.dry_run).as_bytes())?;
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<GameFile> {
    let name = path.display();
    let size = std::fs::metadata(path).with_context(|| name.to_string())?.len();
    ensure!(size <= FILE_BYTES, "{name}: a game has {FILE_BYTES} bytes at most");
    let text = std::fs::read_to_string(path).with_context(|| name.to_string())?;
    GameFile::parse(&text).map_err(|problems| anyhow!(unreadable(path, &problems)))
}

/// What is wrong with a file, each problem on a line that editors understand.
fn unreadable(path: &Path, problems: &[FileProblem]) -> String {
    let mut text = format!("{} cannot be read as a game:", path.display());
    for FileProblem { position, place, problem } in problems {
        let place = if place.is_empty() { String::new() } else { format!("{place} ") };
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}:{position}: {place}{problem}", path.display());
    }
    text
}

/// What the server says, with its fields where they are in the file.
fn refusal(path: &Path, file: &GameFile, refused: &CallRefused) -> String {
    let mut text = refused.to_string();
    for (field, problem) in &refused.fields {
        let position = file.position(field).map(|position| format!("{position}:")).unwrap_or_default();
        let place = field.strip_prefix("game.").or(field.strip_prefix("definition.")).unwrap_or(field);
        let _ = write!(text, "\n{}:{position} {place} {problem}", path.display());
    }
    if let Some(more) = refused.metadata.get("more_violations") {
        let _ = write!(text, "\nand {more} more");
    }
    text
}

/// What was done, or would be: a line for each change.
fn difference(key: &str, applied: &ApplyGameResponse, dry_run: bool) -> String {
    let revision = applied.game.as_ref().map(|game| game.definition_revision).unwrap_or_default();
    let done = match (applied.created, applied.changes.is_empty(), dry_run) {
        (true, _, false) => "was created",
        (true, _, true) => "would be created",
        (false, true, _) => "is as the file says",
        (false, false, false) => "was changed",
        (false, false, true) => "would be changed",
    };
    let mut text = format!("game {key} {done} (revision {revision} of its definition)\n");
    for change in &applied.changes {
        let DefinitionChange { path, old_value, new_value, .. } = change;
        let (old, new) = (shorten(old_value), shorten(new_value));
        let _ = match change.kind() {
            ChangeKind::Added => writeln!(text, "  + {path}: {new}"),
            ChangeKind::Removed => writeln!(text, "  - {path}: {old}"),
            ChangeKind::Changed | ChangeKind::Unspecified => writeln!(text, "  ~ {path}: {old} → {new}"),
        };
    }
    text
}

fn shorten(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use pkg_api::game::v1::Game;

    use super::*;

    fn change(kind: ChangeKind, path: &str, old: &str, new: &str) -> DefinitionChange {
        DefinitionChange {
            kind: kind.into(),
            path: path.to_owned(),
            old_value: old.to_owned(),
            new_value: new.to_owned(),
        }
    }

    #[test]
    fn a_difference_is_a_line_for_each_change() {
        let changes = vec![
            change(ChangeKind::Added, "definition.queues[a]", "", "{}"),
            change(ChangeKind::Changed, "definition.queues[b].tick", "\"1s\"", "\"2s\""),
            change(ChangeKind::Removed, "game.image_url", "\"https://example.com\"", ""),
            change(ChangeKind::Added, "game.data", "", &"é".repeat(500)),
        ];
        let game = Some(Game { definition_revision: 3, ..Game::default() });
        let applied = ApplyGameResponse { game, created: false, changes };
        let long = "é".repeat(VALUE_CHARS);
        let expected = format!(
            "game duel would be changed (revision 3 of its definition)\n  + definition.queues[a]: {{}}\n  \
             ~ definition.queues[b].tick: \"1s\" → \"2s\"\n  - game.image_url: \"https://example.com\"\n  \
             + game.data: {long}…\n"
        );
        assert_eq!(difference("duel", &applied, true), expected);
        let same = ApplyGameResponse { changes: Vec::new(), ..applied };
        assert!(difference("duel", &same, false).contains("is as the file says"));
        let created = ApplyGameResponse { created: true, ..same };
        assert!(difference("duel", &created, false).contains("was created"));
    }

    #[test]
    fn what_is_refused_is_shown_where_it_stands_in_the_file() {
        let file = GameFile::parse("key = \"duel\"\n\n[[queues]]\nkey = \"a\"\ntick = \"1ms\"\n").unwrap();
        let field = |name: &str| (name.to_owned(), "is wrong".to_owned());
        let refused = CallRefused {
            code: "INVALID_ARGUMENT",
            reason: "INVALID_FIELD".to_owned(),
            message: "fields of the request are not valid".to_owned(),
            fields: ["definition.queues[0].tick", "definition.queues[0].format", "game.name"].map(field).to_vec(),
            metadata: [("more_violations".to_owned(), "7".to_owned())].into(),
        };
        let expected = "fields of the request are not valid (INVALID_FIELD)\n\
             game.toml:5:1: queues[0].tick is wrong\n\
             game.toml:3:1: queues[0].format is wrong\n\
             game.toml: name is wrong\n\
             and 7 more";
        assert_eq!(refusal(Path::new("game.toml"), &file, &refused), expected);
    }

    #[test]
    fn what_cannot_be_read_is_told_by_line() {
        let problems = GameFile::parse("kee = \"duel\"\nname = 5\n").unwrap_err();
        let text = unreadable(Path::new("game.toml"), &problems);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("game.toml:1:1: kee is not known; here may be key, name,"), "{}", lines[1]);
        assert_eq!(lines[2], "game.toml:2:1: name is a text: \"…\"");
    }
}
