//! Running a session: its attributes, its start, its pauses.

use bytes::Bytes;
use pkg_middleware::Actor;
use time::OffsetDateTime;

use super::{Attempt, JoinCode, Refused, Session, SessionEvent, State, Visibility};
use crate::attributes::AttributeChange;

/// A change of what is shown of a session. What is not given stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// What the change rests on.
    pub attributes_version: i64,
    pub attributes: AttributeChange,
    pub data: Option<Bytes>,
    pub name: Option<String>,
    pub visibility: Option<Visibility>,
}

impl Session {
    /// Changes what is shown, if nobody else did since it was read. A session that becomes private gets the code given,
    /// which nobody else has.
    pub fn update(
        &mut self,
        change: &Change,
        fresh_code: Option<JoinCode>,
        by: Actor,
    ) -> Result<Vec<SessionEvent>, Refused> {
        self.check_may_update(change, by)?;
        if self.is_over() {
            return Err(self.refuse(Attempt::Update));
        }
        if change.attributes_version != self.attributes_version {
            return Err(Refused::Changed { attributes_version: self.attributes_version });
        }
        let (attributes, difference) = change.attributes.apply(&self.attributes)?;
        let data = change.data.clone().filter(|data| *data != self.data);
        let name = change.name.clone().filter(|name| *name != self.name);
        let visibility = change.visibility.filter(|visibility| *visibility != self.visibility);
        if difference.is_empty() && data.is_none() && name.is_none() && visibility.is_none() {
            return Ok(Vec::new());
        }
        self.attributes = attributes;
        self.data = data.clone().unwrap_or_else(|| std::mem::take(&mut self.data));
        self.name = name.clone().unwrap_or_else(|| std::mem::take(&mut self.name));
        if let Some(new) = visibility {
            self.visibility = new;
            self.join_code = fresh_code.filter(|_| new == Visibility::Private);
        }
        self.attributes_version += 1;
        let (attributes_version, version) = (self.attributes_version, self.next_version());
        let attributes = difference;
        Ok(vec![SessionEvent::AttributesChanged { attributes, data, name, visibility, attributes_version, version }])
    }

    /// Whether a change makes it private, so that it needs a code.
    #[must_use]
    pub fn needs_code(&self, change: &Change) -> bool {
        self.visibility == Visibility::Public && change.visibility == Some(Visibility::Private)
    }

    /// Starts it.
    pub fn start(&mut self, by: Actor, now: OffsetDateTime) -> Result<Vec<SessionEvent>, Refused> {
        self.check_runs(by)?;
        match self.state {
            State::Created | State::Waiting => Ok(vec![self.begin(now)]),
            State::Started => Ok(Vec::new()),
            State::Paused | State::Finishing | State::Finished | State::Deleted => Err(self.refuse(Attempt::Start)),
        }
    }

    /// Lets it stand still.
    pub fn pause(&mut self, by: Actor, now: OffsetDateTime) -> Result<Vec<SessionEvent>, Refused> {
        self.check_runs(by)?;
        match self.state {
            State::Started => {
                self.paused_at = Some(now);
                Ok(vec![self.enter(State::Paused)])
            }
            State::Paused => Ok(Vec::new()),
            State::Created | State::Waiting | State::Finishing | State::Finished | State::Deleted => {
                Err(self.refuse(Attempt::Pause))
            }
        }
    }

    /// Goes on.
    pub fn resume(&mut self, by: Actor, now: OffsetDateTime) -> Result<Vec<SessionEvent>, Refused> {
        self.check_runs(by)?;
        match self.state {
            State::Paused => {
                self.close_pause(now);
                Ok(vec![self.enter(State::Started)])
            }
            State::Started => Ok(Vec::new()),
            State::Created | State::Waiting | State::Finishing | State::Finished | State::Deleted => {
                Err(self.refuse(Attempt::Resume))
            }
        }
    }

    /// How long it has stood still in all, in milliseconds.
    #[must_use]
    pub fn paused_ms_at(&self, now: OffsetDateTime) -> u64 {
        let current = self.paused_at.map_or(0, |since| (now - since).whole_milliseconds());
        self.paused_ms + u64::try_from(current).unwrap_or(0)
    }

    pub(super) fn begin(&mut self, now: OffsetDateTime) -> SessionEvent {
        self.started_at = Some(now);
        self.enter(State::Started)
    }

    pub(super) fn close_pause(&mut self, now: OffsetDateTime) {
        self.paused_ms = self.paused_ms_at(now);
        self.paused_at = None;
    }

    fn check_may_update(&self, change: &Change, by: Actor) -> Result<(), Refused> {
        match (self.check_runs(by), by) {
            (Err(Refused::NotOwner), Actor::Player(_)) if self.rules.members_may_update => {
                let more = change.name.is_some() || change.visibility.is_some();
                if more { Err(Refused::NotOwner) } else { Ok(()) }
            }
            (outcome, _) => outcome,
        }
    }
}
