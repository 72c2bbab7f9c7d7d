//! What happens to sessions without anybody's call: seats run out, sessions end, errands are repeated, indexes put right.

use std::time::Duration;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{SessionError, Sessions};
use crate::store::{Due, StoreError};

/// How often is looked whether something is due.
const EVERY: Duration = Duration::from_millis(500);
/// For how long a session is the business of who claimed it.
const CLAIM: time::Duration = time::Duration::seconds(30);
/// How many are claimed in one step…
const STEP: usize = 256;
/// …and looked at at once.
const AT_ONCE: usize = 32;
/// A session that goes on is looked at so often at least, so that a lost lease or index is noticed.
const LOOK_EVERY: time::Duration = time::Duration::seconds(60);
/// After how long errands are tried again that could not be done.
const ERRANDS_AGAIN: time::Duration = time::Duration::seconds(10);
/// How long a session may be created for; before it is not missed.
const CREATION: time::Duration = time::Duration::seconds(60);

impl Sessions {
    /// Runs until it is told to end. Several replicas may: each session is claimed by one.
    pub async fn sweep(self, shutdown: CancellationToken) {
        loop {
            let looked_at = match self.sweep_once().await {
                Ok(looked_at) => looked_at,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "sessions that are due cannot be found");
                    0
                }
            };
            let pause = if looked_at >= STEP { Duration::ZERO } else { EVERY };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks at sessions that something is due with, and says at how many.
    pub async fn sweep_once(&self) -> Result<usize, StoreError> {
        let now = self.now();
        let due = self.index.claim_due(now, now + CLAIM, STEP).await?;
        let count = due.len();
        futures::stream::iter(due)
            .for_each_concurrent(AT_ONCE, async |due| {
                // One that failed is claimed again when the claim has run out.
                if let Err(error) = self.look_at(&due).await {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(session = %due.session, error, "a session could not be looked at");
                }
            })
            .await;
        Ok(count)
    }

    async fn look_at(&self, due: &Due) -> Result<(), SessionError> {
        let looked_at = self.change_connected(due.session, |session, connected, now| {
            let mut events = session.observe(connected, now);
            events.extend(session.expire(now));
            events
        });
        let Some((mut session, next_end)) = looked_at.await? else { return self.forget(due).await };
        if session.has_errands()
            && let Some(view) = self.do_errands(session.id, CLAIM.unsigned_abs() / 2).await?
        {
            session = view.session;
        }
        let now = self.now();
        if session.is_over() {
            self.clear_hints(&session).await?;
            let again = session.has_errands().then_some(now + ERRANDS_AGAIN);
            return Ok(self.index.reschedule(due, again).await?);
        }
        self.index.note_saved(due.game, due.place).await?;
        self.index.list(due.game, due.place, session.is_open()).await?;
        let next = [session.next_due(now), next_end].into_iter().flatten().min();
        let latest = now + LOOK_EVERY;
        Ok(self.index.reschedule(due, Some(next.map_or(latest, |next| next.min(latest)))).await?)
    }

    /// Takes back what leads to a session that is not there, unless it is just being created. One that was there and did
    /// not end is recorded as lost before.
    async fn forget(&self, due: &Due) -> Result<(), SessionError> {
        let now = self.now();
        let created_at = pkg_db::from_millis(due.place.created_ms);
        if now < created_at + CREATION {
            return Ok(self.index.reschedule(due, Some(created_at + CREATION)).await?);
        }
        if self.index.was_saved(due.game, due.place).await? {
            tracing::error!(session = %due.session, "a session is lost");
            if !self.record_lost(due, now).await {
                return Ok(self.index.reschedule(due, Some(now + ERRANDS_AGAIN)).await?);
            }
        }
        self.index.list(due.game, due.place, false).await?;
        self.index.release(due.game, due.place).await?;
        Ok(self.index.reschedule(due, None).await?)
    }
}
