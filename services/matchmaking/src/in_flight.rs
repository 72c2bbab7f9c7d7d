//! Matches that this process is making: from their claim until their session is there, or until they are left to sweepers.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// How many matches of all queues are in the making at once; further ones wait, and their tickets can be cancelled.
const MATCHES_MAX: usize = 4_096;

/// The matches in the making. Sweepers leave them alone.
pub struct InFlight {
    ids: Mutex<HashSet<Uuid>>,
    places: Arc<Semaphore>,
    gauge: Gauge,
}

/// Places for matches to be made.
pub struct Places {
    permit: OwnedSemaphorePermit,
}

/// A match in the making, for as long as this value lives.
pub struct Flight {
    matches: Arc<InFlight>,
    id: Uuid,
    _place: OwnedSemaphorePermit,
}

impl InFlight {
    #[must_use]
    pub fn new(gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { ids: Mutex::default(), places: Arc::new(Semaphore::new(MATCHES_MAX)), gauge })
    }

    /// Waits for places for so many matches, all places at most.
    pub async fn places(&self, count: usize) -> Places {
        let count = u32::try_from(count.min(MATCHES_MAX)).unwrap_or(u32::MAX);
        let permit = self.places.clone().acquire_many_owned(count).await;
        Places { permit: permit.expect("the semaphore is never closed") }
    }

    /// Begins with a match without waiting for a place; `None` if there is none, or the match is in the making.
    #[must_use]
    pub fn try_enter(self: &Arc<Self>, id: Uuid) -> Option<Flight> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        self.enter(id, place)
    }

    /// Whether a match is in the making here.
    #[must_use]
    pub fn contains(&self, id: Uuid) -> bool {
        self.lock().contains(&id)
    }

    fn enter(self: &Arc<Self>, id: Uuid, place: OwnedSemaphorePermit) -> Option<Flight> {
        if !self.lock().insert(id) {
            return None;
        }
        self.gauge.increment(1);
        Some(Flight { matches: self.clone(), id, _place: place })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Begins with a match whose id is new; `None` if the places are used up.
    pub fn enter(&mut self, matches: &Arc<InFlight>, id: Uuid) -> Option<Flight> {
        matches.enter(id, self.permit.split(1)?)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.matches.lock().remove(&self.id);
        self.matches.gauge.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_match_is_in_the_making_once_and_until_it_is_let_go() {
        let matches = InFlight::new(metrics::gauge!("test"));
        let mut places = matches.places(2).await;
        let id = Uuid::from_u128(1);
        let flight = places.enter(&matches, id).expect("it is new");
        assert!(matches.contains(id) && matches.try_enter(id).is_none());
        drop(flight);
        assert!(!matches.contains(id));
        assert!(places.enter(&matches, id).is_some(), "there was a second place");
        assert!(places.enter(&matches, Uuid::from_u128(2)).is_none(), "there was no third place");
    }
}
