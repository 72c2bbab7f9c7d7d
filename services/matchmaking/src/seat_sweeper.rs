//! Seats of sessions that have ended without a record of it: a session that nobody knows has ended.

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::game::v1::session_internal_service_client::SessionInternalServiceClient;
use pkg_api::game::v1::{BatchGetSessionStatesRequest, SessionState};
use pkg_middleware::{AnyChannel, CallRefused};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::counters::Counters;
use crate::store::{MatchStore, SeatRelease, StoreError};

/// How often is looked.
const EVERY: Duration = Duration::from_secs(10);
/// How often a session is looked at.
const LOOK_EVERY: time::Duration = time::Duration::seconds(60);
/// How many are looked at in one step.
const STEP: usize = 1_000;
/// How long the game service may take.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// Who releases such seats. Several replicas may.
#[derive(Clone)]
pub struct SeatSweeper {
    pub(crate) matches: Arc<dyn MatchStore>,
    pub(crate) game: AnyChannel,
    pub(crate) ambient: Ambient,
    pub(crate) counters: Counters,
}

/// Seats cannot be looked at now.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the states of sessions cannot be read")]
    Refused(#[from] CallRefused),
    #[error("the states of sessions were not read in time")]
    InTime(#[from] tokio::time::error::Elapsed),
}

impl SeatSweeper {
    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut is_failing = false;
        while timeout(EVERY, shutdown.cancelled()).await.is_err() {
            let swept = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                swept = self.sweep() => swept,
            };
            match swept {
                Ok(()) => is_failing = false,
                Err(error) if !std::mem::replace(&mut is_failing, true) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "seats of sessions that ended unnoticed stay taken for now");
                }
                Err(_) => {}
            }
        }
    }

    /// Looks at all sessions whose turn it is.
    pub async fn sweep(&self) -> Result<(), SweepError> {
        loop {
            let now = self.ambient.now();
            let sessions = self.matches.stale_seats(now - LOOK_EVERY, STEP).await?;
            if sessions.is_empty() {
                return Ok(());
            }
            let is_last = sessions.len() < STEP;
            let (ended, running) = self.look_at(&sessions).await?;
            if !ended.is_empty() {
                let releases: Vec<SeatRelease> =
                    ended.into_iter().map(|session| SeatRelease { session, player: None }).collect();
                let count = self.matches.release(&releases, now).await?;
                self.counters.seats_swept.increment(count);
            }
            // Those that were released are not stale any more, nor are these: the loop ends.
            self.matches.checked(&running, now).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Which sessions have ended, and which run.
    async fn look_at(&self, sessions: &[Uuid]) -> Result<(Vec<Uuid>, Vec<Uuid>), SweepError> {
        let mut client = SessionInternalServiceClient::new(self.game.clone());
        let request = BatchGetSessionStatesRequest { session_ids: sessions.iter().map(Uuid::to_string).collect() };
        let answer = timeout(ASK_WITHIN, client.batch_get_session_states(request)).await?;
        let statuses = answer.map_err(CallRefused::from)?.into_inner().statuses;
        let (mut ended, mut running) = (Vec::new(), Vec::new());
        for (session, status) in sessions.iter().zip(statuses) {
            match status.state() {
                SessionState::Unspecified | SessionState::Finished | SessionState::Deleted => ended.push(*session),
                SessionState::Created
                | SessionState::Waiting
                | SessionState::Started
                | SessionState::Paused
                | SessionState::Finishing => running.push(*session),
            }
        }
        Ok((ended, running))
    }
}
