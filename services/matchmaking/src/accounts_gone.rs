//! Accounts that are deleted or banned lose their tickets, and deleted ones their ratings, as the log tells of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pkg_api::log::v1::record;
use pkg_log::{Entry, Log, Partition, ReadError, Start, Topic};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::endings::Endings;
use crate::queues::Queues;
use crate::store::{AccountPositions, EndReason, RatingStore, StoreError, TicketStore};

/// The name of those who share this work.
const GROUP: &str = "matchmaking";
/// How many records are read in one step.
const STEP: usize = 500;
/// The pause before work that failed is begun anew.
const AGAIN: Duration = Duration::from_secs(2);

/// Who takes them out.
#[derive(Clone)]
pub struct AccountsGone {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) positions: Arc<dyn AccountPositions>,
    pub(crate) tickets: Arc<dyn TicketStore>,
    pub(crate) ratings: Arc<dyn RatingStore>,
    pub(crate) queues: Queues,
    pub(crate) endings: Endings,
}

/// Why a partition could not be worked on.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What has become of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    Deleted(Uuid),
    Banned(Uuid),
}

impl AccountsGone {
    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        // Which games there are says where to look.
        let _ = shutdown.run_until_cancelled(self.queues.caught_up()).await;
        while !shutdown.is_cancelled() {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                outcome = self.follow(&shutdown) => {
                    if let Err(error) = outcome {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, "the log of accounts cannot be followed");
                    }
                }
            }
            // Told to end while it waits, it ends.
            let _ = timeout(AGAIN, shutdown.cancelled()).await;
        }
    }

    /// Works on the partitions that fall to this process; ends when the log is closed.
    async fn follow(&self, shutdown: &CancellationToken) -> Result<(), ReadError> {
        let mut consumer = self.log.join(Topic::Accounts, GROUP).await?;
        let workers = TaskTracker::new();
        let stop = shutdown.child_token();
        let _stop = stop.clone().drop_guard();
        while let Some(partition) = consumer.next_partition().await {
            let (this, stop) = (self.clone(), stop.clone());
            workers.spawn(stop.run_until_cancelled_owned(async move { this.work(partition).await }));
        }
        Ok(())
    }

    async fn work(&self, mut partition: Partition) {
        let Err(error) = self.try_work(&mut partition).await else { return };
        report(partition.number(), &error);
        // Dropped after a pause, it is offered again.
        sleep(AGAIN).await;
    }

    async fn try_work(&self, partition: &mut Partition) -> Result<(), WorkError> {
        let number = partition.number();
        let range = self.log.range(Topic::Accounts, number).await?;
        let next = self.positions.next_offset(number).await?;
        // What was not read in time is past: accounts older than the records have no tickets any more.
        let start = next.map_or(range.first, |next| next.clamp(range.first, range.end));
        partition.begin(Start::At(start)).await?;
        while let Some(entries) = partition.next(STEP).await? {
            let gone: Vec<Gone> = entries.iter().filter_map(gone).collect();
            self.take_out(&gone).await?;
            if let Some(last) = entries.last() {
                self.positions.advance(number, last.position.offset + 1).await?;
            }
        }
        Ok(())
    }

    async fn take_out(&self, gone: &[Gone]) -> Result<(), StoreError> {
        if gone.is_empty() {
            return Ok(());
        }
        let players: Vec<Uuid> = gone.iter().map(|gone| gone.player()).collect();
        let games: BTreeSet<Uuid> = self.queues.all().iter().map(|queue| queue.game).collect();
        for game in games {
            let tickets = self.tickets.tickets_of(game, &players).await?;
            let tickets: Vec<Uuid> = tickets.into_iter().flatten().collect();
            // Those that are in a match are the business of its session.
            self.endings.end(&tickets, EndReason::AccountGone).await?;
        }
        for gone in gone {
            if let Gone::Deleted(player) = gone {
                self.ratings.erase(*player).await?;
            }
        }
        Ok(())
    }
}

fn report(partition: i32, error: &WorkError) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(partition, error, "accounts that are gone keep their tickets for now");
}

impl Gone {
    fn player(self) -> Uuid {
        match self {
            Self::Deleted(player) | Self::Banned(player) => player,
        }
    }
}

fn gone(entry: &Entry) -> Option<Gone> {
    match entry.record.as_ref().ok()?.event.as_ref()? {
        record::Event::AccountDeleted(deleted) => Uuid::try_parse(&deleted.user_id).ok().map(Gone::Deleted),
        record::Event::UserBanned(banned) => Uuid::try_parse(&banned.user_id).ok().map(Gone::Banned),
        _ => None,
    }
}
