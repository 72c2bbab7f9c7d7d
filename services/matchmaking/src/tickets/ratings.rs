//! Ratings, as players see them.

use std::sync::Arc;

use pkg_definition::{Key, RatingRule};
use uuid::Uuid;

use super::{Actor, AskError, Tickets};
use crate::queues::QueueRules;
use crate::rating::Rating;
use crate::store::{QueueId, RatingPlace, Seeded, StoredRating};

/// A rating; of somebody who has not played, the queue's initial one.
#[derive(Debug, Clone, PartialEq)]
pub enum RatingShown {
    Initial { player: Uuid, queue: QueueId, rating: Rating },
    Stored(StoredRating),
}

/// A rating to begin with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seed {
    pub skill: f64,
    /// `None`: the queue's initial one.
    pub uncertainty: Option<f64>,
}

/// A part of the list of a player's ratings.
#[derive(Debug, Clone, PartialEq)]
pub struct RatingPage {
    pub ratings: Vec<StoredRating>,
    /// Where the next part begins; `None` on the last one.
    pub next: Option<RatingPlace>,
}

impl Tickets {
    /// A player's rating in a queue.
    pub async fn rating(&self, game: Uuid, key: &Key, player: Uuid, by: Actor) -> Result<RatingShown, AskError> {
        self.inner.limits.read(by).map_err(|retry_after| AskError::Limited { retry_after })?;
        let (queue, rule) = self.rated(game, key).await?;
        let stored = self.inner.ports.ratings.ratings(&queue, &[player]).await?.into_iter().next();
        let initial = || RatingShown::Initial { player, queue, rating: Rating::initial(&rule) };
        Ok(stored.map_or_else(initial, RatingShown::Stored))
    }

    /// A player's ratings, those that were changed last first, after a place.
    pub async fn list_ratings(
        &self,
        player: Uuid,
        game: Option<Uuid>,
        after: Option<&RatingPlace>,
        size: usize,
        by: Actor,
    ) -> Result<RatingPage, AskError> {
        self.inner.limits.read(by).map_err(|retry_after| AskError::Limited { retry_after })?;
        let mut ratings = self.inner.ports.ratings.list(player, game, after, size + 1).await?;
        let more = ratings.len() > size;
        ratings.truncate(size);
        let next = if more { ratings.last().map(RatingPlace::of) } else { None };
        Ok(RatingPage { ratings, next })
    }

    /// Gives a player a rating to begin with.
    pub async fn seed(&self, game: Uuid, key: &Key, player: Uuid, seed: Seed) -> Result<StoredRating, AskError> {
        let (queue, rule) = self.rated(game, key).await?;
        let initial = Rating::initial(&rule);
        // The edge has let finite numbers through only.
        let rating = Rating::new(seed.skill, seed.uncertainty.unwrap_or(initial.uncertainty())).unwrap_or(initial);
        let ports = &self.inner.ports;
        match ports.ratings.seed(&queue, player, rating, ports.ambient.now()).await? {
            Seeded::Done(stored) => Ok(stored),
            Seeded::InUse => Err(AskError::RatingInUse),
        }
    }

    async fn rated(&self, game: Uuid, key: &Key) -> Result<(QueueId, RatingRule), AskError> {
        let queue: Arc<QueueRules> = self.inner.ports.queues.find(game, key).await?;
        let rule = queue.rules.rating.ok_or(AskError::NotRated)?;
        Ok((QueueId { game, key: key.clone() }, rule))
    }
}
