//! The games that are played most.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pkg_ambient::Ambient;
use time::OffsetDateTime;

use super::tally::hour_of;
use super::{CatalogError, Game};
use crate::store::{GameStore, Place, SessionCounts};

/// Whose sessions count. They are counted by the hour: those of the hour that lies only partly within count too.
const SPAN: Duration = Duration::from_hours(24);
/// How long the pages of a listing can be asked for.
const KEPT: Duration = Duration::from_mins(10);

/// The games in the order of how much they are played.
#[derive(Clone)]
pub struct Trending {
    counts: Arc<dyn SessionCounts>,
    games: Arc<dyn GameStore>,
    /// The moment, in seconds, whose order is known to be stored.
    taken: Arc<AtomicI64>,
    ambient: Ambient,
}

/// A place in the order of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrendPlace {
    pub moment: OffsetDateTime,
    /// The first is 1.
    pub place: i64,
}

/// A page of a listing.
pub struct TrendPage {
    pub moment: OffsetDateTime,
    /// With their places, the most played first.
    pub games: Vec<(Game, Place)>,
    /// Whether others come after them.
    pub more: bool,
}

impl Trending {
    pub fn new(counts: Arc<dyn SessionCounts>, games: Arc<dyn GameStore>, ambient: Ambient) -> Self {
        Self { counts, games, taken: Arc::default(), ambient }
    }

    /// The page after a place, or the first one of the order as of now, give or take a minute. All replicas take the order
    /// once and together, so that a page may be asked of any.
    pub async fn page(&self, after: Option<TrendPlace>, size: usize) -> Result<TrendPage, CatalogError> {
        let from = match after {
            Some(place) => place,
            None => TrendPlace { moment: self.take().await?, place: 0 },
        };
        let mut places = self.counts.trend(from.moment, from.place, size + 1).await?;
        if places.is_empty() && after.is_some() {
            return Err(CatalogError::PageForgotten);
        }
        let more = places.len() > size;
        places.truncate(size);
        let ids: Vec<_> = places.iter().map(|place| place.game).collect();
        let found = self.games.games(&ids).await?;
        let shown = places.into_iter().filter_map(|place| {
            let game = found.iter().find(|game| game.id == place.game)?;
            Some((game.clone(), place))
        });
        Ok(TrendPage { moment: from.moment, games: shown.collect(), more })
    }

    /// Makes sure that there is an order of this minute, and says which that is.
    async fn take(&self) -> Result<OffsetDateTime, CatalogError> {
        let moment = self.ambient.now().truncate_to_minute();
        let seconds = moment.unix_timestamp();
        if self.taken.load(Ordering::Relaxed) != seconds {
            self.counts.take_trend(moment, hour_of(moment - SPAN), moment - KEPT).await?;
            self.taken.store(seconds, Ordering::Relaxed);
        }
        Ok(moment)
    }
}
