//! All partitions of a topic, read side by side.

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::{Entry, Log, ReadError, Reader, Start, Topic};

/// Reads all partitions of a topic, outside any group; each from the same start.
///
/// An offset as the start is of little use, since it means another record in every partition.
pub async fn tail(log: &dyn Log, topic: Topic, start: Start) -> Result<Tail, ReadError> {
    let mut readers = Vec::new();
    for partition in 0..topic.partitions() {
        readers.push(log.read(topic, partition, start).await?);
    }
    Ok(Tail { readers })
}

/// All partitions of a topic as they come: in order within each partition, in none between them.
pub struct Tail {
    readers: Vec<Box<dyn Reader>>,
}

impl Tail {
    /// The next records of one of the partitions, as [`Reader::next`] promises.
    pub async fn next(&mut self, max: usize) -> Result<Vec<Entry>, ReadError> {
        // Who was asked first comes last now, so that a busy partition does not hide the others.
        self.readers.rotate_left(1);
        let mut all: FuturesUnordered<_> = self.readers.iter_mut().map(|reader| reader.next(max)).collect();
        match all.next().await {
            Some(entries) => entries,
            // Every topic has a partition.
            None => Ok(Vec::new()),
        }
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").finish_non_exhaustive()
    }
}
