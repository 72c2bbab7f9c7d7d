//! The topics: their names, how many partitions they have, and how long records stay.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::murmur;

/// How long records of accounts stay, unless a log is set up otherwise: a year and a month, so that what happens once a
/// year can still be compared with the time before.
pub const ACCOUNTS_RETENTION: Duration = Duration::from_hours(400 * 24);

/// A topic of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Submitted scores. The key is a board, so its order is total.
    Scores,
    /// Matches, and what became of them. The key is a queue, so ratings see one order.
    Matches,
    /// What happened to accounts: the audit, and deletions for other services to follow. The key is a user.
    Accounts,
}

/// There is no topic of this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no topic {0}")]
pub struct UnknownTopic(pub String);

impl Topic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Scores, Self::Matches, Self::Accounts];

    /// The stable name, without the prefix that tells one log from another on the same server.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scores => "scores",
            Self::Matches => "matches",
            Self::Accounts => "accounts",
        }
    }

    /// How many partitions it has; they are numbered from 0.
    ///
    /// Fixed for ever: another number would send keys elsewhere, and the order of their records would be lost. It is
    /// also the most members of a group that have work at the same time.
    #[must_use]
    pub const fn partitions(self) -> i32 {
        match self {
            Self::Scores | Self::Matches => 12,
            Self::Accounts => 6,
        }
    }

    /// How long records stay at least, where those of accounts stay for `accounts`; `None` means for ever.
    ///
    /// Scores and matches are what boards, histories and ratings are rebuilt from. Records of accounts are an audit,
    /// and tell other services of deletions: they stay for longer than any service is down, but not for ever.
    #[must_use]
    pub const fn retention(self, accounts: Duration) -> Option<Duration> {
        match self {
            Self::Scores | Self::Matches => None,
            Self::Accounts => Some(accounts),
        }
    }

    /// The partition of a key, the same in every log: that of Kafka's own partitioner.
    #[must_use]
    pub fn partition_of(self, key: &str) -> i32 {
        murmur::partition(key.as_bytes(), self.partitions())
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(name: &str) -> Result<Self, UnknownTopic> {
        Self::ALL.into_iter().find(|topic| topic.name() == name).ok_or_else(|| UnknownTopic(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_topics() {
        for topic in Topic::ALL {
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
        assert_eq!("audit".parse::<Topic>(), Err(UnknownTopic("audit".to_owned())));
    }
}
