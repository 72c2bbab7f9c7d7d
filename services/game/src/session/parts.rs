//! The parts of a session.

use pkg_definition::TeamName;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::serial;

/// Letters and digits that nobody takes for others.
const CODE_ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
/// How long a code is: 31^8 of them are too many to guess within the limit of tries.
const CODE_LENGTH: usize = 8;
/// How long a code may be that somebody types.
const TYPED_CODE_LENGTH: std::ops::RangeInclusive<usize> = 6..=10;

/// What a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// No player has come yet.
    Created,
    /// Players wait for the start.
    Waiting,
    /// It is played.
    Started,
    /// It was started, and stands still.
    Paused,
    /// Its results are being recorded.
    Finishing,
    /// It is over.
    Finished,
    /// It was ended without results and its content is gone.
    Deleted,
}

/// Who finds a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visibility {
    /// Everyone.
    Public,
    /// Those who have its join code.
    Private,
}

/// Why a seat became free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaveReason {
    /// The player left.
    Left,
    /// The player was kicked.
    Kicked,
    /// The player's connection was lost and did not come back in time.
    ConnectionLost,
    /// The player never came.
    NeverCame,
    /// The player's account was deleted or banned.
    AccountGone,
}

/// A place in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    pub player: Uuid,
    #[serde(with = "serial::team::option")]
    pub team: Option<TeamName>,
    #[serde(with = "time::serde::timestamp::milliseconds")]
    pub joined_at: OffsetDateTime,
    /// Whether the player was ever connected.
    pub came: bool,
    pub connected: bool,
    /// When it is given up; absent while connected.
    #[serde(with = "time::serde::timestamp::milliseconds::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// What the record of its end is known by, made with the seat: a repeated one is the same.
    pub record: Uuid,
}

/// A player who had a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    pub player: Uuid,
    #[serde(with = "serial::team::option")]
    pub team: Option<TeamName>,
}

/// A team: how many players it takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Team {
    #[serde(with = "serial::team")]
    pub name: TeamName,
    pub max_players: usize,
}

/// The match that a session is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub match_id: Uuid,
    pub queue_key: String,
    /// How many players were matched.
    pub players: usize,
    /// Whether it starts as soon as they are all connected.
    pub starts_when_connected: bool,
}

/// What lets players into a private session: capital letters and digits without those that look alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JoinCode(String);

/// The text cannot be a join code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has 6 to 10 letters and digits")]
pub struct InvalidJoinCode;

impl JoinCode {
    /// A code of random numbers. Those that would favour some letters are left out; there are enough in any case that is
    /// not one in a million, and then the code ends in the last letter.
    #[must_use]
    pub fn random(bytes: [u8; 32]) -> Self {
        let largest = u8::try_from(CODE_ALPHABET.len()).unwrap_or(u8::MAX);
        let fair = u8::MAX - u8::MAX % largest;
        let letters = bytes.iter().filter(|byte| **byte < fair).map(|byte| usize::from(byte % largest));
        let letters = letters.chain(std::iter::repeat(CODE_ALPHABET.len() - 1)).take(CODE_LENGTH);
        Self(letters.map(|letter| char::from(CODE_ALPHABET[letter])).collect())
    }

    /// Reads a code in any case.
    pub fn parse(text: &str) -> Result<Self, InvalidJoinCode> {
        let valid = TYPED_CODE_LENGTH.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if valid { Ok(Self(text.to_ascii_uppercase())) } else { Err(InvalidJoinCode) }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
