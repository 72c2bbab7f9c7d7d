//! Boards in memory. Gone with the process: they are rebuilt from the history.

mod ranked_set;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use pkg_ambient::Ambient;
use pkg_definition::Order;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use super::boards::{
    Applied, Begun, BoardStep, BoardStore, BoardView, Detail, ENTRIES_MAX, Filled, Finished, Mark, NewEntry,
    PeriodChanges, PeriodOutcome, Place, REBUILD_LEASE, Ranked, Read, Rebuild, Removed, latest,
};
use crate::board::{BoardId, Entry, PeriodId, PlaceKey};
use ranked_set::RankedSet;

/// The embedded store of boards.
#[derive(Debug)]
pub struct MemoryBoards {
    ambient: Ambient,
    boards: Mutex<HashMap<BoardId, Board>>,
}

#[derive(Debug)]
struct Board {
    mark: Mark,
    /// Those with entries; `None` is one that is missing.
    periods: HashMap<PeriodId, Option<Ranks>>,
    rebuilds: HashMap<PeriodId, Shadow>,
}

/// The entries of a period.
#[derive(Debug, Default)]
struct Ranks {
    keys: RankedSet,
    values: HashMap<Uuid, (Entry, Detail)>,
    keep_until: Option<OffsetDateTime>,
}

/// A rebuild.
#[derive(Debug)]
struct Shadow {
    id: Uuid,
    fills: u64,
    ranks: Ranks,
    /// Until when others are held off.
    lease: OffsetDateTime,
}

impl MemoryBoards {
    /// Without any boards. What may be forgotten is, by this clock.
    #[must_use]
    pub fn new(ambient: Ambient) -> Self {
        Self { ambient, boards: Mutex::default() }
    }

    fn boards(&self) -> MutexGuard<'_, HashMap<BoardId, Board>> {
        self.boards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a period: which ones of its entries, by their places from 0.
    fn read(&self, place: &Place, choose: impl FnOnce(&Ranks) -> Vec<(usize, PlaceKey)>) -> Read<BoardView> {
        let mut boards = self.boards();
        let Some(board) = boards.get_mut(&place.board) else { return Read::Missing };
        board.forget(self.ambient.now());
        let ranks = match board.periods.get(&place.period) {
            Some(Some(ranks)) => ranks,
            Some(None) => return Read::Missing,
            None => return Read::Found(BoardView { mark: board.mark, total: 0, entries: Vec::new() }),
        };
        let ranked = |(index, key): (usize, PlaceKey)| {
            let (entry, detail) = ranks.values.get(&key.player())?;
            Some(Ranked { rank: rank(index), player: key.player(), entry: *entry, detail: detail.clone() })
        };
        let entries = choose(ranks).into_iter().filter_map(ranked).collect();
        Read::Found(BoardView { mark: board.mark, total: size(ranks.keys.len()), entries })
    }
}

/// Redis counts from 0, and so does this store.
fn rank(index: usize) -> u64 {
    size(index) + 1
}

fn size(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

impl Board {
    /// Forgets what need not be kept.
    fn forget(&mut self, now: OffsetDateTime) {
        for ranks in self.periods.values_mut() {
            if ranks.as_ref().and_then(|ranks| ranks.keep_until).is_some_and(|until| until <= now) {
                *ranks = None;
            }
        }
        self.rebuilds.retain(|_, shadow| shadow.lease > now);
    }

    fn is_missing(&self, period: PeriodId) -> bool {
        matches!(self.periods.get(&period), Some(None)) && !self.rebuilds.contains_key(&period)
    }

    fn change(&mut self, order: Order, step: &PeriodChanges) -> PeriodOutcome {
        let changed = || step.changes.iter().filter_map(|change| Some((change, change.changed.as_ref()?)));
        if changed().next().is_some() {
            let new = || Some(Ranks { keep_until: step.keep_until, ..Ranks::default() });
            let live = self.periods.entry(step.period).or_insert_with(new);
            let rebuilt = self.rebuilds.get_mut(&step.period).map(|shadow| &mut shadow.ranks);
            for ranks in live.iter_mut().chain(rebuilt) {
                for (change, detail) in changed() {
                    ranks.put(order, change.player, change.entry, detail.clone());
                }
            }
        }
        let live = self.periods.get(&step.period).and_then(Option::as_ref);
        let place = |player, entry| live?.keys.index_of(&PlaceKey::new(order, entry, player)).map(rank);
        PeriodOutcome {
            total: live.map_or(0, |ranks| size(ranks.keys.len())),
            ranks: step.changes.iter().map(|change| place(change.player, change.entry)).collect(),
        }
    }

    /// The rebuild that this one is, as it should be.
    fn rebuild(&mut self, rebuild: &Rebuild) -> Option<&mut Shadow> {
        let shadow = self.rebuilds.get_mut(&rebuild.place.period)?;
        (shadow.id == rebuild.id && shadow.fills == rebuild.fills).then_some(shadow)
    }
}

impl Ranks {
    fn put(&mut self, order: Order, player: Uuid, entry: Entry, detail: Detail) {
        if let Some((before, _)) = self.values.insert(player, (entry, detail)) {
            self.keys.remove(&PlaceKey::new(order, before, player));
        }
        self.keys.insert(PlaceKey::new(order, entry, player));
    }

    /// In whatever order the board is: there is no other place of the player.
    fn remove(&mut self, player: Uuid) {
        if let Some((entry, _)) = self.values.remove(&player) {
            for order in [Order::HighWins, Order::LowWins] {
                self.keys.remove(&PlaceKey::new(order, entry, player));
            }
        }
    }

    fn key(&self, order: Order, player: Uuid) -> Option<PlaceKey> {
        self.values.get(&player).map(|(entry, _)| PlaceKey::new(order, *entry, player))
    }

    fn from(&self, first: usize, max: usize) -> Vec<(usize, PlaceKey)> {
        (first..).zip(self.keys.range(first, max)).collect()
    }
}

#[async_trait]
impl BoardStore for MemoryBoards {
    async fn apply(&self, step: &BoardStep) -> Result<Applied, StoreError> {
        let mut boards = self.boards();
        let board = match (boards.get_mut(&step.board), step.from) {
            (Some(board), from) if from != Some(board.mark) => return Ok(Applied::Elsewhere(board.mark)),
            (Some(board), _) => board,
            (None, Some(_)) => return Ok(Applied::Missing),
            (None, None) => {
                let mark = Mark { offset: step.to, erasures: 0 };
                let new = Board { mark, periods: HashMap::new(), rebuilds: HashMap::new() };
                boards.entry(step.board.clone()).or_insert(new)
            }
        };
        board.forget(self.ambient.now());
        if step.periods.iter().any(|period| board.is_missing(period.period)) {
            return Ok(Applied::Missing);
        }
        board.mark.offset = step.to;
        Ok(Applied::Done(step.periods.iter().map(|period| board.change(step.order, period)).collect()))
    }

    async fn marks(&self, ids: &[BoardId]) -> Result<Vec<Option<Mark>>, StoreError> {
        let boards = self.boards();
        Ok(ids.iter().map(|id| boards.get(id).map(|board| board.mark)).collect())
    }

    async fn remove(&self, board: &BoardId, number: i64, player: Uuid) -> Result<Removed, StoreError> {
        let mut boards = self.boards();
        let Some(board) = boards.get_mut(board) else { return Ok(Removed::Missing) };
        if board.mark.erasures >= number {
            return Ok(Removed::Done);
        }
        if board.mark.erasures != number - 1 {
            return Ok(Removed::Elsewhere(board.mark));
        }
        board.mark.erasures = number;
        let shadows = board.rebuilds.values_mut().map(|shadow| &mut shadow.ranks);
        for ranks in board.periods.values_mut().flatten().chain(shadows) {
            ranks.remove(player);
        }
        // One without entries is not missing.
        board.periods.retain(|_, ranks| ranks.as_ref().is_none_or(|ranks| ranks.keys.len() > 0));
        Ok(Removed::Done)
    }

    async fn page(&self, place: &Place, after: Option<PlaceKey>, max: usize) -> Result<Read<BoardView>, StoreError> {
        Ok(self
            .read(place, |ranks| ranks.from(after.map_or(0, |key| ranks.keys.index_after(&key)), max.min(ENTRIES_MAX))))
    }

    async fn around(&self, place: &Place, player: Uuid, count: usize) -> Result<Read<BoardView>, StoreError> {
        Ok(self.read(place, |ranks| {
            let index = ranks.key(place.order, player).and_then(|key| ranks.keys.index_of(&key));
            let Some(index) = index else { return Vec::new() };
            let count = count.clamp(1, ENTRIES_MAX);
            let first = index.saturating_sub(count / 2).min(ranks.keys.len().saturating_sub(count));
            ranks.from(first, count)
        }))
    }

    async fn of_players(&self, place: &Place, players: &[Uuid]) -> Result<Read<BoardView>, StoreError> {
        Ok(self.read(place, |ranks| {
            let mut found: Vec<_> = players
                .iter()
                .take(ENTRIES_MAX)
                .filter_map(|player| ranks.key(place.order, *player))
                .filter_map(|key| Some((ranks.keys.index_of(&key)?, key)))
                .collect();
            found.sort_unstable();
            found
        }))
    }

    async fn open(&self, board: &BoardId, mark: Mark, periods: &[PeriodId]) -> Result<bool, StoreError> {
        let mut boards = self.boards();
        if boards.contains_key(board) {
            return Ok(false);
        }
        let periods = periods.iter().map(|period| (*period, None)).collect();
        boards.insert(board.clone(), Board { mark, periods, rebuilds: HashMap::new() });
        Ok(true)
    }

    async fn begin_rebuild(&self, place: &Place, id: Uuid) -> Result<Begun, StoreError> {
        let now = self.ambient.now();
        let mut boards = self.boards();
        let Some(board) = boards.get_mut(&place.board) else { return Ok(Begun::Missing) };
        board.forget(now);
        if board.rebuilds.contains_key(&place.period) {
            return Ok(Begun::Busy);
        }
        let shadow = Shadow { id, fills: 0, ranks: Ranks::default(), lease: now + REBUILD_LEASE };
        board.rebuilds.insert(place.period, shadow);
        Ok(Begun::Done(Rebuild { place: place.clone(), id, fills: 0, mark: board.mark }))
    }

    async fn fill(&self, rebuild: &mut Rebuild, entries: &[NewEntry]) -> Result<Filled, StoreError> {
        let now = self.ambient.now();
        let mut boards = self.boards();
        let Some(board) = boards.get_mut(&rebuild.place.board) else { return Ok(Filled::Lost) };
        board.forget(now);
        let Some(shadow) = board.rebuild(rebuild) else { return Ok(Filled::Lost) };
        for new in latest(entries) {
            let before = shadow.ranks.values.get(&new.player);
            if before.is_none_or(|(before, _)| before.reached < new.entry.reached) {
                shadow.ranks.put(rebuild.place.order, new.player, new.entry, new.detail.clone());
            }
        }
        rebuild.fills += 1;
        shadow.fills = rebuild.fills;
        shadow.lease = now + REBUILD_LEASE;
        Ok(Filled::Done)
    }

    async fn finish(&self, rebuild: &Rebuild, keep_until: Option<OffsetDateTime>) -> Result<Finished, StoreError> {
        let mut boards = self.boards();
        let Some(board) = boards.get_mut(&rebuild.place.board) else { return Ok(Finished::Lost) };
        board.forget(self.ambient.now());
        if board.rebuild(rebuild).is_none() {
            return Ok(Finished::Lost);
        }
        let shadow = board.rebuilds.remove(&rebuild.place.period);
        let same = board.mark.erasures == rebuild.mark.erasures;
        let Some(shadow) = shadow.filter(|_| same) else { return Ok(Finished::Lost) };
        if shadow.ranks.keys.len() == 0 {
            board.periods.remove(&rebuild.place.period);
        } else {
            board.periods.insert(rebuild.place.period, Some(Ranks { keep_until, ..shadow.ranks }));
        }
        Ok(Finished::Done)
    }
}
