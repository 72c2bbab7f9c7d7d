//! Games whose sessions cannot be created now: no further matches are made until one is created again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// The pauses, by game.
#[derive(Default)]
pub struct Pauses {
    games: Mutex<HashMap<Uuid, Pause>>,
}

#[derive(Clone, Copy)]
struct Pause {
    length: Duration,
    until: Instant,
}

/// How many matches of a game may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    All,
    /// One, to see whether it works again.
    One,
    /// None before that.
    NoneUntil(Instant),
}

impl Pauses {
    /// A session was refused: none is tried for so long.
    pub fn begin(&self, game: Uuid, length: Duration) {
        self.lock().insert(game, Pause { length, until: Instant::now() + length });
    }

    /// A session was created.
    pub fn end(&self, game: Uuid) {
        let mut games = self.lock();
        if !games.is_empty() {
            games.remove(&game);
        }
    }

    /// Whether as many matches as there are may be made.
    pub fn is_free(&self, game: Uuid) -> bool {
        !self.lock().contains_key(&game)
    }

    /// Whoever is allowed one makes one: the next pause begins with it.
    pub fn allowance(&self, game: Uuid) -> Allowance {
        let mut games = self.lock();
        let Some(pause) = games.get_mut(&game) else { return Allowance::All };
        let now = Instant::now();
        if now < pause.until {
            return Allowance::NoneUntil(pause.until);
        }
        pause.until = now + pause.length;
        Allowance::One
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Pause>> {
        self.games.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAME: Uuid = Uuid::from_u128(1);

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_one_is_tried_until_one_is_created() {
        let (pauses, length) = (Pauses::default(), Duration::from_secs(1));
        assert_eq!(pauses.allowance(GAME), Allowance::All);
        pauses.begin(GAME, length);
        let until = Instant::now() + length;
        assert_eq!(pauses.allowance(GAME), Allowance::NoneUntil(until));
        assert_eq!(pauses.allowance(Uuid::from_u128(2)), Allowance::All);
        tokio::time::advance(length).await;
        assert_eq!(pauses.allowance(GAME), Allowance::One);
        assert_eq!(pauses.allowance(GAME), Allowance::NoneUntil(until + length));
        pauses.end(GAME);
        assert_eq!(pauses.allowance(GAME), Allowance::All);
    }
}
