//! From the buffer to the log.

use std::sync::atomic::Ordering;

use super::*;
use crate::audit::sign_in_buffer::BUFFER;
use crate::audit::{Fact, Refusal, SignInMethod, sign_in_buffer};

fn signed_in(user: Uuid, session: usize) -> Fact {
    let session = Uuid::from_u128(session as u128);
    Fact::UserSignedIn { user, session, method: SignInMethod::Device, replaced: None }
}

#[tokio::test]
async fn sign_ins_reach_the_log_in_their_order() {
    const COUNT: usize = 3_000;
    let database = pkg_db::testing::sqlite().await;
    let (log, counted) = (log_in(&database), Counted::new());
    let (buffer, drain) = sign_in_buffer(log.clone(), Ambient::system(), counted.counters.clone());
    let running = Running::start(|shutdown| drain.run(shutdown));
    let user = id();
    for session in 0..COUNT {
        buffer.note(signed_in(user, session), &"a request".into());
    }
    let events = read(&*log, COUNT).await.remove(&user.to_string()).unwrap();
    for (session, event) in events.iter().enumerate() {
        let Event::SignedIn(event) = event else { panic!("unexpected {event:?}") };
        assert_eq!(event.session_id, Uuid::from_u128(session as u128).to_string());
    }
    running.stop().await;
    assert_eq!(counted.buffer_full.load(Ordering::Relaxed), 0);
    assert_eq!(counted.shutdown.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_finds_no_place_is_counted_and_the_rest_is_appended_once_the_log_serves() {
    const TOO_MANY: usize = 10;
    let database = pkg_db::testing::sqlite().await;
    let counted = Counted::new();
    let log = Faulty::before(log_in(&database), Some(Fault::Unavailable));
    let (buffer, drain) = sign_in_buffer(log.clone(), Ambient::system(), counted.counters.clone());
    let user = id();
    for session in 0..BUFFER + TOO_MANY {
        buffer.note(signed_in(user, session), &"a request".into());
    }
    assert_eq!(counted.buffer_full.load(Ordering::Relaxed), TOO_MANY as u64);

    let running = Running::start(|shutdown| drain.run(shutdown));
    log.set(None);
    let events = read(&*log, BUFFER).await.remove(&user.to_string()).unwrap();
    assert_eq!(events.len(), BUFFER);
    running.stop().await;
}

#[tokio::test]
async fn a_flood_of_refusals_leaves_room_for_sign_ins() {
    let database = pkg_db::testing::sqlite().await;
    let (log, counted) = (log_in(&database), Counted::new());
    let (buffer, drain) = sign_in_buffer(log.clone(), Ambient::system(), counted.counters.clone());
    let refused = Fact::SignInRefused { who: None, method: SignInMethod::Password, refusal: Refusal::Overloaded };
    for _ in 0..BUFFER {
        buffer.note(refused, &"a request".into());
    }
    let dropped = BUFFER / 2;
    assert_eq!(counted.buffer_full.load(Ordering::Relaxed), dropped as u64);
    let user = id();
    for session in 0..dropped {
        buffer.note(signed_in(user, session), &"a request".into());
    }
    assert_eq!(counted.buffer_full.load(Ordering::Relaxed), dropped as u64);

    let running = Running::start(|shutdown| drain.run(shutdown));
    assert_eq!(read(&*log, BUFFER).await[&user.to_string()].len(), dropped);
    running.stop().await;
}

#[tokio::test]
async fn the_end_of_the_process_waits_for_the_buffer_but_not_for_a_log_that_fails() {
    let database = pkg_db::testing::sqlite().await;
    let counted = Counted::new();
    let log = Faulty::before(log_in(&database), None);
    let (buffer, drain) = sign_in_buffer(log.clone(), Ambient::system(), counted.counters.clone());
    let user = id();
    buffer.note(signed_in(user, 1), &"a request".into());
    Running::start(|shutdown| drain.run(shutdown)).stop().await;
    assert_eq!(read(&*log, 1).await[&user.to_string()].len(), 1);
    assert_eq!(counted.shutdown.load(Ordering::Relaxed), 0);

    log.set(Some(Fault::Unavailable));
    let (buffer, drain) = sign_in_buffer(log.clone(), Ambient::system(), counted.counters.clone());
    for session in 0..3 {
        buffer.note(signed_in(user, session), &"a request".into());
    }
    Running::start(|shutdown| drain.run(shutdown)).stop().await;
    assert_eq!(counted.shutdown.load(Ordering::Relaxed), 3);
}
