//! Work on partitions that is shared by the members of a group.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::lease::{Lease, Member};
use crate::{Entry, Log, ReadError, Reader, Start, Topic};

/// A member of a group. Dropping it leaves the group: its partitions are to be ended, and go to other members.
pub struct Consumer {
    log: Arc<dyn Log>,
    topic: Topic,
    member: Arc<Member>,
    /// What the adapter keeps while this is a member; dropping it leaves the group.
    _membership: Box<dyn Any + Send + Sync>,
}

impl Consumer {
    pub(crate) fn new(
        log: Arc<dyn Log>,
        topic: Topic,
        member: Arc<Member>,
        membership: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self { log, topic, member, _membership: membership }
    }

    /// The next partition that this member is to work on; `None` once the log is closed. Waits until there is one.
    ///
    /// A partition that was dropped while it was still this member's is offered again: work that has failed is begun
    /// anew by dropping it. Nothing is lost if the future is dropped.
    pub async fn next_partition(&mut self) -> Option<Partition> {
        let lease = self.member.take().await?;
        Some(Partition { log: self.log.clone(), topic: self.topic, reader: None, lease })
    }
}

/// A partition that this member of the group works on, alone.
///
/// When it is to be handed over, [`Partition::next`] says `None`. Dropping it says that all work on it has ended, and the
/// next member begins; that one does not wait for ever, though: after the log's handover limit, or when this process was
/// believed dead, it begins all the same. So what a worker writes says from which position it goes on, and is refused if
/// another one has been there.
pub struct Partition {
    log: Arc<dyn Log>,
    topic: Topic,
    // Dropped before the lease: nothing is read any more when the partition is handed over.
    reader: Option<Box<dyn Reader>>,
    lease: Lease,
}

impl Partition {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> i32 {
        self.lease.partition
    }

    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> Topic {
        self.topic
    }

    /// Whether it is to be handed over: for work that takes long between two calls of [`Partition::next`].
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.lease.ending.is_cancelled()
    }

    /// Reads from here on, at first or anew.
    pub async fn begin(&mut self, start: Start) -> Result<(), ReadError> {
        self.reader = None;
        self.reader = Some(self.log.read(self.topic, self.number(), start).await?);
        Ok(())
    }

    /// As [`Partition::begin`], where work went on last: at this offset, or the nearest one that can be read; without one
    /// at the first.
    pub async fn resume(&mut self, next: Option<i64>) -> Result<(), ReadError> {
        let range = self.log.range(self.topic, self.number()).await?;
        let offset = next.map_or(range.first, |next| next.clamp(range.first, range.end));
        self.begin(Start::At(offset)).await
    }

    /// The next records, at least one and at most `max`, waiting as [`Reader::next`] does; `None` when the partition is
    /// to be handed over. Without [`Partition::begin`] it reads from the beginning.
    ///
    /// Nothing is lost if the future is dropped. After an error, begin anew.
    pub async fn next(&mut self, max: usize) -> Result<Option<Vec<Entry>>, ReadError> {
        let ending = self.lease.ending.clone();
        tokio::select! {
            biased;
            () = ending.cancelled() => Ok(None),
            entries = self.read(max) => entries.map(Some),
        }
    }

    async fn read(&mut self, max: usize) -> Result<Vec<Entry>, ReadError> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(self.log.read(self.topic, self.lease.partition, Start::Beginning).await?),
        };
        reader.next(max).await
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number();
        f.debug_struct("Partition").field("topic", &self.topic).field("number", &number).finish_non_exhaustive()
    }
}
