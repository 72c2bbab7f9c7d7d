//! What every store of sessions promises. Each function is one promise; at the end they run against each adapter.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use pkg_ambient::Ambient;
use pkg_bus::{Bus, Cursor, Delivery, MemoryBus, NewEvent, RedisBus, Retention, Retentions};
use pkg_redis::Redis;
use time::OffsetDateTime;
use uuid::Uuid;

use super::entities::{EntityCommit, EntityCommitted, EntityStore};
use super::sessions::*;
use super::{MemorySessions, RedisSessions};
use crate::entity::{Controller, Entity};
use crate::session::tests::{joining, new_session, player, rules, team};
use crate::session::{JoinCode, Rules, Session};
use crate::sessions::topic;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A store, and the bus that it publishes on.
struct Kit<'a> {
    store: &'a dyn SessionStore,
    index: &'a dyn SessionIndex,
    entities: &'a dyn EntityStore,
    bus: &'a dyn Bus,
}

fn id() -> Uuid {
    Ambient::system().id()
}

/// To the millisecond, as stores keep it.
fn now() -> OffsetDateTime {
    pkg_db::from_millis(pkg_db::to_millis(Ambient::system().now()))
}

fn session() -> Session {
    let mut session = Session::create(new_session(id(), 8, vec![team("red", 4), team("blue", 4)]), now()).0;
    session.join(&joining(1), now()).unwrap();
    session
}

fn told(text: &str) -> NewEvent {
    NewEvent { id: None, payload: text.to_owned().into() }
}

fn commit(session: &Session, revision: i64, events: &[&str]) -> Commit {
    let events = events.iter().map(|text| told(text)).collect();
    Commit { session: session.clone(), revision, events, ends_topic: false, drops_content: false }
}

async fn save(kit: &Kit<'_>, session: &Session, revision: i64, events: &[&str]) -> Cursor {
    match kit.store.commit(&commit(session, revision, events)).await.unwrap() {
        Committed::Done { cursor, .. } => cursor,
        Committed::Conflict => panic!("nobody else was there"),
    }
}

/// What is told on a session's topic after a cursor.
async fn heard(kit: &Kit<'_>, session: Uuid, after: Cursor, count: usize) -> Vec<String> {
    let mut reader = kit.bus.reader();
    reader.follow(&topic(session), Some(after)).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < count {
        match tokio::time::timeout(LIMIT, reader.next()).await.expect("something is delivered") {
            Delivery::Event(event) => heard.push(String::from_utf8(event.payload().to_vec()).unwrap()),
            Delivery::Ended { .. } => heard.push("(ended)".to_owned()),
            Delivery::Gap { .. } => panic!("nothing is missing"),
        }
    }
    heard
}

async fn what_was_saved_is_loaded(kit: &Kit<'_>) {
    let mut session = session();
    assert_eq!(kit.store.load(session.id).await.unwrap(), None);
    let cursor = save(kit, &session, 0, &["begun", "joined"]).await;
    let loaded = kit.store.load(session.id).await.unwrap().unwrap();
    assert_eq!((&loaded.session, loaded.revision, loaded.cursor), (&session, 1, cursor));

    session.name = "another ä".to_owned();
    assert_eq!(save(kit, &session, 1, &[]).await, cursor, "nothing was told");
    let loaded = kit.store.load(session.id).await.unwrap().unwrap();
    assert_eq!((&loaded.session, loaded.revision, loaded.cursor), (&session, 2, cursor));
    assert_eq!(heard(kit, session.id, loaded.begin.unwrap(), 1).await, ["joined"]);

    let others: Vec<Session> = (0..40).map(|_| self::session()).collect();
    for other in &others {
        save(kit, other, 0, &["begun"]).await;
    }
    let mut ids: Vec<Uuid> = others.iter().map(|session| session.id).collect();
    ids.insert(7, id());
    let many = kit.store.load_many(&ids).await.unwrap();
    let found: Vec<Option<Uuid>> = many.iter().map(|one| one.as_ref().map(|one| one.session.id)).collect();
    let expected = ids.iter().enumerate().map(|(place, id)| (place != 7).then_some(*id));
    assert_eq!(found, expected.collect::<Vec<_>>());
    let singly = join_all(ids.iter().map(|id| kit.store.load(*id))).await;
    assert_eq!(singly.into_iter().map(Result::unwrap).collect::<Vec<_>>(), many);
}

async fn a_change_and_what_is_told_of_it_are_one_step(kit: &Kit<'_>) {
    let session = session();
    let Committed::Done { first: Some(first), cursor } =
        kit.store.commit(&commit(&session, 0, &["one", "two"])).await.unwrap()
    else {
        panic!("nobody else was there")
    };
    assert_ne!(first, cursor);
    assert_eq!(kit.store.commit(&commit(&session, 0, &["lost"])).await.unwrap(), Committed::Conflict);
    assert_eq!(kit.store.commit(&commit(&session, 2, &["lost"])).await.unwrap(), Committed::Conflict);
    save(kit, &session, 1, &["three"]).await;
    assert_eq!(heard(kit, session.id, first, 2).await, ["two", "three"]);
    assert_eq!(heard(kit, session.id, cursor, 1).await, ["three"]);
}

async fn what_is_read_has_the_place_between_before_and_after(kit: &Kit<'_>) {
    let (session, bus) = (session(), kit.bus);
    let (of, topic) = (session.id, topic(session.id));
    let say = async |text: &str| drop(bus.publish(&topic, &[told(text)], None).await.unwrap());
    save(kit, &session, 0, &["begun"]).await;
    say("before").await;
    let loaded = kit.store.load(of).await.unwrap().unwrap().cursor;
    assert_eq!(kit.store.load_many(&[of]).await.unwrap()[0].as_ref().map(|loaded| loaded.cursor), Some(loaded));
    say("after loading").await;
    let saved = save(kit, &session, 1, &[]).await;
    say("after saving").await;
    let create = entity_commit(of, &[], vec![entity(of, 1)], &[]);
    assert_eq!(kit.entities.commit_entities(&create, now()).await.unwrap(), EntityCommitted::Done);
    say("before reading entities").await;
    let page = kit.entities.entity_page(of, None, 10).await.unwrap().position.unwrap();
    say("after reading entities").await;
    let all = ["after loading", "after saving", "entities", "before reading entities", "after reading entities"];
    for (cursor, heard_of) in [(loaded, &all[..]), (saved, &all[1..]), (page, &all[4..])] {
        assert_eq!(heard(kit, of, cursor, heard_of.len()).await, heard_of);
    }
}

async fn events_are_kept_as_the_session_says(kit: &Kit<'_>) {
    const FEW: u32 = 16;
    let mut session = session();
    session.rules.events.retained_events = FEW.try_into().unwrap();
    let begin = save(kit, &session, 0, &["begun"]).await;
    for revision in 1..250 {
        save(kit, &session, revision, &["changed"]).await;
    }
    let mut reader = kit.bus.reader();
    reader.follow(&topic(session.id), Some(begin)).await.unwrap();
    let delivery = tokio::time::timeout(LIMIT, reader.next()).await.expect("something is delivered");
    assert!(matches!(delivery, Delivery::Gap { .. }), "{delivery:?}");
}

async fn of_many_at_once_one_is_first(kit: &Kit<'_>) {
    let session = session();
    let cursor = save(kit, &session, 0, &["begun"]).await;
    let commits: Vec<Commit> = (0..20).map(|number| commit(&session, 1, &[&number.to_string()])).collect();
    let outcomes = join_all(commits.iter().map(|commit| kit.store.commit(commit))).await;
    let done = outcomes.into_iter().filter(|outcome| matches!(outcome, Ok(Committed::Done { .. }))).count();
    assert_eq!(done, 1);
    save(kit, &session, 2, &["last"]).await;
    assert_eq!(heard(kit, session.id, cursor, 2).await[1], "last");
}

async fn what_is_over_ends_its_topic(kit: &Kit<'_>) {
    let mut session = session();
    let cursor = save(kit, &session, 0, &["begun"]).await;
    session.delete(pkg_middleware::Actor::Player(player(1)), now()).unwrap();
    let ends = Commit { ends_topic: true, drops_content: true, ..commit(&session, 1, &["deleted"]) };
    assert!(matches!(kit.store.commit(&ends).await.unwrap(), Committed::Done { first: Some(_), .. }));
    assert_eq!(heard(kit, session.id, cursor, 2).await, ["deleted", "(ended)"]);
    session.settle(&session.errands.clone());
    save(kit, &session, 2, &[]).await;
    assert_eq!(kit.store.load(session.id).await.unwrap().unwrap().session, session);
}

async fn a_session_is_forgotten_after_its_time(kit: &Kit<'_>) {
    let keep_after_end = Duration::from_millis(300);
    let mut session = Session { rules: Rules { keep_after_end, ..rules() }, ..session() };
    session.delete(pkg_middleware::Actor::Player(player(1)), now()).unwrap();
    session.errands.clear();
    save(kit, &session, 0, &["begun"]).await;
    assert!(kit.store.load(session.id).await.unwrap().is_some());
    let gone = async {
        while kit.store.load(session.id).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.expect("it is forgotten");
    save(kit, &session, 0, &[]).await;
}

async fn who_connects_makes_what_was_loaded_old(kit: &Kit<'_>) {
    let session = session();
    let lease =
        |user: u128, stream: u128| Lease { session: session.id, user: player(user), stream: Uuid::from_u128(stream) };
    let until = now() + Duration::from_secs(45);
    assert!(!kit.store.connect(&lease(1, 1), until).await.unwrap());
    save(kit, &session, 0, &["begun"]).await;

    assert!(kit.store.connect(&lease(1, 1), until).await.unwrap());
    assert!(kit.store.connect(&lease(1, 2), until + Duration::from_secs(1)).await.unwrap());
    assert!(kit.store.connect(&lease(2, 3), until + Duration::from_secs(2)).await.unwrap());
    assert_eq!(kit.store.commit(&commit(&session, 1, &[])).await.unwrap(), Committed::Conflict);
    let connected = async |at| kit.store.connected(session.id, at).await.unwrap();
    let both = Connected { users: [player(1), player(2)].into(), next_end: Some(until) };
    assert_eq!(connected(now()).await, both);

    let revision = kit.store.load(session.id).await.unwrap().unwrap().revision;
    kit.store.disconnect(&lease(1, 1)).await.unwrap();
    assert_eq!(kit.store.commit(&commit(&session, revision, &[])).await.unwrap(), Committed::Conflict);
    assert!(connected(now()).await.users.contains(&player(1)), "the other stream is open");
    let ended = connected(until + Duration::from_secs(1)).await;
    assert_eq!(ended.users, BTreeSet::from([player(2)]), "what ends now has ended");
    assert_eq!(connected(now()).await.users, BTreeSet::from([player(2)]));
    assert_eq!(kit.store.connected(id(), now()).await.unwrap(), Connected::default());
}

async fn leases_that_are_held_are_renewed(kit: &Kit<'_>) {
    let sessions: Vec<Session> = (0..20).map(|_| session()).collect();
    let (until, later) = (now() + Duration::from_secs(45), now() + Duration::from_mins(1));
    let mut leases = Vec::new();
    for (place, session) in sessions.iter().enumerate() {
        save(kit, session, 0, &["begun"]).await;
        let lease = Lease { session: session.id, user: player(1), stream: id() };
        if place % 2 == 0 {
            kit.store.connect(&lease, until).await.unwrap();
        }
        leases.push(lease);
    }
    let revision = kit.store.load(sessions[0].id).await.unwrap().unwrap().revision;
    let held = kit.store.renew(&leases, later).await.unwrap();
    assert_eq!(held, (0..20).map(|place| place % 2 == 0).collect::<Vec<_>>());
    assert_eq!(kit.store.connected(sessions[0].id, now()).await.unwrap().next_end, Some(later));
    assert_eq!(kit.store.connected(sessions[1].id, now()).await.unwrap(), Connected::default());
    assert_eq!(kit.store.load(sessions[0].id).await.unwrap().unwrap().revision, revision);
}

fn place(created_ms: i64) -> SessionPlace {
    SessionPlace { created_ms, session: id() }
}

async fn a_game_has_so_many_sessions_and_no_more(kit: &Kit<'_>) {
    let (game, places) = (id(), [place(1), place(2), place(3)]);
    assert!(kit.index.reserve(game, places[0], 2).await.unwrap());
    assert!(kit.index.reserve(game, places[1], 2).await.unwrap());
    assert!(!kit.index.reserve(game, places[2], 2).await.unwrap());
    assert!(kit.index.reserve(game, places[1], 2).await.unwrap(), "it is there");
    let was_saved = async |place: usize| kit.index.was_saved(game, places[place]).await.unwrap();
    kit.index.note_saved(game, places[0]).await.unwrap();
    kit.index.note_saved(game, places[2]).await.unwrap();
    assert!(kit.index.reserve(game, places[0], 2).await.unwrap());
    assert_eq!([was_saved(0).await, was_saved(1).await, was_saved(2).await], [true, false, false]);
    kit.index.release(game, places[0]).await.unwrap();
    assert!(!was_saved(0).await);
    assert!(kit.index.reserve(game, places[2], 2).await.unwrap());
    let (one, other) = (id(), (0..30).map(place).collect::<Vec<_>>());
    let reserved = join_all(other.iter().map(|place| kit.index.reserve(one, *place, 8))).await;
    assert_eq!(reserved.into_iter().filter(|reserved| *reserved.as_ref().unwrap()).count(), 8);
}

async fn lists_are_read_page_by_page_the_newest_first(kit: &Kit<'_>) {
    let (game, other) = (id(), id());
    // Some of one millisecond.
    let mut places: Vec<SessionPlace> = (0..25).map(|number| place(1_780_000_000_000 + number / 3)).collect();
    for place in &places {
        kit.index.list(game, *place, true).await.unwrap();
        kit.index.note_player(other, *place).await.unwrap();
    }
    kit.index.list(game, places[4], false).await.unwrap();
    kit.index.forget_player(other, places[4]).await.unwrap();
    places.remove(4);
    places.sort();
    places.reverse();
    let (mut listed, mut mine) = (Vec::new(), Vec::new());
    while listed.len() < places.len() {
        listed.extend(kit.index.open_sessions(game, listed.last().copied(), 7).await.unwrap());
        mine.extend(kit.index.sessions_of(other, mine.last().copied(), 7).await.unwrap());
    }
    assert_eq!((&listed, &mine), (&places, &places));
    assert_eq!(kit.index.open_sessions(game, listed.last().copied(), 7).await.unwrap(), []);
    assert_eq!(kit.index.open_sessions(id(), None, 7).await.unwrap(), []);
}

async fn a_join_code_leads_to_one_session(kit: &Kit<'_>) {
    let (game, code) = (id(), JoinCode::parse("ABCDEFGH").unwrap());
    let (one, other) = (id(), id());
    let until = now() + Duration::from_mins(1);
    assert!(kit.index.claim_code(game, &code, one, until).await.unwrap());
    assert!(!kit.index.claim_code(game, &code, other, until + Duration::from_secs(1)).await.unwrap());
    assert_eq!(kit.index.session_by_code(game, &code).await.unwrap(), Some(one));
    assert_eq!(kit.index.session_by_code(id(), &code).await.unwrap(), None, "a code is of a game");
    kit.index.release_code(game, &code, other).await.unwrap();
    assert_eq!(kit.index.session_by_code(game, &code).await.unwrap(), Some(one));
    kit.index.release_code(game, &code, one).await.unwrap();
    assert_eq!(kit.index.session_by_code(game, &code).await.unwrap(), None);
    assert!(kit.index.claim_code(game, &code, other, until).await.unwrap());
}

async fn what_is_due_is_claimed_once(kit: &Kit<'_>) {
    let (game, begin) = (id(), now());
    let second = Duration::from_secs(1);
    let places: Vec<SessionPlace> = (0..30).map(place).collect();
    for place in &places {
        kit.index.schedule(game, *place, begin + 2 * second).await.unwrap();
        kit.index.schedule(game, *place, begin + second).await.unwrap();
        kit.index.schedule(game, *place, begin + 3 * second).await.unwrap();
    }
    let claim = async |at, until| {
        let due = kit.index.claim_due(at, until, 1_000).await.unwrap();
        due.into_iter().filter(|due| due.game == game).collect::<Vec<_>>()
    };
    let at = |seconds: u32| begin + seconds * second;
    assert_eq!(claim(begin, at(9)).await, []);
    let (one, other) = tokio::join!(claim(at(1), at(10)), claim(at(1), at(10)));
    let mut claimed: Vec<SessionPlace> = one.iter().chain(&other).map(|due| due.place).collect();
    claimed.sort();
    assert_eq!(claimed, places);
    assert_eq!(claim(at(9), at(20)).await, [], "it is claimed");

    let due: Vec<Due> = one.into_iter().chain(other).collect();
    kit.index.reschedule(&due[0], None).await.unwrap();
    kit.index.reschedule(&due[1], Some(at(5))).await.unwrap();
    // Somebody else wants this one sooner than the claim ends.
    kit.index.schedule(game, due[2].place, at(5)).await.unwrap();
    kit.index.reschedule(&due[2], Some(at(100))).await.unwrap();
    let again: BTreeSet<Uuid> = claim(at(5), at(30)).await.iter().map(|due| due.session).collect();
    assert_eq!(again, BTreeSet::from([due[1].session, due[2].session]));
    // A claim that has run out is no longer good.
    kit.index.reschedule(&due[1], None).await.unwrap();
    assert_eq!(claim(at(200), at(300)).await.len(), 29);
}

fn entity(session: Uuid, number: u128) -> Entity {
    Entity {
        id: Uuid::from_u128(number),
        session,
        game: Uuid::from_u128(500),
        name: "ball".to_owned(),
        kind: "thing".to_owned(),
        controller: Controller::Player(player(1)),
        owner: None,
        attributes: pkg_definition::Attributes::default(),
        data: vec![7; 10].into(),
        version: 1,
        created_at: now(),
        updated_at: now(),
        request: bytes::Bytes::from_static(b"digest"),
    }
}

fn entity_commit(session: Uuid, expected: &[(u128, i64)], put: Vec<Entity>, delete: &[u128]) -> EntityCommit {
    EntityCommit {
        session,
        expected: expected.iter().map(|(number, version)| (Uuid::from_u128(*number), *version)).collect(),
        put,
        delete: delete.iter().map(|number| Uuid::from_u128(*number)).collect(),
        most: 3,
        event: told("entities"),
        kept: Retention::default(),
        batch: None,
    }
}

async fn entities_change_together_or_not_at_all(kit: &Kit<'_>) {
    let session = session();
    let of = session.id;
    let change = async |commit: &EntityCommit| kit.entities.commit_entities(commit, now()).await.unwrap();
    let (one, two) = (entity(of, 1), entity(of, 2));
    let create = entity_commit(of, &[(1, 0), (2, 0)], vec![one.clone(), two.clone()], &[]);
    assert_eq!(change(&create).await, EntityCommitted::SessionOver, "there is no session");
    let cursor = save(kit, &session, 0, &["begun"]).await;
    assert_eq!(change(&create).await, EntityCommitted::Done);
    assert_eq!(change(&create).await, EntityCommitted::Conflict);
    let ids = [1, 7, 2].map(Uuid::from_u128);
    let found = kit.entities.entities(of, &ids).await.unwrap();
    assert_eq!(found, [Some(one.clone()), None, Some(two.clone())]);

    let newer = Entity { version: 2, name: "ä".to_owned(), ..one.clone() };
    let stale = entity_commit(of, &[(1, 1), (2, 5)], vec![newer.clone()], &[2]);
    assert_eq!(change(&stale).await, EntityCommitted::Conflict);
    assert_eq!(change(&entity_commit(of, &[(1, 1), (2, 1)], vec![newer.clone()], &[2])).await, EntityCommitted::Done);
    let found = kit.entities.entities(of, &ids).await.unwrap();
    assert_eq!(found, [Some(newer.clone()), None, None]);

    let more = (3..6).map(|number| entity(of, number)).collect::<Vec<_>>();
    let many = entity_commit(of, &[], more.clone(), &[]);
    assert_eq!(change(&many).await, EntityCommitted::TooMany);
    assert_eq!(change(&entity_commit(of, &[(1, 2)], more, &[1])).await, EntityCommitted::Done);
    assert_eq!(heard(kit, of, cursor, 3).await, ["entities"; 3]);
}

async fn entities_are_read_in_the_order_of_their_ids(kit: &Kit<'_>) {
    let session = session();
    let of = session.id;
    save(kit, &session, 0, &["begun"]).await;
    let all: Vec<Entity> = (1..=10).map(|number| entity(of, number * 1_000)).collect();
    let mut mixed = all.clone();
    mixed.reverse();
    let commit = EntityCommit { most: 10, ..entity_commit(of, &[], mixed, &[]) };
    assert_eq!(kit.entities.commit_entities(&commit, now()).await.unwrap(), EntityCommitted::Done);
    let mut read: Vec<Entity> = Vec::new();
    loop {
        let page = kit.entities.entity_page(of, read.last().map(|entity| entity.id), 4).await.unwrap();
        read.extend(page.entities);
        if !page.more {
            break;
        }
    }
    assert_eq!(read, all);
    assert!(!kit.entities.entity_page(of, None, 10).await.unwrap().more);
}

async fn a_batch_is_done_once(kit: &Kit<'_>) {
    let session = session();
    let (of, batch) = (session.id, id());
    save(kit, &session, 0, &["begun"]).await;
    assert_eq!(kit.entities.batch(of, batch, now()).await.unwrap(), None);
    let ids = vec![Uuid::from_u128(1)];
    let commit = EntityCommit { batch: Some((batch, ids.clone())), ..entity_commit(of, &[], vec![entity(of, 1)], &[]) };
    assert_eq!(kit.entities.commit_entities(&commit, now()).await.unwrap(), EntityCommitted::Done);
    assert_eq!(kit.entities.commit_entities(&commit, now()).await.unwrap(), EntityCommitted::Conflict);
    assert_eq!(kit.entities.batch(of, batch, now()).await.unwrap(), Some(ids));
}

async fn entities_end_with_their_session(kit: &Kit<'_>) {
    for deleted in [true, false] {
        let mut session = session();
        let of = session.id;
        save(kit, &session, 0, &["begun"]).await;
        let create = entity_commit(of, &[], vec![entity(of, 1)], &[]);
        assert_eq!(kit.entities.commit_entities(&create, now()).await.unwrap(), EntityCommitted::Done);
        session.delete(pkg_middleware::Actor::Player(player(1)), now()).unwrap();
        let ends = Commit { ends_topic: true, drops_content: deleted, ..commit(&session, 1, &["over"]) };
        assert!(matches!(kit.store.commit(&ends).await.unwrap(), Committed::Done { .. }));
        let more = entity_commit(of, &[], vec![entity(of, 2)], &[]);
        assert_eq!(kit.entities.commit_entities(&more, now()).await.unwrap(), EntityCommitted::SessionOver);
        let left = kit.entities.entity_page(of, None, 10).await.unwrap().entities.len();
        assert_eq!(left, usize::from(!deleted));
    }
}

async fn verify(kit: &Kit<'_>) {
    what_was_saved_is_loaded(kit).await;
    a_change_and_what_is_told_of_it_are_one_step(kit).await;
    what_is_read_has_the_place_between_before_and_after(kit).await;
    events_are_kept_as_the_session_says(kit).await;
    of_many_at_once_one_is_first(kit).await;
    what_is_over_ends_its_topic(kit).await;
    a_session_is_forgotten_after_its_time(kit).await;
    who_connects_makes_what_was_loaded_old(kit).await;
    leases_that_are_held_are_renewed(kit).await;
    a_game_has_so_many_sessions_and_no_more(kit).await;
    lists_are_read_page_by_page_the_newest_first(kit).await;
    a_join_code_leads_to_one_session(kit).await;
    what_is_due_is_claimed_once(kit).await;
    entities_change_together_or_not_at_all(kit).await;
    entities_are_read_in_the_order_of_their_ids(kit).await;
    a_batch_is_done_once(kit).await;
    entities_end_with_their_session(kit).await;
}

/// Against a Redis, or a cluster of them.
pub(super) async fn verify_redis(redis: &Redis) {
    let bus = RedisBus::connect(redis.clone(), Ambient::system(), Retentions::default()).await.unwrap();
    let bus = Arc::new(bus);
    let store = RedisSessions::new(redis.clone(), bus.clone());
    verify(&Kit { store: &store, index: &store, entities: &store, bus: &*bus }).await;
    bus.close().await;
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let bus = MemoryBus::new(Ambient::system(), Retentions::default());
    let store = MemorySessions::new(Ambient::system(), bus.clone());
    verify(&Kit { store: &store, index: &store, entities: &store, bus: &bus }).await;
}
