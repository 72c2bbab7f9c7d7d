//! Boards that can be lost.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::board::{BoardId, PeriodId, PlaceKey};
use crate::store::{
    Applied, Begun, BoardStep, BoardStore, BoardView, Filled, Finished, Mark, NewEntry, Place, Read, Rebuild, Removed,
    StoreError,
};

/// A store of boards that others can take the place of: empty ones, as in a Redis that lost all that it had.
pub(crate) struct Exchangeable(RwLock<Arc<dyn BoardStore>>);

impl Exchangeable {
    pub(crate) fn new(boards: Arc<dyn BoardStore>) -> Self {
        Self(RwLock::new(boards))
    }

    pub(crate) fn exchange(&self, boards: Arc<dyn BoardStore>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = boards;
    }

    fn now(&self) -> Arc<dyn BoardStore> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl BoardStore for Exchangeable {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.now().$name($($argument),*).await
            })*
        }
    };
}

pass_on! {
    apply(step: &BoardStep) -> Applied;
    marks(boards: &[BoardId]) -> Vec<Option<Mark>>;
    remove(board: &BoardId, number: i64, player: Uuid) -> Removed;
    page(place: &Place, after: Option<PlaceKey>, max: usize) -> Read<BoardView>;
    around(place: &Place, player: Uuid, count: usize) -> Read<BoardView>;
    of_players(place: &Place, players: &[Uuid]) -> Read<BoardView>;
    open(board: &BoardId, mark: Mark, periods: &[PeriodId]) -> bool;
    begin_rebuild(place: &Place, id: Uuid) -> Begun;
    fill(rebuild: &mut Rebuild, entries: &[NewEntry]) -> Filled;
    finish(rebuild: &Rebuild, keep_until: Option<OffsetDateTime>) -> Finished;
}
