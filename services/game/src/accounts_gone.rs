//! Accounts that are deleted or banned lose their seats, as the log tells of them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pkg_api::log::v1::record;
use pkg_log::{Entry, Group, Log, Partition, Positions, ReadError, Topic, Work};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::sessions::{SessionError, Sessions};
use crate::store::StoreError;

/// Those who share this work.
const GROUP: Group = Group { topic: Topic::Accounts, name: "game", again: Duration::from_secs(2) };
/// How many records are read in one step.
const STEP: usize = 500;

/// Why a partition could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Who gives up the seats of accounts that are gone.
pub struct AccountsGone {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) positions: Arc<dyn Positions>,
    pub(crate) sessions: Sessions,
}

impl AccountsGone {
    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        GROUP.run(self.log.clone(), self, shutdown).await;
    }
}

#[async_trait]
impl Work for AccountsGone {
    type Error = WorkError;

    async fn work(&self, partition: &mut Partition) -> Result<(), WorkError> {
        // What was not read in time is past: accounts older than the records have no seats any more.
        partition.resume(self.positions.next_offset(Topic::Accounts, partition.number()).await?).await?;
        while let Some(entries) = partition.next(STEP).await? {
            for player in entries.iter().filter_map(gone) {
                self.sessions.lose_account(player).await?;
            }
            if let Some(last) = entries.last() {
                self.positions.advance(Topic::Accounts, partition.number(), last.position.offset + 1).await?;
            }
        }
        Ok(())
    }

    fn report(&self, partition: i32, error: &WorkError) {
        let error: &dyn std::error::Error = error;
        tracing::warn!(partition, error, "accounts that are gone keep their seats for now");
    }
}

/// Whose account is gone by a record.
fn gone(entry: &Entry) -> Option<Uuid> {
    let user = match entry.record.as_ref().ok()?.event.as_ref()? {
        record::Event::AccountDeleted(deleted) => &deleted.user_id,
        record::Event::UserBanned(banned) => &banned.user_id,
        _ => return None,
    };
    Uuid::try_parse(user).ok()
}

#[cfg(test)]
mod tests {
    use pkg_ambient::Ambient;
    use pkg_api::log::v1::{AccountDeleted, Record, UserBanned};
    use tokio::time::timeout;

    use super::*;
    use crate::sessions::testing::{GAME, World, creation, player};
    use crate::store::SqlAccountPositions;

    const LIMIT: Duration = Duration::from_secs(30);

    async fn append(world: &World, user: Uuid, event: record::Event) {
        let record = Record {
            record_id: Ambient::system().id().to_string(),
            key: user.to_string(),
            event: Some(event),
            ..Record::default()
        };
        world.log.append(Topic::Accounts, &record, LIMIT).await.unwrap();
    }

    #[tokio::test]
    async fn accounts_that_are_gone_lose_their_seats() {
        let world = World::memory(crate::sessions::testing::rules()).await;
        let gone = AccountsGone {
            log: Arc::new(world.log.clone()),
            positions: Arc::new(SqlAccountPositions::new((*world.database).clone())),
            sessions: world.sessions.clone(),
        };
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(gone.run(shutdown.clone()));
        let session = world.sessions.create(creation(), player(1)).await.unwrap().session;
        assert_eq!(session.game, GAME);
        for number in [2, 3] {
            world.sessions.join(session.id, player(number).id(), None, None, player(number)).await.unwrap();
        }
        let (deleted, banned) = (player(1).id(), player(2).id());
        append(&world, deleted, record::Event::AccountDeleted(AccountDeleted { user_id: deleted.to_string() })).await;
        let ban = UserBanned { user_id: banned.to_string(), ..UserBanned::default() };
        append(&world, banned, record::Event::UserBanned(ban)).await;
        let alone = async {
            while world.load(session.id).await.seats.len() > 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, alone).await.expect("the seats are given up");
        assert_eq!(world.load(session.id).await.owner, Some(player(3).id()));
        shutdown.cancel();
        timeout(LIMIT, running).await.expect("it ends").unwrap();
    }
}
