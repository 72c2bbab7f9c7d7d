//! What a session does, move by move.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use pkg_ambient::{Ambient, ManualClock};
use pkg_definition::{AttributeKey, AttributeValue, Attributes, Region, TeamName};
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;
use crate::attributes::AttributeChange;

pub(crate) const SERVER: Actor = Actor::Server(Uuid::from_u128(900));
pub(crate) const ADMIN: Actor = Actor::Admin(Uuid::from_u128(901));
const GRACE: Duration = Duration::from_secs(30);
const ABANDON: Duration = Duration::from_mins(2);

pub(crate) fn player(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) fn start_time() -> OffsetDateTime {
    Ambient::with_clock(ManualClock::new()).now()
}

pub(crate) fn rules() -> Rules {
    let count = |number| NonZeroU32::new(number).unwrap();
    Rules {
        owner_may_finish: true,
        members_may_update: false,
        join_after_start: false,
        reconnect_grace: GRACE,
        abandon_after: ABANDON,
        max_duration: Duration::from_hours(1),
        keep_after_end: Duration::from_hours(1),
        max_entities: 10,
        events: EventLimits {
            player_events_per_second: count(60),
            session_events_per_second: count(5_000),
            max_event_bytes: count(4_096),
            retained_events: count(1_000),
            retention: Duration::from_mins(10),
        },
    }
}

pub(crate) fn team(name: &str, max_players: usize) -> Team {
    Team { name: TeamName::parse(name).unwrap(), max_players }
}

pub(crate) fn new_session(id: Uuid, max_players: usize, teams: Vec<Team>) -> NewSession {
    NewSession {
        id,
        game: Uuid::from_u128(500),
        name: "room".to_owned(),
        region: Region::EuCentral,
        visibility: Visibility::Public,
        join_code: None,
        owned_by_players: true,
        max_players,
        teams,
        attributes: Attributes::default(),
        data: Bytes::from_static(b"data"),
        definition_revision: 3,
        rules: rules(),
        origin: None,
        request: Bytes::from_static(b"digest"),
    }
}

fn room(max_players: usize) -> Session {
    Session::create(new_session(Uuid::from_u128(1), max_players, Vec::new()), start_time()).0
}

pub(crate) fn joining(number: u128) -> Joining {
    let player = player(number);
    Joining { player, team: None, code: None, by: Actor::Player(player), record: Uuid::from_u128(1_000 + number) }
}

fn join(session: &mut Session, number: u128) -> Result<Vec<SessionEvent>, Refused> {
    session.join(&joining(number), start_time())
}

/// A room with players 1 to `players`.
fn room_of(players: u128, max_players: usize) -> Session {
    let mut session = room(max_players);
    for number in 1..=players {
        join(&mut session, number).unwrap();
    }
    session
}

fn owner() -> Actor {
    Actor::Player(player(1))
}

fn code() -> JoinCode {
    JoinCode::parse("abcdefgh").unwrap()
}

fn state_refused(outcome: &Result<Vec<SessionEvent>, Refused>, state: State, attempt: Attempt) {
    assert_eq!(*outcome, Err(Refused::State { state, attempt }));
}

#[test]
fn the_first_player_owns_it_and_makes_it_wait() {
    let mut session = room(8);
    let events = join(&mut session, 1).unwrap();
    assert!(matches!(&events[0], SessionEvent::Joined { seat, .. } if seat.player == player(1)));
    assert!(matches!(events[1], SessionEvent::StateChanged { new: State::Waiting, .. }));
    assert!(matches!(events[2], SessionEvent::OwnerChanged { new: Some(_), .. }));
    assert_eq!(session.owner, Some(player(1)));
    assert_eq!(join(&mut session, 1), Ok(vec![]), "who has a seat keeps it");
}

#[test]
fn it_takes_no_more_than_it_may() {
    let mut session = room_of(2, 2);
    assert_eq!(join(&mut session, 3), Err(Refused::SessionFull));

    let mut session = Session::create(new_session(player(9), 5, vec![team("red", 1), team("blue", 2)]), start_time()).0;
    let into = |name| Joining { team: TeamName::parse(name), ..joining(7) };
    join(&mut session, 1).unwrap();
    assert_eq!(session.seats[0].team, TeamName::parse("red"), "the first of the smallest");
    assert_eq!(session.join(&into("red"), start_time()), Err(Refused::TeamFull));
    assert_eq!(session.join(&into("green"), start_time()), Err(Refused::NoSuchTeam));
    join(&mut session, 2).unwrap();
    join(&mut session, 3).unwrap();
    assert_eq!(session.team_size(&team("blue", 2).name), 2);
    assert_eq!(join(&mut session, 4), Err(Refused::SessionFull), "no team has a place");
}

#[test]
fn the_owner_who_leaves_hands_it_to_who_has_been_there_longest() {
    let mut session = room_of(3, 8);
    let events = session.leave(player(1), start_time()).unwrap();
    assert!(matches!(events[1], SessionEvent::OwnerChanged { new: Some(new), .. } if new == player(2)));
    assert_eq!(session.leave(player(1), start_time()), Ok(vec![]));
    session.leave(player(2), start_time()).unwrap();
    let events = session.leave(player(3), start_time()).unwrap();
    assert!(matches!(events[1], SessionEvent::OwnerChanged { new: None, .. }));
    assert!(matches!(events[2], SessionEvent::StateChanged { new: State::Created, .. }));
    assert_eq!(session.errands.len(), 3, "each seat is recorded");
    join(&mut session, 4).unwrap();
    assert_eq!(session.owner, Some(player(4)));
}

#[test]
fn who_was_kicked_cannot_come_back() {
    let mut session = room_of(3, 8);
    let now = start_time();
    assert_eq!(session.kick(player(2), "", Actor::Player(player(3)), now), Err(Refused::NotOwner));
    assert_eq!(session.kick(player(2), "", Actor::Player(player(7)), now), Err(Refused::NotInSession));
    assert_eq!(session.kick(player(1), "", SERVER, now), Err(Refused::OwnerKicked));
    let events = session.kick(player(2), "rude", owner(), now).unwrap();
    assert!(matches!(&events[0], SessionEvent::Left { kick_reason, .. } if kick_reason == "rude"));
    assert_eq!(session.kick(player(2), "rude", owner(), now), Ok(vec![]));
    assert_eq!(join(&mut session, 2), Err(Refused::Kicked));
    let told = Errand::TellPlayer { id: player(1_003), player: player(2), lost: Some(LeaveReason::Kicked) };
    assert!(session.errands.contains(&told));
}

#[test]
fn a_private_session_is_found_by_its_code_alone() {
    let new = NewSession {
        visibility: Visibility::Private,
        join_code: Some(code()),
        ..new_session(Uuid::from_u128(1), 4, Vec::new())
    };
    let mut session = Session::create(new, start_time()).0;
    assert_eq!(join(&mut session, 1), Err(Refused::Hidden));
    let wrong = Joining { code: JoinCode::parse("zzzzzz").ok(), ..joining(1) };
    assert_eq!(session.join(&wrong, start_time()), Err(Refused::Hidden));
    let right = Joining { code: Some(code()), ..joining(1) };
    session.join(&right, start_time()).unwrap();
    let seated = Joining { by: SERVER, ..joining(2) };
    session.join(&seated, start_time()).unwrap();
    assert!(session.errands.contains(&Errand::TellPlayer { id: player(1_002), player: player(2), lost: None }));
    assert!(session.is_visible_to(Actor::Player(player(2))) && !session.is_visible_to(Actor::Player(player(3))));
    assert!(session.is_visible_to(ADMIN) && !session.is_open());
    assert_eq!(session.start(Actor::Player(player(3)), start_time()), Err(Refused::Hidden));
}

#[test]
fn impossible_moves_are_refused_by_name() {
    let now = start_time();
    let mut session = room_of(2, 8);
    state_refused(&session.pause(owner(), now), State::Waiting, Attempt::Pause);
    state_refused(&session.resume(owner(), now), State::Waiting, Attempt::Resume);
    state_refused(&session.finish(&Results::default(), owner(), now), State::Waiting, Attempt::Finish);
    assert_eq!(session.start(owner(), now).unwrap().len(), 1);
    assert_eq!(session.start(owner(), now), Ok(vec![]));
    state_refused(&join(&mut session, 3), State::Started, Attempt::Join);
    state_refused(&session.delete(owner(), now), State::Started, Attempt::Delete);
    session.pause(owner(), now).unwrap();
    state_refused(&session.start(owner(), now), State::Paused, Attempt::Start);
    session.resume(owner(), now + Duration::from_secs(5)).unwrap();
    assert_eq!((session.state, session.paused_ms), (State::Started, 5_000));

    session.finish(&Results::default(), owner(), now).unwrap();
    session.settle(&[Errand::RecordEnd]);
    assert_eq!(session.state, State::Finished);
    state_refused(&session.leave(player(1), now), State::Finished, Attempt::Leave);
    state_refused(&session.kick(player(2), "", SERVER, now), State::Finished, Attempt::Kick);
    state_refused(&session.transfer(player(2), SERVER), State::Finished, Attempt::Transfer);
    state_refused(&session.update(&Change::default(), None, SERVER), State::Finished, Attempt::Update);
    state_refused(&session.delete(SERVER, now), State::Finished, Attempt::Delete);
    assert_eq!(session.leave(player(7), now), Ok(vec![]), "who has no seat is told OK");
}

#[test]
fn a_seat_may_be_taken_after_the_start_where_the_game_allows_it() {
    let mut session = room_of(1, 4);
    session.rules.join_after_start = true;
    session.start(owner(), start_time()).unwrap();
    join(&mut session, 2).unwrap();
    assert_eq!(session.state, State::Started);
}

fn result(number: u128, placement: u32) -> PlayerResult {
    let attributes = Attributes::default();
    PlayerResult { player: player(number), team: None, placement, score: None, attributes, left_early: false }
}

fn results(players: Vec<PlayerResult>) -> Results {
    Results { players, attributes: Attributes::default() }
}

#[test]
fn results_count_once_and_only_for_those_who_were_there() {
    let now = start_time();
    let mut session = room_of(3, 8);
    session.start(owner(), now).unwrap();
    session.leave(player(3), now).unwrap();
    let given = results(vec![result(1, 1), result(3, 2)]);

    let problem = |session: &mut Session, given: Results| match session.finish(&given, owner(), now) {
        Err(Refused::Result { index, problem }) => (index, problem),
        outcome => panic!("{outcome:?}"),
    };
    assert_eq!(problem(&mut session, results(vec![result(1, 1), result(7, 2)])), (1, ResultProblem::Stranger));
    assert_eq!(problem(&mut session, results(vec![result(1, 1), result(1, 2)])), (1, ResultProblem::Twice));

    let events = session.finish(&given, owner(), now).unwrap();
    assert!(matches!(events[..], [SessionEvent::StateChanged { new: State::Finishing, .. }]));
    let kept = session.end.clone().unwrap().results.unwrap();
    assert_eq!((kept.players[0].left_early, kept.players[1].left_early), (false, true));
    assert_eq!(session.finish(&given, owner(), now), Ok(vec![]));
    assert_eq!(session.finish(&results(vec![result(1, 2)]), owner(), now), Err(Refused::ResultsDiffer));

    assert_eq!(session.settle(&[]), vec![], "not before the record");
    let events = session.settle(&[Errand::RecordEnd]);
    assert!(matches!(events[..], [SessionEvent::StateChanged { .. }, SessionEvent::Ended { results: Some(_), .. }]));
    assert_eq!(session.finish(&given, owner(), now), Ok(vec![]));
    assert_eq!(session.finish(&results(vec![result(1, 2)]), owner(), now), Err(Refused::ResultsDiffer));
}

#[test]
fn players_of_one_team_have_one_place() {
    let now = start_time();
    let teams = vec![team("red", 2), team("blue", 2)];
    let mut session = Session::create(new_session(player(9), 4, teams), now).0;
    for number in 1..=4 {
        join(&mut session, number).unwrap();
    }
    session.start(owner(), now).unwrap();
    // Red has 1 and 3, blue 2 and 4.
    let divided = results(vec![result(1, 1), result(2, 2), result(3, 2)]);
    let problem = ResultProblem::TeamDivided;
    assert_eq!(session.finish(&divided, owner(), now), Err(Refused::Result { index: 2, problem }));
    let other = PlayerResult { team: TeamName::parse("blue"), ..result(1, 1) };
    let problem = ResultProblem::OtherTeam;
    assert_eq!(session.finish(&results(vec![other]), owner(), now), Err(Refused::Result { index: 0, problem }));
    session.finish(&results(vec![result(1, 1), result(3, 1), result(2, 2)]), owner(), now).unwrap();
    assert_eq!(session.end.unwrap().results.unwrap().players[0].team, TeamName::parse("red"));
}

#[test]
fn only_a_game_server_finishes_where_results_must_be_trusted() {
    let now = start_time();
    let mut session = room_of(2, 8);
    session.rules.owner_may_finish = false;
    session.start(owner(), now).unwrap();
    let none = Results::default();
    assert_eq!(session.finish(&none, owner(), now), Err(Refused::FinishNotAllowed));
    assert_eq!(session.finish(&none, ADMIN, now), Err(Refused::FinishNotAllowed));
    assert_eq!(session.finish(&none, Actor::Player(player(2)), now), Err(Refused::NotOwner));
    session.finish(&none, SERVER, now).unwrap();
}

#[test]
fn nobody_overwrites_what_they_have_not_seen() {
    let mut session = room_of(2, 8);
    let key = AttributeKey::parse("map").unwrap();
    let set = Attributes::new([(key.clone(), AttributeValue::Int(1))].into()).unwrap();
    let attributes = AttributeChange { set: set.clone(), remove: BTreeSet::new() };
    let change = Change { attributes_version: 1, attributes, ..Change::default() };
    let second = Actor::Player(player(2));
    assert_eq!(session.update(&change, None, second), Err(Refused::NotOwner));
    let events = session.update(&change, None, owner()).unwrap();
    assert!(matches!(&events[..], [SessionEvent::AttributesChanged { attributes_version: 2, .. }]));
    assert_eq!(session.update(&change, None, owner()), Err(Refused::Changed { attributes_version: 2 }));
    let again = Change { attributes_version: 2, ..change };
    assert_eq!(session.update(&again, None, owner()), Ok(vec![]), "nothing new");
    assert_eq!(session.attributes_version, 2);

    session.rules.members_may_update = true;
    let data = Change { attributes_version: 2, data: Some(Bytes::from_static(b"new")), ..Change::default() };
    session.update(&data, None, second).unwrap();
    let name = Change { attributes_version: 3, name: Some("mine".to_owned()), ..Change::default() };
    assert_eq!(session.update(&name, None, second), Err(Refused::NotOwner));

    let private = Change { attributes_version: 3, visibility: Some(Visibility::Private), ..Change::default() };
    assert!(session.needs_code(&private));
    session.update(&private, Some(code()), owner()).unwrap();
    assert_eq!(session.join_code, Some(code()));
    let public = Change { attributes_version: 4, visibility: Some(Visibility::Public), ..Change::default() };
    session.update(&public, None, owner()).unwrap();
    assert_eq!(session.join_code, None);
}

#[test]
fn a_seat_is_kept_for_a_time_and_then_given_up() {
    let begin = start_time();
    let mut session = room_of(3, 8);
    let there = |players: &[u128]| players.iter().map(|number| player(*number)).collect::<BTreeSet<_>>();
    let events = session.observe(&there(&[1, 2]), begin);
    assert_eq!(events.len(), 2);
    assert_eq!(session.observe(&there(&[1, 2]), begin), vec![]);
    let lost = begin + Duration::from_secs(10);
    session.observe(&there(&[1]), lost);
    assert_eq!(session.seat(player(2)).unwrap().expires_at, Some(lost + GRACE));
    assert_eq!(session.next_due(begin), Some(begin + GRACE), "the third never came");

    let events = session.expire(begin + GRACE);
    assert!(matches!(events[..], [SessionEvent::Left { reason: LeaveReason::NeverCame, .. }]));
    let back = session.observe(&there(&[1, 2]), begin + GRACE);
    assert!(matches!(&back[..], [SessionEvent::ConnectionChanged { seat, .. }] if seat.expires_at.is_none()));
    session.observe(&there(&[1]), begin + GRACE);
    let events = session.expire(begin + GRACE + GRACE);
    assert!(matches!(events[..], [SessionEvent::Left { reason: LeaveReason::ConnectionLost, .. }]));
}

#[test]
fn what_is_abandoned_or_too_old_ends_by_itself() {
    let begin = start_time();
    let ended = |events: &[SessionEvent]| match events.last() {
        Some(SessionEvent::Ended { reason, results: None, .. }) => Some(*reason),
        _ => None,
    };
    let mut abandoned = room_of(1, 8);
    assert_eq!(ended(&abandoned.expire(begin + ABANDON - Duration::from_millis(1))), None);
    assert_eq!(ended(&abandoned.expire(begin + ABANDON)), Some(EndReason::Abandoned));
    assert_eq!((abandoned.state, abandoned.errands.last()), (State::Finished, Some(&Errand::RecordEnd)));

    let mut watched = room(8);
    watched.observe(&[SERVER.id()].into(), begin);
    assert_eq!(watched.expire(begin + 2 * ABANDON), vec![], "a game server is there");
    watched.observe(&BTreeSet::new(), begin + 2 * ABANDON);
    assert_eq!(ended(&watched.expire(begin + 3 * ABANDON)), Some(EndReason::Abandoned));

    let mut old = room_of(1, 8);
    old.observe(&[player(1)].into(), begin);
    assert_eq!(ended(&old.expire(begin + Duration::from_hours(1))), Some(EndReason::TooLong));
    assert_eq!(old.expire(begin + Duration::from_hours(9)), vec![]);
}

#[test]
fn a_match_starts_when_all_its_players_are_there() {
    let origin = Origin { match_id: player(70), queue_key: "duel".to_owned(), players: 2, starts_when_connected: true };
    let new = NewSession { origin: Some(origin), ..new_session(player(9), 2, Vec::new()) };
    let mut session = Session::create(new, start_time()).0;
    join(&mut session, 1).unwrap();
    assert!(session.observe(&[player(1)].into(), start_time()).len() == 1 && session.state == State::Waiting);
    join(&mut session, 2).unwrap();
    let events = session.observe(&[player(1), player(2)].into(), start_time());
    assert!(matches!(events.last(), Some(SessionEvent::StateChanged { new: State::Started, .. })));
    assert!(session.started_at.is_some());
}

#[test]
fn what_is_deleted_has_no_content() {
    let mut session = room_of(2, 8);
    assert_eq!(session.delete(Actor::Player(player(2)), start_time()), Err(Refused::NotOwner));
    let events = session.delete(owner(), start_time()).unwrap();
    assert!(events.last().unwrap().is_last() && session.data.is_empty());
    assert_eq!(session.delete(owner(), start_time()), Ok(vec![]));
    let mut started = room_of(2, 8);
    started.start(owner(), start_time()).unwrap();
    started.delete(SERVER, start_time()).unwrap();
}

#[test]
fn a_session_is_read_as_it_was_written() {
    let now = start_time();
    let mut session = room_of(3, 8);
    session.start(owner(), now).unwrap();
    session.kick(player(3), "", owner(), now).unwrap();
    session.finish(&results(vec![result(1, 1)]), owner(), now).unwrap();
    let text = serde_json::to_string(&session).unwrap();
    assert_eq!(serde_json::from_str::<Session>(&text).unwrap(), session);
}

#[test]
fn codes_have_letters_that_nobody_mistakes() {
    for seed in 0..200_u8 {
        let code = JoinCode::random([seed.wrapping_mul(97); 32]);
        assert_eq!(code.as_str().len(), 8);
        assert!(!code.as_str().contains(['0', 'O', '1', 'I', 'L']), "{code:?}");
        assert_eq!(JoinCode::parse(&code.as_str().to_lowercase()), Ok(code));
    }
    assert!(JoinCode::parse("abc").is_err() && JoinCode::parse("abc def").is_err());
}
