//! Sessions applied to a store: what holds while many act at once, and what happens by itself.

use futures::future::join_all;
use pkg_api::game::v1 as api;
use pkg_api::log::v1::record;
use pkg_bus::Delivery;
use pkg_definition::Region;
use pkg_middleware::Actor;

use super::connections::LEASE;
use super::testing::{GAME, LIMIT, SERVER, World, creation, player, rules};
use super::*;
use crate::SessionStores;
use crate::entities::{Entities, EntityError};
use crate::session::{JoinCode, Results, SessionEvent, State, Visibility};
use crate::store::SessionPlace;

const WITHIN: Duration = Duration::from_secs(20);

async fn a_hundred_joins_at_once_end_with_eight(world: &World, other: &World) {
    let session = world.sessions.create(creation(), SERVER).await.unwrap().session;
    let joins = (1..=100_u128).map(|number| {
        let world = if number.is_multiple_of(2) { world } else { other };
        world.join(session.id, number)
    });
    let outcomes = join_all(joins).await;
    let full =
        |outcome: &Result<View, SessionError>| matches!(outcome, Err(SessionError::Refused(Refused::SessionFull)));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 8);
    assert_eq!(outcomes.iter().filter(|outcome| full(outcome)).count(), 92);
    let after = world.load(session.id).await;
    assert_eq!((after.seats.len(), after.state, after.is_open()), (8, State::Waiting, false));

    let mut reader = world.bus.reader();
    let begin = world.sessions.get(session.id, SERVER).await.unwrap().cursor;
    reader.follow(&topic(session.id), Some(begin)).await.unwrap();
    world.sessions.leave(session.id, Actor::Player(after.seats[0].player)).await.unwrap();
    let told = tokio::time::timeout(LIMIT, reader.next()).await.expect("it is told");
    assert!(matches!(told, Delivery::Event(_)));
}

async fn two_writers_never_overwrite_each_other(world: &World, other: &World) {
    let session = world.create(1).await;
    let write = async |world: &World, name: String| {
        for _ in 0..200 {
            let version = world.load(session.id).await.attributes_version;
            let change =
                crate::session::Change { attributes_version: version, name: Some(name.clone()), ..Default::default() };
            match world.sessions.update(session.id, &change, player(1)).await {
                Ok(_) => return,
                Err(SessionError::Refused(Refused::Changed { .. })) => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("never");
    };
    let writers = (0..20).map(|number| write(if number % 2 == 0 { world } else { other }, format!("name {number}")));
    join_all(writers).await;
    assert_eq!(world.load(session.id).await.attributes_version, 21);
}

async fn who_connects_and_goes_at_once_is_seen_as_they_are(world: &World, other: &World) {
    let session = world.create(1).await;
    for number in 2..=6 {
        world.join(session.id, number).await.unwrap();
    }
    let come_and_go = async |number: u128| {
        let world = if number.is_multiple_of(2) { world } else { other };
        for round in 0..5 {
            let lease = world.lease(session.id, player(number));
            world.sessions.stream_opened(&lease).await.unwrap();
            if round < 4 || number > 3 {
                world.sessions.stream_closed(&lease).await.unwrap();
            }
        }
    };
    join_all((1..=6).map(come_and_go)).await;
    let connected: Vec<bool> = world.load(session.id).await.seats.iter().map(|seat| seat.connected).collect();
    assert_eq!(connected, [true, true, true, false, false, false]);
}

async fn both(one: World, other: World) {
    a_hundred_joins_at_once_end_with_eight(&one, &other).await;
    two_writers_never_overwrite_each_other(&one, &other).await;
    who_connects_and_goes_at_once_is_seen_as_they_are(&one, &other).await;
}

#[tokio::test]
async fn many_act_at_once() {
    let world = World::memory(rules()).await;
    let stores = SessionStores {
        store: world.sessions.store.clone(),
        index: world.sessions.index.clone(),
        entities: world.sessions.entities.clone(),
    };
    let other = {
        let time = (world.clock.clone(), world.sessions.ambient.clone());
        World::new(stores, world.bus.clone(), time, rules()).await
    };
    both(world, other).await;
}

mod real_redis {
    use super::*;

    #[tokio::test]
    async fn many_act_at_once() {
        let redis = pkg_redis::testing::redis().await;
        both(World::redis(&redis, rules()).await, World::redis(&redis, rules()).await).await;
    }
}

#[tokio::test]
async fn a_finished_session_is_recorded_once_and_never_changes() {
    let world = World::memory(rules()).await;
    let session = world.create(1).await;
    world.join(session.id, 2).await.unwrap();
    world.sessions.leave(session.id, player(2)).await.unwrap();
    world.sessions.start(session.id, player(1)).await.unwrap();
    let finish = || async { world.sessions.finish(session.id, &Results::default(), player(1), WITHIN).await };
    let finished = finish().await.unwrap().session;
    assert_eq!(finished.state, State::Finished);
    assert_eq!(finish().await.unwrap().session, finished);
    let records = world.records(session.id).await;
    let ends = records.iter().filter(|event| matches!(event, record::Event::SessionEnded(_))).count();
    let left = records.iter().filter(|event| matches!(event, record::Event::SeatLeft(_))).count();
    assert_eq!((ends, left), (1, 1));
    assert!(matches!(world.join(session.id, 3).await, Err(SessionError::Refused(Refused::State { .. }))));
    assert!(world.sessions.list_mine(player(1).id(), None, None, 10).await.unwrap().sessions.is_empty());
}

#[tokio::test]
async fn what_was_cut_off_is_finished_by_the_sweeper() {
    let world = World::memory(rules()).await;
    let session = world.create(1).await;
    world.sessions.start(session.id, player(1)).await.unwrap();
    // The caller has no time to wait for the record, and what was begun beside it is lost with the process.
    let loaded = world.sessions.store.load(session.id).await.unwrap().unwrap();
    let mut finishing = loaded.session.clone();
    let events: Vec<SessionEvent> = finishing.finish(&Results::default(), player(1), world.sessions.now()).unwrap();
    assert_eq!(events.len(), 1);
    let commit = crate::store::Commit {
        session: finishing,
        revision: loaded.revision,
        events: Vec::new(),
        ends_topic: false,
        drops_content: false,
    };
    world.sessions.store.commit(&commit).await.unwrap();
    assert_eq!(world.load(session.id).await.state, State::Finishing);
    world.pass(Duration::from_mins(1)).await;
    assert_eq!(world.load(session.id).await.state, State::Finished);
    assert_eq!(world.records(session.id).await.len(), 1);
}

#[tokio::test]
async fn a_lost_seat_is_given_up_and_everyone_is_told() {
    let world = World::memory(rules()).await;
    let session = world.create(1).await;
    world.join(session.id, 2).await.unwrap();
    let (one, two) = (world.lease(session.id, player(1)), world.lease(session.id, player(2)));
    world.sessions.stream_opened(&one).await.unwrap();
    world.sessions.stream_opened(&two).await.unwrap();
    world.sessions.stream_closed(&two).await.unwrap();
    world.pass(Duration::from_secs(20)).await;
    world.sessions.renew(&[one]).await.unwrap();
    assert_eq!(world.load(session.id).await.seats.len(), 2);

    let mut news = world.bus.reader();
    news.follow(&player_topic(player(2).id()), None).await.unwrap();
    world.pass(Duration::from_secs(10)).await;
    let after = world.load(session.id).await;
    assert_eq!(after.seats.len(), 1);
    assert!(matches!(tokio::time::timeout(LIMIT, news.next()).await, Ok(Delivery::Event(_))));
    let records = world.records(session.id).await;
    assert!(matches!(&records[..], [record::Event::SeatLeft(left)]
        if left.reason == i32::from(api::LeaveReason::ConnectionLost)));
    assert_eq!(after.former.len(), 1);
}

#[tokio::test]
async fn a_node_that_dies_loses_its_leases_and_a_stalled_one_takes_them_back() {
    let world = World::memory(rules()).await;
    let session = world.create(1).await;
    let lease = world.lease(session.id, player(1));
    world.sessions.stream_opened(&lease).await.unwrap();
    world.pass(LEASE).await;
    assert!(!world.load(session.id).await.seats[0].connected, "nobody renewed it");
    world.sessions.renew(&[lease]).await.unwrap();
    assert!(world.load(session.id).await.seats[0].connected);
    for _ in 0..20 {
        world.pass(RENEW_EVERY).await;
        world.sessions.renew(&[lease]).await.unwrap();
    }
    assert_eq!(world.load(session.id).await.seats.len(), 1);
}

#[tokio::test]
async fn an_abandoned_session_ends_and_leaves_nothing_behind() {
    let world = World::memory(api::SessionRules { max_sessions: 1, ..rules() }).await;
    let session = world.create(1).await;
    let full = world.sessions.create(creation(), player(2)).await;
    assert!(matches!(full, Err(SessionError::TooManySessions)));
    for _ in 0..5 {
        world.pass(Duration::from_secs(30)).await;
    }
    assert_eq!(world.load(session.id).await.state, State::Finished);
    assert_eq!(world.sessions.index.open_sessions(GAME, None, 10).await.unwrap(), []);
    world.create(2).await;
    world.pass(Duration::from_hours(9)).await;
    assert!(world.sessions.store.load(session.id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_that_was_never_saved_is_not_counted_for_long() {
    let world = World::memory(api::SessionRules { max_sessions: 1, ..rules() }).await;
    let place = SessionPlace { created_ms: pkg_db::to_millis(world.sessions.now()), session: Uuid::from_u128(77) };
    world.sessions.index.schedule(GAME, place, world.sessions.now()).await.unwrap();
    assert!(world.sessions.index.reserve(GAME, place, 1).await.unwrap());
    world.pass(Duration::from_secs(1)).await;
    assert!(matches!(world.sessions.create(creation(), player(2)).await, Err(SessionError::TooManySessions)));
    world.pass(Duration::from_mins(1)).await;
    world.create(2).await;
}

#[tokio::test]
async fn a_session_that_the_store_lost_is_recorded_as_lost() {
    let world = World::memory(api::SessionRules { max_sessions: 2, ..rules() }).await;
    let index = &world.sessions.index;
    let place =
        |number| SessionPlace { created_ms: pkg_db::to_millis(world.sessions.now()), session: Uuid::from_u128(number) };
    let (lost, never_saved) = (place(77), place(78));
    for place in [lost, never_saved] {
        index.schedule(GAME, place, world.sessions.now()).await.unwrap();
        assert!(index.reserve(GAME, place, 2).await.unwrap());
    }
    index.note_saved(GAME, lost).await.unwrap();
    world.pass(Duration::from_mins(2)).await;
    let records = world.records_of(&format!("{GAME}/")).await;
    assert!(matches!(&records[..], [record::Event::SessionEnded(ended)]
        if ended.session_id == lost.session.to_string() && ended.reason == i32::from(api::SessionEndReason::Lost)));
    world.create(1).await;
    world.create(2).await;
}

#[tokio::test]
async fn changes_of_entities_and_events_are_counted_together() {
    let limits = api::EventLimits { player_events_per_second: 1, ..Default::default() };
    let world = World::memory(api::SessionRules { event_limits: Some(limits), ..rules() }).await;
    let session = world.create(1).await;
    let entities = Entities::new(world.sessions.clone());
    let delete = |number| {
        let id = Uuid::from_u128(number);
        let operation = crate::entity::Operation::Delete { id, version: 0 };
        let entities = &entities;
        async move { entities.change(session.id, &[operation], None, player(1)).await }
    };
    // A hundred are let through at once, whatever the rate.
    let publishing = world.sessions.may_publish(player(1), session.id).await.unwrap();
    let spend = |events| world.sessions.spend(player(1), session.id, &publishing.standing, &publishing.limits, events);
    assert!(spend(99).is_ok());
    assert!(matches!(delete(1).await, Err(EntityError::Refused(_))), "it is counted and looked for");
    assert!(matches!(delete(2).await, Err(EntityError::Limited { .. })));
    assert!(spend(1).is_err());
}

#[tokio::test]
async fn a_session_that_ends_is_not_lost() {
    let world = World::memory(rules()).await;
    let session = world.create(1).await;
    assert!(world.sessions.index.was_saved(GAME, SessionPlace::of(&session)).await.unwrap());
    world.sessions.delete(session.id, player(1)).await.unwrap();
    assert_eq!(world.records(session.id).await.len(), 1);
    world.pass(Duration::from_hours(48)).await;
    assert!(world.sessions.store.load(session.id).await.unwrap().is_none());
    assert_eq!(world.records_of(&format!("{GAME}/")).await.len(), 1);
}

#[tokio::test]
async fn a_repeated_creation_answers_with_the_session_as_it_is() {
    let world = World::memory(rules()).await;
    let given = Creation { id: Some(world.sessions.ambient.id()), ..creation() };
    let first = world.sessions.create(given.clone(), player(1)).await.unwrap();
    world.join(first.session.id, 2).await.unwrap();
    let second = world.sessions.create(given.clone(), player(1)).await.unwrap();
    assert_eq!(second.session.seats.len(), 2);
    let other = Creation { name: "other".to_owned(), ..given.clone() };
    assert!(matches!(world.sessions.create(other, player(1)).await, Err(SessionError::IdTaken)));
    assert!(matches!(world.sessions.create(given, player(2)).await, Err(SessionError::IdTaken)));
    let big = Creation { max_players: Some(9), ..creation() };
    assert!(matches!(world.sessions.create(big, player(1)).await, Err(SessionError::InvalidField { .. })));
    let elsewhere = Creation { game: Uuid::from_u128(51), ..creation() };
    assert!(matches!(world.sessions.create(elsewhere, player(1)).await, Err(SessionError::GameNotFound)));
}

#[tokio::test]
async fn a_match_has_its_session_once() {
    let world = World::memory(rules()).await;
    let team = |name: &str, number: u128| MatchTeam {
        name: pkg_definition::TeamName::parse(name),
        players: vec![player(number).id()],
    };
    let creation = MatchCreation {
        match_id: Uuid::from_u128(60),
        session: world.sessions.ambient.id(),
        game: GAME,
        queue_key: "duel".to_owned(),
        revision: 4,
        region: Region::Global,
        teams: vec![team("team-1", 1), team("team-2", 2)],
    };
    let (view, created) = world.sessions.create_match(&creation).await.unwrap();
    assert!(created && view.session.owner == Some(player(1).id()) && view.session.join_code.is_some());
    assert!(view.session.errands.is_empty());
    assert!(!world.sessions.create_match(&creation).await.unwrap().1);
    let other = MatchCreation { teams: vec![team("team-1", 1), team("team-2", 3)], ..creation.clone() };
    assert!(matches!(world.sessions.create_match(&other).await, Err(SessionError::MatchDiffers)));
    let queue =
        MatchCreation { session: world.sessions.ambient.id(), queue_key: "none".to_owned(), ..creation.clone() };
    assert!(matches!(world.sessions.create_match(&queue).await, Err(SessionError::QueueNotFound)));
    let revision = MatchCreation { session: world.sessions.ambient.id(), revision: 9, ..creation };
    assert!(matches!(world.sessions.create_match(&revision).await, Err(SessionError::RevisionNotFound)));

    let id = view.session.id;
    for number in [1, 2] {
        world.sessions.stream_opened(&world.lease(id, player(number))).await.unwrap();
    }
    assert_eq!(world.load(id).await.state, State::Started);
    let query = |player: Actor| SeatQuery { game: GAME, session: id, player: player.id() };
    assert_eq!(world.sessions.check_seats(&[query(player(3)), query(player(2))]).await.unwrap(), [false, true]);
    let whereabouts = world.sessions.whereabouts(&[player(2).id(), player(3).id()]).await.unwrap();
    assert_eq!(whereabouts, [Some(Whereabouts { game: GAME, session: id, public: false }), None]);
}

#[tokio::test]
async fn open_sessions_are_listed_and_full_ones_are_not() {
    let world = World::memory(rules()).await;
    let mut made = Vec::new();
    for number in 1..=5 {
        made.push(world.create(number).await.id);
        world.clock.advance(Duration::from_millis(1));
    }
    let small = Creation { max_players: Some(1), ..creation() };
    world.sessions.create(small, player(6)).await.unwrap();
    world.sessions.start(made[1], player(2)).await.unwrap();
    let filter = OpenFilter::default();
    let first = world.sessions.list_open(GAME, &filter, None, 3).await.unwrap();
    let ids = |page: &Page| page.sessions.iter().map(|session| session.id).collect::<Vec<_>>();
    assert_eq!(ids(&first), [made[4], made[3], made[2]]);
    let rest = world.sessions.list_open(GAME, &filter, first.next, 3).await.unwrap();
    assert_eq!((ids(&rest), rest.next), (vec![made[0]], None));
    let elsewhere = OpenFilter { region: Some(Region::Africa), ..OpenFilter::default() };
    assert!(world.sessions.list_open(GAME, &elsewhere, None, 3).await.unwrap().sessions.is_empty());
    world.join(made[0], 9).await.unwrap();
    let mine = world.sessions.list_mine(player(9).id(), Some(GAME), None, 3).await.unwrap();
    assert_eq!(ids(&mine), [made[0]]);
}

#[tokio::test]
async fn a_join_code_leads_in_and_cannot_be_guessed_fast() {
    let world = World::memory(rules()).await;
    let private = Creation { visibility: Visibility::Private, ..creation() };
    let session = world.sessions.create(private, player(1)).await.unwrap().session;
    let code = session.join_code.clone().expect("it has a code");
    assert!(matches!(world.join(session.id, 2).await, Err(SessionError::Refused(Refused::Hidden))));
    assert!(matches!(world.sessions.get(session.id, player(2)).await, Err(SessionError::NotFound)));
    world.sessions.join_by_code(GAME, &code, None, player(2)).await.unwrap();
    let wrong = JoinCode::parse("ZZZZZZZZ").unwrap();
    let tries = join_all((0..20).map(|_| world.sessions.join_by_code(GAME, &wrong, None, player(3)))).await;
    assert!(tries.iter().any(|outcome| matches!(outcome, Err(SessionError::CodeNotFound))));
    assert!(tries.iter().any(|outcome| matches!(outcome, Err(SessionError::Limited { .. }))));

    let public =
        crate::session::Change { attributes_version: 1, visibility: Some(Visibility::Public), ..Default::default() };
    world.sessions.update(session.id, &public, player(1)).await.unwrap();
    assert!(matches!(world.sessions.join_by_code(GAME, &code, None, player(4)).await, Err(SessionError::CodeNotFound)));
}

#[tokio::test]
async fn who_may_follow_and_publish_is_told_by_the_seat() {
    let world = World::memory(rules()).await;
    let session = world.create(1).await.id;
    let admit = async |who| world.sessions.admit(who, session).await;
    assert!(admit(player(1)).await.unwrap().holds() && admit(SERVER).await.unwrap().holds());
    assert!(!admit(Actor::Admin(Uuid::from_u128(7))).await.unwrap().holds());
    assert!(matches!(admit(player(2)).await, Err(SessionError::Refused(Refused::NotInSession))));
    assert!(world.sessions.may_publish(player(2), session).await.is_err());
    world.join(session, 2).await.unwrap();
    assert!(world.sessions.may_publish(player(2), session).await.is_ok(), "a change here is known at once");
    world.sessions.delete(session, player(1)).await.unwrap();
    assert!(matches!(
        world.sessions.may_publish(player(2), session).await,
        Err(SessionError::Refused(Refused::State { .. }))
    ));
    assert!(admit(player(2)).await.unwrap().over);
}

#[tokio::test]
async fn an_account_that_is_gone_loses_its_seats() {
    let world = World::memory(rules()).await;
    let (one, other) = (world.create(1).await.id, world.create(2).await.id);
    world.join(other, 1).await.unwrap();
    world.sessions.lose_account(player(1).id()).await.unwrap();
    assert!(world.load(one).await.seats.is_empty());
    assert_eq!(world.load(other).await.seats.len(), 1);
    assert_eq!(world.sessions.index.sessions_of(player(1).id(), None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_player_hears_of_a_seat_given_and_of_its_loss() {
    let world = World::memory(rules()).await;
    let session = world.create(1).await;
    let mut news = world.bus.reader();
    news.follow(&player_topic(player(2).id()), None).await.unwrap();
    world.sessions.join(session.id, player(2).id(), None, None, SERVER).await.unwrap();
    world.sessions.kick(session.id, player(2).id(), "", player(1)).await.unwrap();
    for _ in 0..2 {
        let told = tokio::time::timeout(LIMIT, news.next()).await.expect("it is told");
        assert!(matches!(told, Delivery::Event(_)));
    }
}
