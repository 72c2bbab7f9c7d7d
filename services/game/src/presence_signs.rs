//! The devices that have streams open on this node: they give signs without a call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pkg_ambient::Ambient;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::presence::{DeviceSign, Sign};
use crate::store::PresenceStore;

/// How often an open stream gives a sign: a third of how long it holds.
const SIGN_EVERY: Duration = Duration::from_secs(15);
/// How many signs are recorded at once.
const SIGNS_AT_ONCE: usize = 256;
/// How many devices that just came are recorded before the next round; others wait for it.
const NEW_WAITING: usize = 10_000;

type Device = (Uuid, Uuid);

/// The devices on this node.
pub struct Signs {
    store: Arc<dyn PresenceStore>,
    ambient: Ambient,
    state: Mutex<State>,
    has_new: Notify,
}

#[derive(Default)]
struct State {
    /// How many streams each has.
    open: HashMap<Device, u32>,
    new: Vec<Device>,
}

/// A device with an open stream, for as long as this value lives.
pub struct OpenDevice {
    signs: Arc<Signs>,
    device: Device,
}

impl Signs {
    pub fn new(store: Arc<dyn PresenceStore>, ambient: Ambient) -> Arc<Self> {
        Arc::new(Self { store, ambient, state: Mutex::default(), has_new: Notify::new() })
    }

    /// A stream of a player's device, there until the value is dropped, and a little longer.
    pub fn open(self: &Arc<Self>, player: Uuid, device: Uuid) -> OpenDevice {
        let device = (player, device);
        let mut state = self.lock();
        let streams = state.open.entry(device).or_default();
        *streams += 1;
        if *streams == 1 && state.new.len() < NEW_WAITING {
            state.new.push(device);
            self.has_new.notify_one();
        }
        OpenDevice { signs: self.clone(), device }
    }

    /// Gives signs for all devices until the end.
    pub async fn keep(self: Arc<Self>, shutdown: CancellationToken) {
        let mut clock = interval(SIGN_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let devices: Vec<Device> = tokio::select! {
                () = shutdown.cancelled() => return,
                _ = clock.tick() => self.lock().open.keys().copied().collect(),
                () = self.has_new.notified() => std::mem::take(&mut self.lock().new),
            };
            for devices in devices.chunks(SIGNS_AT_ONCE) {
                self.record(devices).await;
            }
        }
    }

    async fn record(&self, devices: &[Device]) {
        let sign = |(player, device): &Device| DeviceSign { player: *player, device: *device, sign: Sign::Alive };
        let signs: Vec<_> = devices.iter().map(sign).collect();
        if let Err(error) = self.store.record(&signs, self.ambient.now()).await {
            // The next round repairs it.
            tracing::warn!(signs = signs.len(), error = &error as &dyn std::error::Error, "signs were not recorded");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenDevice {
    fn drop(&mut self) {
        let mut state = self.signs.lock();
        if let Some(streams) = state.open.get_mut(&self.device) {
            *streams -= 1;
            if *streams == 0 {
                state.open.remove(&self.device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::DeviceState;
    use crate::store::MemoryPresence;

    #[tokio::test(start_paused = true)]
    async fn an_open_stream_is_a_sign_at_once_and_every_while() {
        let (store, ambient) = (Arc::new(MemoryPresence::new()), Ambient::system());
        let signs = Signs::new(store.clone(), ambient.clone());
        let shutdown = CancellationToken::new();
        let keeping = tokio::spawn(signs.clone().keep(shutdown.clone()));
        let player = Uuid::from_u128(1);
        let there = async || store.traces(&[player], ambient.now()).await.unwrap()[0].devices.clone();

        let (first, second) = (signs.open(player, Uuid::from_u128(2)), signs.open(player, Uuid::from_u128(2)));
        while there().await != [DeviceState::Online] {
            tokio::task::yield_now().await;
        }
        drop(first);
        assert_eq!(signs.lock().open.len(), 1, "the other stream is there");
        drop(second);
        assert!(signs.lock().open.is_empty());
        shutdown.cancel();
        keeping.await.unwrap();
    }
}
