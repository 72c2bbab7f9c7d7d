//! Which partitions a member of a group has, and how they are given back. Both logs go by these rules:
//!
//! - a partition that the member was granted is offered to it, once;
//! - one that is revoked is to be ended by its worker, and counts as held until it has been dropped;
//! - one that is dropped without having been revoked, since the work failed, is offered again.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// One member's partitions.
pub(crate) struct Member {
    state: Mutex<State>,
    offered: Notify,
    /// Told when a partition is no longer held, without any lock.
    on_release: Box<dyn Fn(i32) + Send + Sync>,
}

#[derive(Default)]
struct State {
    /// What the group says that this member works on.
    granted: BTreeSet<i32>,
    /// What is offered or worked on, and how to say that it is to end.
    held: HashMap<i32, CancellationToken>,
    /// Offered and not yet taken.
    waiting: VecDeque<i32>,
    closed: bool,
}

/// The right to work on a partition, until it is dropped.
pub(crate) struct Lease {
    member: Arc<Member>,
    pub(crate) partition: i32,
    pub(crate) ending: CancellationToken,
}

impl Member {
    pub(crate) fn new(on_release: impl Fn(i32) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), offered: Notify::new(), on_release: Box::new(on_release) })
    }

    /// The partition is this member's now. If it still works on it from an earlier time, it is offered after that.
    pub(crate) fn grant(&self, partition: i32) {
        let mut state = self.state();
        state.granted.insert(partition);
        if !state.held.contains_key(&partition) {
            self.offer(&mut state, partition);
        }
    }

    /// The partition is another member's as soon as this one no longer holds it.
    pub(crate) fn revoke(&self, partition: i32) {
        let mut state = self.state();
        state.granted.remove(&partition);
        let was_waiting = state.waiting.contains(&partition);
        if was_waiting {
            state.waiting.retain(|other| *other != partition);
            state.held.remove(&partition);
        } else if let Some(ending) = state.held.get(&partition) {
            ending.cancel();
        }
        drop(state);
        if was_waiting {
            (self.on_release)(partition);
        }
    }

    /// Whether the partition is offered or worked on.
    pub(crate) fn holds(&self, partition: i32) -> bool {
        self.state().held.contains_key(&partition)
    }

    /// What the group says that this member works on.
    pub(crate) fn granted(&self) -> Vec<i32> {
        self.state().granted.iter().copied().collect()
    }

    /// Nothing will be granted any more.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.offered.notify_one();
    }

    /// The next partition to work on; `None` once the member is closed. There is one taker.
    pub(crate) async fn take(self: &Arc<Self>) -> Option<Lease> {
        loop {
            {
                let mut state = self.state();
                if state.closed {
                    return None;
                }
                if let Some(partition) = state.waiting.pop_front()
                    && let Some(ending) = state.held.get(&partition).cloned()
                {
                    return Some(Lease { member: self.clone(), partition, ending });
                }
            }
            self.offered.notified().await;
        }
    }

    fn offer(&self, state: &mut State, partition: i32) {
        state.held.insert(partition, CancellationToken::new());
        state.waiting.push_back(partition);
        self.offered.notify_one();
    }

    fn release(&self, partition: i32) {
        let mut state = self.state();
        state.held.remove(&partition);
        if state.granted.contains(&partition) {
            self.offer(&mut state, partition);
        }
        drop(state);
        (self.on_release)(partition);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one step, so a panic leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.member.release(self.partition);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn taken(member: &Arc<Member>) -> Option<i32> {
        let lease = tokio::time::timeout(Duration::ZERO, member.take()).await.ok()??;
        let partition = lease.partition;
        std::mem::forget(lease);
        Some(partition)
    }

    #[tokio::test]
    async fn a_granted_partition_is_offered_once() {
        let member = Member::new(|_| ());
        member.grant(3);
        member.grant(3);
        assert_eq!(taken(&member).await, Some(3));
        assert_eq!(taken(&member).await, None);
    }

    #[tokio::test]
    async fn a_revoked_partition_is_held_until_it_is_dropped() {
        let member = Member::new(|_| ());
        member.grant(3);
        let lease = member.take().await.unwrap();
        member.revoke(3);
        assert!(lease.ending.is_cancelled());
        assert!(member.holds(3));
        drop(lease);
        assert!(!member.holds(3));
        assert_eq!(taken(&member).await, None);
    }

    #[tokio::test]
    async fn one_that_nobody_has_taken_is_released_at_once() {
        let (released, was_released) = std::sync::mpsc::channel();
        let member = Member::new(move |partition| released.send(partition).unwrap());
        member.grant(3);
        member.revoke(3);
        assert_eq!(was_released.try_recv(), Ok(3));
        assert_eq!(taken(&member).await, None);
    }

    #[tokio::test]
    async fn one_that_was_dropped_by_itself_is_offered_again() {
        let member = Member::new(|_| ());
        member.grant(3);
        drop(member.take().await);
        let again = member.take().await.unwrap();
        assert!(!again.ending.is_cancelled());
    }

    #[tokio::test]
    async fn one_that_comes_back_is_offered_when_the_work_before_has_ended() {
        let member = Member::new(|_| ());
        member.grant(3);
        let lease = member.take().await.unwrap();
        member.revoke(3);
        member.grant(3);
        assert_eq!(taken(&member).await, None);
        drop(lease);
        assert_eq!(taken(&member).await, Some(3));
    }

    #[tokio::test]
    async fn a_closed_member_gets_nothing() {
        let member = Member::new(|_| ());
        member.grant(3);
        member.close();
        assert!(member.take().await.is_none());
    }
}
