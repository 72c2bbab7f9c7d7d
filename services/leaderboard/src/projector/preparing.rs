//! Records as they come, with all that is needed to count them.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use pkg_log::{Entry, Topic};
use tokio::time::sleep;
use uuid::Uuid;

use super::ProjectorParts;
use super::memory::{Generation, Memory};
use crate::attributes;
use crate::board::BoardId;
use crate::catalog::{BoardError, Rules};
use crate::reckoning::Record;
use crate::score_record::ScoreRecord;
use crate::store::{Head, Known, StoreError, Wanted};

/// The pause before it is asked again what a board is.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// After how many attempts that is told.
const REPORT_AFTER: usize = 4;

/// Records of one board, in their order.
pub(super) struct Batch {
    pub(super) board: BoardId,
    /// Of the memory that it was prepared from; `None` if the board was not known.
    pub(super) generation: Option<Generation>,
    /// How far the history is: as it is remembered or, if the board was not known, as it was found.
    pub(super) head: Option<Head>,
    pub(super) records: Vec<Incoming>,
    /// Those that were found to be applied before.
    pub(super) behind: Vec<Uuid>,
    /// The latest revision that one of them was checked under.
    revision: i64,
    /// What the board is, seen from there; `None` until it was asked.
    pub(super) rules: Option<Rules>,
}

/// A record with what is known of it.
pub(super) struct Incoming {
    /// The id of the record, by which it is waited for.
    pub(super) id: Uuid,
    pub(super) record: Record,
    /// `None` until it was looked up.
    pub(super) known: Option<Known>,
}

/// The scores among these entries by their boards, with what is remembered of them, and how many entries were no scores of
/// this partition.
pub(super) fn sort(entries: &[Entry], memory: &Memory) -> (Vec<Batch>, u64) {
    let mut batches: Vec<Batch> = Vec::new();
    let mut places: HashMap<BoardId, usize> = HashMap::new();
    let mut skipped = 0;
    for entry in entries {
        let Some(score) = entry.record.as_ref().ok().and_then(ScoreRecord::parse) else {
            tracing::warn!(position = ?entry.position, "a record of the log of scores is no score");
            skipped += 1;
            continue;
        };
        // Usually all are of one board.
        let last = batches.last().filter(|batch| batch.board == score.board).map(|_| batches.len() - 1);
        let known = last.or_else(|| places.get(&score.board).copied());
        let place = known.unwrap_or(batches.len());
        if known.is_none() {
            // Offsets of another partition cannot be compared.
            if Topic::Scores.partition_of(&score.board.to_string()) != entry.position.partition {
                tracing::warn!(position = ?entry.position, "a score is in a partition that is not its board's");
                skipped += 1;
                continue;
            }
            places.insert(score.board.clone(), place);
            batches.push(Batch::new(score.board.clone(), memory));
        }
        batches[place].add(&score, entry, memory);
    }
    (batches, skipped)
}

impl Batch {
    fn new(board: BoardId, memory: &Memory) -> Self {
        let known = memory.board(&board);
        let (generation, head) = (known.map(|known| known.generation), known.and_then(|known| known.head));
        Self { board, generation, head, records: Vec::new(), behind: Vec::new(), revision: 0, rules: None }
    }

    fn add(&mut self, score: &ScoreRecord<'_>, entry: &Entry, memory: &Memory) {
        let offset = entry.position.offset;
        if self.head.is_some_and(|head| offset <= head.mark.offset) {
            self.behind.push(score.id);
            return;
        }
        self.revision = self.revision.max(score.revision);
        let standings = self.generation.and_then(|of| memory.standings(of, score.player, score.submission));
        let record = Record {
            offset,
            time: entry.time,
            player: score.player,
            submission: score.submission,
            value: score.value,
            session: score.session,
            attributes: attributes::write(score.attributes),
            content_hash: score.content_hash,
            // Until the rules are there.
            within_bounds: true,
        };
        let known = standings.map(|standings| Known { standings: Some(standings), ..Known::default() });
        self.records.push(Incoming { id: score.id, record, known });
    }

    /// Takes the records of a later batch of the same board.
    pub(super) fn join(&mut self, later: Self) {
        self.records.extend(later.records);
        self.behind.extend(later.behind);
        if later.rules.is_some() && (self.rules.is_none() || later.revision >= self.revision) {
            self.rules = later.rules;
        }
        self.revision = self.revision.max(later.revision);
    }

    /// Forgets what was known of the records: others have changed the board, whose history is so far now.
    pub(super) fn forget(&mut self, head: Option<Head>) {
        for incoming in &mut self.records {
            incoming.known = None;
        }
        self.drop_behind(head);
    }

    /// Drops the records that the history has.
    fn drop_behind(&mut self, head: Option<Head>) {
        self.head = head;
        let Some(head) = head else { return };
        let behind = self.records.iter().take_while(|incoming| incoming.record.offset <= head.mark.offset).count();
        self.behind.extend(self.records.drain(..behind).map(|incoming| incoming.id));
    }
}

impl ProjectorParts {
    /// Asks for all that is not known of these records.
    pub(super) async fn prepare(&self, mut batches: Vec<Batch>) -> Result<Vec<Batch>, StoreError> {
        // The heads come first: who writes between them and the rest is found out, since the head has moved then.
        let unknown: Vec<BoardId> =
            batches.iter().filter(|batch| batch.generation.is_none()).map(|batch| batch.board.clone()).collect();
        if !unknown.is_empty() {
            let heads = self.history.heads(&unknown).await?;
            let unknown = batches.iter_mut().filter(|batch| batch.generation.is_none());
            for (batch, head) in unknown.zip(heads) {
                batch.drop_behind(head);
            }
        }
        self.look_up(&mut batches).await?;
        for batch in &mut batches {
            if !batch.records.is_empty() {
                batch.rules = Some(self.rules(&batch.board, batch.revision).await);
            }
        }
        Ok(batches)
    }

    /// Looks up those of which nothing is known.
    pub(super) async fn look_up(&self, batches: &mut [Batch]) -> Result<(), StoreError> {
        let mut wanted = Vec::new();
        for batch in &*batches {
            for Incoming { record, .. } in batch.records.iter().filter(|incoming| incoming.known.is_none()) {
                let (player, submission) = (record.player, record.submission);
                wanted.push(Wanted { board: batch.board.clone(), player, submission });
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let found = self.history.look_up(&wanted).await?;
        let unknown = batches.iter_mut().flat_map(|batch| &mut batch.records);
        for (incoming, known) in unknown.filter(|incoming| incoming.known.is_none()).zip(found) {
            incoming.known = Some(known);
        }
        Ok(())
    }

    /// What a board is, seen from a revision: asked until it is known, since a score must not be refused for that.
    async fn rules(&self, board: &BoardId, revision: i64) -> Rules {
        let mut attempts = 0;
        loop {
            let error = match self.catalog.since(board, revision).await {
                Ok(rules) => return rules,
                Err(BoardError::GameNotFound | BoardError::BoardNotFound) => return Rules::Removed,
                Err(error @ (BoardError::Unavailable(_) | BoardError::Broken(_))) => error,
            };
            attempts += 1;
            if attempts == REPORT_AFTER {
                let error: &dyn Error = &error;
                tracing::warn!(error, %board, "scores wait until it is known what their leaderboard is");
            }
            sleep(ASK_AGAIN).await;
        }
    }
}
