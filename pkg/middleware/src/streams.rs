//! Open streams: how many a user has, and how each is ended from outside.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use futures::task::AtomicWaker;
use tonic::Code;
use uuid::Uuid;

use crate::caller::Caller;
use crate::problem::Problem;

/// Every open stream of this server.
pub(crate) struct Streams {
    per_user: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    /// By session first, so that those of one session are found without looking at any other.
    open: BTreeMap<(Option<Uuid>, u64), Arc<Signal>>,
    users: HashMap<Uuid, u32>,
    draining: bool,
}

/// Why a stream is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Revoked = 1,
    Draining = 2,
}

#[derive(Default)]
struct Signal {
    end: AtomicU8,
    waker: AtomicWaker,
}

/// A place among the open streams, given back when dropped.
pub(crate) struct StreamLease {
    streams: Arc<Streams>,
    signal: Arc<Signal>,
    id: u64,
    session: Option<Uuid>,
    user: Option<Uuid>,
}

impl Streams {
    pub(crate) fn new(per_user: u32) -> Arc<Self> {
        Arc::new(Self { per_user, state: Mutex::default() })
    }

    /// Opens a stream. The caller must look after this whether the session was revoked meanwhile.
    pub(crate) fn open(self: &Arc<Self>, caller: Option<&Caller>) -> Result<StreamLease, Problem> {
        let mut state = self.lock();
        if state.draining {
            return Err(draining());
        }
        let (user, session) = (caller.map(|caller| caller.user_id), caller.map(|caller| caller.session_id));
        if let Some(user) = user {
            let count = state.users.entry(user).or_default();
            if *count >= self.per_user {
                return Err(Problem::new(
                    Code::ResourceExhausted,
                    "TOO_MANY_STREAMS",
                    "the user has as many open streams as are allowed",
                )
                .metadata("limit", self.per_user.to_string()));
            }
            *count += 1;
        }
        let id = state.next_id;
        state.next_id += 1;
        let signal = Arc::new(Signal::default());
        state.open.insert((session, id), signal.clone());
        Ok(StreamLease { streams: self.clone(), signal, id, session, user })
    }

    /// Ends the streams of a session.
    pub(crate) fn end_session(&self, session: Uuid) {
        let session = Some(session);
        let signals: Vec<_> =
            self.lock().open.range((session, 0)..=(session, u64::MAX)).map(|(_, signal)| signal.clone()).collect();
        for signal in signals {
            signal.send(End::Revoked);
        }
    }

    /// Lets no more streams open.
    pub(crate) fn close(&self) {
        self.lock().draining = true;
    }

    /// Ends all streams because the server drains.
    pub(crate) fn end_all(&self) {
        let signals: Vec<_> = self.lock().open.values().cloned().collect();
        for signal in signals {
            signal.send(End::Draining);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Signal {
    /// The first reason stays.
    fn send(&self, end: End) {
        let _ = self.end.compare_exchange(0, end as u8, Ordering::AcqRel, Ordering::Acquire);
        self.waker.wake();
    }
}

impl StreamLease {
    /// The problem that the stream must end with now, if any; else wakes the task when there is one.
    pub(crate) fn poll_end(&self, cx: &Context<'_>) -> Option<Problem> {
        self.signal.waker.register(cx.waker());
        match self.signal.end.load(Ordering::Acquire) {
            0 => None,
            end if end == End::Revoked as u8 => Some(revoked()),
            _ => Some(draining()),
        }
    }
}

impl Drop for StreamLease {
    fn drop(&mut self) {
        let mut state = self.streams.lock();
        state.open.remove(&(self.session, self.id));
        let Some(user) = self.user else { return };
        if let Some(count) = state.users.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                state.users.remove(&user);
            }
        }
    }
}

/// The problem of a token whose session was ended.
pub(crate) fn revoked() -> Problem {
    Problem::new(Code::Unauthenticated, "TOKEN_REVOKED", "the session of this token was ended")
}

/// The problem of a call that comes, or goes on, while the server drains.
pub(crate) fn draining() -> Problem {
    Problem::new(Code::Unavailable, "SERVER_DRAINING", "this server is going away; connect again")
}

#[cfg(test)]
mod tests {
    use pkg_auth::Role;
    use time::OffsetDateTime;

    use super::*;

    fn caller(user: u128, session: u128) -> Caller {
        Caller {
            user_id: Uuid::from_u128(user),
            session_id: Uuid::from_u128(session),
            role: Role::Player,
            expires_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn ended(lease: &StreamLease) -> bool {
        lease.poll_end(&Context::from_waker(std::task::Waker::noop())).is_some()
    }

    #[test]
    fn a_user_has_so_many_streams_and_a_closed_one_makes_room() {
        let streams = Streams::new(2);
        let first = streams.open(Some(&caller(1, 1))).expect("there is room");
        let _second = streams.open(Some(&caller(1, 2))).expect("there is room");
        assert!(streams.open(Some(&caller(1, 3))).is_err());
        let _other = streams.open(Some(&caller(2, 4))).expect("another user has room");

        drop(first);
        assert!(streams.open(Some(&caller(1, 3))).is_ok());
    }

    #[test]
    fn only_the_streams_of_the_session_are_ended() {
        let streams = Streams::new(10);
        let leases: Vec<_> =
            [1, 2, 2, 3].iter().map(|session| streams.open(Some(&caller(1, *session))).expect("room")).collect();
        let public = streams.open(None).expect("room");
        streams.end_session(Uuid::from_u128(2));

        assert_eq!(leases.iter().map(ended).collect::<Vec<_>>(), [false, true, true, false]);
        assert!(!ended(&public));
    }

    #[test]
    fn a_drain_ends_all_and_lets_none_open() {
        let streams = Streams::new(10);
        let (one, public) = (streams.open(Some(&caller(1, 1))).expect("room"), streams.open(None).expect("room"));
        streams.close();
        assert!(!ended(&one));
        assert!(streams.open(None).is_err());
        streams.end_all();
        assert!(ended(&one) && ended(&public));
    }

    #[test]
    fn nothing_is_left_of_closed_streams() {
        let streams = Streams::new(10);
        drop((streams.open(Some(&caller(1, 1))), streams.open(None)));
        let state = streams.lock();
        assert!(state.open.is_empty() && state.users.is_empty());
    }
}
