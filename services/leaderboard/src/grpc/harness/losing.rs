//! Boards that can be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::board::{BoardId, PeriodId, PlaceKey};
use crate::store::{
    Applied, Begun, BoardStep, BoardStore, BoardView, Filled, Finished, Mark, NewEntry, Place, Read, Rebuild, Removed,
    StoreError,
};

/// A store of boards that can lose all of them once, as a Redis does that is emptied.
pub(crate) struct Losable {
    lost: AtomicBool,
    first: Arc<dyn BoardStore>,
    second: Arc<dyn BoardStore>,
}

impl Losable {
    /// The second one is empty.
    pub(super) fn new(first: Arc<dyn BoardStore>, second: Arc<dyn BoardStore>) -> Self {
        Self { lost: AtomicBool::new(false), first, second }
    }

    pub(crate) fn lose_everything(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    fn store(&self) -> &dyn BoardStore {
        if self.lost.load(Ordering::SeqCst) { &*self.second } else { &*self.first }
    }
}

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl BoardStore for Losable {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.store().$name($($argument),*).await
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
