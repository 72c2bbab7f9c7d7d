//! A store of boards beside a plain sorted list.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// Few, so that they meet.
const PLAYERS: u128 = 12;
const PERIODS: [PeriodId; 2] = [PeriodId::ALL_TIME, TODAY];

#[derive(Debug, Clone)]
enum Op {
    /// Players, whether their entry changes, and the values: in each period.
    Apply(Vec<BTreeMap<u128, (bool, i64)>>),
    Remove(u128),
    /// Rebuilds a period; some of its entries are given before a step and the others after it.
    Rebuild(usize, BTreeMap<u128, i64>),
    /// Reads around a player, and after one.
    Read(u128, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let value = prop_oneof![-3..3_i64, any::<i64>(), Just(i64::MIN), Just(i64::MAX)];
    let changes = prop::collection::btree_map(0..PLAYERS, (prop::bool::weighted(0.8), value.clone()), 0..6);
    prop_oneof![
        6 => prop::collection::vec(changes, 0..=2).prop_map(Op::Apply),
        1 => (0..PLAYERS).prop_map(Op::Remove),
        1 => (0..2_usize, prop::collection::btree_map(0..PLAYERS, value, 0..4)).prop_map(|(period, step)| Op::Rebuild(period, step)),
        3 => (0..PLAYERS + 1, 1..8_usize).prop_map(|(player, count)| Op::Read(player, count)),
    ]
}

/// The board as it should be.
struct Model {
    place: Place,
    mark: Option<Mark>,
    periods: [HashMap<u128, Entry>; 2],
}

impl Model {
    fn sorted(&self, period: usize) -> Vec<PlaceKey> {
        let keys =
            self.periods[period].iter().map(|(number, entry)| PlaceKey::new(self.place.order, *entry, player(*number)));
        let mut keys: Vec<PlaceKey> = keys.collect();
        keys.sort_unstable_by_key(|key| {
            let Entry { value, reached } = key.entry(self.place.order);
            let value = if self.place.order == Order::HighWins { -i128::from(value) } else { i128::from(value) };
            (value, reached, key.player())
        });
        keys
    }

    fn rank(&self, period: usize, number: u128, entry: Entry) -> Option<u64> {
        let at = self
            .sorted(period)
            .iter()
            .position(|key| key.player() == player(number) && key.entry(self.place.order) == entry);
        at.map(|at| at as u64 + 1)
    }

    fn at(&self, period: usize) -> Place {
        Place { period: PERIODS[period], ..self.place.clone() }
    }

    /// A slice of the sorted list, as a store answers it.
    fn view(&self, period: usize, first: usize, count: usize) -> BoardView {
        let sorted = self.sorted(period);
        let ranked = |(index, key): (usize, &PlaceKey)| {
            let entry = key.entry(self.place.order);
            Ranked { rank: index as u64 + 1, player: key.player(), entry, detail: detail(entry.reached) }
        };
        let entries = sorted.iter().enumerate().skip(first).take(count).map(ranked).collect();
        BoardView { mark: self.mark.unwrap(), total: sorted.len() as u64, entries }
    }

    async fn apply(&mut self, boards: &dyn BoardStore, lists: &[BTreeMap<u128, (bool, i64)>]) {
        let to = self.mark.map_or(2, |mark| mark.offset + 3);
        let mut periods = Vec::new();
        for (index, list) in lists.iter().enumerate() {
            let change = |(number, (changes, value)): (&u128, &(bool, i64))| {
                // Who is not on the board cannot have an entry that stays.
                let before = self.periods[index].get(number).copied().filter(|_| !changes);
                let entry = before.unwrap_or(Entry { value: *value, reached: to - i64::try_from(number % 3).unwrap() });
                let changed = before.is_none().then(|| detail(entry.reached));
                Change { player: player(*number), entry, changed }
            };
            periods.push(changes(PERIODS[index], list.iter().map(change).collect()));
        }
        let step = BoardStep { order: self.place.order, ..step(&self.place.board, self.mark, to, periods.clone()) };
        let outcome = boards.apply(&step).await.unwrap();

        for (index, period) in periods.iter().enumerate() {
            for change in &period.changes {
                self.periods[index].insert(change.player.as_u128(), change.entry);
            }
        }
        self.mark = Some(Mark { offset: to, erasures: self.mark.map_or(0, |mark| mark.erasures) });
        let expected = periods.iter().enumerate().map(|(index, period)| PeriodOutcome {
            total: self.periods[index].len() as u64,
            ranks: period
                .changes
                .iter()
                .map(|change| self.rank(index, change.player.as_u128(), change.entry))
                .collect(),
        });
        assert_eq!(outcome, Applied::Done(expected.collect()));
        assert_eq!(boards.apply(&step).await.unwrap(), Applied::Elsewhere(self.mark.unwrap()));
    }

    async fn rebuild(&mut self, boards: &dyn BoardStore, period: usize, changes: BTreeMap<u128, i64>) {
        let entry = |(number, entry): (&u128, &Entry)| NewEntry {
            player: player(*number),
            entry: *entry,
            detail: detail(entry.reached),
        };
        let entries: Vec<NewEntry> = self.periods[period].iter().map(entry).collect();
        let (before, after) = entries.split_at(entries.len() / 2);
        let mut rebuild = begin(boards, &self.at(period)).await;
        assert_eq!(boards.fill(&mut rebuild, before).await.unwrap(), Filled::Done);
        let mut lists = vec![BTreeMap::new(), BTreeMap::new()];
        lists[period] = changes.into_iter().map(|(number, value)| (number, (true, value))).collect();
        self.apply(boards, &lists).await;
        assert_eq!(boards.fill(&mut rebuild, after).await.unwrap(), Filled::Done);
        assert_eq!(boards.finish(&rebuild, None).await.unwrap(), Finished::Done);
    }

    async fn read(&self, boards: &dyn BoardStore, number: u128, count: usize) {
        for period in 0..PERIODS.len() {
            let (place, sorted) = (self.at(period), self.sorted(period));
            let index = sorted.iter().position(|key| key.player() == player(number));
            let around = found(boards.around(&place, player(number), count).await.unwrap());
            let expected = match index {
                Some(index) => {
                    let latest = sorted.len().saturating_sub(count);
                    self.view(period, index.saturating_sub(count / 2).min(latest), count)
                }
                None => self.view(period, 0, 0),
            };
            assert_eq!(around, expected);
            let after = index.map(|index| sorted[index]);
            let page = found(boards.page(&place, after, count).await.unwrap());
            assert_eq!(page, self.view(period, index.map_or(0, |index| index + 1), count));
            let players: Vec<Uuid> = (0..PLAYERS).map(player).collect();
            let everyone = found(boards.of_players(&place, &players).await.unwrap());
            assert_eq!(everyone, self.view(period, 0, usize::MAX));
        }
    }

    async fn run(&mut self, boards: &dyn BoardStore, op: Op) {
        match (op, self.mark) {
            (Op::Apply(lists), _) => self.apply(boards, &lists).await,
            (_, None) => {}
            (Op::Remove(number), Some(mark)) => {
                let erasures = mark.erasures + 1;
                assert_eq!(boards.remove(&self.place.board, erasures, player(number)).await.unwrap(), Removed::Done);
                for period in &mut self.periods {
                    period.remove(&number);
                }
                self.mark = Some(Mark { erasures, ..mark });
            }
            (Op::Rebuild(period, changes), Some(_)) => self.rebuild(boards, period, changes).await,
            (Op::Read(number, count), Some(_)) => self.read(boards, number, count).await,
        }
    }
}

/// Does the same to stores and to the model, so many times.
pub(super) fn check<S: AsRef<dyn BoardStore>>(new: impl AsyncFn() -> S, cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ops = (any::<bool>(), prop::collection::vec(op(), 1..60));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let outcome = runner.run(&ops, |(high, ops)| {
        runtime.block_on(async {
            let store = new().await;
            let order = if high { Order::HighWins } else { Order::LowWins };
            let mut model =
                Model { place: Place { order, ..place(&board()) }, mark: None, periods: Default::default() };
            for op in ops {
                model.run(store.as_ref(), op).await;
            }
            if model.mark.is_some() {
                model.read(store.as_ref(), 0, 5).await;
            }
        });
        Ok(())
    });
    outcome.unwrap();
}
