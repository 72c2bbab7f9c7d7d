//! How long events are kept.

use std::collections::HashMap;
use std::time::Duration;

use crate::Topic;

/// How long ids of events are remembered, at most: as long as the topic lives.
pub(crate) const ID_LIFETIME: Duration = Duration::from_hours(1);
/// How many ids of events a topic remembers at most; the oldest are forgotten.
pub(crate) const IDS_KEPT: usize = 65_536;
/// How long a topic without readers and events is remembered at least: that its cursors are still good.
const SHORTEST_MEMORY: Duration = Duration::from_mins(2);

/// How long the events of a topic are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// At least so many of the last events; a few more may be.
    pub max_length: usize,
    /// For so long after the last event. The topic itself is remembered as long, and while it has readers.
    pub lifetime: Duration,
    /// For so long after the topic has ended.
    pub after_end: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { max_length: 1_000, lifetime: Duration::from_hours(1), after_end: Duration::from_mins(5) }
    }
}

impl Retention {
    /// How long the topic is remembered after its last event or reader.
    pub(crate) fn memory(&self) -> Duration {
        self.lifetime.max(SHORTEST_MEMORY)
    }
}

/// How long events are kept by the class of their topic, if who publishes them does not say.
#[derive(Debug, Clone, Default)]
pub struct Retentions {
    default: Retention,
    classes: HashMap<String, Retention>,
}

impl Retentions {
    /// The same for all topics.
    #[must_use]
    pub fn new(default: Retention) -> Self {
        Self { default, classes: HashMap::new() }
    }

    /// Another one for the topics of a class: see [`Topic::class`].
    #[must_use]
    pub fn with(mut self, class: &str, retention: Retention) -> Self {
        self.classes.insert(class.to_owned(), retention);
        self
    }

    /// The one of a topic.
    #[must_use]
    pub fn of(&self, topic: &Topic) -> Retention {
        self.classes.get(topic.class()).copied().unwrap_or(self.default)
    }
}
