//! A group whose members are in this process.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::lease::Member;
use crate::{Topic, gauges};

/// Hands news to the one task that shares the partitions out.
pub(super) struct Group {
    news: mpsc::UnboundedSender<News>,
    members: Mutex<Vec<Weak<Member>>>,
}

/// At most a few for each member and partition are under way.
enum News {
    Joined(Arc<Member>),
    Left(Arc<Member>),
    /// A member may no longer hold this partition.
    Released(i32),
    /// This member had its time to let go of this partition, since the change of that number.
    Overdue(i32, u64),
}

/// Leaves the group when it is dropped.
pub(super) struct Membership {
    news: mpsc::UnboundedSender<News>,
    member: Arc<Member>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        // A group that is closed has nothing to share.
        let _ = self.news.send(News::Left(self.member.clone()));
    }
}

impl Group {
    /// A group, and its work to be spawned.
    pub(super) fn new(topic: Topic, handover_limit: Duration) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (news, heard) = mpsc::unbounded_channel();
        let partitions = (0..topic.partitions()).map(|_| Place::default()).collect();
        let sharing = Sharing { topic, handover_limit, news: news.downgrade(), members: Vec::new(), partitions };
        (Self { news, members: Mutex::default() }, sharing.run(heard))
    }

    pub(super) fn join(&self) -> (Arc<Member>, Membership) {
        let member = Member::new({
            let news = self.news.clone();
            move |partition| {
                let _ = news.send(News::Released(partition));
            }
        });
        let _ = self.news.send(News::Joined(member.clone()));
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(&member));
        (member.clone(), Membership { news: self.news.clone(), member })
    }

    pub(super) fn close(&self) {
        for member in self.members.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
            member.close();
        }
    }
}

/// The state of a group, owned by its task.
struct Sharing {
    topic: Topic,
    handover_limit: Duration,
    news: mpsc::WeakUnboundedSender<News>,
    members: Vec<Arc<Member>>,
    partitions: Vec<Place>,
}

/// Who works on a partition, and who is to.
#[derive(Default)]
struct Place {
    holder: Option<Arc<Member>>,
    target: Option<Arc<Member>>,
    /// Counts the changes of the target, to tell a late notice.
    change: u64,
}

impl Sharing {
    async fn run(mut self, mut news: mpsc::UnboundedReceiver<News>) {
        while let Some(news) = news.recv().await {
            match news {
                News::Joined(member) => {
                    self.members.push(member);
                    self.share();
                }
                News::Left(member) => {
                    self.members.retain(|other| !Arc::ptr_eq(other, &member));
                    self.share();
                    member.close();
                }
                News::Released(partition) => self.settle(partition, false),
                News::Overdue(partition, change) => {
                    let place = usize::try_from(partition).ok().and_then(|partition| self.partitions.get(partition));
                    if place.is_some_and(|place| place.change == change) {
                        self.settle(partition, true);
                    }
                }
            }
        }
    }

    /// Decides anew who is to work on what.
    fn share(&mut self) {
        let before: Vec<Option<usize>> =
            self.partitions.iter().map(|place| self.index(place.target.as_ref())).collect();
        let after = shares(&before, self.members.len());
        for (partition, target) in (0..).zip(after) {
            let target = target.and_then(|member| self.members.get(member)).cloned();
            let Some(place) = usize::try_from(partition).ok().and_then(|index| self.partitions.get_mut(index)) else {
                return;
            };
            if same(place.target.as_ref(), target.as_ref()) {
                continue;
            }
            place.target = target;
            place.change += 1;
            match &place.holder {
                Some(holder) if same(Some(holder), place.target.as_ref()) => holder.grant(partition),
                Some(holder) => {
                    holder.revoke(partition);
                    self.remind(partition);
                }
                None => (),
            }
            self.settle(partition, false);
        }
    }

    fn index(&self, member: Option<&Arc<Member>>) -> Option<usize> {
        self.members.iter().position(|other| same(Some(other), member))
    }

    /// Comes back to a handover when its time is over.
    fn remind(&self, partition: i32) {
        let Some(place) = usize::try_from(partition).ok().and_then(|index| self.partitions.get(index)) else { return };
        let (news, limit, change) = (self.news.clone(), self.handover_limit, place.change);
        tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            if let Some(news) = news.upgrade() {
                let _ = news.send(News::Overdue(partition, change));
            }
        });
    }

    /// Gives a partition to whom it is to go to, once nobody else holds it, or at once if that has taken too long.
    fn settle(&mut self, partition: i32, overdue: bool) {
        let index = usize::try_from(partition).ok();
        let Some(place) = index.and_then(|index| self.partitions.get_mut(index)) else { return };
        if same(place.holder.as_ref(), place.target.as_ref()) {
            return;
        }
        if let Some(holder) = &place.holder
            && holder.holds(partition)
        {
            if !overdue {
                return;
            }
            gauges::overdue(self.topic);
            tracing::warn!(topic = %self.topic, partition, "a partition is handed over though its work has not ended");
        }
        place.holder.clone_from(&place.target);
        if let Some(holder) = &place.holder {
            holder.grant(partition);
        }
    }
}

fn same(one: Option<&Arc<Member>>, other: Option<&Arc<Member>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// Who is to work on each partition, for so many members: even shares, and everybody keeps what fits into theirs.
fn shares(before: &[Option<usize>], members: usize) -> Vec<Option<usize>> {
    if members == 0 {
        return vec![None; before.len()];
    }
    let (least, more) = (before.len() / members, before.len() % members);
    let mut counts = vec![0; members];
    let mut bigger = 0;
    let mut after = Vec::with_capacity(before.len());
    for member in before {
        let kept = member.filter(|member| {
            let Some(count) = counts.get_mut(*member) else { return false };
            let fits = *count < least || (*count == least && bigger < more);
            if fits {
                bigger += usize::from(*count == least);
                *count += 1;
            }
            fits
        });
        after.push(kept);
    }
    for place in after.iter_mut().filter(|place| place.is_none()) {
        let poorest = counts.iter().enumerate().min_by_key(|(_, count)| **count).map(|(member, _)| member);
        *place = poorest;
        if let Some(count) = poorest.and_then(|poorest| counts.get_mut(poorest)) {
            *count += 1;
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_member_gets_half_and_the_first_keeps_half() {
        let alone = shares(&[None; 6], 1);
        assert_eq!(alone, [Some(0); 6]);
        assert_eq!(shares(&alone, 2), [Some(0), Some(0), Some(0), Some(1), Some(1), Some(1)]);
    }

    #[test]
    fn nobody_works_without_members() {
        assert_eq!(shares(&[Some(0), None], 0), [None, None]);
    }

    proptest! {
        #[test]
        fn shares_are_even_and_nothing_moves_without_need(
            before in prop::collection::vec(prop::option::of(0_usize..8), 1..40),
            members in 1_usize..8,
        ) {
            let after = shares(&before, members);
            let count = |member| after.iter().filter(|place| **place == Some(member)).count();
            let counts: Vec<usize> = (0..members).map(count).collect();
            prop_assert_eq!(counts.iter().sum::<usize>(), before.len());
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
            prop_assert_eq!(shares(&after, members), after);
        }
    }
}
