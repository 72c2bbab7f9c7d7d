//! What follows from the records of a board: plain arithmetic, before anything is written.

use std::collections::HashMap;

use bytes::Bytes;
use pkg_definition::Order;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::board::{BoardId, BoardRules, PeriodSpan, Refusal, Standings};
use crate::store::{BeginningPeriod, BoardStep, Change, Detail, Head, HistoryStep, Known, PeriodChanges, ScoreRow};

/// A score as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its offset.
    pub offset: i64,
    /// The log's time of it, to the millisecond.
    pub time: OffsetDateTime,
    /// Whose.
    pub player: Uuid,
    /// The client's id.
    pub submission: Uuid,
    /// The value.
    pub value: i64,
    /// The session in which it was reached.
    pub session: Option<Uuid>,
    /// The facts about it, as they are kept.
    pub attributes: Bytes,
    /// Of its content.
    pub content_hash: [u8; 32],
    /// Whether it is within the bounds of the board now.
    pub within_bounds: bool,
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is kept: accepted, or refused.
    Kept(ScoreRow),
    /// It repeats one that is kept, which says what came of it.
    Repeated(ScoreRow),
    /// Another one with its id, but with another content, is kept.
    Differs,
}

/// What follows from records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reckoning {
    /// For the history.
    pub history: HistoryStep,
    /// For the board.
    pub board: BoardStep,
    /// One for each record, in their order.
    pub outcomes: Vec<Outcome>,
    /// Where each of the players stands after the last record.
    pub standings: HashMap<Uuid, Standings>,
}

/// Works out what follows from records of a board behind its head, with what is known of each of them. There is at least one.
/// `rules` are `None` for a board that the game does not have any more.
///
/// The result depends on nothing else, and cutting records into other batches makes no difference.
#[must_use]
pub fn reckon(
    board: &BoardId,
    rules: Option<&BoardRules>,
    head: Option<Head>,
    records: Vec<(Record, Known)>,
) -> Reckoning {
    let mut run = Run {
        rules,
        time: head.map(|head| head.time),
        spans: Vec::new(),
        kept: HashMap::new(),
        standings: HashMap::new(),
        rows: Vec::new(),
        beginning: Vec::new(),
        changes: Vec::new(),
    };
    let to = records.last().map_or(0, |(record, _)| record.offset);
    let outcomes = records.into_iter().map(|(record, known)| run.add(record, known)).collect();
    let history = HistoryStep {
        board: board.clone(),
        from: head,
        to,
        time: run.time.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        rows: run.rows,
        periods: run.beginning,
    };
    let step = BoardStep {
        board: board.clone(),
        // Without rules nothing changes, in whatever order.
        order: rules.map_or(Order::HighWins, |rules| rules.order),
        from: head.map(|head| head.mark),
        to,
        periods: run.changes.into_iter().map(|changes| changes.step).collect(),
    };
    Reckoning { history, board: step, outcomes, standings: run.standings }
}

/// What was worked out so far.
struct Run<'a> {
    rules: Option<&'a BoardRules>,
    /// The time of the last record as it counts.
    time: Option<OffsetDateTime>,
    /// The periods of that time.
    spans: Vec<PeriodSpan>,
    /// The places of rows, by player and submission.
    kept: HashMap<(Uuid, Uuid), usize>,
    standings: HashMap<Uuid, Standings>,
    rows: Vec<ScoreRow>,
    beginning: Vec<BeginningPeriod>,
    changes: Vec<Changes>,
}

/// What changes in a period.
struct Changes {
    step: PeriodChanges,
    /// The place of each player among the changes.
    places: HashMap<Uuid, usize>,
}

impl Run<'_> {
    fn add(&mut self, record: Record, known: Known) -> Outcome {
        let time = self.time.map_or(record.time, |before| before.max(record.time));
        self.time = Some(time);
        let kept = self.kept.get(&(record.player, record.submission)).and_then(|place| self.rows.get(*place));
        if let Some(row) = known.recorded.as_ref().or(kept) {
            let same = row.content_hash == record.content_hash;
            return if same { Outcome::Repeated(row.clone()) } else { Outcome::Differs };
        }
        let standings = self.standings.remove(&record.player).or(known.standings).unwrap_or_default();
        let counted = self.count(&record, known.gone, time, &standings);
        let row = ScoreRow {
            offset: record.offset,
            player: record.player,
            submission: record.submission,
            value: record.value,
            session: record.session,
            attributes: record.attributes,
            content_hash: record.content_hash,
            time,
            refusal: counted.as_ref().err().copied(),
            standings: counted.unwrap_or_else(|_| standings.unchanged()),
        };
        if row.refusal.is_none() {
            self.change(&row);
        }
        self.standings.insert(row.player, row.standings.clone());
        self.kept.insert((row.player, row.submission), self.rows.len());
        self.rows.push(row.clone());
        Outcome::Kept(row)
    }

    fn count(
        &mut self,
        record: &Record,
        gone: bool,
        time: OffsetDateTime,
        before: &Standings,
    ) -> Result<Standings, Refusal> {
        if gone {
            return Err(Refusal::AccountGone);
        }
        let rules = self.rules.filter(|_| record.within_bounds).ok_or(Refusal::BoardChanged)?;
        if self.spans.is_empty() || !self.spans.iter().all(|span| span.contains(time)) {
            self.spans = rules.periods_at(time);
        }
        rules.count(&self.spans, before, record.value, record.offset)
    }

    /// Notes what an accepted score changes.
    fn change(&mut self, row: &ScoreRow) {
        for (standing, span) in row.standings.0.iter().zip(&self.spans) {
            if standing.previous.is_none() && !self.beginning.iter().any(|period| period.span.id == span.id) {
                self.beginning.push(BeginningPeriod { span: *span, first_offset: row.offset });
            }
            let known = self.changes.iter().position(|changes| changes.step.period == span.id);
            let place = known.unwrap_or_else(|| {
                let keep_until = span.keep_until(row.time);
                let step = PeriodChanges { period: span.id, keep_until, changes: Vec::new() };
                self.changes.push(Changes { step, places: HashMap::new() });
                self.changes.len() - 1
            });
            let Changes { step, places } = &mut self.changes[place];
            let place = *places.entry(row.player).or_insert_with(|| {
                step.changes.push(Change { player: row.player, entry: standing.entry, changed: None });
                step.changes.len() - 1
            });
            let change = &mut step.changes[place];
            if standing.entry.reached == row.offset {
                let detail = Detail { time: row.time, attributes: row.attributes.clone() };
                *change = Change { changed: Some(detail), entry: standing.entry, ..*change };
            }
        }
    }
}

#[cfg(test)]
mod tests;
