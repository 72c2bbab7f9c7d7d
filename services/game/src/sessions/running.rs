//! Running and ending sessions.

use std::time::Duration;

use pkg_middleware::Actor;
use uuid::Uuid;

use super::{SessionError, Sessions, View};
use crate::session::{Change, Results, State};

impl Sessions {
    /// Changes what is shown of a session.
    pub async fn update(&self, session: Uuid, change: &Change, by: Actor) -> Result<View, SessionError> {
        // A code is asked for before: only one who may make the session private gets so far.
        let mut fresh = None;
        let loaded = self.store.load(session).await?.ok_or(SessionError::NotFound)?.session;
        if loaded.needs_code(change) {
            loaded.clone().update(change, None, by)?;
            fresh = Some(self.fresh_code(&loaded).await?);
        }
        let outcome = self.change(session, Some(by), |session, _| session.update(change, fresh.clone(), by)).await;
        if let Some(code) = fresh
            && !outcome.as_ref().is_ok_and(|view| view.session.join_code.as_ref() == Some(&code))
        {
            self.index.release_code(loaded.game, &code, session).await?;
        }
        outcome
    }

    /// Starts a session.
    pub async fn start(&self, session: Uuid, by: Actor) -> Result<View, SessionError> {
        self.change(session, Some(by), |session, now| session.start(by, now)).await
    }

    /// Pauses a session.
    pub async fn pause(&self, session: Uuid, by: Actor) -> Result<View, SessionError> {
        self.change(session, Some(by), |session, now| session.pause(by, now)).await
    }

    /// Goes on with a session.
    pub async fn resume(&self, session: Uuid, by: Actor) -> Result<View, SessionError> {
        self.change(session, Some(by), |session, now| session.resume(by, now)).await
    }

    /// Finishes a session. Waits until it is recorded, but no longer than `within`: then it is finished later.
    pub async fn finish(
        &self,
        session: Uuid,
        results: &Results,
        by: Actor,
        within: Duration,
    ) -> Result<View, SessionError> {
        let view = self.change(session, Some(by), |session, now| session.finish(results, by, now)).await?;
        if view.session.state != State::Finishing {
            return Ok(view);
        }
        match tokio::time::timeout(within, self.do_errands(session, within)).await {
            Ok(Ok(Some(view))) => Ok(view),
            // The sweeper goes on with it.
            Ok(Ok(None) | Err(_)) | Err(_) => Ok(view),
        }
    }

    /// Deletes a session.
    pub async fn delete(&self, session: Uuid, by: Actor) -> Result<(), SessionError> {
        self.change(session, Some(by), |session, now| session.delete(by, now)).await?;
        Ok(())
    }
}
