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
const PLAYER_BYTES: usize = size_of::<Uuid>();

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

fn stored(order: Order, player: &[u8], value: &[u8]) -> Option<(Uuid, Entry, Detail)> {
    let (entry, detail) = value.split_at_checked(PlaceKey::ENTRY_BYTES)?;
    let (time, attributes) = detail.split_at_checked(TIME_BYTES)?;
    let mut key = [0; PlaceKey::ENTRY_BYTES + PLAYER_BYTES];
    key[..PlaceKey::ENTRY_BYTES].copy_from_slice(entry);
    key[PlaceKey::ENTRY_BYTES..].copy_from_slice(player.get(..PLAYER_BYTES)?);
    let key = PlaceKey::from_bytes(&key)?;
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
    let (Some(total), Some(ranks), Some(players), Some(values), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(unexpected());
    };
    let (Some(players), Some(values)) = (players.into_bytes(), values.into_bytes()) else { return Err(unexpected()) };
    let players: Vec<&[u8]> = players.chunks(PLAYER_BYTES).collect();
    let values = if players.is_empty() { Vec::new() } else { unpack(&values).ok_or_else(unexpected)? };
    if players.len() != values.len() {
        return Err(unexpected());
    }
    let ranks: Vec<u64> = match ranks {
        Value::Array(ranks) => ranks.iter().map(rank).collect::<Result<_, _>>()?,
        first => {
            let first = rank(&first)?;
            (first..).take(players.len()).collect()
        }
    };
    let mut entries = Vec::with_capacity(players.len());
    for ((player, value), rank) in players.into_iter().zip(values).zip(ranks) {
        let (player, entry, detail) = stored(order, player, value).ok_or_else(unexpected)?;
        entries.push(Ranked { rank, player, entry, detail });
    }
    entries.sort_unstable_by_key(|entry| entry.rank);
    Ok(BoardView { mark, total: count(&total)?, entries })
}

/// The texts of an array in `MessagePack`, as Redis writes it.
fn unpack(packed: &[u8]) -> Option<Vec<&[u8]>> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
    let (count, mut rest) = match packed {
        [head @ 0x90..=0x9f, rest @ ..] => (usize::from(head & 0x0f), rest),
        [0xdc, a, b, rest @ ..] => (number(&[*a, *b]), rest),
        [0xdd, a, b, c, d, rest @ ..] => (number(&[*a, *b, *c, *d]), rest),
        _ => return None,
    };
    let mut texts = Vec::with_capacity(count.min(packed.len()));
    for _ in 0..count {
        let (length, after) = match rest {
            [head @ 0xa0..=0xbf, after @ ..] => (usize::from(head & 0x1f), after),
            [0xd9, a, after @ ..] => (usize::from(*a), after),
            [0xda, a, b, after @ ..] => (number(&[*a, *b]), after),
            [0xdb, a, b, c, d, after @ ..] => (number(&[*a, *b, *c, *d]), after),
            _ => return None,
        };
        let (text, after) = after.split_at_checked(length)?;
        texts.push(text);
        rest = after;
    }
    rest.is_empty().then_some(texts)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Redis packs it.
    fn pack(texts: &[Vec<u8>]) -> Vec<u8> {
        let count = u16::try_from(texts.len()).unwrap();
        let mut packed = if count < 16 { vec![0x90 | count.to_be_bytes()[1]] } else { vec![0xdc] };
        if count >= 16 {
            packed.extend(count.to_be_bytes());
        }
        for text in texts {
            let length = u16::try_from(text.len()).unwrap().to_be_bytes();
            match text.len() {
                0..32 => packed.push(0xa0 | length[1]),
                32..256 => packed.extend([0xd9, length[1]]),
                _ => packed.extend([0xda, length[0], length[1]]),
            }
            packed.extend(text);
        }
        packed
    }

    proptest! {
        #[test]
        fn texts_are_unpacked_whatever_their_lengths(
            texts in prop::collection::vec((0..400_usize).prop_map(|length| vec![7; length]), 0..40),
        ) {
            let packed = pack(&texts);
            prop_assert_eq!(unpack(&packed), Some(texts.iter().map(Vec::as_slice).collect()));
            prop_assert_eq!(unpack(&packed[..packed.len() - 1]), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = unpack(&bytes);
        }
    }
}
