//! Presence in the memory of this process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::PresenceStore;
use crate::presence::{
    DEVICE_LIFETIME, DeviceSign, DeviceState, LAST_SEEN_LIFETIME, MAX_DEVICES, MAX_QUEUES, QueuedReport, Sign, Trace,
};
use crate::store::StoreError;

/// The fewest players that are looked through for those to be forgotten.
const SWEEP_AT_LEAST: usize = 1_024;

/// The embedded store of presence.
#[derive(Debug, Default)]
pub struct MemoryPresence {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    players: HashMap<Uuid, Player>,
    /// With so many players, those past their time are looked for.
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Player {
    devices: Vec<(Uuid, DeviceState, OffsetDateTime)>,
    queues: Vec<(Uuid, OffsetDateTime)>,
    last_seen: Option<OffsetDateTime>,
}

impl MemoryPresence {
    /// A store without players.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl PresenceStore for MemoryPresence {
    async fn record(&self, signs: &[DeviceSign], now: OffsetDateTime) -> Result<(), StoreError> {
        let mut state = self.lock();
        for sign in signs {
            state.player(sign.player, now).record(sign, now);
        }
        Ok(())
    }

    async fn report_queued(
        &self,
        reports: &[QueuedReport],
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        for report in reports {
            let queues = &mut state.player(report.player, now).queues;
            queues.retain(|(game, ends)| *game != report.game && *ends > now);
            if report.queued {
                make_room(queues, MAX_QUEUES, |(_, ends)| *ends);
                // Almost everyone waits in one queue at a time.
                queues.reserve_exact(1);
                queues.push((report.game, until));
            }
        }
        Ok(())
    }

    async fn traces(&self, players: &[Uuid], now: OffsetDateTime) -> Result<Vec<Trace>, StoreError> {
        let state = self.lock();
        let trace = |player| state.players.get(player).map(|player| player.trace(now)).unwrap_or_default();
        Ok(players.iter().map(trace).collect())
    }
}

impl State {
    fn player(&mut self, id: Uuid, now: OffsetDateTime) -> &mut Player {
        if self.players.len() >= self.sweep_at.max(SWEEP_AT_LEAST) {
            self.players.retain(|_, player| !player.is_past(now));
            self.sweep_at = 2 * self.players.len();
        }
        self.players.entry(id).or_default()
    }
}

impl Player {
    fn record(&mut self, sign: &DeviceSign, now: OffsetDateTime) {
        self.devices.retain(|(_, _, ends)| *ends > now);
        let known = self.devices.iter().position(|(device, ..)| *device == sign.device);
        let before = known.map(|place| self.devices.swap_remove(place).1);
        let state = match sign.sign {
            Sign::Alive => before.unwrap_or(DeviceState::Online),
            Sign::Says(state) => state,
        };
        if state != DeviceState::Hidden {
            self.last_seen = Some(now);
        }
        make_room(&mut self.devices, MAX_DEVICES, |(.., ends)| *ends);
        self.devices.push((sign.device, state, now + DEVICE_LIFETIME));
    }

    fn trace(&self, now: OffsetDateTime) -> Trace {
        let devices = self.devices.iter().filter(|(.., ends)| *ends > now).map(|(_, state, _)| *state).collect();
        let queues = self.queues.iter().filter(|(_, ends)| *ends > now);
        Trace {
            devices,
            queued_in: queues.max_by_key(|(game, ends)| (*ends, *game)).map(|(game, _)| *game),
            last_seen: self.last_seen.filter(|seen| *seen + LAST_SEEN_LIFETIME > now),
        }
    }

    fn is_past(&self, now: OffsetDateTime) -> bool {
        self.trace(now) == Trace::default()
    }
}

/// Drops the one that is over first, if there is no room for another.
fn make_room<T>(items: &mut Vec<T>, most: usize, ends: impl Fn(&T) -> OffsetDateTime) {
    if items.len() < most {
        return;
    }
    if let Some((place, _)) = items.iter().enumerate().min_by_key(|(_, item)| ends(item)) {
        items.swap_remove(place);
    }
}
