//! Reading a message to its end, whatever is wrong with it, so that everything wrong is told at once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::key::Key;

/// How many characters a name to show has at most.
const TITLE_CHARS: usize = 100;
/// How much of what was given is repeated in a problem or a place.
const ECHO_CHARS: usize = 64;
const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// One thing that is wrong with what was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where: `queues[0].rating_window.distance.ceiling`. Empty for the whole.
    pub path: String,
    /// What, and what to write instead, as the end of a sentence: `is 1 to 100`.
    pub problem: String,
}

impl Violation {
    /// The same one, seen from a message that holds what was read in this field.
    #[must_use]
    pub fn under(self, field: &str) -> Self {
        Self { path: join(field, &self.path), ..self }
    }
}

fn join(parent: &str, child: &str) -> String {
    match (parent, child) {
        ("", path) | (path, "") => path.to_owned(),
        (parent, child) => format!("{parent}.{child}"),
    }
}

/// Something that a caller wrote, fit for a message: neither long nor invisible.
pub(crate) fn echo(text: &str) -> String {
    let cut = text.chars().nth(ECHO_CHARS).is_some();
    let shown: String = text.chars().take(ECHO_CHARS).flat_map(char::escape_debug).collect();
    if cut { format!("{shown}…") } else { shown }
}

/// A protobuf duration, if it is one that is not negative and is written as it should be.
pub(crate) fn exact(given: prost_types::Duration) -> Option<Duration> {
    let nanos = u32::try_from(given.nanos).ok().filter(|nanos| *nanos < NANOS_PER_SECOND)?;
    Some(Duration::new(u64::try_from(given.seconds).ok()?, nanos))
}

/// What is being read, where, and what was wrong so far.
///
/// Every method answers with something usable, also when it refuses what was given: whoever reads goes on, and the whole
/// is thrown away at the end.
pub(crate) struct Reading {
    path: String,
    violations: Vec<Violation>,
}

impl Reading {
    pub(crate) fn new() -> Self {
        Self { path: String::new(), violations: Vec::new() }
    }

    pub(crate) fn finish<T>(self, value: T) -> Result<T, Vec<Violation>> {
        if self.violations.is_empty() { Ok(value) } else { Err(self.violations) }
    }

    /// Reads a field (`distance`) or an element (`queues[0]`).
    pub(crate) fn within<R>(&mut self, step: impl Display, read: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        self.path = join(&self.path, &step.to_string());
        let value = read(self);
        self.path.truncate(length);
        value
    }

    pub(crate) fn refuse(&mut self, field: impl Display, problem: impl Into<String>) {
        let path = join(&self.path, &field.to_string());
        self.violations.push(Violation { path, problem: problem.into() });
    }

    pub(crate) fn refuse_here(&mut self, problem: impl Into<String>) {
        self.refuse("", problem);
    }

    /// Whole elements with keys that differ, in their order.
    pub(crate) fn keyed<'m, M, T>(
        &mut self,
        field: &str,
        given: &'m [M],
        most: usize,
        mut read: impl FnMut(&'m M, &mut Self) -> (T, &'m str),
    ) -> Vec<T> {
        self.at_most(field, given.len(), most);
        let mut seen = BTreeSet::new();
        let elements = given.iter().take(most).enumerate().map(|(place, element)| {
            self.within(format_args!("{field}[{place}]"), |at| {
                let (value, key) = read(element, at);
                if !seen.insert(key) && !key.is_empty() {
                    at.refuse("key", format!("\"{}\" is there already: keys differ", echo(key)));
                }
                value
            })
        });
        elements.collect()
    }

    pub(crate) fn at_most(&mut self, field: &str, given: usize, most: usize) {
        if given > most {
            self.refuse(field, format!("has {most} elements at most"));
        }
    }

    pub(crate) fn key(&mut self, field: &str, given: &str) -> Key {
        Key::parse(given).unwrap_or_else(|| {
            self.refuse(field, "has 1 to 64 lower-case letters, digits, \"-\" or \"_\"");
            Key::placeholder()
        })
    }

    pub(crate) fn title(&mut self, field: &str, given: &str) -> String {
        if given.chars().count() > TITLE_CHARS || given.chars().any(char::is_control) {
            self.refuse(field, format!("has {TITLE_CHARS} characters at most, none of them a control character"));
            return String::new();
        }
        given.to_owned()
    }

    /// A number of things, where 0 means the default.
    pub(crate) fn count(
        &mut self,
        field: &str,
        given: i32,
        range: RangeInclusive<u32>,
        default: NonZeroU32,
    ) -> NonZeroU32 {
        if given == 0 {
            return default;
        }
        self.number_of(given, &range).unwrap_or_else(|| {
            self.refuse(field, format!("is {} to {}, or 0 for {default}", range.start(), range.end()));
            default
        })
    }

    /// A number of things that must be given.
    pub(crate) fn required_count(&mut self, field: &str, given: i32, range: RangeInclusive<u32>) -> NonZeroU32 {
        self.number_of(given, &range).unwrap_or_else(|| {
            self.refuse(field, format!("is {} to {}", range.start(), range.end()));
            NonZeroU32::new(*range.start()).unwrap_or(NonZeroU32::MIN)
        })
    }

    #[expect(clippy::unused_self, reason = "reads as the others do")]
    fn number_of(&self, given: i32, range: &RangeInclusive<u32>) -> Option<NonZeroU32> {
        let count = u32::try_from(given).ok().filter(|count| range.contains(count))?;
        NonZeroU32::new(count)
    }

    /// A span of time, where absent means the default.
    pub(crate) fn span(
        &mut self,
        field: &str,
        given: Option<prost_types::Duration>,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let Some(given) = given else { return default };
        exact(given).filter(|span| range.contains(span)).unwrap_or_else(|| {
            let default = humantime::format_duration(default);
            self.refuse(field, format!("is {}; leave it out for {default}", bounds(&range)));
            *range.start()
        })
    }

    /// A span of time that may be absent.
    pub(crate) fn optional_span(
        &mut self,
        field: &str,
        given: Option<prost_types::Duration>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        given.map(|given| self.required_span(field, Some(given), range))
    }

    /// A span of time that must be given.
    pub(crate) fn required_span(
        &mut self,
        field: &str,
        given: Option<prost_types::Duration>,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        given.and_then(exact).filter(|span| range.contains(span)).unwrap_or_else(|| {
            self.refuse(field, format!("is {}", bounds(&range)));
            *range.start()
        })
    }

    /// One of the values of an enumeration, as the message knows them.
    pub(crate) fn choice<E: TryFrom<i32> + Default>(&mut self, field: impl Display, given: i32) -> E {
        E::try_from(given).unwrap_or_else(|_| {
            self.refuse(field, format!("{given} is not one of its values"));
            E::default()
        })
    }
}

fn bounds(range: &RangeInclusive<Duration>) -> String {
    let (least, most) = (humantime::format_duration(*range.start()), humantime::format_duration(*range.end()));
    format!("{least} to {most}")
}
