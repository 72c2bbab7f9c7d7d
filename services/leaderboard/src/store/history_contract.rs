//! What every history of scores promises. Each function is one promise; at the end they run against each adapter.

use bytes::Bytes;
use futures::future::{join, join_all};
use pkg_ambient::Ambient;
use pkg_db::Database;
use pkg_definition::{Key, Period};
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;
use crate::board::{BoardId, Entry, PeriodId, PeriodSpan, Refusal, Standing, Standings};

const DAY_MS: i64 = 86_400_000;
const START_MS: i64 = 1_780_000_000_000;

fn id() -> Uuid {
    Ambient::system().id()
}

fn board() -> BoardId {
    BoardId { game: id(), key: Key::parse("high-scores").unwrap() }
}

fn time(offset: i64) -> OffsetDateTime {
    pkg_db::from_millis(START_MS + offset)
}

fn day(number: i64) -> PeriodSpan {
    let start_ms = START_MS + number * DAY_MS;
    PeriodSpan { id: PeriodId { kind: Period::Daily, start_ms }, end_ms: Some(start_ms + DAY_MS) }
}

fn row(offset: i64, player: Uuid, value: i64) -> ScoreRow {
    let entry = Entry { value, reached: offset };
    let standing = |period, previous| Standing { period, entry, previous };
    ScoreRow {
        offset,
        player,
        submission: id(),
        value,
        session: (offset % 2 == 0).then(id),
        attributes: Bytes::from(format!("\0attributes of {offset}")),
        content_hash: [7; 32],
        time: time(offset),
        refusal: None,
        standings: Standings(vec![standing(PeriodId::ALL_TIME, Some(-1)), standing(day(0).id, None)]),
    }
}

fn refused(offset: i64, player: Uuid, refusal: Refusal) -> ScoreRow {
    ScoreRow { refusal: Some(refusal), standings: Standings::default(), ..row(offset, player, 1) }
}

fn head(offset: i64) -> Head {
    Head { mark: Mark { offset, erasures: 0 }, time: time(offset) }
}

fn step(board: &BoardId, from: Option<i64>, to: i64, rows: Vec<ScoreRow>) -> HistoryStep {
    HistoryStep { board: board.clone(), from: from.map(head), to, time: time(to), rows, periods: Vec::new() }
}

fn wanted(board: &BoardId, row: &ScoreRow) -> Wanted {
    Wanted { board: board.clone(), player: row.player, submission: row.submission }
}

async fn done(history: &dyn HistoryStore, step: HistoryStep) {
    assert_eq!(history.append(&[step]).await.unwrap(), [Appended::Done]);
}

async fn head_of(history: &dyn HistoryStore, board: &BoardId) -> Option<Head> {
    history.heads(std::slice::from_ref(board)).await.unwrap()[0]
}

async fn everything(history: &dyn HistoryStore, board: &BoardId) -> Vec<i64> {
    let found = history.replay(board, 0, i64::MAX, usize::MAX).await.unwrap();
    found.into_iter().map(|score| score.offset).collect()
}

async fn verify(database: &Database) {
    let history = SqlHistory::new(database.clone());
    scores_are_kept_as_they_are(&history).await;
    values_are_exact_at_both_ends(&history).await;
    a_step_counts_once_from_where_it_begins(&history).await;
    a_step_without_rows_moves_the_head(&history).await;
    a_submission_counts_once(&history).await;
    one_step_does_not_hold_up_another(&history).await;
    of_two_writers_one_wins(&history).await;
    new_boards_get_numbers_at_the_same_time(&history).await;
    scores_of_a_player_come_in_pages(&history).await;
    boards_are_replayed_in_order(&history).await;
    periods_know_where_they_begin_and_end(&history).await;
    large_steps_are_whole(&history).await;
    let erasures = SqlErasures::new(database.clone());
    a_player_is_erased_for_good(&history, &erasures).await;
    an_erasure_is_numbered_on_each_board(&history, &erasures).await;
    nothing_slips_past_an_erasure(&history, &erasures).await;
    // Another process knows no numbers yet.
    all_boards_are_listed(&SqlHistory::new(database.clone()), &history).await;
}

async fn scores_are_kept_as_they_are(history: &dyn HistoryStore) {
    let (board, player) = (board(), id());
    assert_eq!(head_of(history, &board).await, None);
    let rows = vec![row(3, player, 50), refused(5, player, Refusal::SumOverflow), row(8, id(), -7)];
    assert_eq!(history.look_up(&[wanted(&board, &rows[0])]).await.unwrap(), [Known::default()]);
    done(history, step(&board, None, 9, rows.clone())).await;
    assert_eq!(head_of(history, &board).await, Some(head(9)));
    for row in &rows {
        assert_eq!(history.submission(&wanted(&board, row)).await.unwrap().as_ref(), Some(row));
    }
    let elsewhere = Wanted { board: self::board(), ..wanted(&board, &rows[0]) };
    assert_eq!(history.submission(&elsewhere).await.unwrap(), None);

    let stranger = Wanted { player: id(), ..wanted(&board, &rows[0]) };
    let new = Wanted { submission: id(), ..wanted(&board, &rows[2]) };
    let looked_up = history.look_up(&[new, wanted(&board, &rows[0]), stranger, elsewhere]).await.unwrap();
    let known = |recorded: Option<&ScoreRow>, last: Option<&ScoreRow>| Known {
        recorded: recorded.cloned(),
        standings: last.map(|row| row.standings.clone()),
        gone: false,
    };
    // The last score of the first player was refused, and says where they stand all the same.
    let expected =
        [known(None, Some(&rows[2])), known(Some(&rows[0]), Some(&rows[1])), known(None, None), known(None, None)];
    assert_eq!(looked_up, expected);
    assert_eq!(history.look_up(&[]).await.unwrap(), []);
}

async fn values_are_exact_at_both_ends(history: &dyn HistoryStore) {
    let board = board();
    let values = [i64::MIN, i64::MIN + 1, -1, 0, (1 << 53) + 1, i64::MAX - 1, i64::MAX];
    let rows: Vec<ScoreRow> = (0..).zip(values).map(|(offset, value)| row(offset, id(), value)).collect();
    done(history, step(&board, None, 9, rows.clone())).await;
    let replayed = history.replay(&board, 0, 9, 100).await.unwrap();
    for (row, replayed) in rows.iter().zip(&replayed) {
        assert_eq!(history.submission(&wanted(&board, row)).await.unwrap().unwrap().value, row.value);
        assert_eq!(replayed.standings, row.standings);
    }
    assert_eq!(replayed.len(), rows.len());
}

async fn a_step_counts_once_from_where_it_begins(history: &dyn HistoryStore) {
    let (board, player) = (board(), id());
    let first = step(&board, None, 4, vec![row(4, player, 1)]);
    done(history, first.clone()).await;
    assert_eq!(history.append(std::slice::from_ref(&first)).await.unwrap(), [Appended::Stale]);
    for from in [None, Some(3), Some(5)] {
        let other = step(&board, from, 9, vec![row(9, player, 2)]);
        assert_eq!(history.append(&[other]).await.unwrap(), [Appended::Stale], "{from:?}");
    }
    assert_eq!((head_of(history, &board).await, everything(history, &board).await), (Some(head(4)), vec![4]));
    done(history, step(&board, Some(4), 9, vec![row(9, player, 2)])).await;
    assert_eq!((head_of(history, &board).await, everything(history, &board).await), (Some(head(9)), vec![4, 9]));
}

async fn a_step_without_rows_moves_the_head(history: &dyn HistoryStore) {
    let board = board();
    done(history, step(&board, None, 0, Vec::new())).await;
    assert_eq!(head_of(history, &board).await, Some(head(0)));
    done(history, step(&board, Some(0), 7, Vec::new())).await;
    assert_eq!(head_of(history, &board).await, Some(head(7)));
}

async fn a_submission_counts_once(history: &dyn HistoryStore) {
    let (board, player) = (board(), id());
    let first = row(1, player, 1);
    done(history, step(&board, None, 1, vec![first.clone()])).await;
    // Later, or with another content, or twice at once.
    let again = ScoreRow { submission: first.submission, ..row(3, player, 9) };
    let new = row(3, player, 1);
    let twice = vec![new.clone(), ScoreRow { offset: 4, ..new }];
    for rows in [vec![row(2, id(), 5), again], twice] {
        assert_eq!(history.append(&[step(&board, Some(1), 4, rows)]).await.unwrap(), [Appended::Stale]);
        assert_eq!((head_of(history, &board).await, everything(history, &board).await), (Some(head(1)), vec![1]));
    }
    // It is another one for another player, and on another board.
    let others = vec![
        ScoreRow { player: id(), ..row(2, player, 1) },
        ScoreRow { submission: first.submission, ..row(3, id(), 1) },
    ];
    done(history, step(&board, Some(1), 4, others)).await;
    done(history, step(&self::board(), None, 4, vec![first])).await;
}

async fn one_step_does_not_hold_up_another(history: &dyn HistoryStore) {
    let (stale, fine) = (board(), board());
    done(history, step(&stale, None, 1, vec![row(1, id(), 1)])).await;
    let steps = [step(&stale, None, 2, vec![row(2, id(), 1)]), step(&fine, None, 3, vec![row(3, id(), 1)])];
    assert_eq!(history.append(&steps).await.unwrap(), [Appended::Stale, Appended::Done]);
    assert_eq!((everything(history, &stale).await, everything(history, &fine).await), (vec![1], vec![3]));
    assert_eq!(history.append(&[]).await.unwrap(), []);
}

async fn of_two_writers_one_wins(history: &dyn HistoryStore) {
    let board = board();
    let steps: Vec<_> = (0..8).map(|number| step(&board, None, number, vec![row(number, id(), number)])).collect();
    let outcomes =
        join_all(steps.iter().map(async |step| history.append(std::slice::from_ref(step)).await.unwrap()[0])).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Appended::Done).count(), 1);
    assert_eq!(everything(history, &board).await.len(), 1);
}

async fn new_boards_get_numbers_at_the_same_time(history: &dyn HistoryStore) {
    let boards: Vec<BoardId> = (0..8).map(|_| board()).collect();
    let steps = boards.iter().map(|board| [step(board, None, 1, vec![row(1, id(), 1)])]);
    for outcome in join_all(steps.map(async |step| history.append(&step).await.unwrap()[0])).await {
        assert_eq!(outcome, Appended::Done);
    }
    assert!(history.heads(&boards).await.unwrap().iter().all(|found| *found == Some(head(1))));
}

async fn scores_of_a_player_come_in_pages(history: &dyn HistoryStore) {
    let (board, player) = (board(), id());
    let rows = vec![
        row(1, player, 1),
        refused(2, player, Refusal::BoardChanged),
        row(3, id(), 1),
        row(4, player, 1),
        row(5, player, 1),
    ];
    done(history, step(&board, None, 5, rows)).await;
    let offsets = async |refused, before, max| {
        let found = history.player_scores(&board, player, refused, before, max).await.unwrap();
        found.iter().map(|row| row.offset).collect::<Vec<_>>()
    };
    assert_eq!(offsets(true, None, 10).await, [5, 4, 2, 1]);
    assert_eq!(offsets(false, None, 10).await, [5, 4, 1]);
    assert_eq!(offsets(false, None, 2).await, [5, 4]);
    assert_eq!(offsets(false, Some(4), 2).await, [1]);
    assert!(history.player_scores(&self::board(), player, true, None, 10).await.unwrap().is_empty());
}

async fn boards_are_replayed_in_order(history: &dyn HistoryStore) {
    let board = board();
    let rows = vec![row(2, id(), 1), refused(3, id(), Refusal::SumOverflow), row(5, id(), 2), row(9, id(), 3)];
    done(history, step(&board, None, 9, rows.clone())).await;
    let offsets = async |from, to, max| {
        let found = history.replay(&board, from, to, max).await.unwrap();
        found.iter().map(|score| score.offset).collect::<Vec<_>>()
    };
    assert_eq!(offsets(0, 9, 10).await, [2, 5, 9]);
    assert_eq!(offsets(2, 5, 10).await, [2, 5]);
    assert_eq!(offsets(3, 8, 10).await, [5]);
    assert_eq!(offsets(0, 9, 2).await, [2, 5]);
    let first = history.replay(&board, 0, 9, 1).await.unwrap().remove(0);
    let ScoreRow { offset, player, time, attributes, standings, .. } = rows[0].clone();
    assert_eq!(first, Replayed { offset, player, time, attributes, standings });
}

async fn periods_know_where_they_begin_and_end(history: &dyn HistoryStore) {
    let board = board();
    let all_time = PeriodSpan { id: PeriodId::ALL_TIME, end_ms: None };
    let begins = |spans: &[PeriodSpan], first_offset| {
        spans.iter().map(|span| BeginningPeriod { span: *span, first_offset }).collect::<Vec<_>>()
    };
    let first = HistoryStep { periods: begins(&[all_time, day(0)], 2), ..step(&board, None, 5, Vec::new()) };
    done(history, first).await;
    // What is known already changes nothing.
    let second =
        HistoryStep { periods: begins(&[day(0), day(3), all_time], 8), ..step(&board, Some(5), 9, Vec::new()) };
    done(history, second).await;
    let stale = HistoryStep { periods: begins(&[day(4)], 6), ..step(&board, Some(5), 9, Vec::new()) };
    assert_eq!(history.append(&[stale]).await.unwrap(), [Appended::Stale]);

    let found = async |span: PeriodSpan| history.period(&board, span.id).await.unwrap();
    assert_eq!(found(day(0)).await, Some(RecordedPeriod { span: day(0), first_offset: 2, end_offset: Some(8) }));
    assert_eq!(found(day(3)).await, Some(RecordedPeriod { span: day(3), first_offset: 8, end_offset: None }));
    assert_eq!(found(all_time).await, Some(RecordedPeriod { span: all_time, first_offset: 2, end_offset: None }));
    assert_eq!(found(day(4)).await, None);
    let periods = async |before_ms, max| history.periods(&board, Period::Daily, before_ms, max).await.unwrap();
    assert_eq!(periods(None, 10).await, [day(3), day(0)]);
    assert_eq!(periods(None, 1).await, [day(3)]);
    assert_eq!(periods(Some(day(3).id.start_ms), 10).await, [day(0)]);
    assert_eq!(history.periods(&board, Period::AllTime, None, 10).await.unwrap(), [all_time]);
    assert_eq!(history.periods(&board, Period::Weekly, None, 10).await.unwrap(), []);
}

async fn large_steps_are_whole(history: &dyn HistoryStore) {
    const ROWS: i64 = 2_300;
    let board = board();
    let rows: Vec<ScoreRow> = (0..ROWS).map(|offset| row(offset, id(), offset)).collect();
    done(history, step(&board, None, ROWS, rows.clone())).await;
    let wanted: Vec<Wanted> = rows.iter().map(|row| wanted(&board, row)).collect();
    let known = history.look_up(&wanted).await.unwrap();
    assert!(known.iter().map(|known| known.recorded.as_ref()).eq(rows.iter().map(Some)));
}

async fn a_player_is_erased_for_good(history: &dyn HistoryStore, erasures: &dyn ErasureStore) {
    let (board, player, other) = (board(), id(), id());
    let rows = vec![row(1, player, 1), row(2, other, 2), row(3, player, 3)];
    done(history, step(&board, None, 3, rows.clone())).await;
    let erased = erasures.erase(player, time(0)).await.unwrap();
    assert_eq!(erased, [Erasure { board: board.clone(), number: 1 }]);

    let now = Head { mark: Mark { offset: 3, erasures: 1 }, ..head(3) };
    assert_eq!((head_of(history, &board).await, everything(history, &board).await), (Some(now), vec![2]));
    let known = history.look_up(&[wanted(&board, &rows[0]), wanted(&board, &rows[1])]).await.unwrap();
    assert_eq!(known[0], Known { gone: true, ..Known::default() });
    assert!(!known[1].gone && known[1].recorded.is_some());
    assert_eq!(history.erasures(&board, 0).await.unwrap(), [player]);
    assert!(history.erasures(&board, 1).await.unwrap().is_empty());

    // Nothing counts any more, on no board; what is refused for that is recorded.
    let from = |rows| HistoryStep { from: Some(now), ..step(&board, None, 9, rows) };
    assert_eq!(history.append(&[step(&board, Some(3), 9, vec![row(9, other, 1)])]).await.unwrap(), [Appended::Stale]);
    let accepted =
        [from(vec![row(4, other, 1), row(5, player, 1)]), step(&self::board(), None, 1, vec![row(1, player, 1)])];
    assert_eq!(history.append(&accepted).await.unwrap(), [Appended::Stale, Appended::Stale]);
    done(history, from(vec![row(4, other, 1), refused(5, player, Refusal::AccountGone)])).await;
    assert_eq!(everything(history, &board).await, [2, 4]);
    assert_eq!(erasures.erase(player, time(0)).await.unwrap(), erased);
    assert_eq!(head_of(history, &board).await.map(|head| head.mark), Some(Mark { offset: 9, erasures: 1 }));
}

async fn an_erasure_is_numbered_on_each_board(history: &dyn HistoryStore, erasures: &dyn ErasureStore) {
    let (one, two, players) = (board(), board(), [id(), id()]);
    for board in [&one, &two] {
        done(
            history,
            step(board, None, 3, players.map(|player| row(1 + i64::from(player == players[1]), player, 1)).into()),
        )
        .await;
    }
    assert_eq!(erasures.erase(id(), time(0)).await.unwrap(), []);
    for (player, number) in [(players[1], 1), (players[0], 2)] {
        let mut erased = erasures.erase(player, time(0)).await.unwrap();
        erased.sort_by_key(|erasure| erasure.board != one);
        assert_eq!(erased, [&one, &two].map(|board| Erasure { board: board.clone(), number }));
    }
    assert_eq!(history.erasures(&two, 0).await.unwrap(), [players[1], players[0]]);
    assert_eq!(history.erasures(&two, 1).await.unwrap(), [players[0]]);
}

async fn nothing_slips_past_an_erasure(history: &dyn HistoryStore, erasures: &dyn ErasureStore) {
    const WRITES: i64 = 60;
    let (board, player) = (board(), id());
    let writing = async {
        let mut head = None;
        for offset in 0..WRITES {
            let step = HistoryStep { from: head, ..step(&board, None, offset, vec![row(offset, player, 1)]) };
            if history.append(&[step]).await.unwrap() == [Appended::Stale] {
                return;
            }
            head = Some(self::head(offset));
        }
    };
    let erasing = async {
        while head_of(history, &board).await.is_none_or(|head| head.mark.offset < WRITES / 4) {}
        erasures.erase(player, time(0)).await.unwrap();
    };
    join(writing, erasing).await;
    assert!(everything(history, &board).await.is_empty());
    assert_eq!(head_of(history, &board).await.unwrap().mark.erasures, 1);
}

async fn all_boards_are_listed(history: &dyn HistoryStore, other: &dyn HistoryStore) {
    let known = {
        let mut boards = Vec::new();
        loop {
            let page = history.boards(boards.last(), 3).await.unwrap();
            if page.is_empty() {
                break boards;
            }
            for (board, head) in page {
                assert_eq!(head_of(other, &board).await, Some(head));
                boards.push(board);
            }
        }
    };
    let mut distinct = known.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), known.len());
    assert_eq!(history.boards(None, 1_000).await.unwrap().len(), known.len());
    assert!(known.len() > 20);
}

mod sqlite {
    #[tokio::test]
    async fn the_contract_holds() {
        let database = pkg_db::testing::sqlite().await;
        super::verify(&database).await;
    }
}

mod real_postgres {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_contract_holds() {
        let database = pkg_db::testing::postgres().await;
        super::verify(&database).await;
    }
}
