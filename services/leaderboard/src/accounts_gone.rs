//! Accounts that are deleted lose their scores and their places on boards, and their matches lose the name, as the log
//! tells of them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pkg_ambient::Ambient;
use pkg_api::log::v1::record;
use pkg_log::{Entry, Group, Log, Partition, ReadError, Topic, Work};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::news::BoardNews;
use crate::rebuild::{self, Stores};
use crate::store::{BoardStore, Erasure, ErasureStore, HistoryStore, Positions, Removed, StoreError};

/// Those who share this work.
const GROUP: Group = Group { topic: Topic::Accounts, name: "leaderboard", again: Duration::from_secs(2) };
/// How many records are read in one step.
const STEP: usize = 500;
/// How often a player is taken off a board while others change it.
const ATTEMPTS: usize = 16;
/// How many players were erased.
const ERASED: &str = "muster_history_players_erased_total";

/// Who takes them out.
pub struct AccountsGone {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) positions: Arc<dyn Positions>,
    pub(crate) erasures: Arc<dyn ErasureStore>,
    pub(crate) history: Arc<dyn HistoryStore>,
    pub(crate) boards: Arc<dyn BoardStore>,
    pub(crate) news: BoardNews,
    pub(crate) ambient: Ambient,
}

/// Why a partition could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a board changes too often to take a player off it")]
    Contended,
}

impl AccountsGone {
    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        metrics::describe_counter!(ERASED, "Players whose scores were erased because their accounts were deleted.");
        GROUP.run(self.log.clone(), self, shutdown).await;
    }

    /// May be repeated, and cut off anywhere: until every board was told.
    async fn erase(&self, player: Uuid) -> Result<(), WorkError> {
        for erasure in self.erasures.erase(player, self.ambient.now()).await? {
            self.take_off(&erasure, player).await?;
            self.news.changed(&erasure.board);
        }
        metrics::counter!(ERASED).increment(1);
        Ok(())
    }

    async fn take_off(&self, erasure: &Erasure, player: Uuid) -> Result<(), WorkError> {
        let stores = Stores { history: &*self.history, boards: &*self.boards, ambient: &self.ambient };
        for _ in 0..ATTEMPTS {
            match self.boards.remove(&erasure.board, erasure.number, player).await? {
                // A board that is not there will be made of a history that is without the player.
                Removed::Done | Removed::Missing => return Ok(()),
                Removed::Elsewhere(mark) => rebuild::erase(stores, &erasure.board, mark).await?,
            }
        }
        Err(WorkError::Contended)
    }
}

#[async_trait]
impl Work for AccountsGone {
    type Error = WorkError;

    async fn work(&self, partition: &mut Partition) -> Result<(), WorkError> {
        partition.resume(self.positions.next_offset(Topic::Accounts, partition.number()).await?).await?;
        while let Some(entries) = partition.next(STEP).await? {
            for player in entries.iter().filter_map(deleted) {
                self.erase(player).await?;
            }
            if let Some(last) = entries.last() {
                self.positions.advance(Topic::Accounts, partition.number(), last.position.offset + 1).await?;
            }
        }
        Ok(())
    }

    fn report(&self, partition: i32, error: &WorkError) {
        let error: &dyn std::error::Error = error;
        tracing::warn!(partition, error, "accounts that are gone keep their scores for now");
    }
}

fn deleted(entry: &Entry) -> Option<Uuid> {
    match entry.record.as_ref().ok()?.event.as_ref()? {
        record::Event::AccountDeleted(deleted) => Uuid::try_parse(&deleted.user_id).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
