use std::collections::{BTreeMap, HashMap, HashSet};

use pkg_ambient::Ambient;
use pkg_definition::{Key, Operator, Period, TimeZone};
use proptest::prelude::*;

use super::*;
use crate::board::{Calendar, Entry, PeriodId};
use crate::rebuild::{Rebuilt, Stores, catch_up, rebuild};
use crate::store::{
    Appended, Applied, BoardStore, BoardView, HistoryStore, MemoryBoards, Place, Read, SqlHistory, Wanted,
};

const DAY_MS: i64 = 86_400_000;
/// Of days whose boards are not forgotten yet.
fn start_ms() -> i64 {
    pkg_db::to_millis(Ambient::system().now()).div_euclid(DAY_MS) * DAY_MS
}

fn board() -> BoardId {
    BoardId { game: Ambient::system().id(), key: Key::parse("high-scores").unwrap() }
}

fn rules(order: Order, operator: Operator) -> BoardRules {
    BoardRules {
        order,
        operator,
        periods: vec![Period::Daily, Period::AllTime],
        calendar: Calendar::new(TimeZone::UTC),
    }
}

fn record(offset: i64, player: u128, submission: u128, value: i64) -> Record {
    Record {
        offset,
        time: pkg_db::from_millis(start_ms()),
        player: Uuid::from_u128(player),
        submission: Uuid::from_u128(submission),
        value,
        session: None,
        attributes: Bytes::from(offset.to_string()),
        content_hash: [value.to_be_bytes(); 4].concat().try_into().unwrap(),
        within_bounds: true,
    }
}

fn kept(outcome: &Outcome) -> &ScoreRow {
    match outcome {
        Outcome::Kept(row) => row,
        other => panic!("not kept: {other:?}"),
    }
}

fn reckon_new(rules: Option<&BoardRules>, records: Vec<Record>) -> Reckoning {
    reckon(&board(), rules, None, records.into_iter().map(|record| (record, Known::default())).collect())
}

#[test]
fn the_same_score_twice_in_a_batch_counts_once() {
    let rules = rules(Order::HighWins, Operator::Sum);
    let records = vec![record(1, 1, 1, 5), record(2, 1, 1, 5), record(3, 1, 1, 6), record(4, 2, 1, 6)];
    let reckoning = reckon_new(Some(&rules), records);
    let first = kept(&reckoning.outcomes[0]).clone();
    assert_eq!(reckoning.outcomes[1..3], [Outcome::Repeated(first.clone()), Outcome::Differs]);
    let other = kept(&reckoning.outcomes[3]).clone();
    assert_eq!(reckoning.history.rows, [first, other]);
    assert_eq!((reckoning.history.to, reckoning.board.to), (4, 4));
}

#[test]
fn several_scores_of_a_player_are_one_change() {
    let rules = rules(Order::HighWins, Operator::Best);
    let records = vec![record(1, 1, 1, 5), record(2, 1, 2, 9), record(3, 1, 3, 7)];
    let reckoning = reckon_new(Some(&rules), records);
    for period in &reckoning.board.periods {
        assert_eq!(period.changes.len(), 1);
        assert_eq!(period.changes[0].entry, Entry { value: 9, reached: 2 });
        assert_eq!(period.changes[0].changed.as_ref().unwrap().attributes, "2");
    }
    assert_eq!(reckoning.history.periods.iter().map(|period| period.first_offset).collect::<Vec<_>>(), [1, 1]);
    let last = &kept(&reckoning.outcomes[2]).standings;
    assert_eq!(reckoning.standings[&Uuid::from_u128(1)], *last);

    // Behind them, one that does not change anything is only asked for.
    let known = Known { standings: Some(last.clone()), ..Known::default() };
    let head = Head { mark: crate::store::Mark { offset: 3, erasures: 2 }, time: reckoning.history.time };
    let next = reckon(&board(), Some(&rules), Some(head), vec![(record(4, 1, 4, 1), known)]);
    assert!(next.board.periods.iter().all(|period| period.changes[0].changed.is_none()));
    assert_eq!((next.board.from, next.history.periods), (Some(head.mark), Vec::new()));
}

#[test]
fn what_cannot_count_is_refused_with_the_reason() {
    let rules = rules(Order::HighWins, Operator::Sum);
    let outside = Record { within_bounds: false, ..record(1, 1, 1, 5) };
    let reckoning = reckon_new(Some(&rules), vec![outside, record(2, 1, 2, i64::MAX), record(3, 1, 3, 1)]);
    let refusals: Vec<_> = reckoning.outcomes.iter().map(|outcome| kept(outcome).refusal).collect();
    assert_eq!(refusals, [Some(Refusal::BoardChanged), None, Some(Refusal::SumOverflow)]);
    assert_eq!(kept(&reckoning.outcomes[2]).standings.0[0].entry.value, i64::MAX);

    let removed = reckon_new(None, vec![record(1, 1, 1, 5)]);
    assert_eq!(kept(&removed.outcomes[0]).refusal, Some(Refusal::BoardChanged));
    assert_eq!((removed.board.to, removed.board.periods), (1, Vec::new()));
    let gone = Known { gone: true, ..Known::default() };
    let gone = reckon(&board(), Some(&rules), None, vec![(record(1, 1, 1, 5), gone)]);
    assert_eq!(kept(&gone.outcomes[0]).refusal, Some(Refusal::AccountGone));
    assert!(gone.board.periods.is_empty());
}

/// What is in the log: a player, an id, a value, and how far the clock has moved in half days.
type Logged = (u128, u128, i64, i64);

/// Where a batch ends, from where the next one begins again, and what is killed or lost.
#[derive(Debug, Clone)]
struct Batch {
    size: usize,
    back: usize,
    fault: Fault,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    KilledBeforeTheBoard,
    BoardsLost,
    PeriodRebuilt,
}

fn logged() -> impl Strategy<Value = Logged> {
    let value = prop_oneof![-3..3_i64, any::<i64>(), Just(i64::MAX), Just(i64::MIN)];
    (0..4_u128, 0..12_u128, value, prop::sample::select(vec![0, 0, 0, 0, 1, 1, -1]))
}

fn batch() -> impl Strategy<Value = Batch> {
    let fault = prop_oneof![
        5 => Just(Fault::None),
        2 => Just(Fault::KilledBeforeTheBoard),
        1 => Just(Fault::BoardsLost),
        1 => Just(Fault::PeriodRebuilt),
    ];
    (1..12_usize, 0..6_usize, fault).prop_map(|(size, back, fault)| Batch { size, back, fault })
}

/// Of each player the value and the offset at which it was reached.
type Entries = HashMap<Uuid, (i128, i64)>;

/// Every score by itself, in wide numbers: the entries of each day and of all time, and which records were accepted.
fn model(rules: &BoardRules, log: &[Record]) -> (BTreeMap<i64, Entries>, Vec<i64>) {
    const ALL_TIME: i64 = i64::MIN;
    let (mut periods, mut accepted, mut seen, mut time) = (BTreeMap::new(), Vec::new(), HashSet::new(), i64::MIN);
    for record in log {
        time = time.max(pkg_db::to_millis(record.time));
        if !seen.insert((record.player, record.submission)) {
            continue;
        }
        let days = [ALL_TIME, time.div_euclid(DAY_MS) * DAY_MS];
        let after = days.map(|day| {
            let value = i128::from(record.value);
            let Some((before, reached)) = periods.entry(day).or_insert_with(Entries::new).get(&record.player) else {
                return (value, record.offset);
            };
            let next = match (rules.operator, rules.order) {
                (Operator::Best, Order::HighWins) => value.max(*before),
                (Operator::Best, Order::LowWins) => value.min(*before),
                (Operator::Last, _) => value,
                (Operator::Sum, _) => before + value,
            };
            if next == *before { (next, *reached) } else { (next, record.offset) }
        });
        if after.iter().all(|(value, _)| i64::try_from(*value).is_ok()) {
            accepted.push(record.offset);
            for (day, entry) in days.into_iter().zip(after) {
                periods.get_mut(&day).unwrap().insert(record.player, entry);
            }
        }
    }
    periods.retain(|_, entries| !entries.is_empty());
    (periods, accepted)
}

/// The way of scores, as a worker goes it.
struct Way {
    history: SqlHistory,
    boards: MemoryBoards,
    ambient: Ambient,
    board: BoardId,
    rules: BoardRules,
}

impl Way {
    fn stores(&self) -> Stores<'_> {
        Stores { history: &self.history, boards: &self.boards, ambient: &self.ambient }
    }

    fn place(&self, period: PeriodId) -> Place {
        Place { board: self.board.clone(), order: self.rules.order, period }
    }

    async fn go(&mut self, records: &[Record], fault: Fault) {
        let head = self.history.heads(std::slice::from_ref(&self.board)).await.unwrap()[0];
        let new = records.iter().filter(|record| head.is_none_or(|head| record.offset > head.mark.offset));
        let new: Vec<Record> = new.cloned().collect();
        if new.is_empty() {
            return;
        }
        let wanted = |record: &Record| Wanted {
            board: self.board.clone(),
            player: record.player,
            submission: record.submission,
        };
        let known = self.history.look_up(&new.iter().map(wanted).collect::<Vec<_>>()).await.unwrap();
        let reckoning = reckon(&self.board, Some(&self.rules), head, new.into_iter().zip(known).collect());
        assert_eq!(self.history.append(&[reckoning.history]).await.unwrap(), [Appended::Done]);
        match fault {
            Fault::KilledBeforeTheBoard => return,
            Fault::BoardsLost => self.boards = MemoryBoards::new(self.ambient.clone()),
            Fault::None | Fault::PeriodRebuilt => {}
        }
        if !matches!(self.boards.apply(&reckoning.board).await.unwrap(), Applied::Done(_)) {
            self.mend().await;
        }
        if matches!(fault, Fault::PeriodRebuilt) {
            for span in self.rules.periods_at(
                reckoning
                    .board
                    .periods
                    .first()
                    .map_or(self.ambient.now(), |period| pkg_db::from_millis(period.period.start_ms)),
            ) {
                let rebuilt = rebuild(self.stores(), &self.place(span.id), &span).await.unwrap();
                assert_eq!(rebuilt, Rebuilt::Done);
            }
        }
    }

    async fn mend(&self) {
        let caught_up = catch_up(self.stores(), &self.board, &self.rules).await.unwrap().unwrap();
        for span in caught_up.missing {
            let rebuilt = rebuild(self.stores(), &self.place(span.id), &span).await.unwrap();
            assert_eq!(rebuilt, Rebuilt::Done);
        }
    }

    /// A period of the board, which may have been lost and not asked for since.
    async fn read(&self, period: PeriodId) -> BoardView {
        let place = self.place(period);
        if self.boards.page(&place, None, 0).await.unwrap() == Read::Missing {
            let recorded = self.history.period(&self.board, period).await.unwrap().unwrap();
            assert_eq!(rebuild(self.stores(), &place, &recorded.span).await.unwrap(), Rebuilt::Done);
        }
        match self.boards.page(&place, None, usize::MAX).await.unwrap() {
            Read::Found(view) => view,
            Read::Missing => panic!("it was rebuilt"),
        }
    }

    async fn agrees_with_the_model(&self, log: &[Record]) {
        let (periods, accepted) = model(&self.rules, log);
        let replayed = self.history.replay(&self.board, 0, i64::MAX, usize::MAX).await.unwrap();
        assert_eq!(replayed.iter().map(|score| score.offset).collect::<Vec<_>>(), accepted);
        let listed = self.history.periods(&self.board, Period::Daily, None, 100).await.unwrap();
        let days: Vec<i64> = periods.keys().copied().filter(|day| *day != i64::MIN).rev().collect();
        assert_eq!(listed.iter().map(|span| span.id.start_ms).collect::<Vec<_>>(), days);
        for (day, entries) in periods {
            let kind = PeriodId { kind: Period::Daily, start_ms: day };
            let view = self.read(if day == i64::MIN { PeriodId::ALL_TIME } else { kind }).await;
            let mut expected: Vec<_> =
                entries.into_iter().map(|(player, (value, reached))| (value, reached, player)).collect();
            expected.sort_unstable_by_key(|(value, reached, player)| {
                (if self.rules.order == Order::HighWins { -value } else { *value }, *reached, *player)
            });
            let found =
                view.entries.iter().map(|entry| (i128::from(entry.entry.value), entry.entry.reached, entry.player));
            assert_eq!(found.collect::<Vec<_>>(), expected);
            for entry in &view.entries {
                assert_eq!(entry.detail.attributes, entry.entry.reached.to_string());
            }
        }
    }
}

async fn check(order: Order, operator: Operator, log: Vec<Logged>, batches: Vec<Batch>) {
    let mut half_days = 0;
    let records: Vec<Record> = (0..)
        .zip(log)
        .map(|(offset, (player, submission, value, moved))| {
            half_days += moved;
            let time = pkg_db::from_millis(start_ms() + half_days * DAY_MS / 2);
            // Not every offset of the partition is the board's.
            Record { time, ..record(offset * 2, player, submission, value) }
        })
        .collect();
    let database = pkg_db::testing::sqlite().await;
    let ambient = Ambient::system();
    let mut way = Way {
        history: SqlHistory::new(database.clone()),
        boards: MemoryBoards::new(ambient.clone()),
        ambient,
        board: board(),
        rules: rules(order, operator),
    };
    let mut done = 0;
    for Batch { size, back, fault } in batches.into_iter().cycle().take(records.len() * 2) {
        let begin = if done == records.len() { break } else { done - back.min(done) };
        done = (done + size).min(records.len());
        way.go(&records[begin..done], fault).await;
    }
    way.go(&records[done.min(records.len())..], Fault::None).await;
    way.mend().await;
    way.agrees_with_the_model(&records).await;
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn history_and_boards_are_as_the_log_says_whatever_is_killed_lost_or_repeated(
        high: bool,
        operator in prop::sample::select(vec![Operator::Best, Operator::Last, Operator::Sum]),
        log in prop::collection::vec(logged(), 1..80),
        batches in prop::collection::vec(batch(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let order = if high { Order::HighWins } else { Order::LowWins };
        runtime.block_on(check(order, operator, log, batches));
    }
}
