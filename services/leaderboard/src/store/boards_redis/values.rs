//! What scripts take and answer.

use bytes::{Bytes, BytesMut};
use fred::types::Value;
use pkg_db::{from_millis, to_millis};
use pkg_definition::Order;
use uuid::Uuid;

use super::super::boards::{Applied, BoardView, Detail, Mark, PeriodOutcome, Ranked};
use super::StoreError;
use crate::board::{Entry, PlaceKey};

/// How many bytes of the time are kept: enough for ten thousand years from 1970 on; times before are that one.
const TIME_BYTES: usize = 6;

/// A script answers with a number where nothing else is to be said.
pub(super) enum Answer {
    Code(i64),
    List(Vec<Value>),
}

impl Answer {
    pub(super) fn of(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Integer(code) => Ok(Self::Code(code)),
            Value::Array(parts) => Ok(Self::List(parts)),
            _ => Err(unexpected()),
        }
    }
}

/// An entry as it is stored, or without anything more if it is not to be.
pub(super) fn value(order: Order, player: Uuid, entry: Entry, detail: Option<&Detail>) -> Value {
    let key = PlaceKey::new(order, entry, player);
    let entry = &key.as_bytes()[..PlaceKey::ENTRY_BYTES];
    let Some(detail) = detail else { return Value::Bytes(Bytes::copy_from_slice(entry)) };
    let mut value = BytesMut::with_capacity(PlaceKey::ENTRY_BYTES + TIME_BYTES + detail.attributes.len());
    value.extend_from_slice(entry);
    let time = to_millis(detail.time).max(0).to_be_bytes();
    value.extend_from_slice(&time[time.len() - TIME_BYTES..]);
    value.extend_from_slice(&detail.attributes);
    Value::Bytes(value.freeze())
}

fn stored(order: Order, player: &[u8], value: &Bytes) -> Option<(Uuid, Entry, Detail)> {
    let (entry, detail) = value.split_at_checked(PlaceKey::ENTRY_BYTES)?;
    let (time, attributes) = detail.split_at_checked(TIME_BYTES)?;
    let key = PlaceKey::from_bytes(&[entry, player].concat())?;
    let time = time.iter().fold(0, |time, byte| time << 8 | i64::from(*byte));
    // A slice of the answer would keep all of it.
    let attributes = Bytes::copy_from_slice(attributes);
    Some((key.player(), key.entry(order), Detail { time: from_millis(time), attributes }))
}

/// Where a board is: the first two parts.
pub(super) fn mark(parts: &[Value]) -> Result<Mark, StoreError> {
    match parts {
        [offset, erasures, ..] => Ok(Mark { offset: number(offset)?, erasures: number(erasures)? }),
        _ => Err(unexpected()),
    }
}

pub(super) fn view(order: Order, parts: Vec<Value>) -> Result<BoardView, StoreError> {
    let mark = mark(&parts)?;
    let mut parts = parts.into_iter().skip(2);
    let (Some(total), Some(ranks), Some(Value::Array(players)), Some(Value::Array(values)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(unexpected());
    };
    let ranks: Vec<u64> = match ranks {
        Value::Array(ranks) => ranks.iter().map(rank).collect::<Result<_, _>>()?,
        first => {
            let first = rank(&first)?;
            (first..).take(players.len()).collect()
        }
    };
    let mut entries = Vec::with_capacity(players.len());
    for ((player, value), rank) in players.into_iter().zip(values).zip(ranks) {
        let (Some(player), Some(value)) = (player.into_bytes(), value.into_bytes()) else { return Err(unexpected()) };
        let (player, entry, detail) = stored(order, &player, &value).ok_or_else(unexpected)?;
        entries.push(Ranked { rank, player, entry, detail });
    }
    entries.sort_unstable_by_key(|entry| entry.rank);
    Ok(BoardView { mark, total: count(&total)?, entries })
}

/// The answer of a step: 1 and what became of its periods, or where the board is.
pub(super) fn outcomes(parts: Vec<Value>) -> Result<Applied, StoreError> {
    if !matches!(parts.first(), Some(Value::Integer(_))) {
        return mark(&parts).map(Applied::Elsewhere);
    }
    let outcome = |part: Value| {
        let Value::Array(numbers) = part else { return Err(unexpected()) };
        let (total, ranks) = numbers.split_first().ok_or_else(unexpected)?;
        let ranks =
            ranks.iter().map(|rank| Ok(count(&Value::from(number(rank)? + 1))?).map(|rank| (rank > 0).then_some(rank)));
        Ok(PeriodOutcome { total: count(total)?, ranks: ranks.collect::<Result<_, StoreError>>()? })
    };
    parts.into_iter().skip(1).map(outcome).collect::<Result<_, _>>().map(Applied::Done)
}

fn number(value: &Value) -> Result<i64, StoreError> {
    value.as_i64().ok_or_else(unexpected)
}

fn count(value: &Value) -> Result<u64, StoreError> {
    u64::try_from(number(value)?).map_err(|_| unexpected())
}

/// Redis counts from 0.
fn rank(value: &Value) -> Result<u64, StoreError> {
    Ok(count(value)? + 1)
}

fn unexpected() -> StoreError {
    StoreError::broken("a script answered something else")
}
