//! What the session of a match starts with.

use pkg_api::game::v1 as api;

use super::Format;
use crate::attributes::Attributes;
use crate::reading::Reading;

const TEAM_NAME_BYTES: usize = 32;

/// What a match's session starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTemplate {
    /// A name for every team, in their order; none if everyone plays for themselves.
    pub team_names: Vec<TeamName>,
    /// The attributes of the session.
    pub attributes: Attributes,
    /// Whether it starts as soon as all its players are connected.
    pub start_when_connected: bool,
    /// Whether the first player of the first team owns it; else nobody does.
    pub player_owner: bool,
}

/// The name of a team within a session: 1–32 letters, digits, "_" or "-".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TeamName(Box<str>);

impl TeamName {
    /// `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        ((1..=TEAM_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// How the team with this number is called if nobody named it; the first is 1.
    #[must_use]
    pub fn numbered(number: usize) -> Self {
        Self(format!("team-{number}").into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SessionTemplate {
    pub(super) fn read(given: &api::SessionTemplate, format: Format, at: &mut Reading) -> Self {
        Self {
            team_names: team_names(&given.team_names, format, at),
            attributes: Attributes::read("attributes", &given.attributes, at),
            start_when_connected: given.start_when_connected,
            player_owner: given.player_owner,
        }
    }
}

fn team_names(given: &[String], format: Format, at: &mut Reading) -> Vec<TeamName> {
    let count = usize::try_from(format.team_count()).unwrap_or(usize::MAX);
    if given.len() > count {
        let problem = match format {
            Format::Teams { .. } => format!("has {count} names at most, one for each team"),
            Format::FreeForAll { .. } => "is left out: free_for_all has no teams".to_owned(),
        };
        at.refuse("team_names", problem);
    }
    let mut names: Vec<TeamName> = Vec::new();
    for place in 0..count {
        let name = match given.get(place) {
            None => TeamName::numbered(place + 1),
            Some(text) => TeamName::parse(text).unwrap_or_else(|| {
                let problem = format!("has 1 to {TEAM_NAME_BYTES} letters, digits, \"_\" or \"-\"");
                at.refuse(format_args!("team_names[{place}]"), problem);
                TeamName::numbered(place + 1)
            }),
        };
        if names.contains(&name) {
            at.refuse(format_args!("team_names[{place}]"), format!("\"{}\" is there already", name.as_str()));
        }
        names.push(name);
    }
    names
}
