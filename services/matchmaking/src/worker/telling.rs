//! What a worker tells of its queue: how full it is, and why tickets are not matched yet.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::Shared;
use crate::store::{Explanation, StoreError};
use crate::ticket_message;
use crate::waits::Summary;

/// A question is answered for so long.
const ASKED_WITHIN: time::Duration = time::Duration::seconds(10);
/// How many questions are answered in one sweep…
const ANSWERS: usize = 200;
/// …and how many before others have their turn.
const ANSWERS_AT_ONCE: usize = 20;
/// How long a summary is kept: the waits in it are those of the last 10 min.
const SUMMARY_LIFETIME: Duration = Duration::from_mins(10);
/// How often one is told that has not changed.
const AGAIN: Duration = Duration::from_mins(1);

/// Tells of one queue.
#[derive(Default)]
pub struct Teller {
    last: Option<(Summary, Instant)>,
}

impl Teller {
    /// Tells how full the queue is, if that is news.
    pub async fn tell(&mut self, shared: &Shared) -> Result<(), StoreError> {
        let now = shared.tools.ambient.now();
        let Some(summary) = shared.room().as_ref().map(|room| room.summary(now)) else { return Ok(()) };
        let is_known = self.last.as_ref().is_some_and(|(last, at)| {
            // While somebody waits, it is told that this is so now.
            let same = Summary { counted_at: summary.counted_at, ..last.clone() } == summary;
            same && summary.tickets == 0 && at.elapsed() < AGAIN
        });
        if is_known {
            return Ok(());
        }
        let told = serde_json::to_vec(&summary).map_err(StoreError::broken)?;
        shared.tools.tickets.put_summary(&shared.queue, told.into(), SUMMARY_LIFETIME).await?;
        self.last = Some((summary, Instant::now()));
        Ok(())
    }

    /// Says why tickets are not matched yet, of which somebody asks.
    pub async fn explain(&self, shared: &Shared) -> Result<(), StoreError> {
        let tools = &shared.tools;
        let now = tools.ambient.now();
        let asked = tools.tickets.asked(&shared.queue, now - ASKED_WITHIN, ANSWERS).await?;
        for asked in asked.chunks(ANSWERS_AT_ONCE) {
            let explanations = explanations(shared, asked, now);
            if !explanations.is_empty() {
                tools.tickets.explain(&shared.queue, &explanations).await?;
            }
        }
        Ok(())
    }
}

fn explanations(shared: &Shared, asked: &[Uuid], now: OffsetDateTime) -> Vec<Explanation> {
    let room = shared.room();
    let Some(room) = room.as_ref() else { return Vec::new() };
    let waiting = asked.iter().filter(|id| room.contains(**id));
    let explain = |id: &Uuid| Explanation { ticket: *id, why: ticket_message::write_unmet(&room.unmet(*id, now)) };
    waiting.map(explain).collect()
}
