//! What every store of boards promises. Each function is one promise; at the end they run against each adapter.

mod model;

use bytes::Bytes;
use pkg_ambient::Ambient;
use pkg_definition::{Key, Order, Period};
use time::OffsetDateTime;
use uuid::Uuid;

use super::boards::*;
use super::{MemoryBoards, RedisBoards};
use crate::board::{BoardId, Entry, PeriodId, PlaceKey};

const TODAY: PeriodId = PeriodId { kind: Period::Daily, start_ms: 1_780_000_000_000 };

fn id() -> Uuid {
    Ambient::system().id()
}

fn board() -> BoardId {
    BoardId { game: id(), key: Key::parse("high-scores").unwrap() }
}

fn place(board: &BoardId) -> Place {
    Place { board: board.clone(), order: Order::HighWins, period: PeriodId::ALL_TIME }
}

fn player(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn detail(reached: i64) -> Detail {
    let attributes = if reached % 2 == 0 { Bytes::new() } else { Bytes::from(format!("\0attributes of {reached}")) };
    Detail { time: pkg_db::from_millis(1_780_000_000_000 + reached), attributes }
}

/// The score that a player reached at an offset.
fn change(number: u128, value: i64, reached: i64) -> Change {
    Change { player: player(number), entry: Entry { value, reached }, changed: Some(detail(reached)) }
}

fn new_entry(number: u128, value: i64, reached: i64) -> NewEntry {
    NewEntry { player: player(number), entry: Entry { value, reached }, detail: detail(reached) }
}

fn mark(offset: i64) -> Mark {
    Mark { offset, erasures: 0 }
}

fn step(board: &BoardId, from: Option<Mark>, to: i64, periods: Vec<PeriodChanges>) -> BoardStep {
    BoardStep { board: board.clone(), order: Order::HighWins, from, to, periods }
}

fn changes(period: PeriodId, changes: Vec<Change>) -> PeriodChanges {
    PeriodChanges { period, keep_until: None, changes }
}

/// Applies changes to all time and answers with the ranks.
async fn apply(
    boards: &dyn BoardStore,
    board: &BoardId,
    from: Option<Mark>,
    to: i64,
    list: Vec<Change>,
) -> Vec<Option<u64>> {
    match boards.apply(&step(board, from, to, vec![changes(PeriodId::ALL_TIME, list)])).await.unwrap() {
        Applied::Done(mut outcomes) => outcomes.remove(0).ranks,
        other => panic!("not applied: {other:?}"),
    }
}

fn found<T>(read: Read<T>) -> T {
    match read {
        Read::Found(found) => found,
        Read::Missing => panic!("it is missing"),
    }
}

async fn all(boards: &dyn BoardStore, place: &Place) -> BoardView {
    found(boards.page(place, None, 10_000).await.unwrap())
}

/// Rank, player and value of each entry.
fn brief(view: &BoardView) -> Vec<(u64, u128, i64)> {
    view.entries.iter().map(|entry| (entry.rank, entry.player.as_u128(), entry.entry.value)).collect()
}

async fn verify(boards: &dyn BoardStore) {
    scores_are_ranked_and_shown(boards).await;
    every_value_ranks_exactly(boards).await;
    the_first_to_reach_a_value_ranks_higher(boards).await;
    periods_are_boards_of_their_own(boards).await;
    a_step_counts_once_from_where_it_begins(boards).await;
    a_step_without_changes_moves_the_board(boards).await;
    pages_go_on_behind_the_last_entry(boards).await;
    the_middle_is_the_player_but_for_the_ends(boards).await;
    players_are_found_in_the_order_of_their_ranks(boards).await;
    what_is_lost_is_missing(boards).await;
    what_may_be_forgotten_is_missing(boards).await;
    a_rebuild_takes_its_place_while_scores_go_on(boards).await;
    a_missing_period_that_is_rebuilt_holds_up_nobody(boards).await;
    one_rebuild_at_a_time(boards).await;
    an_empty_rebuild_is_an_empty_period(boards).await;
    players_are_taken_off_in_order(boards).await;
    nobody_comes_back_by_a_rebuild(boards).await;
    large_steps_and_rebuilds_are_whole(boards).await;
}

async fn scores_are_ranked_and_shown(boards: &dyn BoardStore) {
    let board = board();
    let ranks = apply(boards, &board, None, 2, vec![change(1, 50, 0), change(2, 70, 1), change(3, 0, 2)]).await;
    assert_eq!(ranks, [Some(2), Some(1), Some(3)]);
    let view = all(boards, &place(&board)).await;
    assert_eq!((view.mark, view.total), (mark(2), 3));
    assert_eq!(brief(&view), [(1, 2, 70), (2, 1, 50), (3, 3, 0)]);
    for entry in &view.entries {
        assert_eq!(entry.detail, detail(entry.entry.reached));
    }

    // One moves, one is only asked for, one is new and one is not there.
    let asked = |number, value, reached| Change { changed: None, ..change(number, value, reached) };
    let list = vec![change(3, 99, 3), asked(2, 70, 1), change(4, -1, 5), asked(5, 1, 4)];
    let outcome = boards.apply(&step(&board, Some(mark(2)), 5, vec![changes(PeriodId::ALL_TIME, list)])).await.unwrap();
    let ranks = vec![Some(1), Some(2), Some(4), None];
    assert_eq!(outcome, Applied::Done(vec![PeriodOutcome { total: 4, ranks }]));
    assert_eq!(brief(&all(boards, &place(&board)).await), [(1, 3, 99), (2, 2, 70), (3, 1, 50), (4, 4, -1)]);
}

async fn every_value_ranks_exactly(boards: &dyn BoardStore) {
    let wide = 1 << 53;
    let values = [i64::MIN, i64::MIN + 1, -wide - 1, -wide, -1, 0, 1, wide, wide + 1, wide + 2, i64::MAX - 1, i64::MAX];
    for order in [Order::HighWins, Order::LowWins] {
        let board = board();
        let list = (0_u128..).zip(values).map(|(number, value)| change(number, value, 0)).collect();
        let periods = vec![changes(PeriodId::ALL_TIME, list)];
        boards.apply(&BoardStep { order, ..step(&board, None, 0, periods) }).await.unwrap();
        let view = all(boards, &Place { order, ..place(&board) }).await;
        let mut expected = values.to_vec();
        if order == Order::HighWins {
            expected.reverse();
        }
        assert_eq!(view.entries.iter().map(|entry| entry.entry.value).collect::<Vec<_>>(), expected);
    }
}

async fn the_first_to_reach_a_value_ranks_higher(boards: &dyn BoardStore) {
    let board = board();
    apply(boards, &board, None, 4, vec![change(1, 5, 3), change(2, 5, 2), change(3, 5, 4)]).await;
    let ranks = apply(boards, &board, Some(mark(4)), 6, vec![change(2, 5, 6), change(4, 5, 5)]).await;
    assert_eq!(ranks, [Some(4), Some(3)]);
    assert_eq!(brief(&all(boards, &place(&board)).await), [(1, 1, 5), (2, 3, 5), (3, 4, 5), (4, 2, 5)]);
}

async fn periods_are_boards_of_their_own(boards: &dyn BoardStore) {
    let board = board();
    let both = vec![
        changes(TODAY, vec![change(1, 1, 0)]),
        changes(PeriodId::ALL_TIME, vec![change(1, 9, 0), change(2, 3, 0)]),
    ];
    boards.apply(&step(&board, None, 0, both)).await.unwrap();
    assert_eq!(brief(&all(boards, &place(&board)).await), [(1, 1, 9), (2, 2, 3)]);
    let today = Place { period: TODAY, ..place(&board) };
    assert_eq!(brief(&all(boards, &today).await), [(1, 1, 1)]);
    let tomorrow = Place { period: PeriodId { start_ms: TODAY.start_ms + 86_400_000, ..TODAY }, ..today };
    let view = all(boards, &tomorrow).await;
    assert_eq!((view.mark, view.total, view.entries), (mark(0), 0, Vec::new()));
}

async fn a_step_counts_once_from_where_it_begins(boards: &dyn BoardStore) {
    let board = board();
    let first = step(&board, None, 7, vec![changes(PeriodId::ALL_TIME, vec![change(1, 1, 7)])]);
    assert!(matches!(boards.apply(&first).await.unwrap(), Applied::Done(_)));
    assert_eq!(boards.apply(&first).await.unwrap(), Applied::Elsewhere(mark(7)));
    let other = |from| step(&board, from, 9, vec![changes(PeriodId::ALL_TIME, vec![change(1, 2, 9)])]);
    for from in [None, Some(mark(6)), Some(mark(8)), Some(Mark { erasures: 1, ..mark(7) })] {
        assert_eq!(boards.apply(&other(from)).await.unwrap(), Applied::Elsewhere(mark(7)), "{from:?}");
    }
    assert_eq!(brief(&all(boards, &place(&board)).await), [(1, 1, 1)]);
    assert!(matches!(boards.apply(&other(Some(mark(7)))).await.unwrap(), Applied::Done(_)));
    assert_eq!(boards.marks(&[board.clone(), self::board()]).await.unwrap(), [Some(mark(9)), None]);
    assert_eq!(brief(&all(boards, &place(&board)).await), [(1, 1, 2)]);
}

async fn a_step_without_changes_moves_the_board(boards: &dyn BoardStore) {
    let board = board();
    assert_eq!(boards.apply(&step(&board, None, 3, Vec::new())).await.unwrap(), Applied::Done(Vec::new()));
    assert_eq!(apply(boards, &board, Some(mark(3)), 5, Vec::new()).await, []);
    let asked = Change { changed: None, ..change(1, 1, 1) };
    assert_eq!(apply(boards, &board, Some(mark(5)), 6, vec![asked]).await, [None]);
    assert_eq!(boards.marks(std::slice::from_ref(&board)).await.unwrap(), [Some(mark(6))]);
    assert_eq!(all(boards, &place(&board)).await.total, 0);
}

async fn pages_go_on_behind_the_last_entry(boards: &dyn BoardStore) {
    let board = board();
    let place = place(&board);
    apply(
        boards,
        &board,
        None,
        9,
        (0..5).map(|number| change(number, 10 * i64::try_from(number).unwrap(), 9)).collect(),
    )
    .await;
    let first = found(boards.page(&place, None, 2).await.unwrap());
    assert_eq!(brief(&first), [(1, 4, 40), (2, 3, 30)]);
    let last_seen = first.entries[1].key(place.order);

    // The last one that was seen moves down, and somebody else to the top.
    apply(boards, &board, Some(mark(9)), 11, vec![change(3, 5, 10), change(0, 50, 11)]).await;
    let second = found(boards.page(&place, Some(last_seen), 2).await.unwrap());
    assert_eq!((second.total, brief(&second)), (5, vec![(3, 2, 20), (4, 1, 10)]));
    let third = found(boards.page(&place, Some(second.entries[1].key(place.order)), 2).await.unwrap());
    assert_eq!(brief(&third), [(5, 3, 5)]);
    let end = PlaceKey::new(place.order, Entry { value: i64::MIN, reached: 0 }, player(0));
    assert_eq!(brief(&found(boards.page(&place, Some(end), 2).await.unwrap())), []);
    assert_eq!(brief(&found(boards.page(&place, None, 0).await.unwrap())), []);
}

async fn the_middle_is_the_player_but_for_the_ends(boards: &dyn BoardStore) {
    let board = board();
    let place = place(&board);
    apply(boards, &board, None, 9, (1..=7).map(|number| change(number, -i64::try_from(number).unwrap(), 9)).collect())
        .await;
    let cases: [(u128, usize, &[u64]); 9] = [
        (4, 3, &[3, 4, 5]),
        (4, 4, &[2, 3, 4, 5]),
        (4, 1, &[4]),
        (1, 3, &[1, 2, 3]),
        (2, 5, &[1, 2, 3, 4, 5]),
        (7, 3, &[5, 6, 7]),
        (6, 5, &[3, 4, 5, 6, 7]),
        (3, 100, &[1, 2, 3, 4, 5, 6, 7]),
        (8, 3, &[]),
    ];
    for (number, count, expected) in cases {
        let view = found(boards.around(&place, player(number), count).await.unwrap());
        let ranks: Vec<u64> = view.entries.iter().map(|entry| entry.rank).collect();
        assert_eq!((view.total, ranks.as_slice()), (7, expected), "{count} around {number}");
    }
}

async fn players_are_found_in_the_order_of_their_ranks(boards: &dyn BoardStore) {
    let board = board();
    let place = place(&board);
    apply(boards, &board, None, 9, (1..=9).map(|number| change(number, -i64::try_from(number).unwrap(), 9)).collect())
        .await;
    let view = found(boards.of_players(&place, &[player(8), player(2), player(77), player(5)]).await.unwrap());
    assert_eq!((view.total, brief(&view)), (9, vec![(2, 2, -2), (5, 5, -5), (8, 8, -8)]));
    let none = found(boards.of_players(&place, &[]).await.unwrap());
    assert_eq!((none.total, none.entries), (9, Vec::new()));
}

async fn what_is_lost_is_missing(boards: &dyn BoardStore) {
    let board = board();
    let place = place(&board);
    assert_eq!(boards.page(&place, None, 10).await.unwrap(), Read::Missing);
    assert_eq!(boards.around(&place, player(1), 10).await.unwrap(), Read::Missing);
    assert_eq!(boards.of_players(&place, &[player(1)]).await.unwrap(), Read::Missing);
    assert_eq!(boards.apply(&step(&board, Some(mark(4)), 5, Vec::new())).await.unwrap(), Applied::Missing);
    assert_eq!(boards.begin_rebuild(&place, id()).await.unwrap(), Begun::Missing);

    assert!(boards.open(&board, mark(4), &[TODAY, PeriodId::ALL_TIME]).await.unwrap());
    assert!(!boards.open(&board, mark(3), &[]).await.unwrap());
    assert_eq!(boards.marks(std::slice::from_ref(&board)).await.unwrap(), [Some(mark(4))]);
    assert_eq!(boards.page(&place, None, 10).await.unwrap(), Read::Missing);
    let both = vec![changes(PeriodId::ALL_TIME, vec![change(1, 1, 5)]), changes(TODAY, vec![change(1, 1, 5)])];
    assert_eq!(boards.apply(&step(&board, Some(mark(4)), 5, both)).await.unwrap(), Applied::Missing);
    assert_eq!(boards.marks(std::slice::from_ref(&board)).await.unwrap(), [Some(mark(4))]);

    // A period that the board did not have by then is a new one.
    let other = PeriodId { kind: Period::Weekly, ..TODAY };
    let new = vec![changes(other, vec![change(1, 1, 5)])];
    assert!(matches!(boards.apply(&step(&board, Some(mark(4)), 5, new)).await.unwrap(), Applied::Done(_)));
    assert_eq!(brief(&all(boards, &Place { period: other, ..place }).await), [(1, 1, 1)]);
}

async fn what_may_be_forgotten_is_missing(boards: &dyn BoardStore) {
    let board = board();
    let now = Ambient::system().now();
    let (past, future) = (now - time::Duration::HOUR, now + time::Duration::HOUR);
    let week = PeriodId { kind: Period::Weekly, ..TODAY };
    let kept = |period, until| PeriodChanges { keep_until: Some(until), ..changes(period, vec![change(1, 1, 0)]) };
    boards.apply(&step(&board, None, 0, vec![kept(TODAY, past), kept(week, future)])).await.unwrap();
    let today = Place { period: TODAY, ..place(&board) };
    assert_eq!(boards.page(&today, None, 1).await.unwrap(), Read::Missing);
    assert_eq!(all(boards, &Place { period: week, ..place(&board) }).await.total, 1);

    rebuild(boards, &today, &[new_entry(1, 1, 0)], Some(future)).await;
    assert_eq!(all(boards, &today).await.total, 1);
    rebuild(boards, &today, &[new_entry(1, 1, 0)], Some(past)).await;
    assert_eq!(boards.page(&today, None, 1).await.unwrap(), Read::Missing);
}

async fn begin(boards: &dyn BoardStore, place: &Place) -> Rebuild {
    match boards.begin_rebuild(place, id()).await.unwrap() {
        Begun::Done(rebuild) => rebuild,
        other => panic!("not begun: {other:?}"),
    }
}

async fn rebuild(boards: &dyn BoardStore, place: &Place, entries: &[NewEntry], keep_until: Option<OffsetDateTime>) {
    let mut rebuild = begin(boards, place).await;
    assert_eq!(boards.fill(&mut rebuild, entries).await.unwrap(), Filled::Done);
    assert_eq!(boards.finish(&rebuild, keep_until).await.unwrap(), Finished::Done);
}

async fn a_rebuild_takes_its_place_while_scores_go_on(boards: &dyn BoardStore) {
    let board = board();
    let place = place(&board);
    // What is there is wrong: one has another value, and one should not be there.
    apply(boards, &board, None, 4, vec![change(1, 100, 0), change(2, 200, 1), change(9, 900, 4)]).await;
    let mut rebuild = begin(boards, &place).await;
    assert_eq!(rebuild.mark, mark(4));
    let list = vec![change(2, 250, 5), change(3, 300, 6)];
    assert_eq!(apply(boards, &board, Some(mark(4)), 6, list).await, [Some(3), Some(2)]);

    // In any order, older ones of players who have gone on meanwhile too.
    let older = [new_entry(1, 10, 0), new_entry(2, 200, 1), new_entry(4, 400, 3)];
    assert_eq!(boards.fill(&mut rebuild, &older).await.unwrap(), Filled::Done);
    assert_eq!(apply(boards, &board, Some(mark(6)), 7, vec![change(5, 1, 7)]).await, [Some(5)]);
    let twice = [new_entry(1, 20, 2), new_entry(1, 15, 1), new_entry(4, 40, 1)];
    assert_eq!(boards.fill(&mut rebuild, &twice).await.unwrap(), Filled::Done);

    assert_eq!(all(boards, &place).await.entries[0].entry.value, 900);
    assert_eq!(boards.finish(&rebuild, None).await.unwrap(), Finished::Done);
    let view = all(boards, &place).await;
    assert_eq!(brief(&view), [(1, 4, 400), (2, 3, 300), (3, 2, 250), (4, 1, 20), (5, 5, 1)]);
    assert_eq!((view.mark, view.total), (mark(7), 5));
    for entry in &view.entries {
        assert_eq!(entry.detail, detail(entry.entry.reached));
    }
    assert_eq!(boards.finish(&rebuild, None).await.unwrap(), Finished::Lost);
    assert_eq!(apply(boards, &board, Some(mark(7)), 8, vec![change(5, 500, 8)]).await, [Some(1)]);
    assert_eq!(all(boards, &place).await.total, 5);
}

async fn a_missing_period_that_is_rebuilt_holds_up_nobody(boards: &dyn BoardStore) {
    let board = board();
    let place = place(&board);
    boards.open(&board, mark(4), &[PeriodId::ALL_TIME]).await.unwrap();
    let mut rebuild = begin(boards, &place).await;
    assert_eq!(apply(boards, &board, Some(mark(4)), 5, vec![change(1, 7, 5)]).await, [None]);
    assert_eq!(boards.page(&place, None, 10).await.unwrap(), Read::Missing);
    boards.fill(&mut rebuild, &[new_entry(1, 1, 0), new_entry(2, 2, 4)]).await.unwrap();
    assert_eq!(boards.finish(&rebuild, None).await.unwrap(), Finished::Done);
    assert_eq!(brief(&all(boards, &place).await), [(1, 1, 7), (2, 2, 2)]);
}

async fn one_rebuild_at_a_time(boards: &dyn BoardStore) {
    let board = board();
    let place = place(&board);
    apply(boards, &board, None, 4, vec![change(1, 1, 0)]).await;
    let mut rebuild = begin(boards, &place).await;
    assert_eq!(boards.begin_rebuild(&place, id()).await.unwrap(), Begun::Busy);
    let mut stranger = Rebuild { id: id(), ..rebuild.clone() };
    assert_eq!(boards.fill(&mut stranger, &[new_entry(2, 2, 2)]).await.unwrap(), Filled::Lost);
    assert_eq!(boards.finish(&stranger, None).await.unwrap(), Finished::Lost);

    // A store that was set back has lost the last call, and is found out.
    let before = rebuild.clone();
    assert_eq!(boards.fill(&mut rebuild, &[new_entry(1, 1, 0)]).await.unwrap(), Filled::Done);
    assert_eq!(boards.finish(&before, None).await.unwrap(), Finished::Lost);
    assert_eq!(boards.fill(&mut before.clone(), &[new_entry(1, 1, 0)]).await.unwrap(), Filled::Lost);
    let other = Place { period: TODAY, ..place.clone() };
    self::rebuild(boards, &other, &[new_entry(1, 1, 0)], None).await;
    assert_eq!(boards.finish(&rebuild, None).await.unwrap(), Finished::Done);
    assert_eq!(brief(&all(boards, &place).await), [(1, 1, 1)]);
    assert_eq!(brief(&all(boards, &other).await), [(1, 1, 1)]);
}

async fn an_empty_rebuild_is_an_empty_period(boards: &dyn BoardStore) {
    let board = board();
    let place = place(&board);
    apply(boards, &board, None, 4, vec![change(1, 1, 0)]).await;
    rebuild(boards, &place, &[], None).await;
    assert_eq!(all(boards, &place).await.total, 0);
    assert_eq!(apply(boards, &board, Some(mark(4)), 5, vec![change(2, 1, 5)]).await, [Some(1)]);
    assert_eq!(brief(&all(boards, &place).await), [(1, 2, 1)]);
}

async fn players_are_taken_off_in_order(boards: &dyn BoardStore) {
    let board = board();
    let places = [PeriodId::ALL_TIME, TODAY].map(|period| Place { period, ..place(&board) });
    assert_eq!(boards.remove(&board, 1, player(1)).await.unwrap(), Removed::Missing);
    let list = vec![change(1, 1, 0), change(2, 2, 0), change(3, 3, 0)];
    let both = vec![changes(PeriodId::ALL_TIME, list), changes(TODAY, vec![change(2, 2, 0)])];
    boards.apply(&step(&board, None, 4, both)).await.unwrap();

    assert_eq!(boards.remove(&board, 2, player(2)).await.unwrap(), Removed::Elsewhere(mark(4)));
    for _repeated in 0..2 {
        assert_eq!(boards.remove(&board, 1, player(3)).await.unwrap(), Removed::Done);
    }
    assert_eq!(boards.remove(&board, 2, player(2)).await.unwrap(), Removed::Done);
    let now = Mark { offset: 4, erasures: 2 };
    assert_eq!(boards.marks(std::slice::from_ref(&board)).await.unwrap(), [Some(now)]);
    let view = all(boards, &places[0]).await;
    assert_eq!((view.mark, brief(&view)), (now, vec![(1, 1, 1)]));
    // Without anybody it is empty, but not lost.
    assert_eq!(all(boards, &places[1]).await.total, 0);

    assert_eq!(boards.apply(&step(&board, Some(mark(4)), 5, Vec::new())).await.unwrap(), Applied::Elsewhere(now));
    let again = vec![changes(TODAY, vec![change(1, 5, 5)])];
    assert!(matches!(boards.apply(&step(&board, Some(now), 5, again)).await.unwrap(), Applied::Done(_)));
    assert_eq!(brief(&all(boards, &places[1]).await), [(1, 1, 5)]);
    assert_eq!(all(boards, &places[0]).await.mark, Mark { offset: 5, erasures: 2 });
}

async fn nobody_comes_back_by_a_rebuild(boards: &dyn BoardStore) {
    let board = board();
    let place = place(&board);
    apply(boards, &board, None, 4, vec![change(1, 1, 0), change(2, 2, 0)]).await;
    let mut rebuild = begin(boards, &place).await;
    boards.fill(&mut rebuild, &[new_entry(1, 1, 0)]).await.unwrap();
    assert_eq!(boards.remove(&board, 1, player(1)).await.unwrap(), Removed::Done);
    boards.fill(&mut rebuild, &[new_entry(1, 1, 0), new_entry(2, 2, 0)]).await.unwrap();
    assert_eq!(boards.finish(&rebuild, None).await.unwrap(), Finished::Lost);
    assert_eq!(brief(&all(boards, &place).await), [(1, 2, 2)]);
    // The next attempt can begin at once.
    self::rebuild(boards, &place, &[new_entry(2, 2, 0)], None).await;
    assert_eq!(brief(&all(boards, &place).await), [(1, 2, 2)]);
}

async fn large_steps_and_rebuilds_are_whole(boards: &dyn BoardStore) {
    const PLAYERS: u128 = 2_500;
    let board = board();
    let place = place(&board);
    let value = |number: u128| i64::try_from(number * 7_919 % PLAYERS).unwrap();
    let list: Vec<Change> = (0..PLAYERS).map(|number| change(number, value(number), 0)).collect();
    let ranks = apply(boards, &board, None, 0, list.clone()).await;
    let expected: Vec<_> =
        (0..PLAYERS).map(|number| Some(u64::try_from(PLAYERS).unwrap() - value(number).unsigned_abs())).collect();
    assert_eq!(ranks, expected);
    let list: Vec<Change> = (0..PLAYERS).map(|number| change(number, -value(number), 1)).collect();
    apply(boards, &board, Some(mark(0)), 1, list.clone()).await;
    let before = all(boards, &place).await;
    assert_eq!(before.total, u64::try_from(PLAYERS).unwrap());
    let entries: Vec<NewEntry> = (0..PLAYERS).map(|number| new_entry(number, -value(number), 1)).collect();
    rebuild(boards, &place, &entries, None).await;
    let after = all(boards, &place).await;
    assert!(after == before);
    assert_eq!(
        after.entries.iter().map(|entry| -entry.entry.value).collect::<Vec<_>>(),
        (0..2_500).collect::<Vec<_>>()
    );
}

mod memory {
    use std::time::Duration;

    use pkg_ambient::ManualClock;

    use super::*;

    #[tokio::test]
    async fn the_contract_holds() {
        verify(&MemoryBoards::new(Ambient::system())).await;
    }

    struct Alone(MemoryBoards);

    impl AsRef<dyn BoardStore> for Alone {
        fn as_ref(&self) -> &(dyn BoardStore + 'static) {
            &self.0
        }
    }

    #[test]
    fn it_is_as_the_model() {
        model::check(async || Alone(MemoryBoards::new(Ambient::system())), 96);
    }

    #[tokio::test]
    async fn a_rebuild_that_was_given_up_is_thrown_away() {
        let clock = ManualClock::new();
        let boards = MemoryBoards::new(Ambient::with_clock(clock.clone()));
        let place = place(&board());
        boards.open(&place.board, mark(4), &[place.period]).await.unwrap();
        let mut given_up = begin(&boards, &place).await;
        boards.fill(&mut given_up, &[new_entry(1, 1, 0)]).await.unwrap();
        clock.advance(REBUILD_LEASE.saturating_sub(Duration::from_millis(1)));
        assert_eq!(boards.begin_rebuild(&place, id()).await.unwrap(), Begun::Busy);
        clock.advance(Duration::from_millis(1));
        assert_eq!(boards.finish(&given_up, None).await.unwrap(), Finished::Lost);
        rebuild(&boards, &place, &[new_entry(2, 2, 2)], None).await;
        assert_eq!(brief(&all(&boards, &place).await), [(1, 2, 2)]);
    }
}

mod real_redis {
    use fred::interfaces::KeysInterface;

    use super::*;

    #[tokio::test]
    async fn the_contract_holds() {
        let redis = pkg_redis::testing::redis().await;
        verify(&RedisBoards::new(redis.clone())).await;
    }

    #[test]
    fn it_is_as_the_model() {
        model::check(async || Kept::new(pkg_redis::testing::redis().await), 12);
    }

    /// The boards of a test's own keys.
    struct Kept {
        boards: RedisBoards,
        _redis: pkg_redis::testing::TestRedis,
    }

    impl Kept {
        fn new(redis: pkg_redis::testing::TestRedis) -> Self {
            Self { boards: RedisBoards::new(redis.clone()), _redis: redis }
        }
    }

    impl AsRef<dyn BoardStore> for Kept {
        fn as_ref(&self) -> &(dyn BoardStore + 'static) {
            &self.boards
        }
    }

    fn key(redis: &pkg_redis::Redis, place: &Place, name: &str) -> String {
        redis.key_in_slot(&place.board.to_string(), &["board", &place.period.to_string(), name])
    }

    async fn delete(redis: &pkg_redis::Redis, place: &Place, name: &str) {
        redis.client().unwrap().del::<(), _>(key(redis, place, name)).await.unwrap();
    }

    #[tokio::test]
    async fn a_key_that_is_gone_is_missing() {
        let redis = pkg_redis::testing::redis().await;
        let boards = RedisBoards::new(redis.clone());
        for name in ["ranks", "values"] {
            let place = place(&board());
            apply(&boards, &place.board, None, 0, vec![change(1, 1, 0)]).await;
            delete(&redis, &place, name).await;
            assert_eq!(boards.page(&place, None, 1).await.unwrap(), Read::Missing);
            let next = step(&place.board, Some(mark(0)), 1, vec![changes(place.period, vec![change(2, 2, 1)])]);
            assert_eq!(boards.apply(&next).await.unwrap(), Applied::Missing);
            rebuild(&boards, &place, &[new_entry(1, 1, 0)], None).await;
            assert!(matches!(boards.apply(&next).await.unwrap(), Applied::Done(_)));
            assert_eq!(brief(&all(&boards, &place).await), [(1, 2, 2), (2, 1, 1)]);
        }
    }

    #[tokio::test]
    async fn what_was_left_without_a_board_is_no_part_of_it() {
        let redis = pkg_redis::testing::redis().await;
        let boards = RedisBoards::new(redis.clone());
        let place = place(&board());
        for opened in [false, true] {
            apply(&boards, &place.board, None, 0, vec![change(1, 1, 0)]).await;
            let state = redis.key_in_slot(&place.board.to_string(), &["board", "state"]);
            redis.client().unwrap().del::<(), _>(&state).await.unwrap();
            if opened {
                boards.open(&place.board, mark(0), &[place.period]).await.unwrap();
                assert_eq!(boards.page(&place, None, 1).await.unwrap(), Read::Missing);
            } else {
                apply(&boards, &place.board, None, 0, vec![change(2, 2, 0)]).await;
                assert_eq!(brief(&all(&boards, &place).await), [(1, 2, 2)]);
                redis.client().unwrap().del::<(), _>(&state).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_rebuild_that_was_given_up_is_thrown_away() {
        let redis = pkg_redis::testing::redis().await;
        let boards = RedisBoards::new(redis.clone());
        let place = place(&board());
        boards.open(&place.board, mark(4), &[place.period]).await.unwrap();
        let mut given_up = begin(&boards, &place).await;
        boards.fill(&mut given_up, &[new_entry(1, 1, 0)]).await.unwrap();
        let client = redis.client().unwrap();
        let left: i64 = client.pttl(key(&redis, &place, "lease")).await.unwrap();
        assert!((1..=i64::try_from(REBUILD_LEASE.as_millis()).unwrap()).contains(&left));
        assert!(client.pttl::<i64, _>(key(&redis, &place, "new_ranks")).await.unwrap() > left);

        delete(&redis, &place, "lease").await;
        assert_eq!(boards.fill(&mut given_up.clone(), &[]).await.unwrap(), Filled::Lost);
        assert_eq!(boards.finish(&given_up, None).await.unwrap(), Finished::Lost);
        let next = step(&place.board, Some(mark(4)), 5, vec![changes(place.period, vec![change(2, 2, 5)])]);
        assert_eq!(boards.apply(&next).await.unwrap(), Applied::Missing);
        assert!(!client.exists::<bool, _>(key(&redis, &place, "new_ranks")).await.unwrap());
        rebuild(&boards, &place, &[new_entry(2, 2, 2)], None).await;
        assert_eq!(brief(&all(&boards, &place).await), [(1, 2, 2)]);
    }

    #[tokio::test]
    async fn a_finished_rebuild_leaves_nothing_behind() {
        let redis = pkg_redis::testing::redis().await;
        let boards = RedisBoards::new(redis.clone());
        let place = place(&board());
        apply(&boards, &place.board, None, 0, vec![change(1, 1, 0)]).await;
        rebuild(&boards, &place, &[new_entry(1, 1, 0)], None).await;
        let client = redis.client().unwrap();
        for name in ["new_ranks", "new_values", "lease"] {
            assert!(!client.exists::<bool, _>(key(&redis, &place, name)).await.unwrap(), "{name}");
        }
        for name in ["ranks", "values"] {
            assert_eq!(client.pttl::<i64, _>(key(&redis, &place, name)).await.unwrap(), -1, "{name} stays");
        }
    }
}

mod real_cluster {
    use super::*;

    #[tokio::test]
    async fn the_contract_holds() {
        let redis = pkg_redis::testing::cluster().await;
        verify(&RedisBoards::new(redis.clone())).await;
    }
}
