//! One partition: reading, looking up and writing at the same time.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, OptionFuture};
use metrics::Gauge;
use pkg_log::{Entry, Partition, Topic};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::applying::{Applier, Written};
use super::memory::{Memory, Standings};
use super::preparing::{Batch, sort};
use super::writing::{Count, Found, WrittenBatch, count};
use super::{ProjectorParts, WorkError};
use crate::board::BoardId;
use crate::store::StoreError;

/// How many records are written in one step.
const BATCH_RECORDS: usize = 1_000;
/// How many written steps wait for their boards.
const WRITTEN_WAITING: usize = 1;
/// How often it is told how far behind the end one is.
const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// Works on one partition.
pub(super) struct Worker {
    parts: Arc<ProjectorParts>,
    memory: Memory,
    number: i32,
    /// What is ready to be written, by board.
    ready: HashMap<BoardId, Batch>,
    /// How many records that are.
    ready_records: usize,
    /// What is to be looked up again, before anything else is read.
    again: Vec<Batch>,
    /// The offset after the last record that was read…
    next_offset: i64,
    /// …and after the last one that is written, or is being written.
    begun_offset: i64,
}

type Preparing = BoxFuture<'static, Result<Vec<Batch>, StoreError>>;
type Writing = BoxFuture<'static, Result<Vec<WrittenBatch>, WorkError>>;

impl Worker {
    pub(super) fn new(parts: Arc<ProjectorParts>, standings: Standings, number: i32, next_offset: i64) -> Self {
        Self {
            parts,
            memory: Memory::new(standings),
            number,
            ready: HashMap::new(),
            ready_records: 0,
            again: Vec::new(),
            next_offset,
            begun_offset: next_offset,
        }
    }

    /// Works until the partition is handed over.
    pub(super) async fn run(self, partition: &mut Partition) -> Result<(), WorkError> {
        let (parts, number) = (self.parts.clone(), self.number);
        let (sender, written) = mpsc::channel(WRITTEN_WAITING);
        let done_offset = AtomicI64::new(self.next_offset);
        let applier = Applier::new(parts.clone(), number, &done_offset);
        let work = async { tokio::try_join!(self.write(partition, sender), applier.run(written)) };
        tokio::select! {
            done = work => done.map(|_| ()),
            () = tell_lag(&parts, number, &done_offset) => Ok(()),
        }
    }

    /// Reads, and writes to the history.
    async fn write(mut self, partition: &mut Partition, applier: mpsc::Sender<Written>) -> Result<(), WorkError> {
        let mut preparing: Option<Preparing> = None;
        let mut writing: Option<(Writing, i64)> = None;
        let mut is_ending = false;
        loop {
            if preparing.is_none() && !self.again.is_empty() {
                preparing = Some(self.prepare_again());
            }
            if preparing.is_none() && writing.is_none() {
                writing = self.begin_writing();
                if writing.is_none() {
                    if is_ending {
                        return Ok(());
                    }
                    self.memory.shrink();
                }
            }
            let room = BATCH_RECORDS.saturating_sub(self.ready_records);
            let may_read = preparing.is_none() && room > 0 && !is_ending;
            tokio::select! {
                biased;
                Some(written) = OptionFuture::from(writing.as_mut().map(|(writing, _)| writing)) => {
                    let next_offset = writing.take().map_or(0, |(_, next_offset)| next_offset);
                    let batches = self.written(written?);
                    if applier.send(Written { batches, next_offset }).await.is_err() {
                        // The applier has failed, which is told by it.
                        return Ok(());
                    }
                }
                Some(prepared) = OptionFuture::from(preparing.as_mut()) => {
                    preparing = None;
                    self.prepared(prepared?);
                }
                entries = partition.next(room), if may_read => match entries? {
                    Some(entries) => preparing = Some(self.prepare(&entries)),
                    None => is_ending = true,
                },
            }
        }
    }

    fn prepare(&mut self, entries: &[Entry]) -> Preparing {
        if let Some(last) = entries.last() {
            self.next_offset = last.position.offset + 1;
        }
        let (batches, skipped) = sort(entries, &self.memory);
        self.parts.counters.skipped.increment(skipped);
        let parts = self.parts.clone();
        async move { parts.prepare(batches).await }.boxed()
    }

    fn prepare_again(&mut self) -> Preparing {
        let (parts, batches) = (self.parts.clone(), mem::take(&mut self.again));
        async move { parts.prepare(batches).await }.boxed()
    }

    /// Takes what was prepared, unless its board was changed by others meanwhile.
    fn prepared(&mut self, batches: Vec<Batch>) {
        for mut batch in batches {
            let known = self.memory.board(&batch.board).map(|board| board.generation);
            match (batch.generation, known) {
                (None, None) => batch.generation = Some(self.memory.begin(&batch.board, batch.head)),
                (of, known) if of == known => {}
                _ => {
                    self.again(batch);
                    continue;
                }
            }
            self.ready_records += batch.records.len();
            match self.ready.get_mut(&batch.board) {
                Some(ready) => ready.join(batch),
                None => drop(self.ready.insert(batch.board.clone(), batch)),
            }
        }
    }

    /// A batch is to be prepared once more.
    fn again(&mut self, mut batch: Batch) {
        let known = self.memory.board(&batch.board);
        batch.generation = known.map(|known| known.generation);
        batch.forget(known.and_then(|known| known.head));
        match self.again.iter_mut().find(|earlier| earlier.board == batch.board) {
            Some(earlier) => earlier.join(batch),
            None => self.again.push(batch),
        }
    }

    /// Counts what is ready and begins to write it.
    fn begin_writing(&mut self) -> Option<(Writing, i64)> {
        if self.begun_offset == self.next_offset {
            return None;
        }
        self.begun_offset = self.next_offset;
        let mut written = Vec::new();
        let (mut steps, mut counted) = (Vec::new(), Vec::new());
        self.ready_records = 0;
        for (board, batch) in mem::take(&mut self.ready) {
            if batch.records.is_empty() {
                written.push(WrittenBatch { batch, step: None, found: None });
                continue;
            }
            #[expect(clippy::cast_precision_loss, reason = "it is a thousand at most")]
            self.parts.counters.batch_records.record(batch.records.len() as f64);
            let head = self.memory.board(&board).and_then(|memory| memory.head);
            let Count { head, standings, history, counted: count } = count(batch, head);
            self.memory.expect(&board, head, standings, &history.rows);
            steps.push(history);
            counted.push(count);
        }
        let parts = self.parts.clone();
        let writing = async move {
            if !steps.is_empty() {
                written.extend(parts.write(steps, counted).await?);
            }
            Ok(written)
        };
        Some((writing.boxed(), self.next_offset))
    }

    /// Remembers what was written.
    fn written(&mut self, mut batches: Vec<WrittenBatch>) -> Vec<WrittenBatch> {
        self.memory.settle();
        for written in &mut batches {
            let Some(Found { head, standings, rows }) = written.found.take() else { continue };
            let board = &written.batch.board;
            self.memory.begin(board, head);
            if let Some(head) = head {
                self.memory.expect(board, head, standings, &rows);
            }
            if let Some(batch) = self.ready.remove(board) {
                self.ready_records -= batch.records.len();
                self.again(batch);
            }
        }
        self.memory.settle();
        batches
    }
}

/// Tells for ever how many records were not applied yet.
async fn tell_lag(parts: &ProjectorParts, partition: i32, applied: &AtomicI64) {
    let lag = Lag(metrics::gauge!("muster_scores_lag_records", "partition" => partition.to_string()));
    let mut ticks = interval(LAG_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // One that does not answer is told of by who reads.
        let Ok(range) = parts.log.range(Topic::Scores, partition).await else { continue };
        let behind = range.end.saturating_sub(applied.load(Ordering::Relaxed).max(range.first)).max(0);
        lag.0.set(u32::try_from(behind).map_or(f64::MAX, f64::from));
    }
}

/// The gauge of a partition: who hands it over tells no more of it.
struct Lag(Gauge);

impl Drop for Lag {
    fn drop(&mut self) {
        self.0.set(0.0);
    }
}
