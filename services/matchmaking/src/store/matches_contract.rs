//! What the store of matches promises on either database.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use pkg_db::Database;
use uuid::Uuid;

use super::matches::TicketMatch;
use super::testing::{NOBODY, SECOND, duel, id, now, queue, queue_of, two_ids};
use super::*;

async fn record(store: &dyn MatchStore, matches: &[Match]) -> Vec<Recorded> {
    store.record(matches, now()).await.unwrap()
}

fn recorded(made: &Match, state: MatchState, cursor: Option<&str>) -> RecordedMatch {
    RecordedMatch { made: made.clone(), state, session_cursor: cursor.map(str::to_owned) }
}

fn seat(made: &Match, team: usize) -> OpenSeat {
    let it = made.teams[team].players[0];
    OpenSeat { player: it.player, match_id: made.id, session: made.session, ticket: it.ticket }
}

fn dispatched(made: &Match) -> Dispatched {
    Dispatched { match_id: made.id, session_cursor: "7-0".to_owned() }
}

async fn what_was_recorded_is_read(store: &dyn MatchStore) {
    let queue = queue();
    let made = duel(&queue, two_ids());
    let mut alone = duel(&queue, [id(), id()]);
    for team in &mut alone.teams {
        (team.name, team.win_probability) = (None, None);
    }
    let both = [made.clone(), alone.clone()];
    assert_eq!(record(store, &both).await, [Recorded::Done, Recorded::Done]);
    let known = Recorded::Known(MatchState::Made);
    assert_eq!(record(store, &both).await, [known.clone(), known], "repeated");

    let found = store.matches(&[alone.id, id(), made.id]).await.unwrap();
    let expected = recorded(&made, MatchState::Made, None);
    assert_eq!(found, [Some(recorded(&alone, MatchState::Made, None)), None, Some(expected.clone())]);
    assert_eq!(store.matches(&[made.id]).await.unwrap(), [Some(expected.clone())]);
    assert_eq!(store.matches(&[made.id, made.id]).await.unwrap(), [Some(expected.clone()), Some(expected.clone())]);
    let ticket = made.teams[1].players[0].ticket;
    let of_ticket = store.matches_of_tickets(&[id(), ticket]).await.unwrap();
    assert_eq!(of_ticket, [TicketMatch { ticket, found: expected }]);

    let players: Vec<Uuid> = made.players().map(|it| it.player).collect();
    let mut seats = store.open_seats(queue.game, &[players[0], id(), players[1]]).await.unwrap();
    seats.sort_by_key(|seat| seat.player);
    assert_eq!(seats, [seat(&made, 0), seat(&made, 1)]);
    assert_eq!(store.open_seats(id(), &players).await.unwrap(), []);
}

async fn a_conflict_drops_one_match_alone(store: &dyn MatchStore) {
    let queue = queue();
    let (busy, free) = (id(), id());
    let first = duel(&queue, [busy, id()]);
    record(store, std::slice::from_ref(&first)).await;
    let (good, bad) = (duel(&queue, [id(), id()]), duel(&queue_of(queue.game, "other"), [free, busy]));
    let conflict = Recorded::Conflict(vec![SeatHolder { player: busy, session: first.session }]);
    assert_eq!(record(store, &[bad.clone(), good.clone()]).await, [conflict, Recorded::Done]);
    assert_eq!(store.matches(&[bad.id]).await.unwrap(), [None]);
    assert_eq!(store.open_seats(queue.game, &[free]).await.unwrap(), []);
    // In another game everyone is free, and here again with a released seat.
    assert_eq!(record(store, &[duel(&queue_of(id(), "duel"), [busy, free])]).await, [Recorded::Done]);
    let of = SeatRelease { session: first.session, player: Some(busy) };
    assert_eq!(store.release(&[of], now()).await.unwrap(), 1);
    assert_eq!(record(store, std::slice::from_ref(&bad)).await, [Recorded::Done]);
}

async fn of_matches_that_share_a_player_the_first_is_recorded(store: &dyn MatchStore) {
    let queue = queue();
    let [a, b, c, d, busy] = [(); 5].map(|()| id());
    record(store, &[duel(&queue, [busy, id()])]).await;
    let matches = [
        duel(&queue, [a, busy]),
        duel(&queue, [a, b]),
        duel(&queue, [b, c]),
        duel(&queue, [c, d]),
        duel(&queue, [a, d]),
    ];
    let outcomes = record(store, &matches).await;
    let is_done: Vec<bool> = outcomes.iter().map(|outcome| *outcome == Recorded::Done).collect();
    assert_eq!(is_done, [false, true, false, true, false]);
    let holder = |player, made: &Match| SeatHolder { player, session: made.session };
    assert_eq!(outcomes[2], Recorded::Conflict(vec![holder(b, &matches[1])]));
    let mut both = vec![holder(a, &matches[1]), holder(d, &matches[3])];
    both.sort_unstable();
    assert_eq!(outcomes[4], Recorded::Conflict(both));
    let again = matches[1].clone();
    assert_eq!(record(store, &[again.clone(), again]).await, [(); 2].map(|()| Recorded::Known(MatchState::Made)));
}

async fn what_is_aborted_is_never_recorded(store: &dyn MatchStore) {
    let queue = queue();
    let (gone, made) = (duel(&queue, [id(), id()]), duel(&queue, [id(), id()]));
    record(store, std::slice::from_ref(&made)).await;
    for _ in 0..2 {
        let aborted = store.abort(&queue, &[gone.id, made.id], now()).await.unwrap();
        let exists = Aborted::Recorded(Box::new(recorded(&made, MatchState::Made, None)));
        assert_eq!(aborted, [Aborted::Done, exists]);
    }
    assert_eq!(record(store, std::slice::from_ref(&gone)).await, [Recorded::Known(MatchState::Aborted)]);
    assert_eq!(store.matches(&[gone.id]).await.unwrap(), [None]);
    assert_eq!(store.matches(&[gone.id, made.id]).await.unwrap()[0], None);
    let players: Vec<Uuid> = gone.players().map(|it| it.player).collect();
    assert_eq!(store.open_seats(queue.game, &players).await.unwrap(), []);
    assert!(store.cancel_match(gone.id, now()).await.unwrap());
}

async fn what_is_dispatched_is_found_no_more(store: &dyn MatchStore) {
    let queue = queue();
    let begin = now();
    let mut matches: Vec<Match> = (0..3).map(|_| duel(&queue, [id(), id()])).collect();
    for (made, seconds) in matches.iter_mut().zip([3_u32, 1, 2]) {
        made.created = begin + seconds * SECOND;
    }
    record(store, &matches).await;
    record(store, &[duel(&queue_of(queue.game, "other"), [id(), id()])]).await;
    let undispatched = async |seconds: u32, max| -> Vec<Uuid> {
        let found = store.undispatched(&queue, begin + seconds * SECOND, max).await.unwrap();
        found.into_iter().map(|it| it.made.id).collect()
    };
    assert_eq!(undispatched(3, 10).await, [matches[1].id, matches[2].id]);
    assert_eq!(undispatched(9, 1).await, [matches[1].id]);
    let unknown = Dispatched { match_id: id(), session_cursor: String::new() };
    for _ in 0..2 {
        let told = [dispatched(&matches[1]), unknown.clone(), dispatched(&matches[0])];
        assert_eq!(store.dispatched(&told).await.unwrap(), [true, false, true]);
    }
    assert_eq!(undispatched(9, 10).await, [matches[2].id]);
    let found = store.matches(&[matches[0].id]).await.unwrap();
    assert_eq!(found, [Some(recorded(&matches[0], MatchState::Dispatched, Some("7-0")))]);
    assert!(!store.cancel_match(matches[0].id, now()).await.unwrap());
    assert_eq!(store.open_seats(queue.game, &[seat(&matches[0], 0).player]).await.unwrap().len(), 1);
}

async fn a_cancelled_match_holds_nobody(store: &dyn MatchStore) {
    let queue = queue();
    let made = duel(&queue, [id(), id()]);
    record(store, std::slice::from_ref(&made)).await;
    for _ in 0..2 {
        assert!(store.cancel_match(made.id, now()).await.unwrap());
    }
    assert!(!store.cancel_match(id(), now()).await.unwrap());
    let players: Vec<Uuid> = made.players().map(|it| it.player).collect();
    assert_eq!(store.open_seats(queue.game, &players).await.unwrap(), []);
    assert_eq!(store.dispatched(&[dispatched(&made)]).await.unwrap(), [false]);
    assert_eq!(store.matches_of_tickets(&made.tickets()).await.unwrap(), []);
    assert_eq!(store.undispatched(&queue, now() + SECOND, 10).await.unwrap(), []);
    assert_eq!(record(store, std::slice::from_ref(&made)).await, [Recorded::Known(MatchState::Aborted)]);
    assert_eq!(record(store, &[duel(&queue, [players[0], players[1]])]).await, [Recorded::Done]);
}

async fn seats_are_released_one_by_one_or_all(store: &dyn MatchStore) {
    let queue = queue();
    let (one, other) = (duel(&queue, [id(), id()]), duel(&queue, [id(), id()]));
    record(store, &[one.clone(), other.clone()]).await;
    let left = seat(&one, 0).player;
    let releases = [
        SeatRelease { session: one.session, player: Some(left) },
        SeatRelease { session: other.session, player: None },
        SeatRelease { session: other.session, player: Some(seat(&other, 1).player) },
        SeatRelease { session: id(), player: None },
        SeatRelease { session: one.session, player: Some(id()) },
    ];
    assert_eq!(store.release(&releases, now()).await.unwrap(), 3);
    assert_eq!(store.release(&releases, now()).await.unwrap(), 0);
    let players: Vec<Uuid> = one.players().chain(other.players()).map(|it| it.player).collect();
    assert_eq!(store.open_seats(queue.game, &players).await.unwrap(), [seat(&one, 1)]);
}

async fn sessions_that_nobody_looked_at_are_found(store: &dyn MatchStore) {
    let queue = queue();
    // Long ago, so that other tests' seats are younger.
    let begin = now() - Duration::from_hours(1_000);
    let matches: Vec<Match> = (0..4).map(|_| duel(&queue, [id(), id()])).collect();
    for (made, seconds) in matches.iter().zip(0_u32..) {
        store.record(std::slice::from_ref(made), begin + seconds * SECOND).await.unwrap();
    }
    let told: Vec<Dispatched> = matches[..3].iter().map(dispatched).collect();
    store.dispatched(&told).await.unwrap();
    let stale = async |seconds: u32, max| store.stale_seats(begin + seconds * SECOND, max).await.unwrap();
    let [first, second, third] = [0, 1, 2].map(|place| matches[place].session);
    // The fourth has no session yet.
    assert_eq!(stale(9, 10).await, [first, second, third]);
    assert_eq!(stale(2, 1).await, [first]);
    store.checked(&[first, id()], begin + 5 * SECOND).await.unwrap();
    store.release(&[SeatRelease { session: third, player: None }], now()).await.unwrap();
    assert_eq!(stale(9, 10).await, [second, first]);
    store.release(&[second, first].map(|session| SeatRelease { session, player: None }), now()).await.unwrap();
    assert_eq!(stale(9, 10).await, NOBODY);
}

async fn waits_are_those_of_recent_matches(store: &dyn MatchStore) {
    let queue = queue();
    let begin = now();
    let mut matches: Vec<Match> = (0..3).map(|_| duel(&queue, [id(), id()])).collect();
    for (made, seconds) in matches.iter_mut().zip(0_u32..) {
        made.created = begin + seconds * SECOND;
    }
    record(store, &matches).await;
    store.cancel_match(matches[2].id, now()).await.unwrap();
    store.abort(&queue, &[id()], begin + SECOND).await.unwrap();
    let recent = async |seconds: u32, max| store.recent_waits(&queue, begin + seconds * SECOND, max).await.unwrap();
    let wait = |place: usize| (matches[place].created, Duration::from_millis(1_234));
    assert_eq!(recent(0, 3).await, RecentWaits { matches: 2, waits: vec![wait(1), wait(1), wait(0)] });
    assert_eq!(recent(1, 10).await, RecentWaits { matches: 1, waits: vec![wait(1); 2] });
    assert_eq!(recent(2, 10).await, RecentWaits::default());
}

/// Whoever records and releases at the same time: each player has one open seat, and each match has all of its seats or
/// none.
async fn recorders_with_the_same_players_share_them(store: &Arc<dyn MatchStore>) {
    for _ in 0..10 {
        let queue = queue();
        let players: Vec<Uuid> = (0..12).map(|_| id()).collect();
        let recorders = (0..8_usize).map(|number| {
            let store = store.clone();
            let pair = |place: usize| [players[place % 12], players[(place + 1 + number % 5) % 12]];
            let matches: Vec<Match> = (0..12).map(|place| duel(&queue, pair(place + number))).collect();
            tokio::spawn(async move {
                store.record(&matches, now()).await.unwrap().into_iter().zip(matches).collect::<Vec<_>>()
            })
        });
        let outcomes: Vec<(Recorded, Match)> = join_all(recorders).await.into_iter().flat_map(Result::unwrap).collect();
        let seats = store.open_seats(queue.game, &players).await.unwrap();
        let mut done = 0;
        for (outcome, made) in &outcomes {
            let taken = seats.iter().filter(|seat| seat.match_id == made.id).count();
            assert_eq!(taken, if *outcome == Recorded::Done { 2 } else { 0 });
            done += taken;
        }
        assert_eq!(done, seats.len());
        // Two who are free both would be a match that somebody should have recorded: each pair meets at some recorder.
        assert!(seats.len() >= 6, "{} of 12 play", seats.len());
    }
}

async fn of_a_record_and_an_abort_one_wins(store: &Arc<dyn MatchStore>) {
    let queue = queue();
    for _ in 0..50 {
        let made = duel(&queue, [id(), id()]);
        let (recorder, aborter, of) = (store.clone(), store.clone(), queue.clone());
        let (match_id, copy) = (made.id, made.clone());
        let record = tokio::spawn(async move { recorder.record(&[copy], now()).await.unwrap().remove(0) });
        let abort = tokio::spawn(async move { aborter.abort(&of, &[match_id], now()).await.unwrap().remove(0) });
        match (record.await.unwrap(), abort.await.unwrap()) {
            (Recorded::Done, Aborted::Recorded(found)) => assert_eq!(found.made, made),
            (Recorded::Known(MatchState::Aborted), Aborted::Done) => {}
            both => panic!("{both:?}"),
        }
    }
}

async fn what_is_over_is_forgotten(store: &dyn MatchStore) {
    let queue = queue();
    let end = now() - Duration::from_hours(1_000);
    let mut matches: Vec<Match> = (0..6).map(|_| duel(&queue, [id(), id()])).collect();
    for (made, hours) in matches.iter_mut().zip([5, 4, 3, 2, 1, 0]) {
        made.id = least_id(end - Duration::from_hours(hours));
    }
    record(store, &matches).await;
    let told: Vec<Dispatched> = [0, 2, 3, 4, 5].map(|place| dispatched(&matches[place])).to_vec();
    store.dispatched(&told).await.unwrap();
    let releases = [0, 1, 2, 4, 5].map(|place| SeatRelease { session: matches[place].session, player: None });
    store.release(&releases, now()).await.unwrap();
    let aborted = least_id(end - Duration::from_hours(6));
    store.abort(&queue, &[aborted], now()).await.unwrap();
    // The second has no session yet, in the fourth somebody plays, the last is too young.
    assert_eq!(store.forget(end, 2).await.unwrap(), 2);
    assert_eq!(store.forget(end, 10).await.unwrap(), 2);
    assert_eq!(store.forget(end, 10).await.unwrap(), 0);
    let ids: Vec<Uuid> = matches.iter().map(|made| made.id).collect();
    let left: Vec<bool> = store.matches(&ids).await.unwrap().iter().map(Option::is_some).collect();
    assert_eq!(left, [false, true, false, true, false, true]);
    let tickets: Vec<Uuid> = matches.iter().flat_map(Match::tickets).collect();
    assert_eq!(store.matches_of_tickets(&tickets).await.unwrap().len(), 6, "with their seats");
    // Nobody knows of what was aborted any more.
    let again = Match { id: aborted, ..duel(&queue, [id(), id()]) };
    assert_eq!(record(store, &[again]).await, [Recorded::Done]);
}

async fn thousands_are_recorded_at_once(store: &dyn MatchStore) {
    let queue = queue();
    let matches: Vec<Match> = (0..2_500).map(|_| duel(&queue, [id(), id()])).collect();
    let begun = std::time::Instant::now();
    assert!(record(store, &matches).await.iter().all(|outcome| *outcome == Recorded::Done));
    println!("{} matches recorded in {:?}", matches.len(), begun.elapsed());
    let told: Vec<Dispatched> = matches.iter().map(dispatched).collect();
    assert!(store.dispatched(&told).await.unwrap().iter().all(|counts| *counts));
    let ids: Vec<Uuid> = matches.iter().map(|made| made.id).collect();
    assert_eq!(store.matches(&ids).await.unwrap().iter().flatten().count(), matches.len());
    let releases: Vec<_> = matches.iter().map(|made| SeatRelease { session: made.session, player: None }).collect();
    assert_eq!(store.release(&releases, now()).await.unwrap(), 5_000);
}

async fn verify(database: &Database) {
    let store: Arc<dyn MatchStore> = Arc::new(SqlMatches::new(database.clone()));
    what_was_recorded_is_read(&*store).await;
    a_conflict_drops_one_match_alone(&*store).await;
    of_matches_that_share_a_player_the_first_is_recorded(&*store).await;
    what_is_aborted_is_never_recorded(&*store).await;
    what_is_dispatched_is_found_no_more(&*store).await;
    a_cancelled_match_holds_nobody(&*store).await;
    seats_are_released_one_by_one_or_all(&*store).await;
    sessions_that_nobody_looked_at_are_found(&*store).await;
    waits_are_those_of_recent_matches(&*store).await;
    recorders_with_the_same_players_share_them(&store).await;
    of_a_record_and_an_abort_one_wins(&store).await;
    what_is_over_is_forgotten(&*store).await;
    thousands_are_recorded_at_once(&*store).await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    verify(&*pkg_db::testing::sqlite().await).await;
}

mod real_postgres {
    use super::*;

    #[tokio::test]
    async fn keeps_the_contract() {
        verify(&*pkg_db::testing::postgres().await).await;
    }

    /// A worker that was stopped in the middle of its transaction, and a sweeper that wants to give its claim back.
    #[tokio::test]
    async fn an_abort_waits_for_what_becomes_of_a_record_under_way() {
        let database = pkg_db::testing::postgres().await;
        let Database::Postgres(pool) = &*database else { panic!("it is Postgres") };
        let store = SqlMatches::new(database.clone());
        for commits in [true, false] {
            let made = duel(&queue(), [id(), id()]);
            let mut zombie = pkg_db::begin(pool).await.unwrap();
            let insert = "INSERT INTO matches (match_id, game_id, queue_key, state, body, created_ms) \
                 VALUES ($1, $2, $3, 'made', $4, 0)";
            let insert = sqlx::query(insert).bind(made.id).bind(made.queue.game).bind(made.queue.key.as_str());
            insert.bind(made.encode()).execute(&mut *zombie).await.unwrap();
            let (sweeper, of, match_id) = (store.clone(), made.queue.clone(), made.id);
            let abort = tokio::spawn(async move { sweeper.abort(&of, &[match_id], now()).await.unwrap().remove(0) });
            wait_until_somebody_waits(pool).await;
            assert!(!abort.is_finished());
            if commits {
                zombie.commit().await.unwrap();
                assert!(matches!(abort.await.unwrap(), Aborted::Recorded(_)));
            } else {
                zombie.rollback().await.unwrap();
                assert_eq!(abort.await.unwrap(), Aborted::Done);
                assert_eq!(record(&store, &[made]).await, [Recorded::Known(MatchState::Aborted)]);
            }
        }
    }

    async fn wait_until_somebody_waits(pool: &sqlx::PgPool) {
        let waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid' \
             AND transactionid IN (SELECT transactionid FROM pg_locks WHERE granted AND pid IN ( \
             SELECT pid FROM pg_locks WHERE granted AND relation = 'matches'::regclass))";
        let found = async {
            while sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(super::super::testing::LIMIT, found).await.expect("the abort waits");
    }
}
