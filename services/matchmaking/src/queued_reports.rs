//! Tells presence who waits in a queue: gathered, in few calls, and dropped rather than waited for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::Counter;
use pkg_api::presence::v1::presence_internal_service_client::PresenceInternalServiceClient;
use pkg_api::presence::v1::{QueuedReport, ReportQueuedRequest};
use pkg_middleware::{AnyChannel, CallRefused};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ticket_message::duration;

/// How long somebody counts as waiting without another report.
const LIFETIME: Duration = Duration::from_mins(1);
/// How often reports are sent.
const INTERVAL: Duration = Duration::from_millis(500);
/// How many one call takes.
const CALL: usize = 1_000;
/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// How many wait to be sent; further ones are dropped.
const WAITING_MAX: usize = 50_000;

/// Gathers reports. Cloning shares it.
#[derive(Clone)]
pub struct QueuedReports {
    /// By player and game: what is true now replaces what was.
    waiting: Arc<Mutex<HashMap<(Uuid, Uuid), bool>>>,
    dropped: Counter,
}

/// Sends reports.
pub struct QueuedReporter {
    reports: QueuedReports,
    channel: AnyChannel,
}

impl QueuedReports {
    /// Where reports are gathered, and what sends them.
    pub fn new(channel: AnyChannel) -> (Self, QueuedReporter) {
        metrics::describe_counter!(
            "muster_matchmaking_presence_dropped_total",
            "Reports of who waits in a queue that did not reach presence."
        );
        let dropped = metrics::counter!("muster_matchmaking_presence_dropped_total");
        let reports = Self { waiting: Arc::default(), dropped };
        (reports.clone(), QueuedReporter { reports, channel })
    }

    /// A player waits in a queue of a game, or does no longer. To be repeated within [`LIFETIME`] while they do.
    pub fn report(&self, player: Uuid, game: Uuid, queued: bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX || waiting.contains_key(&(player, game)) {
            waiting.insert((player, game), queued);
        } else {
            self.dropped.increment(1);
        }
    }

    fn take(&self) -> Vec<QueuedReport> {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let report = |((player, game), queued): ((Uuid, Uuid), bool)| QueuedReport {
            player_id: player.to_string(),
            game_id: game.to_string(),
            queued,
        };
        waiting.into_iter().map(report).collect()
    }
}

impl QueuedReporter {
    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            for reports in self.reports.take().chunks(CALL) {
                let failed = self.send(reports.to_vec()).await.err();
                // Told once, not twice a second.
                if let Some(error) = failed.as_ref().filter(|_| !failing) {
                    tracing::warn!(error, "presence does not learn who waits in queues for now");
                }
                failing = failed.is_some();
            }
        }
    }

    async fn send(&self, reports: Vec<QueuedReport>) -> Result<(), String> {
        let count = reports.len() as u64;
        let request = ReportQueuedRequest { reports, time_to_live: Some(duration(LIFETIME)) };
        let mut client = PresenceInternalServiceClient::new(self.channel.clone());
        let failed = match timeout(CALL_TIMEOUT, client.report_queued(request)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(status)) => CallRefused::from(status).to_string(),
            Err(_) => format!("no answer within {CALL_TIMEOUT:?}"),
        };
        self.reports.dropped.increment(count);
        Err(failed)
    }
}
