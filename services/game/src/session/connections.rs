//! Who is connected, and what becomes of a session by itself.

use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{EndReason, Errand, Session, SessionEvent, State};

/// How long an errand waits before the sweeper does it: whoever made it does so at once.
const ERRAND_DELAY: Duration = Duration::seconds(5);
/// A session with errands is kept for so long after its end, so that a log that is down loses none.
const KEEP_WITH_ERRANDS: Duration = Duration::days(7);
/// How much longer a session is kept than it should need.
const KEEP_MARGIN: Duration = Duration::hours(1);

impl Session {
    /// Takes over who is connected: the holders of open streams, game servers among them.
    pub fn observe(&mut self, connected: &BTreeSet<Uuid>, now: OffsetDateTime) -> Vec<SessionEvent> {
        if self.is_over() {
            return Vec::new();
        }
        if connected.is_empty() {
            self.empty_since.get_or_insert(now);
        } else {
            self.empty_since = None;
        }
        let mut events = Vec::new();
        for index in 0..self.seats.len() {
            let seat = &mut self.seats[index];
            let is_connected = connected.contains(&seat.player);
            if seat.connected == is_connected {
                continue;
            }
            seat.connected = is_connected;
            seat.came |= is_connected;
            seat.expires_at = (!is_connected).then_some(now + self.rules.reconnect_grace);
            let seat = seat.clone();
            events.push(SessionEvent::ConnectionChanged { seat, version: self.next_version() });
        }
        if self.starts_by_itself() {
            events.push(self.begin(now));
        }
        events
    }

    /// Does what is due by itself: seats are given up, and a session ends that is abandoned or too old.
    pub fn expire(&mut self, now: OffsetDateTime) -> Vec<SessionEvent> {
        if self.is_over() {
            return Vec::new();
        }
        let mut events = self.expire_seats(now);
        if now >= self.created_at + self.rules.max_duration {
            events.extend(self.end_without_results(EndReason::TooLong, now));
        } else if self.abandoned_at().is_some_and(|at| at <= now) {
            events.extend(self.end_without_results(EndReason::Abandoned, now));
        }
        events
    }

    /// When something is due that nobody asks for; `None` when nothing is any more.
    #[must_use]
    pub fn next_due(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let errands = self.has_errands().then_some(now + ERRAND_DELAY);
        if self.is_over() {
            return errands;
        }
        let seats = self.seats.iter().filter_map(|seat| seat.expires_at);
        let too_old = self.created_at + self.rules.max_duration;
        seats.chain(errands).chain(self.abandoned_at()).chain([too_old]).min()
    }

    /// Until when it must be kept.
    #[must_use]
    pub fn keep_until(&self) -> OffsetDateTime {
        match &self.end {
            None => self.created_at + self.rules.max_duration + self.rules.keep_after_end + KEEP_WITH_ERRANDS,
            Some(end) if self.has_errands() => end.at + KEEP_WITH_ERRANDS + KEEP_MARGIN,
            Some(end) => end.at + self.rules.keep_after_end,
        }
    }

    fn abandoned_at(&self) -> Option<OffsetDateTime> {
        self.empty_since.map(|since| since + self.rules.abandon_after)
    }

    fn starts_by_itself(&self) -> bool {
        let waits = matches!(self.state, State::Created | State::Waiting);
        let Some(origin) = self.origin.as_ref().filter(|origin| waits && origin.starts_when_connected) else {
            return false;
        };
        self.seats.len() == origin.players && self.seats.iter().all(|seat| seat.connected)
    }

    pub(super) fn end_without_results(&mut self, reason: EndReason, now: OffsetDateTime) -> Vec<SessionEvent> {
        self.close_pause(now);
        self.end = Some(super::End { reason, at: now, actor: None, results: None });
        self.errands.push(Errand::RecordEnd);
        self.become_finished()
    }
}
