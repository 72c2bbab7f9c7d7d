//! What the store of ratings promises on either database.

use std::sync::Arc;

use futures::future::join_all;
use pkg_db::Database;
use uuid::Uuid;

use super::testing::{NOBODY, SECOND, duel, id, now, queue, queue_of, two_ids};
use super::*;
use crate::rating::Rating;

fn rating(skill: f64) -> Rating {
    Rating::new(skill, 8.333_333_333_333_334).unwrap()
}

fn change(queue: &QueueId, player: Uuid, from_version: i64) -> RatingChange {
    RatingChange {
        player,
        queue: queue.clone(),
        from_version,
        rating: rating(26.1),
        match_count: from_version + 1,
        session: id(),
        skill_change: 1.1,
        at: now(),
    }
}

fn stored(change: &RatingChange) -> StoredRating {
    StoredRating {
        player: change.player,
        queue: change.queue.clone(),
        rating: change.rating,
        match_count: change.match_count,
        updated_at: change.at,
        last_session: Some(change.session),
        last_skill_change: change.skill_change,
        version: change.from_version + 1,
    }
}

/// Of a partition that no other test uses.
fn results(partition: i32, expected: Option<i64>, next_offset: i64, changes: Vec<RatingChange>) -> Results {
    Results { partition, expected, next_offset, changes, ..Default::default() }
}

async fn apply(store: &dyn RatingStore, results: &Results) -> Applied {
    store.apply(results, now()).await.unwrap()
}

async fn results_are_applied_once(store: &dyn RatingStore, matches: &dyn MatchStore) {
    let queue = queue();
    let [winner, loser] = two_ids();
    let made = duel(&queue, [winner, loser]);
    matches.record(std::slice::from_ref(&made), now()).await.unwrap();
    assert_eq!(store.position(1).await.unwrap(), None);
    let changes = vec![change(&queue, winner, 0), change(&queue, loser, 0)];
    let first = Results {
        releases: vec![SeatRelease { session: made.session, player: None }],
        counted: vec![made.session],
        ..results(1, None, 5, changes.clone())
    };
    assert_eq!(apply(store, &first).await, Applied::Done);
    assert_eq!(apply(store, &first).await, Applied::Elsewhere, "repeated");
    assert_eq!(store.position(1).await.unwrap(), Some(5));
    assert_eq!(matches.open_seats(queue.game, &[winner, loser]).await.unwrap(), []);
    assert_eq!(store.counted(&[id(), made.session]).await.unwrap(), [made.session]);
    let mut found = store.ratings(&queue, &[loser, id(), winner]).await.unwrap();
    found.sort_by_key(|it| it.player);
    assert_eq!(found, [stored(&changes[0]), stored(&changes[1])]);

    let again = change(&queue, winner, 1);
    assert_eq!(apply(store, &results(1, Some(4), 6, vec![again.clone()])).await, Applied::Elsewhere);
    assert_eq!(apply(store, &results(1, None, 6, vec![again.clone()])).await, Applied::Elsewhere);
    assert_eq!(apply(store, &results(1, Some(5), 6, vec![again.clone()])).await, Applied::Done);
    assert_eq!(store.ratings(&queue, &[winner]).await.unwrap(), [stored(&again)]);
    assert!(store.apply(&results(1, Some(6), 6, Vec::new()), now()).await.is_err(), "it does not go on");
}

async fn a_rating_of_another_version_stops_all_of_it(store: &dyn RatingStore, matches: &dyn MatchStore) {
    let queue = queue();
    let (fine, stale) = (id(), id());
    let made = duel(&queue, [fine, stale]);
    matches.record(std::slice::from_ref(&made), now()).await.unwrap();
    store.seed(&queue, stale, rating(30.0), now()).await.unwrap();
    let releases = vec![SeatRelease { session: made.session, player: None }];
    for from_version in [0, 7] {
        let changes = vec![change(&queue, fine, 0), change(&queue, stale, from_version)];
        let refused =
            Results { releases: releases.clone(), counted: vec![made.session], ..results(2, None, 9, changes) };
        assert_eq!(apply(store, &refused).await, Applied::Changed);
    }
    // One that was erased meanwhile is not made up again.
    assert_eq!(apply(store, &results(2, None, 9, vec![change(&queue, id(), 3)])).await, Applied::Changed);
    assert_eq!(store.position(2).await.unwrap(), None);
    assert_eq!(store.counted(&[made.session]).await.unwrap(), NOBODY);
    assert_eq!(store.ratings(&queue, &[fine]).await.unwrap(), []);
    assert_eq!(matches.open_seats(queue.game, &[fine, stale]).await.unwrap().len(), 2);
    let right = results(2, None, 9, vec![change(&queue, fine, 0), change(&queue, stale, 1)]);
    assert_eq!(apply(store, &right).await, Applied::Done);
}

async fn a_session_counts_once(store: &dyn RatingStore) {
    let queue = queue();
    let (session, player) = (id(), id());
    let first = Results { counted: vec![session], ..results(3, None, 1, vec![change(&queue, player, 0)]) };
    assert_eq!(apply(store, &first).await, Applied::Done);
    let second = Results { counted: vec![id(), session], ..results(3, Some(1), 2, vec![change(&queue, player, 1)]) };
    assert_eq!(apply(store, &second).await, Applied::Changed);
    assert_eq!(store.position(3).await.unwrap(), Some(1));
}

async fn of_several_changes_of_a_player_the_last_counts(store: &dyn RatingStore) {
    let queue = queue();
    let player = id();
    let (first, last) = (change(&queue, player, 0), RatingChange { match_count: 2, ..change(&queue, player, 0) });
    assert_eq!(apply(store, &results(4, None, 1, vec![first, last.clone()])).await, Applied::Done);
    assert_eq!(store.ratings(&queue, &[player]).await.unwrap(), [stored(&last)]);
}

async fn of_many_who_apply_the_same_one_does(store: &Arc<dyn RatingStore>) {
    let queue = queue();
    let players: Vec<Uuid> = (0..20).map(|_| id()).collect();
    let (mut expected, mut done) = (None, 0);
    for next in 1..=10 {
        let appliers = (0..6).map(|_| {
            let store = store.clone();
            let changes = players.iter().map(|player| change(&queue, *player, next - 1)).collect();
            let results = results(5, expected, next, changes);
            tokio::spawn(async move { store.apply(&results, now()).await.unwrap() })
        });
        let outcomes: Vec<Applied> = join_all(appliers).await.into_iter().map(Result::unwrap).collect();
        done += outcomes.iter().filter(|outcome| **outcome == Applied::Done).count();
        assert!(outcomes.iter().all(|outcome| *outcome != Applied::Changed));
        expected = Some(next);
    }
    assert_eq!(done, 10);
    assert!(store.ratings(&queue, &players).await.unwrap().iter().all(|it| it.match_count == 10));
}

async fn a_rating_is_seeded_until_a_match_has_counted(store: &dyn RatingStore) {
    let queue = queue();
    let player = id();
    let at = now();
    for (skill, version) in [(30.0, 1), (31.0, 2)] {
        let expected = StoredRating {
            player,
            queue: queue.clone(),
            rating: rating(skill),
            match_count: 0,
            updated_at: at,
            last_session: None,
            last_skill_change: 0.0,
            version,
        };
        assert_eq!(store.seed(&queue, player, rating(skill), at).await.unwrap(), Seeded::Done(expected.clone()));
        assert_eq!(store.ratings(&queue, &[player]).await.unwrap(), [expected]);
    }
    let after_match = RatingChange { match_count: 1, ..change(&queue, player, 2) };
    assert_eq!(apply(store, &results(6, None, 1, vec![after_match.clone()])).await, Applied::Done);
    assert_eq!(store.seed(&queue, player, rating(40.0), at).await.unwrap(), Seeded::InUse);
    assert_eq!(store.ratings(&queue, &[player]).await.unwrap(), [stored(&after_match)]);
}

async fn a_players_ratings_are_listed_and_erased(store: &dyn RatingStore) {
    let (player, game, other) = (id(), id(), id());
    let begin = now();
    let places = [(game, "b", 1_u32), (game, "a", 1), (other, "c", 2), (game, "d", 0)];
    for (game, key, seconds) in places {
        let queue = queue_of(game, key);
        store.seed(&queue, player, rating(1.0), begin + seconds * SECOND).await.unwrap();
    }
    store.seed(&queue_of(game, "a"), id(), rating(1.0), begin).await.unwrap();
    let keys = |page: &[StoredRating]| page.iter().map(|it| it.queue.key.to_string()).collect::<Vec<_>>();
    let all = store.list(player, None, None, 10).await.unwrap();
    assert_eq!(keys(&all), ["c", "a", "b", "d"]);
    for (place, rating) in all.iter().enumerate() {
        let rest = store.list(player, None, Some(&RatingPlace::of(rating)), 10).await.unwrap();
        assert_eq!(rest, all[place + 1..]);
    }
    assert_eq!(keys(&store.list(player, Some(game), None, 2).await.unwrap()), ["a", "b"]);
    for _ in 0..2 {
        store.erase(player).await.unwrap();
        assert_eq!(store.list(player, None, None, 10).await.unwrap(), []);
    }
}

async fn that_a_session_has_counted_is_forgotten(store: &dyn RatingStore) {
    let end = now() - SECOND * 3_600;
    let sessions = [3, 2, 1, 0].map(|seconds: u32| least_id(end - seconds * SECOND));
    let counted = Results { counted: sessions.to_vec(), ..results(7, None, 1, Vec::new()) };
    assert_eq!(apply(store, &counted).await, Applied::Done);
    assert_eq!(store.forget_counted(end, 2).await.unwrap(), 2);
    assert_eq!(store.forget_counted(end, 2).await.unwrap(), 1);
    assert_eq!(store.forget_counted(end, 2).await.unwrap(), 0);
    assert_eq!(store.counted(&sessions).await.unwrap(), [sessions[3]]);
}

async fn verify(database: &Database) {
    let store: Arc<dyn RatingStore> = Arc::new(SqlRatings::new(database.clone()));
    let matches = SqlMatches::new(database.clone());
    results_are_applied_once(&*store, &matches).await;
    a_rating_of_another_version_stops_all_of_it(&*store, &matches).await;
    a_session_counts_once(&*store).await;
    of_several_changes_of_a_player_the_last_counts(&*store).await;
    of_many_who_apply_the_same_one_does(&store).await;
    a_rating_is_seeded_until_a_match_has_counted(&*store).await;
    a_players_ratings_are_listed_and_erased(&*store).await;
    that_a_session_has_counted_is_forgotten(&*store).await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    verify(&*pkg_db::testing::sqlite().await).await;
}

mod real_postgres {
    #[tokio::test]
    async fn keeps_the_contract() {
        super::verify(&*pkg_db::testing::postgres().await).await;
    }
}
