//! What is over is forgotten after a while: matches, their seats, and which sessions have changed ratings. What was played
//! is told by the log; here it only holds the ends of what is under way together.

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use time::OffsetDateTime;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::store::{MatchStore, RatingStore, StoreError};

/// How long it is kept. A session lasts a week at most, and nobody who was stopped wakes after that, or records its end
/// again.
const KEPT: time::Duration = time::Duration::days(30);
/// How often is looked…
const EVERY: Duration = Duration::from_hours(1);
/// …the first time so soon, so that replicas that are started often forget as well.
const FIRST: Duration = Duration::from_mins(1);
/// How much is forgotten in one step…
const STEP: usize = 500;
/// …how many steps there are at a time…
const STEPS: usize = 1_000;
/// …and how long others have their turn between two of them.
const PAUSE: Duration = Duration::from_millis(100);

/// Who forgets. Several replicas may.
#[derive(Clone)]
pub struct Forgetting {
    pub(crate) matches: Arc<dyn MatchStore>,
    pub(crate) ratings: Arc<dyn RatingStore>,
    pub(crate) ambient: Ambient,
}

impl Forgetting {
    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut wait = FIRST;
        while timeout(wait, shutdown.cancelled()).await.is_err() {
            wait = EVERY;
            if let Some(Err(error)) = shutdown.run_until_cancelled(self.forget()).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "old matches are forgotten later");
            }
        }
    }

    /// Forgets what is older than [`KEPT`], as far as it comes in one round.
    async fn forget(&self) -> Result<(), StoreError> {
        let before = self.ambient.now() - KEPT;
        for _ in 0..STEPS {
            if self.step(before).await? < STEP as u64 {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// How much it was, of whatever was more.
    async fn step(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let matches = self.matches.forget(before, STEP).await?;
        let sessions = self.ratings.forget_counted(before, STEP).await?;
        Ok(matches.max(sessions))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::{Match, Recorded};
    use crate::worker::testing::{World, player};

    #[tokio::test]
    async fn what_is_over_is_forgotten_in_steps_and_the_rest_is_kept() {
        const MATCHES: u128 = 2 * STEP as u128 + 2;
        let world = World::start().await;
        let long_ago = world.ambient.now() - KEPT - time::Duration::days(1);
        let mut made = BTreeMap::new();
        for number in 0..MATCHES {
            let mut it = world.match_of([(2 * number, world.ambient.id()), (2 * number + 1, world.ambient.id())]);
            it.id = crate::store::least_id(long_ago + Duration::from_millis(u64::try_from(number).unwrap()));
            made.insert(it.id, it);
        }
        let made: Vec<Match> = made.into_values().collect();
        assert!(world.matches.record(&made, long_ago).await.unwrap().iter().all(|it| *it == Recorded::Done));
        let young = world.match_of([(1, world.ambient.id()), (3, world.ambient.id())]);
        let (playing, over) = made.split_last().unwrap();
        for it in over {
            assert!(world.matches.cancel_match(it.id, long_ago).await.unwrap());
        }
        assert_eq!(world.matches.record(std::slice::from_ref(&young), long_ago).await.unwrap(), [Recorded::Done]);
        assert!(world.matches.cancel_match(young.id, long_ago).await.unwrap());

        let (matches, ratings, ambient) = (world.matches.clone(), world.ratings.clone(), world.ambient.clone());
        Forgetting { matches, ratings, ambient }.forget().await.unwrap();
        let ids: Vec<_> = made.iter().chain([&young]).map(|it| it.id).collect();
        let left = world.matches.matches(&ids).await.unwrap().into_iter().flatten().map(|it| it.made.id);
        assert_eq!(left.collect::<Vec<_>>(), [playing.id, young.id]);
        let last = 2 * MATCHES - 1;
        assert_eq!(world.matches.open_seats(playing.queue.game, &[player(last)]).await.unwrap().len(), 1);
    }
}
