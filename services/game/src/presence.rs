//! Who is there: devices that gave a sign not long ago, and what their players do.

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sessions::{SessionError, Sessions, Whereabouts};
use crate::store::{PresenceStore, StoreError};

/// How long a device is there after a sign.
pub const DEVICE_LIFETIME: Duration = Duration::from_secs(45);
/// How long it is remembered when a player was last there.
pub const LAST_SEEN_LIFETIME: Duration = Duration::from_hours(7 * 24);
/// How many devices of one player are known; the sign that is over first makes room.
pub const MAX_DEVICES: usize = 32;
/// How many queues of one player are known, in the same way.
pub const MAX_QUEUES: usize = 32;

/// What a device says of its player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    Online,
    Away,
    /// It counts as not there, whatever streams it has open.
    Hidden,
}

/// A sign of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It is there, as it was: online if it was not there before.
    Alive,
    Says(DeviceState),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceSign {
    pub player: Uuid,
    /// The device session of the token.
    pub device: Uuid,
    pub sign: Sign,
}

/// Whether a player waits in a queue of a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuedReport {
    pub player: Uuid,
    pub game: Uuid,
    pub queued: bool,
}

/// What a player has left in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// The devices whose signs hold, in any order.
    pub devices: Vec<DeviceState>,
    /// The game whose queue the player waits in; of several the one reported for longest.
    pub queued_in: Option<Uuid>,
    /// The last sign of a device that did not hide.
    pub last_seen: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Online,
    Away,
    InQueue,
    InSession,
    Offline,
}

/// A player's presence, as everyone may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    pub player: Uuid,
    pub status: Status,
    pub game: Option<Uuid>,
    /// A public one.
    pub session: Option<Uuid>,
    pub devices: usize,
    pub last_seen: Option<OffsetDateTime>,
}

/// A presence cannot be told or set.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sessions(#[from] SessionError),
}

/// The presence of players.
#[derive(Clone)]
pub struct Presences {
    pub(crate) store: Arc<dyn PresenceStore>,
    pub(crate) sessions: Sessions,
    pub(crate) ambient: Ambient,
}

impl Presences {
    /// What a device says. Returns its player's presence over all devices.
    pub async fn set(&self, player: Uuid, device: Uuid, state: DeviceState) -> Result<Presence, PresenceError> {
        let sign = DeviceSign { player, device, sign: Sign::Says(state) };
        self.store.record(&[sign], self.ambient.now()).await?;
        self.one(player).await
    }

    pub async fn one(&self, player: Uuid) -> Result<Presence, PresenceError> {
        let mut presences = self.many(&[player]).await?;
        Ok(presences.pop().unwrap_or_else(|| Presence::of(player, &Trace::default(), None)))
    }

    /// One for each player, in their order.
    pub async fn many(&self, players: &[Uuid]) -> Result<Vec<Presence>, PresenceError> {
        let traces = self.store.traces(players, self.ambient.now()).await?;
        let there = players.iter().zip(&traces).filter(|(_, trace)| trace.is_there());
        let there: Vec<Uuid> = there.map(|(player, _)| *player).collect();
        let mut places =
            if there.is_empty() { Vec::new() } else { self.sessions.whereabouts(&there).await? }.into_iter();
        let mut presences = Vec::new();
        for (player, trace) in players.iter().zip(&traces) {
            let place = if trace.is_there() { places.next().flatten() } else { None };
            presences.push(Presence::of(*player, trace, place.as_ref()));
        }
        Ok(presences)
    }

    /// Those who wait count as waiting for so long without another report.
    pub async fn report_queued(&self, reports: &[QueuedReport], lifetime: Duration) -> Result<(), PresenceError> {
        let now = self.ambient.now();
        Ok(self.store.report_queued(reports, now, now + lifetime).await?)
    }
}

impl Trace {
    fn is_there(&self) -> bool {
        self.devices.iter().any(|state| *state != DeviceState::Hidden)
    }
}

impl Presence {
    fn of(player: Uuid, trace: &Trace, place: Option<&Whereabouts>) -> Self {
        let devices = trace.devices.iter().filter(|state| **state != DeviceState::Hidden).count();
        let (status, game, session) = match (place, trace.queued_in) {
            _ if devices == 0 => (Status::Offline, None, None),
            (Some(place), _) => (Status::InSession, Some(place.game), place.public.then_some(place.session)),
            (None, Some(game)) => (Status::InQueue, Some(game), None),
            (None, None) if trace.devices.contains(&DeviceState::Online) => (Status::Online, None, None),
            (None, None) => (Status::Away, None, None),
        };
        Self { player, status, game, session, devices, last_seen: trace.last_seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAYER: Uuid = Uuid::from_u128(1);
    const GAME: Uuid = Uuid::from_u128(2);
    const SESSION: Uuid = Uuid::from_u128(3);

    fn judge(devices: &[DeviceState], queued_in: Option<Uuid>, place: Option<&Whereabouts>) -> Presence {
        Presence::of(PLAYER, &Trace { devices: devices.to_vec(), queued_in, last_seen: None }, place)
    }

    #[test]
    fn the_highest_of_several_counts() {
        use DeviceState::{Away, Hidden, Online};
        let place = Whereabouts { game: GAME, session: SESSION, public: true };
        let both = [Online, Away];
        assert_eq!(judge(&both, Some(GAME), Some(&place)).status, Status::InSession);
        assert_eq!(judge(&both, Some(GAME), None).status, Status::InQueue);
        assert_eq!(judge(&both, None, None).status, Status::Online);
        assert_eq!(judge(&[Away, Hidden], None, None).status, Status::Away);
        assert_eq!(judge(&[Hidden], Some(GAME), Some(&place)).status, Status::Offline);
        assert_eq!(judge(&[], Some(GAME), None).status, Status::Offline);
        assert_eq!(judge(&[Online, Away, Hidden], None, None).devices, 2);
    }

    #[test]
    fn a_private_session_is_not_shown_and_who_is_gone_shows_nothing() {
        let place = Whereabouts { game: GAME, session: SESSION, public: false };
        let there = judge(&[DeviceState::Online], None, Some(&place));
        assert_eq!((there.game, there.session), (Some(GAME), None));
        let gone = judge(&[], None, Some(&place));
        assert_eq!((gone.game, gone.session), (None, None));
    }
}
