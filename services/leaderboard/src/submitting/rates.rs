//! How often players submit.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use pkg_definition::SubmissionRate;
use pkg_middleware::{KeyedLimiter, Quota};
use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::catalog::DefinedBoard;
use crate::submission::SubmitError;

/// How many rates are counted by. With more, those used least are counted anew.
const RATES_MAX: usize = 256;

/// By the hash of a board, and the player.
type Limiter = KeyedLimiter<(u64, Uuid)>;

/// Counts what players submit to each board, by the rates that boards have: most of them have the same.
pub(super) struct Rates {
    limiters: Cache<(u32, u128), Arc<Limiter>>,
    hasher: RandomState,
}

impl Rates {
    pub(super) fn new() -> Self {
        Self { limiters: Cache::new(RATES_MAX), hasher: RandomState::new() }
    }

    /// Takes one use.
    pub(super) fn check(&self, board: &DefinedBoard, player: Uuid) -> Result<(), SubmitError> {
        let rate @ SubmissionRate { count, per } = board.definition.rate;
        let key = (count.get(), per.as_nanos());
        let limiter = self.limiters.get(&key).unwrap_or_else(|| {
            let limiter = Arc::new(KeyedLimiter::new(Quota::every(rate.per / rate.count.get(), rate.count)));
            self.limiters.insert(key, limiter.clone());
            limiter
        });
        // Boards that share a hash share their players' uses; nobody outside can bring that about.
        let board = self.hasher.hash_one(&board.id);
        limiter.check(&(board, player)).map_err(|retry_after| SubmitError::Limited { retry_after })
    }
}
