//! Reading boards.

use pkg_api::leaderboard::v1 as api;
use tonic::{Code, Request};

use crate::board::BoardId;
use crate::grpc::harness::{GAME, Harness, around, entries, entry, on_both, places, player, score, told};
use crate::position;

on_both! {
    pages_follow_one_another
    a_player_has_a_rank_and_a_percentile
    a_player_is_in_the_middle_of_others
    friends_are_compared
    a_board_without_scores_is_empty
    who_has_written_reads_that
}

/// Scores of players 1, 2, … in "points".
async fn submit(harness: &Harness, values: impl IntoIterator<Item = i64>) {
    let of = |(number, value): (u128, i64)| api::NewScore {
        player_id: player(number).to_string(),
        ..score("points", 1_000 + number, value)
    };
    let scores: Vec<_> = (1..).zip(values).map(of).collect();
    for scores in scores.chunks(100) {
        harness.server().submit_many(scores.to_vec()).await.unwrap();
    }
}

async fn pages_follow_one_another(harness: Harness) {
    submit(&harness, (1..=250).map(|number| number / 10)).await;
    let mut expected: Vec<(i64, u128)> =
        (1..=250_i64).map(|number| (-(number / 10), number.unsigned_abs().into())).collect();
    expected.sort_unstable();
    let mut one = harness.player(300);
    let (mut request, mut seen, mut tokens) = (entries("points", 100), Vec::new(), Vec::new());
    loop {
        let answer = one.list(request.clone()).await.unwrap();
        let view = answer.view.expect("a view");
        seen.extend(places(&view));
        if answer.next_page_token.is_empty() {
            break;
        }
        // Somebody who comes before what was seen changes nothing behind it but the ranks.
        one.submit(score("points", tokens.len() as u128, 1_000)).await.unwrap();
        request.page_token.clone_from(&answer.next_page_token);
        tokens.push(answer.next_page_token);
    }
    assert_eq!(tokens.len(), 2);
    let players: Vec<(i64, u128)> = seen.iter().map(|(_, player, value)| (-value, *player)).collect();
    assert_eq!(players, expected);
    assert_eq!((seen[99].0, seen[100].0, seen[250 - 1].0), (100, 102, 251));

    let foreign = api::ListEntriesRequest { page_token: tokens[0].clone(), ..entries("wins", 100) };
    assert_eq!(told(&one.list(foreign).await.unwrap_err()).2, ["page_token"]);
    let other = pkg_api::game::v1::LeaderboardPeriod::Daily.into();
    let other = api::ListEntriesRequest { page_token: tokens[0].clone(), period: other, ..entries("points", 100) };
    assert_eq!(told(&one.list(other).await.unwrap_err()).2, ["page_token"]);
    assert_eq!(one.top("points", 0).await.len(), 50);
}

async fn a_player_has_a_rank_and_a_percentile(harness: Harness) {
    let mut one = harness.player(1);
    submit(&harness, [10]).await;
    let found = one.grpc.get_entry(entry("points", 1)).await.unwrap().into_inner();
    assert_eq!((found.total_count, found.percentile), (1, 100.0));
    submit(&harness, [10, 40, 30, 20, 50]).await;
    let mut seen = Vec::new();
    for number in 1..=5 {
        let found = one.grpc.get_entry(entry("points", number)).await.unwrap().into_inner();
        assert_eq!(found.total_count, 5);
        let entry = found.entry.expect("an entry");
        assert_eq!(entry.player_id, player(number).to_string());
        seen.push((entry.rank, entry.value, found.percentile));
    }
    assert_eq!(seen, [(5, 10, 0.0), (2, 40, 75.0), (3, 30, 50.0), (4, 20, 25.0), (1, 50, 100.0)]);
    let missing = one.grpc.get_entry(entry("points", 6)).await.unwrap_err();
    assert_eq!((missing.code(), told(&missing).1.as_str()), (Code::NotFound, "NOT_RANKED"));
}

async fn a_player_is_in_the_middle_of_others(harness: Harness) {
    submit(&harness, (1..=30).rev()).await;
    let mut one = harness.player(1);
    let mut ranks = async |number, count| {
        let view = one.around(around("points", number, count)).await.unwrap();
        assert_eq!(view.total_count, 30);
        let ranks: Vec<i64> = view.entries.iter().map(|entry| entry.rank).collect();
        ranks
    };
    assert_eq!(ranks(15, 5).await, [13, 14, 15, 16, 17]);
    assert_eq!(ranks(1, 5).await, [1, 2, 3, 4, 5]);
    assert_eq!(ranks(30, 5).await, [26, 27, 28, 29, 30]);
    assert_eq!(ranks(15, 1).await, [15]);
    assert_eq!(ranks(15, 0).await.len(), 11);
    assert_eq!(ranks(15, 101).await.len(), 30);
    assert_eq!(told(&one.around(around("points", 31, 5)).await.unwrap_err()).1, "NOT_RANKED");
}

async fn friends_are_compared(harness: Harness) {
    submit(&harness, [10, 40, 30, 20, 50]).await;
    let friends = |numbers: &[u128]| api::BatchGetEntriesRequest {
        game_id: GAME.to_string(),
        board_key: "points".to_owned(),
        player_ids: numbers.iter().map(|number| player(*number).to_string()).collect(),
        ..Default::default()
    };
    let mut one = harness.player(1);
    let view = one.grpc.batch_get_entries(friends(&[1, 9, 3, 2, 3])).await.unwrap().into_inner().view.expect("a view");
    assert_eq!(places(&view), [(2, 2, 40), (3, 3, 30), (5, 1, 10)]);
    assert_eq!(view.total_count, 5);
    let nobody = one.grpc.batch_get_entries(friends(&[9])).await.unwrap().into_inner().view.expect("a view");
    assert_eq!((places(&nobody), nobody.total_count), (vec![], 5));
    for many in [Vec::new(), (0..101).collect()] {
        let refused = one.grpc.batch_get_entries(friends(&many)).await.unwrap_err();
        assert_eq!(told(&refused).2, ["player_ids"]);
    }
}

async fn a_board_without_scores_is_empty(harness: Harness) {
    let mut one = harness.player(1);
    let answer = one.list(entries("points", 10)).await.unwrap();
    let view = answer.view.expect("a view");
    assert_eq!((view.entries.len(), view.total_count, view.position.as_str()), (0, 0, ""));
    assert_eq!((view.period.is_some(), answer.next_page_token.as_str()), (true, ""));
    assert_eq!(told(&one.grpc.get_entry(entry("points", 1)).await.unwrap_err()).1, "NOT_RANKED");
    assert_eq!(told(&one.around(around("points", 1, 5)).await.unwrap_err()).1, "NOT_RANKED");
    let periods =
        api::ListPeriodsRequest { game_id: GAME.to_string(), board_key: "points".to_owned(), ..Default::default() };
    assert_eq!(one.grpc.list_periods(periods).await.unwrap().into_inner().periods, []);
}

async fn who_has_written_reads_that(harness: Harness) {
    let mut one = harness.player(1);
    let mut last = String::new();
    for value in 1..=50_i64 {
        let submitted = one.submit(score("points", value.unsigned_abs().into(), value)).await.unwrap();
        assert_eq!(one.top("points", 1).await, [(1, 1, value)]);
        let request = api::ListEntriesRequest { min_position: submitted.position.clone(), ..entries("points", 1) };
        let view = one.list(request).await.unwrap().view.expect("a view");
        assert_eq!((places(&view), &view.position), (vec![(1, 1, value)], &submitted.position));
        last = submitted.position;
    }
    let foreign = api::ListEntriesRequest { min_position: last, ..entries("wins", 1) };
    assert_eq!(told(&one.list(foreign).await.unwrap_err()).2, ["min_position"]);

    let board = BoardId { game: GAME, key: pkg_definition::Key::parse("points").expect("a key") };
    let future = position::encode(&board, 1 << 40);
    let mut request = Request::new(api::ListEntriesRequest { min_position: future.clone(), ..entries("points", 1) });
    request.set_timeout(std::time::Duration::from_millis(300));
    assert_eq!(one.grpc.list_entries(request).await.unwrap_err().code(), Code::DeadlineExceeded);
    let of = player(1).to_string();
    let scores = api::ListPlayerScoresRequest {
        game_id: GAME.to_string(),
        board_key: "points".to_owned(),
        player_id: of,
        min_position: future,
        ..Default::default()
    };
    let mut request = Request::new(scores);
    request.set_timeout(std::time::Duration::from_millis(300));
    assert_eq!(one.grpc.list_player_scores(request).await.unwrap_err().code(), Code::DeadlineExceeded);
}
