//! What scripts of tickets answer.

use bytes::Bytes;
use fred::types::Value;
use pkg_db::from_millis;
use uuid::Uuid;

use super::super::tickets::{
    Created, EndOutcome, EndReason, Fenced, MadeClaim, NewTicket, Signed, Stored, TicketStatus,
};
use super::super::{StoreError, ticket_body};

pub(super) fn unexpected() -> StoreError {
    StoreError::broken("a script answered something else")
}

pub(super) fn list(value: Value) -> Result<Vec<Value>, StoreError> {
    if let Value::Array(parts) = value { Ok(parts) } else { Err(unexpected()) }
}

fn array<const N: usize>(value: Value) -> Result<[Value; N], StoreError> {
    list(value)?.try_into().map_err(|_| unexpected())
}

fn text(value: &Value) -> Option<String> {
    value.as_string()
}

fn id(value: &Value) -> Option<Uuid> {
    Uuid::try_parse(&value.as_str()?).ok()
}

pub(super) fn ids(value: Value) -> Result<Vec<Uuid>, StoreError> {
    list(value)?.iter().map(|value| id(value).ok_or_else(unexpected)).collect()
}

/// The status of the fields status, match and reason; `None` if there is no ticket.
fn status(status: &Value, of: &Value, reason: &Value) -> Result<Option<TicketStatus>, StoreError> {
    let Some(name) = text(status) else { return Ok(None) };
    let status = match name.as_str() {
        "queued" => Some(TicketStatus::Queued),
        "matching" => id(of).map(TicketStatus::Matching),
        "matched" => id(of).map(TicketStatus::Matched),
        "ended" => text(reason).as_deref().and_then(read_reason).map(TicketStatus::Ended),
        _ => None,
    };
    status.map(Some).ok_or_else(unexpected)
}

/// What `ticket_load.lua` says of a ticket.
pub(super) fn stored(value: Value) -> Result<Option<Stored>, StoreError> {
    let [state, of, reason, ended, why, body] = array(value)?;
    let Some(status) = status(&state, &of, &reason)? else { return Ok(None) };
    let NewTicket { ticket, queue, expires } = ticket_body::decode(&body.into_bytes().ok_or_else(unexpected)?)?;
    let ended_at = ended.as_i64().map(from_millis);
    Ok(Some(Stored { ticket, queue, expires, status, ended_at, why: why.into_bytes() }))
}

pub(super) fn created(new: &NewTicket, value: Value) -> Result<Created, StoreError> {
    let mut parts = list(value)?.into_iter();
    let mut next = || parts.next().ok_or_else(unexpected);
    match next()?.as_i64() {
        Some(0) => Ok(Created::Done),
        Some(1) => Ok(new.repeated(stored(next()?)?.ok_or_else(unexpected)?)),
        Some(2) => {
            let (ticket, player) = (id(&next()?), id(&next()?));
            let (ticket, player) = ticket.zip(player).ok_or_else(unexpected)?;
            Ok(Created::AlreadyQueued { ticket, player })
        }
        _ => Err(unexpected()),
    }
}

/// What `ticket_arrivals.lua` found.
pub(super) struct Arrivals {
    pub(super) looked_at: usize,
    /// The number of the last one that was looked at.
    pub(super) last: u64,
    /// Bodies with their numbers.
    pub(super) found: Vec<(Bytes, u64)>,
}

pub(super) fn arrivals(value: Value) -> Result<Arrivals, StoreError> {
    let [looked_at, last, found] = array(value)?;
    let number = |value: &Value| value.as_u64().ok_or_else(unexpected);
    let mut arrivals = Vec::new();
    let mut found = list(found)?.into_iter();
    while let (Some(at), Some(body)) = (found.next(), found.next()) {
        arrivals.push((body.into_bytes().ok_or_else(unexpected)?, number(&at)?));
    }
    let looked_at = usize::try_from(number(&looked_at)?).map_err(StoreError::broken)?;
    Ok(Arrivals { looked_at, last: number(&last)?, found: arrivals })
}

/// Whether a script refused to work.
pub(super) fn fenced(answer: &[Value]) -> Option<Fenced> {
    match answer {
        [Value::Integer(-1), epoch] => Some(Fenced { epoch: epoch.as_i64()? }),
        _ => None,
    }
}

/// How many claims `ticket_give_back.lua` came to.
pub(super) fn count(answer: &[Value]) -> Option<usize> {
    usize::try_from(answer.first()?.as_u64()?).ok()
}

pub(super) fn made_claim(value: Value) -> Result<MadeClaim, StoreError> {
    let [of, deadline, tickets] = array(value)?;
    let tickets = text(&tickets).ok_or_else(unexpected)?;
    let tickets = tickets.split_whitespace().map(|id| Uuid::try_parse(id).map_err(StoreError::broken));
    Ok(MadeClaim {
        match_id: id(&of).ok_or_else(unexpected)?,
        tickets: tickets.collect::<Result<_, _>>()?,
        deadline: deadline.as_i64().map(from_millis).ok_or_else(unexpected)?,
    })
}

/// What `ticket_end.lua` says of a ticket.
pub(super) fn end_outcome(value: Value) -> Result<EndOutcome, StoreError> {
    let [status, reason] = array(value)?;
    let outcome = match text(&status).as_deref() {
        Some("") => Some(EndOutcome::NotFound),
        Some("queued") => Some(EndOutcome::Ended),
        Some("matching") => Some(EndOutcome::Matching),
        Some("matched") => Some(EndOutcome::Matched),
        Some("ended") => text(&reason).as_deref().and_then(read_reason).map(EndOutcome::AlreadyEnded),
        _ => None,
    };
    outcome.ok_or_else(unexpected)
}

/// What `ticket_sign.lua` says of a ticket.
pub(super) fn signed(value: Value) -> Result<Option<Signed>, StoreError> {
    let [state, of, reason, why] = array(value)?;
    let status = status(&state, &of, &reason)?;
    Ok(status.map(|status| Signed { status, why: why.into_bytes() }))
}

pub(super) fn reason_text(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Cancelled => "cancelled",
        EndReason::WaitedTooLong => "waited_too_long",
        EndReason::PlayerGone => "player_gone",
        EndReason::AlreadyInMatch => "already_in_match",
        EndReason::QueueClosed => "queue_closed",
        EndReason::RulesChanged => "rules_changed",
        EndReason::AccountGone => "account_gone",
    }
}

fn read_reason(text: &str) -> Option<EndReason> {
    EndReason::ALL.into_iter().find(|reason| reason_text(*reason) == text)
}
