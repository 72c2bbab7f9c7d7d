//! What holds whatever is done in whatever order.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::tests::{ADMIN, SERVER, joining, new_session, player, start_time, team};
use super::*;

/// Something that somebody does.
#[derive(Debug, Clone)]
enum Step {
    Join(u128, bool),
    Leave(u128),
    Kick(u128, u128),
    Transfer(u128, u128),
    Update(u128, bool),
    Start(u128),
    Pause(u128),
    Resume(u128),
    Finish(u128),
    Delete(u128),
    Observe(BTreeSet<u128>),
    Expire,
    Settle,
    Wait(u64),
}

const PLAYERS: u128 = 7;

fn step() -> impl Strategy<Value = Step> {
    // 0 is the game server, and one above all the players an admin.
    let who = 0..=PLAYERS + 1;
    prop_oneof![
        8 => (1..=PLAYERS, any::<bool>()).prop_map(|(who, server)| Step::Join(who, server)),
        3 => (1..=PLAYERS).prop_map(Step::Leave),
        1 => (1..=PLAYERS, who.clone()).prop_map(|(whom, who)| Step::Kick(whom, who)),
        1 => (1..=PLAYERS, who.clone()).prop_map(|(to, who)| Step::Transfer(to, who)),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, right)| Step::Update(who, right)),
        2 => who.clone().prop_map(Step::Start),
        1 => who.clone().prop_map(Step::Pause),
        1 => who.clone().prop_map(Step::Resume),
        1 => who.clone().prop_map(Step::Finish),
        1 => who.prop_map(Step::Delete),
        3 => prop::collection::btree_set(0..=PLAYERS, 0..5).prop_map(Step::Observe),
        2 => Just(Step::Expire),
        1 => Just(Step::Settle),
        2 => (1..60_u64).prop_map(Step::Wait),
    ]
}

fn actor(number: u128) -> Actor {
    match number {
        0 => SERVER,
        number if number > PLAYERS => ADMIN,
        number => Actor::Player(player(number)),
    }
}

fn take(session: &mut Session, step: &Step, now: OffsetDateTime) -> Result<Vec<SessionEvent>, Refused> {
    match step {
        Step::Join(who, server) => {
            let by = if *server { SERVER } else { actor(*who) };
            session.join(&Joining { by, ..joining(*who) }, now)
        }
        Step::Leave(who) => session.leave(player(*who), now),
        Step::Kick(whom, who) => session.kick(player(*whom), "", actor(*who), now),
        Step::Transfer(to, who) => session.transfer(player(*to), actor(*who)),
        Step::Update(who, right) => {
            let attributes_version = session.attributes_version + i64::from(!right);
            let name = Some(session.version.to_string());
            session.update(&Change { attributes_version, name, ..Change::default() }, None, actor(*who))
        }
        Step::Start(who) => session.start(actor(*who), now),
        Step::Pause(who) => session.pause(actor(*who), now),
        Step::Resume(who) => session.resume(actor(*who), now),
        Step::Finish(who) => session.finish(&Results::default(), actor(*who), now),
        Step::Delete(who) => session.delete(actor(*who), now),
        Step::Observe(who) => {
            let connected = who.iter().map(|number| actor(*number).id()).collect();
            Ok(session.observe(&connected, now))
        }
        Step::Expire => Ok(session.expire(now)),
        Step::Settle => {
            let done = session.errands.clone();
            Ok(session.settle(&done))
        }
        Step::Wait(_) => Ok(Vec::new()),
    }
}

fn check(session: &Session) {
    assert!(session.seats.len() <= session.max_players);
    for team in &session.teams {
        assert!(session.team_size(&team.name) <= team.max_players, "{team:?}");
    }
    let seated: BTreeSet<Uuid> = session.seats.iter().map(|seat| seat.player).collect();
    assert_eq!(seated.len(), session.seats.len(), "a seat each");
    assert!(session.seats.iter().all(|seat| seat.team.is_some() && !session.kicked.contains(&seat.player)));
    assert!(session.seats.iter().all(|seat| seat.connected == seat.expires_at.is_none()));
    if !session.is_over() {
        assert!(session.owner.is_none_or(|owner| seated.contains(&owner)), "an owner is in it");
        assert_eq!(session.state == State::Created, seated.is_empty() && !session.is_running());
        assert!(session.next_due(start_time()).is_some());
    }
    assert_eq!(session.paused_at.is_some(), session.state == State::Paused);
    assert_eq!(session.is_over(), session.end.is_some());
    let ends = session.errands.iter().filter(|errand| **errand == Errand::RecordEnd).count();
    assert!(ends <= 1 && (session.state != State::Finishing || ends == 1));
}

/// Checks what one step did; a refused one does nothing.
fn check_step(before: &Session, after: &Session, outcome: &Result<Vec<SessionEvent>, Refused>) {
    check(after);
    match outcome {
        Err(_) => assert_eq!(before, after),
        Ok(events) => {
            let versions: Vec<i64> = events.iter().map(SessionEvent::version).collect();
            let expected: Vec<i64> = (before.version + 1..=after.version).collect();
            assert_eq!(versions, expected, "a version for each event");
            let first_ends = events.iter().position(SessionEvent::is_last);
            assert!(first_ends.is_none_or(|place| place + 1 == events.len()), "nothing after the last");
        }
    }
    let is_closed = matches!(before.state, State::Finished | State::Deleted);
    if is_closed {
        // But for what was still to be told.
        let same = Session { errands: before.errands.clone(), ..after.clone() };
        assert_eq!(*before, same, "it never changes again");
    }
    let changed = before.name != after.name || before.visibility != after.visibility;
    assert_eq!(changed, before.attributes_version < after.attributes_version);
}

proptest! {
    #[test]
    fn every_history_keeps_the_rules(steps in prop::collection::vec(step(), 1..80)) {
        let mut now = start_time();
        let teams = vec![team("red", 2), team("blue", 2)];
        let (mut session, _) = Session::create(new_session(Uuid::from_u128(1), 4, teams), now);
        session.rules.join_after_start = steps.len() % 2 == 0;
        for step in &steps {
            if let Step::Wait(seconds) = step {
                now += Duration::from_secs(*seconds);
            }
            let mut after = session.clone();
            let outcome = take(&mut after, step, now);
            check_step(&session, &after, &outcome);
            // And as it is stored.
            let text = serde_json::to_string(&after).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Session>(&text).unwrap(), &after);
            session = after;
        }
    }
}
