//! Accounts that are deleted or banned lose their tickets, and deleted ones their ratings, as the log tells of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pkg_api::log::v1::record;
use pkg_log::{Entry, Group, Log, Partition, Positions, ReadError, Topic, Work};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::endings::Endings;
use crate::queues::Queues;
use crate::store::{EndReason, RatingStore, StoreError, TicketStore};

/// Those who share this work.
const GROUP: Group = Group { topic: Topic::Accounts, name: "matchmaking", again: Duration::from_secs(2) };
/// How many records are read in one step.
const STEP: usize = 500;

/// Who takes them out.
pub struct AccountsGone {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) positions: Arc<dyn Positions>,
    pub(crate) tickets: Arc<dyn TicketStore>,
    pub(crate) ratings: Arc<dyn RatingStore>,
    pub(crate) queues: Queues,
    pub(crate) endings: Endings,
}

/// Why a partition could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
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
        GROUP.run(self.log.clone(), self, shutdown).await;
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

#[async_trait]
impl Work for AccountsGone {
    type Error = WorkError;

    async fn work(&self, partition: &mut Partition) -> Result<(), WorkError> {
        // What was not read in time is past: accounts older than the records have no tickets any more.
        partition.resume(self.positions.next_offset(Topic::Accounts, partition.number()).await?).await?;
        while let Some(entries) = partition.next(STEP).await? {
            let gone: Vec<Gone> = entries.iter().filter_map(gone).collect();
            self.take_out(&gone).await?;
            if let Some(last) = entries.last() {
                self.positions.advance(Topic::Accounts, partition.number(), last.position.offset + 1).await?;
            }
        }
        Ok(())
    }

    fn report(&self, partition: i32, error: &WorkError) {
        let error: &dyn std::error::Error = error;
        tracing::warn!(partition, error, "accounts that are gone keep their tickets for now");
    }
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
