//! What every store of matches promises. Each function is one promise; at the end they run against each adapter.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use pkg_ambient::Ambient;
use pkg_db::Database;
use pkg_definition::Key;
use uuid::Uuid;

use super::*;

fn id() -> Uuid {
    Ambient::system().id()
}

fn queue(key: &str) -> Option<Key> {
    Key::parse(key)
}

fn result(player: Uuid, placement: i32, outcome: MatchOutcome) -> MatchResult {
    MatchResult {
        player,
        placement,
        outcome,
        left_early: placement > 2,
        body: Bytes::from(format!("place {placement}")),
    }
}

fn finished(game: Uuid, queue: Option<Key>, minute: i64, results: Vec<MatchResult>) -> FinishedMatch {
    FinishedMatch {
        session: id(),
        game,
        queue,
        ended: pkg_db::from_millis(1_780_000_000_000 + minute * 60_000),
        play_time: Duration::from_millis(90_001),
        body: Bytes::from_static(b"\0match"),
        results,
    }
}

/// The first, and those who are not.
fn places(players: &[Uuid]) -> Vec<MatchResult> {
    let outcome = |placement| if placement == 1 { MatchOutcome::Won } else { MatchOutcome::Lost };
    players.iter().zip(1..).map(|(player, placement)| result(*player, placement, outcome(placement))).collect()
}

fn step(partition: i32, expected: Option<i64>, next_offset: i64, matches: Vec<FinishedMatch>) -> MatchesStep {
    MatchesStep { partition, expected, next_offset, matches }
}

async fn verify(database: &Database) {
    let matches = SqlMatches::new(database.clone());
    a_match_is_kept_and_counted(&matches).await;
    a_match_counts_once(&matches).await;
    of_two_writers_one_wins(&matches).await;
    matches_of_a_player_come_in_pages(&matches).await;
    results_come_the_best_first(&matches).await;
    stats_add_up_by_queue(&matches).await;
    a_player_who_is_gone_has_no_name(&matches, &SqlErasures::new(database.clone())).await;
}

async fn a_match_is_kept_and_counted(matches: &dyn MatchStore) {
    let (game, players) = (id(), [id(), id(), id()]);
    let found = finished(game, queue("duel"), 1, places(&players));
    let without_results = finished(game, None, 2, Vec::new());
    assert_eq!(matches.found(found.session).await.unwrap(), None);
    let both = vec![found.clone(), without_results.clone()];
    assert_eq!(matches.apply(&step(1, None, 9, both)).await.unwrap(), MatchesApplied::Done);
    assert_eq!(matches.position(1).await.unwrap(), Some(9));

    let stored = |found: &FinishedMatch, player_count| StoredMatch {
        session: found.session,
        game,
        queue: found.queue.clone(),
        ended: found.ended,
        body: found.body.clone(),
        player_count,
    };
    assert_eq!(matches.found(found.session).await.unwrap(), Some(stored(&found, 3)));
    assert_eq!(matches.found(without_results.session).await.unwrap(), Some(stored(&without_results, 0)));
    let own = matches.of_player(players[2], None, None, None, 10).await.unwrap();
    let result = SessionResult {
        number: 2,
        player: Some(players[2]),
        placement: 3,
        outcome: MatchOutcome::Lost,
        left_early: true,
        body: Bytes::from_static(b"place 3"),
    };
    assert_eq!(own, [PlayerMatch { found: stored(&found, 3), result }]);
}

async fn a_match_counts_once(matches: &dyn MatchStore) {
    let (game, player) = (id(), id());
    let first = finished(game, None, 1, places(&[player]));
    let applied = step(2, None, 5, vec![first.clone()]);
    assert_eq!(matches.apply(&applied).await.unwrap(), MatchesApplied::Done);
    assert_eq!(matches.apply(&applied).await.unwrap(), MatchesApplied::Elsewhere);
    let new = finished(game, None, 2, places(&[player]));
    for expected in [None, Some(4), Some(6)] {
        let elsewhere = step(2, expected, 7, vec![new.clone()]);
        assert_eq!(matches.apply(&elsewhere).await.unwrap(), MatchesApplied::Elsewhere, "{expected:?}");
    }
    assert_eq!((matches.position(2).await.unwrap(), matches.found(new.session).await.unwrap()), (Some(5), None));

    // Its record was appended twice: the first one stays.
    let again = FinishedMatch { results: places(&[id(), player]), ..first.clone() };
    assert_eq!(matches.apply(&step(2, Some(5), 7, vec![again, new])).await.unwrap(), MatchesApplied::Done);
    assert_eq!(matches.stats(player, game).await.unwrap()[0].games, 2);
    assert_eq!(matches.results(first.session, None, 10).await.unwrap().len(), 1);
}

async fn of_two_writers_one_wins(matches: &dyn MatchStore) {
    let (game, player) = (id(), id());
    let steps: Vec<_> = (0..8).map(|_| step(3, None, 1, vec![finished(game, None, 1, places(&[player]))])).collect();
    let outcomes = join_all(steps.iter().map(async |step| matches.apply(step).await.unwrap())).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == MatchesApplied::Done).count(), 1);
    assert_eq!(matches.stats(player, game).await.unwrap()[0].games, 1);
}

async fn matches_of_a_player_come_in_pages(matches: &dyn MatchStore) {
    let (player, games) = (id(), [id(), id()]);
    let given =
        [(games[0], queue("duel"), 1), (games[0], None, 2), (games[1], queue("duel"), 2), (games[0], queue("duel"), 3)];
    let list: Vec<_> = given.map(|(game, queue, minute)| finished(game, queue, minute, places(&[id(), player]))).into();
    matches.apply(&step(4, None, 1, list.clone())).await.unwrap();
    let mut expected: Vec<usize> = vec![0, 1, 2, 3];
    expected.sort_by_key(|index| std::cmp::Reverse((list[*index].ended, list[*index].session)));

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = matches.of_player(player, None, None, after, 3).await.unwrap();
        let Some(end) = page.last() else { break };
        after = Some(PlayerMatchPlace { ended_ms: pkg_db::to_millis(end.found.ended), session: end.found.session });
        seen.extend(
            page.iter().map(|found| list.iter().position(|listed| listed.session == found.found.session).unwrap()),
        );
    }
    assert_eq!(seen, expected);
    let of = async |game, queue: Option<Key>| {
        let found = matches.of_player(player, game, queue.as_ref(), None, 10).await.unwrap();
        found
            .iter()
            .map(|found| list.iter().position(|listed| listed.session == found.found.session).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(Some(games[0]), None).await, [3, 1, 0]);
    assert_eq!(of(Some(games[0]), queue("duel")).await, [3, 0]);
    assert!(of(Some(games[1]), queue("other")).await.is_empty());
}

async fn results_come_the_best_first(matches: &dyn MatchStore) {
    let players = [id(), id(), id(), id()];
    let outcome = MatchOutcome::Drawn;
    let results = vec![
        result(players[0], 3, outcome),
        result(players[1], 1, outcome),
        result(players[2], 3, outcome),
        result(players[3], 2, outcome),
    ];
    let found = finished(id(), None, 1, results);
    matches.apply(&step(5, None, 1, vec![found.clone()])).await.unwrap();
    let page = async |after, max| {
        let found = matches.results(found.session, after, max).await.unwrap();
        found
            .iter()
            .map(|result| players.iter().position(|player| Some(*player) == result.player).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(page(None, 10).await, [1, 3, 0, 2]);
    assert_eq!(page(None, 3).await, [1, 3, 0]);
    assert_eq!(page(Some(ResultPlace { placement: 3, number: 0 }), 3).await, [2]);
    assert!(matches.results(id(), None, 10).await.unwrap().is_empty());
}

async fn stats_add_up_by_queue(matches: &dyn MatchStore) {
    let (game, player) = (id(), id());
    let given = [
        finished(game, queue("b"), 5, vec![result(player, 1, MatchOutcome::Won)]),
        finished(game, queue("b"), 3, vec![result(player, 3, MatchOutcome::Lost)]),
        finished(game, None, 4, vec![result(player, 1, MatchOutcome::Drawn)]),
        finished(game, queue("a"), 1, vec![result(player, 1, MatchOutcome::Won)]),
        finished(id(), queue("a"), 1, vec![result(player, 1, MatchOutcome::Won)]),
    ];
    matches.apply(&step(6, None, 1, given.to_vec())).await.unwrap();
    let stats = |queue, games, [wins, losses, draws]: [i64; 3], last: usize| QueueStats {
        queue,
        games,
        wins,
        losses,
        draws,
        left_early: losses,
        play_time: Duration::from_millis(90_001) * u32::try_from(games).unwrap(),
        last_ended: given[last].ended,
    };
    let expected =
        [stats(None, 1, [0, 0, 1], 2), stats(queue("a"), 1, [1, 0, 0], 3), stats(queue("b"), 2, [1, 1, 0], 0)];
    assert_eq!(matches.stats(player, game).await.unwrap(), expected);
    assert_eq!(matches.stats(id(), game).await.unwrap(), []);
}

async fn a_player_who_is_gone_has_no_name(matches: &dyn MatchStore, erasures: &dyn ErasureStore) {
    let (game, player, other) = (id(), id(), id());
    let before = finished(game, None, 1, places(&[player, other]));
    matches.apply(&step(7, None, 1, vec![before.clone()])).await.unwrap();
    erasures.erase(player, before.ended).await.unwrap();
    let after = finished(game, None, 2, places(&[player, other]));
    matches.apply(&step(7, Some(1), 2, vec![after.clone()])).await.unwrap();
    for session in [before.session, after.session] {
        let results = matches.results(session, None, 10).await.unwrap();
        assert_eq!(results.iter().map(|result| result.player).collect::<Vec<_>>(), [None, Some(other)]);
    }
    assert!(matches.of_player(player, None, None, None, 10).await.unwrap().is_empty());
    assert_eq!(matches.stats(player, game).await.unwrap(), []);
    assert_eq!(matches.stats(other, game).await.unwrap()[0].games, 2);
}

mod sqlite {
    #[tokio::test]
    async fn the_contract_holds() {
        let database = pkg_db::testing::sqlite().await;
        super::verify(&database).await;
    }
}

mod real_postgres {
    #[tokio::test]
    async fn the_contract_holds() {
        let database = pkg_db::testing::postgres().await;
        super::verify(&database).await;
    }
}
