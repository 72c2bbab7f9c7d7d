//! Rows of scores and periods, and what they say.

use pkg_db::from_millis;
use pkg_definition::Period;
use sqlx::FromRow;
use uuid::Uuid;

use super::super::{Known, RecordedPeriod, Replayed, ScoreRow, StoreError};
use crate::board::{Entry, PeriodId, PeriodSpan, Refusal, Standing, Standings};

/// The columns of [`ScoreColumns`].
pub(super) const COLUMNS: &str = "log_offset, player, submission, value, session_id, attributes, content_hash, time_ms, \
     refusal, standings";

#[derive(FromRow)]
pub(super) struct ScoreColumns {
    log_offset: i64,
    player: Uuid,
    submission: Uuid,
    value: i64,
    session_id: Option<Uuid>,
    attributes: Vec<u8>,
    content_hash: Vec<u8>,
    time_ms: i64,
    refusal: Option<String>,
    standings: Vec<u8>,
}

impl TryFrom<ScoreColumns> for ScoreRow {
    type Error = StoreError;

    fn try_from(row: ScoreColumns) -> Result<Self, StoreError> {
        let hash = row.content_hash.try_into().map_err(|_| StoreError::broken("a content hash has 32 bytes"))?;
        Ok(Self {
            offset: row.log_offset,
            player: row.player,
            submission: row.submission,
            value: row.value,
            session: row.session_id,
            attributes: row.attributes.into(),
            content_hash: hash,
            time: from_millis(row.time_ms),
            refusal: row.refusal.as_deref().map(stored_refusal).transpose()?,
            standings: stored_standings(&row.standings)?,
        })
    }
}

/// A submission that may not be there, and what is known of its player.
#[derive(FromRow)]
pub(super) struct LookedUp {
    log_offset: Option<i64>,
    player: Option<Uuid>,
    submission: Option<Uuid>,
    value: Option<i64>,
    session_id: Option<Uuid>,
    attributes: Option<Vec<u8>>,
    content_hash: Option<Vec<u8>>,
    time_ms: Option<i64>,
    refusal: Option<String>,
    standings: Option<Vec<u8>>,
    last_standings: Option<Vec<u8>>,
    gone: bool,
}

impl LookedUp {
    fn row(&mut self) -> Option<ScoreColumns> {
        Some(ScoreColumns {
            log_offset: self.log_offset?,
            player: self.player?,
            submission: self.submission?,
            value: self.value?,
            session_id: self.session_id,
            attributes: self.attributes.take()?,
            content_hash: self.content_hash.take()?,
            time_ms: self.time_ms?,
            refusal: self.refusal.take(),
            standings: self.standings.take()?,
        })
    }
}

impl TryFrom<LookedUp> for Known {
    type Error = StoreError;

    fn try_from(mut found: LookedUp) -> Result<Self, StoreError> {
        Ok(Self {
            recorded: found.row().map(ScoreRow::try_from).transpose()?,
            standings: found.last_standings.as_deref().map(stored_standings).transpose()?,
            gone: found.gone,
        })
    }
}

#[derive(FromRow)]
pub(super) struct ReplayedRow {
    log_offset: i64,
    player: Uuid,
    time_ms: i64,
    attributes: Vec<u8>,
    standings: Vec<u8>,
}

impl TryFrom<ReplayedRow> for Replayed {
    type Error = StoreError;

    fn try_from(row: ReplayedRow) -> Result<Self, StoreError> {
        Ok(Self {
            offset: row.log_offset,
            player: row.player,
            time: from_millis(row.time_ms),
            attributes: row.attributes.into(),
            standings: stored_standings(&row.standings)?,
        })
    }
}

#[derive(FromRow)]
pub(super) struct PeriodRow {
    kind: String,
    start_ms: i64,
    end_ms: Option<i64>,
    first_offset: i64,
    end_offset: Option<i64>,
}

impl TryFrom<PeriodRow> for RecordedPeriod {
    type Error = StoreError;

    fn try_from(row: PeriodRow) -> Result<Self, StoreError> {
        let id = PeriodId { kind: stored_kind(&row.kind)?, start_ms: row.start_ms };
        let span = PeriodSpan { id, end_ms: row.end_ms };
        Ok(Self { span, first_offset: row.first_offset, end_offset: row.end_offset })
    }
}

pub(super) fn kind_text(kind: Period) -> &'static str {
    match kind {
        Period::AllTime => "all_time",
        Period::Daily => "daily",
        Period::Weekly => "weekly",
        Period::Monthly => "monthly",
    }
}

fn stored_kind(text: &str) -> Result<Period, StoreError> {
    let known = KINDS.into_iter().find(|kind| kind_text(*kind) == text);
    known.ok_or_else(|| StoreError::broken(format!("the period {text:?}")))
}

pub(super) fn refusal_text(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::SumOverflow => "sum_overflow",
        Refusal::BoardChanged => "board_changed",
        Refusal::AccountGone => "account_gone",
    }
}

fn stored_refusal(text: &str) -> Result<Refusal, StoreError> {
    let known = [Refusal::SumOverflow, Refusal::BoardChanged, Refusal::AccountGone];
    let known = known.into_iter().find(|refusal| refusal_text(*refusal) == text);
    known.ok_or_else(|| StoreError::broken(format!("the refusal {text:?}")))
}

/// The kinds of periods by the bytes that stand for them.
const KINDS: [Period; 4] = [Period::AllTime, Period::Daily, Period::Weekly, Period::Monthly];
/// Says in the byte of the kind that there was a value before.
const HAS_PREVIOUS: u8 = 128;
const NUMBER_BYTES: usize = 8;

/// See the column in the migration.
pub(super) fn standings_bytes(standings: &Standings) -> Vec<u8> {
    let mut bytes = Vec::new();
    for standing in &standings.0 {
        let kind: u8 = match standing.period.kind {
            Period::AllTime => 0,
            Period::Daily => 1,
            Period::Weekly => 2,
            Period::Monthly => 3,
        };
        bytes.push(if standing.previous.is_some() { kind | HAS_PREVIOUS } else { kind });
        let start = (standing.period.kind != Period::AllTime).then_some(standing.period.start_ms);
        let numbers = [start, Some(standing.entry.value), Some(standing.entry.reached), standing.previous];
        bytes.extend(numbers.into_iter().flatten().flat_map(i64::to_be_bytes));
    }
    bytes
}

fn stored_standings(mut bytes: &[u8]) -> Result<Standings, StoreError> {
    let mut standings = Vec::new();
    while let Some((kind, rest)) = bytes.split_first() {
        let (standing, rest) = standing(*kind, rest).ok_or_else(|| StoreError::broken("standings that are damaged"))?;
        standings.push(standing);
        bytes = rest;
    }
    Ok(Standings(standings))
}

fn standing(kind: u8, mut bytes: &[u8]) -> Option<(Standing, &[u8])> {
    let mut number = || {
        let (number, rest) = bytes.split_first_chunk::<NUMBER_BYTES>()?;
        bytes = rest;
        Some(i64::from_be_bytes(*number))
    };
    let has_previous = kind & HAS_PREVIOUS != 0;
    let kind = *KINDS.get(usize::from(kind & !HAS_PREVIOUS))?;
    let start_ms = if kind == Period::AllTime { 0 } else { number()? };
    let entry = Entry { value: number()?, reached: number()? };
    let previous = if has_previous { Some(number()?) } else { None };
    Some((Standing { period: PeriodId { kind, start_ms }, entry, previous }, bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn standing() -> impl Strategy<Value = Standing> {
        let parts = (prop::sample::select(KINDS.to_vec()), any::<(i64, i64, i64, Option<i64>)>());
        parts.prop_map(|(kind, (start_ms, value, reached, previous))| {
            let start_ms = if kind == Period::AllTime { 0 } else { start_ms };
            Standing { period: PeriodId { kind, start_ms }, entry: Entry { value, reached }, previous }
        })
    }

    proptest! {
        #[test]
        fn standings_come_back(standings in prop::collection::vec(standing(), 0..5)) {
            let standings = Standings(standings);
            prop_assert_eq!(stored_standings(&standings_bytes(&standings)).unwrap(), standings);
        }

        #[test]
        fn damaged_ones_are_told(bytes: Vec<u8>) {
            if let Ok(standings) = stored_standings(&bytes) {
                prop_assert_eq!(standings_bytes(&standings), bytes);
            }
        }
    }
}
