//! What every store of presence promises. Each function is one promise; at the end they run against each adapter.

use std::time::Duration;

use pkg_ambient::{Ambient, ManualClock};

use super::*;
use crate::presence::{DEVICE_LIFETIME, DeviceState, LAST_SEEN_LIFETIME, MAX_DEVICES, MAX_QUEUES, Sign};

const SECOND: Duration = Duration::from_secs(1);

fn id() -> Uuid {
    Ambient::system().id()
}

/// A time without what the stores do not keep.
fn now() -> OffsetDateTime {
    Ambient::with_clock(ManualClock::new()).now()
}

fn sign(player: Uuid, device: Uuid, sign: Sign) -> DeviceSign {
    DeviceSign { player, device, sign }
}

async fn trace(store: &dyn PresenceStore, player: Uuid, now: OffsetDateTime) -> Trace {
    store.traces(&[player], now).await.unwrap().remove(0)
}

async fn who_was_never_there_left_no_trace(store: &dyn PresenceStore) {
    assert_eq!(store.traces(&[id(), id()], now()).await.unwrap(), [Trace::default(), Trace::default()]);
    assert_eq!(store.traces(&[], now()).await.unwrap(), []);
}

async fn a_sign_holds_for_its_time(store: &dyn PresenceStore) {
    let (player, now) = (id(), now());
    store.record(&[sign(player, id(), Sign::Alive)], now).await.unwrap();
    let late = now + DEVICE_LIFETIME;
    let there = Trace { devices: vec![DeviceState::Online], queued_in: None, last_seen: Some(now) };
    assert_eq!(trace(store, player, late - SECOND).await, there);
    assert_eq!(trace(store, player, late).await, Trace { devices: vec![], ..there });
    assert_eq!(trace(store, player, now + LAST_SEEN_LIFETIME).await, Trace::default());
}

async fn a_device_stays_as_it_said_while_it_is_alive(store: &dyn PresenceStore) {
    for state in [DeviceState::Away, DeviceState::Hidden, DeviceState::Online] {
        let (player, device, now) = (id(), id(), now());
        store.record(&[sign(player, device, Sign::Says(state))], now).await.unwrap();
        store.record(&[sign(player, device, Sign::Alive)], now + 30 * SECOND).await.unwrap();
        assert_eq!(trace(store, player, now + 60 * SECOND).await.devices, [state]);
        // After it was gone it comes back as online.
        let later = now + 30 * SECOND + DEVICE_LIFETIME;
        store.record(&[sign(player, device, Sign::Alive)], later).await.unwrap();
        assert_eq!(trace(store, player, later).await.devices, [DeviceState::Online]);
    }
}

async fn who_hides_is_not_seen(store: &dyn PresenceStore) {
    let (player, device, now) = (id(), id(), now());
    store.record(&[sign(player, device, Sign::Alive)], now).await.unwrap();
    store.record(&[sign(player, device, Sign::Says(DeviceState::Hidden))], now + SECOND).await.unwrap();
    store.record(&[sign(player, device, Sign::Alive)], now + 2 * SECOND).await.unwrap();
    assert_eq!(trace(store, player, now + 2 * SECOND).await.last_seen, Some(now));
}

async fn players_and_devices_are_apart(store: &dyn PresenceStore) {
    let (one, other, now) = (id(), id(), now());
    let away = Sign::Says(DeviceState::Away);
    let signs = [sign(one, id(), Sign::Alive), sign(one, id(), away), sign(other, id(), away)];
    store.record(&signs, now).await.unwrap();
    let traces = store.traces(&[other, one], now).await.unwrap();
    assert_eq!(traces[0].devices, [DeviceState::Away]);
    assert_eq!(traces[1].devices.len(), 2);
}

async fn a_flood_of_devices_is_bounded_and_the_last_ones_stay(store: &dyn PresenceStore) {
    let (player, mut now) = (id(), now());
    for _ in 0..MAX_DEVICES + 5 {
        now += Duration::from_millis(10);
        store.record(&[sign(player, id(), Sign::Alive)], now).await.unwrap();
    }
    let last = id();
    now += Duration::from_millis(10);
    store.record(&[sign(player, last, Sign::Says(DeviceState::Away))], now).await.unwrap();
    let devices = trace(store, player, now).await.devices;
    assert_eq!(devices.len(), MAX_DEVICES);
    assert!(devices.contains(&DeviceState::Away));
}

async fn who_waits_is_told_until_the_report_is_over(store: &dyn PresenceStore) {
    let (player, game, other, now) = (id(), id(), id(), now());
    let report = |game, queued| [QueuedReport { player, game, queued }];
    let queued = async |at| trace(store, player, at).await.queued_in;
    store.report_queued(&report(game, true), now, now + 10 * SECOND).await.unwrap();
    store.report_queued(&report(other, true), now, now + 5 * SECOND).await.unwrap();
    assert_eq!(queued(now).await, Some(game));
    assert_eq!(queued(now + 10 * SECOND).await, None);

    store.report_queued(&report(game, false), now, now + 10 * SECOND).await.unwrap();
    assert_eq!(queued(now).await, Some(other));
    store.report_queued(&report(other, true), now + SECOND, now + 20 * SECOND).await.unwrap();
    assert_eq!(queued(now + 19 * SECOND).await, Some(other));
    for _ in 0..MAX_QUEUES + 5 {
        store.report_queued(&report(id(), true), now, now + 30 * SECOND).await.unwrap();
    }
    assert!(queued(now).await.is_some());
}

async fn verify(store: &dyn PresenceStore) {
    who_was_never_there_left_no_trace(store).await;
    a_sign_holds_for_its_time(store).await;
    a_device_stays_as_it_said_while_it_is_alive(store).await;
    who_hides_is_not_seen(store).await;
    players_and_devices_are_apart(store).await;
    a_flood_of_devices_is_bounded_and_the_last_ones_stay(store).await;
    who_waits_is_told_until_the_report_is_over(store).await;
}

#[tokio::test]
async fn memory() {
    verify(&MemoryPresence::new()).await;
}

mod real_redis {
    use pkg_redis::testing;

    use super::*;

    #[tokio::test]
    async fn the_contract_holds() {
        let redis = testing::redis().await;
        verify(&RedisPresence::new(redis.clone())).await;
    }

    #[tokio::test]
    async fn the_contract_holds_on_a_cluster() {
        let redis = testing::cluster().await;
        verify(&RedisPresence::new(redis.clone())).await;
    }
}
