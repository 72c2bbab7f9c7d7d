//! Who changes a session waits for the others on this node, rather than to lose against them in the store.

use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// How many sessions are changed on one node at the same time; more wait for each other.
const TURNS: usize = 4_096;

/// One turn for each session, shared by those with the same remainder.
pub(super) struct Turns(Vec<Mutex<()>>);

impl Turns {
    pub(super) fn new() -> Self {
        Self((0..TURNS).map(|_| Mutex::new(())).collect())
    }

    /// Waits for one's turn, which lasts until the guard is dropped.
    pub(super) async fn take(&self, session: Uuid) -> MutexGuard<'_, ()> {
        let place = session.as_u128() % (TURNS as u128);
        self.0[usize::try_from(place).unwrap_or(0)].lock().await
    }
}
