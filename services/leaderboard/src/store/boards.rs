//! The port of boards.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pkg_definition::Order;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::board::{BoardId, BoardRules, Entry, PeriodId, PlaceKey};

/// The most entries that one call reads; who asks for more gets so many.
pub const ENTRIES_MAX: usize = 4_000;

/// How long a rebuild of which nothing is heard holds off another one.
pub const REBUILD_LEASE: Duration = Duration::from_secs(15);

/// What a board consists of so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The offset of the last record that was applied.
    pub offset: i64,
    /// How many players were taken off because their accounts were deleted.
    pub erasures: i64,
}

/// What follows for a board from records of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardStep {
    /// Which board.
    pub board: BoardId,
    /// Which values are better on it.
    pub order: Order,
    /// The mark before; `None` if these are the first records of the board.
    pub from: Option<Mark>,
    /// The offset of the last of the records, whether anything follows from it or not.
    pub to: i64,
    /// What changes, each period once.
    pub periods: Vec<PeriodChanges>,
}

/// What changes in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodChanges {
    /// Which one.
    pub period: PeriodId,
    /// When it may be forgotten, to be rebuilt when somebody asks for it again; `None` for never.
    pub keep_until: Option<OffsetDateTime>,
    /// Each player once: how they stand after all of the records.
    pub changes: Vec<Change>,
}

/// How a player stands in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Who.
    pub player: Uuid,
    /// Their entry, after all of the records.
    pub entry: Entry,
    /// What is shown with it; `None` if none of the records has changed the entry, and only the rank is asked for.
    pub changed: Option<Detail>,
}

/// What is shown with an entry: of the score that made it what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// When it was reached, to the millisecond.
    pub time: OffsetDateTime,
    /// The facts about the score, as the caller has encoded them.
    pub attributes: Bytes,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// All of it was applied. One for each period, in their order.
    Done(Vec<PeriodOutcome>),
    /// Nothing was: the board is at this mark. Behind where the step begins, it has lost its last changes, which the history
    /// has. At its end or further, the step was applied before.
    Elsewhere(Mark),
    /// Nothing was: the board is not there, or one of its periods is not. [`BoardStore::open`] and rebuild.
    Missing,
}

/// A period after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodOutcome {
    /// How many players it has.
    pub total: u64,
    /// The ranks of the players of the changes, from 1, in their order, as they are after the whole step. `None` while the
    /// period is being rebuilt and not there otherwise, or for who is not on it.
    pub ranks: Vec<Option<u64>>,
}

/// A period of a board, to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which board.
    pub board: BoardId,
    /// Which values are better on it.
    pub order: Order,
    /// Which period.
    pub period: PeriodId,
}

impl Place {
    /// A period of a board that has these rules.
    #[must_use]
    pub fn new(board: &BoardId, rules: &BoardRules, period: PeriodId) -> Self {
        Self { board: board.clone(), order: rules.order, period }
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read<T> {
    /// This.
    Found(T),
    /// The board is not there (it has no scores yet, or was lost), or its period was lost or forgotten. The history says
    /// which.
    Missing,
}

/// A part of a board as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardView {
    /// What it consists of.
    pub mark: Mark,
    /// How many players the period has.
    pub total: u64,
    /// The entries, the best first.
    pub entries: Vec<Ranked>,
}

/// A player on a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    /// From 1.
    pub rank: u64,
    /// Who.
    pub player: Uuid,
    /// Their entry.
    pub entry: Entry,
    /// What is shown with it.
    pub detail: Detail,
}

impl Ranked {
    /// The place of the entry, for the page after it.
    #[must_use]
    pub fn key(&self, order: Order) -> PlaceKey {
        PlaceKey::new(order, self.entry, self.player)
    }
}

/// A rebuild of a period that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuild {
    /// What is rebuilt.
    pub place: Place,
    /// Which attempt this is.
    pub id: Uuid,
    /// How often it was filled.
    pub fills: u64,
    /// What the board consisted of at the beginning: the rebuild is to be filled with the scores up to there. Those after it
    /// come by themselves.
    pub mark: Mark,
}

/// An entry to fill a rebuild with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Whose.
    pub player: Uuid,
    /// The entry.
    pub entry: Entry,
    /// What is shown with it.
    pub detail: Detail,
}

/// What came of beginning a rebuild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It was begun; one of the period that somebody else has given up is thrown away.
    Done(Rebuild),
    /// Somebody else rebuilds the period.
    Busy,
    /// The board is not there.
    Missing,
}

/// What came of filling a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// The entries are in.
    Done,
    /// The rebuild is not there any more, or has lost something: begin anew.
    Lost,
}

/// What came of finishing a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It has taken the place of what was there.
    Done,
    /// The rebuild is not there any more, has lost something, or somebody was taken off meanwhile who may be in it: begin
    /// anew.
    Lost,
}

/// What came of taking a player off a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// The player is off, by this call or one before.
    Done,
    /// Nothing: players who were erased before this one are to be taken off first, those after this mark.
    Elsewhere(Mark),
    /// The board is not there; when it is rebuilt it will be without the player.
    Missing,
}

/// Boards: Redis (one hash slot for each board) or memory.
///
/// A board has a `Mark`, which every change moves on from where its caller believes it to be: so each change is applied
/// exactly once, whoever repeats it, and a store that was set back to an older state, or lost everything, is found out. Reads
/// are as of one moment and take time in the logarithm of the size of the board.
#[async_trait]
pub trait BoardStore: Send + Sync {
    /// Applies a step: all of it, or nothing.
    ///
    /// May be repeated when its outcome is unknown: then it may answer `Elsewhere` with its own end.
    async fn apply(&self, step: &BoardStep) -> Result<Applied, StoreError>;

    /// What each of these boards consists of, in their order; `None` for those that are not there.
    async fn marks(&self, boards: &[BoardId]) -> Result<Vec<Option<Mark>>, StoreError>;

    /// Takes a player off all periods of a board. `number` is that of the erasure: it is applied after the one before.
    async fn remove(&self, board: &BoardId, number: i64, player: Uuid) -> Result<Removed, StoreError>;

    /// The best entries after a place, or from the top; `max` at most.
    async fn page(&self, place: &Place, after: Option<PlaceKey>, max: usize) -> Result<Read<BoardView>, StoreError>;

    /// `count` entries, one at least, around a player, who is in the middle (of an even number: after it) but for the ends of the board.
    /// None if the player is not on it.
    async fn around(&self, place: &Place, player: Uuid, count: usize) -> Result<Read<BoardView>, StoreError>;

    /// The entries of players, `ENTRIES_MAX` at most, the best first, without those who are not on the board.
    async fn of_players(&self, place: &Place, players: &[Uuid]) -> Result<Read<BoardView>, StoreError>;

    /// Makes a board that is not there, at a mark of the history and with the periods that it has by then; all of them are
    /// missing until they are rebuilt. `false`: the board is there, and nothing changed.
    async fn open(&self, board: &BoardId, mark: Mark, periods: &[PeriodId]) -> Result<bool, StoreError>;

    /// Begins to rebuild a period beside what is there. From now on steps change both, so a period that is missing does not
    /// hold up its board.
    async fn begin_rebuild(&self, place: &Place, id: Uuid) -> Result<Begun, StoreError>;

    /// Puts entries into a rebuild, in any order, at most `REBUILD_LEASE` after the last call. Of two of a player the one
    /// reached later stays. What comes of it if the outcome is unknown is `Lost` at the next call.
    async fn fill(&self, rebuild: &mut Rebuild, entries: &[NewEntry]) -> Result<Filled, StoreError>;

    /// Puts a rebuild in the place of what was there, in one step.
    async fn finish(&self, rebuild: &Rebuild, keep_until: Option<OffsetDateTime>) -> Result<Finished, StoreError>;
}

/// Of each player the entry that was reached last.
pub(super) fn latest(entries: &[NewEntry]) -> Vec<&NewEntry> {
    let mut latest: HashMap<Uuid, &NewEntry> = HashMap::with_capacity(entries.len());
    for entry in entries {
        let kept = latest.entry(entry.player).or_insert(entry);
        if kept.entry.reached < entry.entry.reached {
            *kept = entry;
        }
    }
    latest.into_values().collect()
}
