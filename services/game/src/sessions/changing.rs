//! Changing a session: load, change, commit, and again if somebody else was first.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use pkg_bus::NewEvent;
use pkg_middleware::Actor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{SessionError, Sessions, View};
use crate::session::{Refused, Session, SessionEvent, State};
use crate::session_message;
use crate::store::{Commit, Committed, SessionPlace, StoreError};

/// How often a change is tried because somebody else was first. Each time one of them has succeeded, on another node or by
/// a connection.
const ATTEMPTS: usize = 128;

impl Sessions {
    /// Changes a session that is there.
    pub(super) async fn change(
        &self,
        id: Uuid,
        by: Option<Actor>,
        mut work: impl FnMut(&mut Session, OffsetDateTime) -> Result<Vec<SessionEvent>, Refused> + Send,
    ) -> Result<View, SessionError> {
        let _turn = self.turns.take(id).await;
        for _ in 0..ATTEMPTS {
            let loaded = self.store.load(id).await?.ok_or(SessionError::NotFound)?;
            let (now, mut session) = (self.now(), loaded.session.clone());
            let events = work(&mut session, now)?;
            if session == loaded.session {
                return Ok(View { session, cursor: loaded.cursor, begin: loaded.begin });
            }
            let before = Some((&loaded.session, loaded.revision));
            if let Some(view) = self.save(before, session, &events, by, now).await? {
                return Ok(View { begin: loaded.begin, ..view });
            }
        }
        Err(SessionError::Contended)
    }

    /// As [`Sessions::change`] by nobody, with who is connected; `None` if the session is gone.
    pub(super) async fn change_connected(
        &self,
        id: Uuid,
        mut work: impl FnMut(&mut Session, &BTreeSet<Uuid>, OffsetDateTime) -> Vec<SessionEvent> + Send,
    ) -> Result<Option<(Session, Option<OffsetDateTime>)>, SessionError> {
        let _turn = self.turns.take(id).await;
        for _ in 0..ATTEMPTS {
            let Some(loaded) = self.store.load(id).await? else { return Ok(None) };
            let (now, mut session) = (self.now(), loaded.session.clone());
            // After the session, so that who connects meanwhile makes this a conflict.
            let connected = self.store.connected(id, now).await?;
            let events = work(&mut session, &connected.users, now);
            if session == loaded.session {
                return Ok(Some((session, connected.next_end)));
            }
            let before = Some((&loaded.session, loaded.revision));
            if let Some(view) = self.save(before, session, &events, None, now).await? {
                return Ok(Some((view.session, connected.next_end)));
            }
        }
        Err(SessionError::Contended)
    }

    /// Commits a session: what leads to it before, what it leads to after. `None` if somebody else was first.
    pub(super) async fn save(
        &self,
        before: Option<(&Session, i64)>,
        session: Session,
        events: &[SessionEvent],
        by: Option<Actor>,
        now: OffsetDateTime,
    ) -> Result<Option<View>, StoreError> {
        let (old, revision) = before.map_or((None, 0), |(old, revision)| (Some(old), revision));
        self.write_hints_before(old, &session, now).await?;
        let commit = Commit {
            revision,
            events: events.iter().map(|event| self.told(event, by)).collect(),
            ends_topic: events.last().is_some_and(SessionEvent::is_last),
            drops_content: session.state == State::Deleted,
            session,
        };
        let committed = self.store.commit(&commit).await?;
        let session = commit.session;
        self.permissions.forget(session.id);
        let Committed::Done { first, cursor } = committed else { return Ok(None) };
        self.write_hints_after(old, &session).await;
        // Those of before are under way, or wait for the sweeper.
        if session.errands.iter().any(|errand| old.is_none_or(|old| !old.errands.contains(errand))) {
            self.begin_errands(session.id);
        }
        Ok(Some(View { session, cursor, begin: first }))
    }

    fn told(&self, event: &SessionEvent, by: Option<Actor>) -> NewEvent {
        let message = session_message::event(event, self.ambient.id(), by.and_then(Actor::person));
        NewEvent { id: None, payload: pkg_envelope::encode(&pkg_envelope::Audience::Everyone, &message) }
    }

    /// What must be known before it is true: that players may be in it, and that something will be due; that of a new session
    /// is known already.
    async fn write_hints_before(
        &self,
        old: Option<&Session>,
        new: &Session,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let place = SessionPlace::of(new);
        let is_new = |player| old.is_none_or(|old| old.seat(player).is_none());
        let players = new.seats.iter().map(|seat| seat.player).filter(|player| is_new(*player));
        let notes: Vec<_> = players.map(|player| self.index.note_player(player, place)).collect();
        try_join_all(notes).await?;
        let Some(old) = old else { return Ok(()) };
        let due_before = old.next_due(now);
        match new.next_due(now) {
            Some(due) if due_before.is_none_or(|before| due < before) => {
                self.index.schedule(new.game, place, due).await
            }
            _ => Ok(()),
        }
    }

    /// What may be known later. If it fails, who follows a hint finds out, and the sweeper puts it right.
    async fn write_hints_after(&self, old: Option<&Session>, new: &Session) {
        if let Err(error) = self.try_hints_after(old, new).await {
            tracing::warn!(session = %new.id, error = &error as &dyn std::error::Error, "an index of sessions is behind");
        }
    }

    async fn try_hints_after(&self, old: Option<&Session>, new: &Session) -> Result<(), StoreError> {
        let place = SessionPlace::of(new);
        if old.is_some_and(Session::is_open) != new.is_open() {
            self.index.list(new.game, place, new.is_open()).await?;
        }
        if let Some(old) = old {
            for seat in old.seats.iter().filter(|seat| new.seat(seat.player).is_none()) {
                self.index.forget_player(seat.player, place).await?;
            }
            if let Some(code) = old.join_code.as_ref().filter(|code| new.join_code.as_ref() != Some(*code)) {
                self.index.release_code(new.game, code, new.id).await?;
            }
        }
        if new.is_over() && !old.is_some_and(Session::is_over) {
            self.clear_hints(new).await?;
        }
        Ok(())
    }

    /// Nothing leads any more to a session that is over.
    pub(super) async fn clear_hints(&self, session: &Session) -> Result<(), StoreError> {
        let place = SessionPlace::of(session);
        self.index.list(session.game, place, false).await?;
        self.index.release(session.game, place).await?;
        for seat in &session.seats {
            self.index.forget_player(seat.player, place).await?;
        }
        if let Some(code) = &session.join_code {
            self.index.release_code(session.game, code, session.id).await?;
        }
        Ok(())
    }
}
