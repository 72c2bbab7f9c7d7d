//! The device sessions of one user, as plain data and the rules that change it.
//!
//! A user's sessions are one aggregate: it is loaded, changed here, and saved if nobody else has meanwhile. So each rule
//! stands in one place, for every store.
//!
//! The aggregate is stored as JSON, and replicas of two versions may share a store: a field that is added later needs
//! `#[serde(default)]`, and is lost when an older replica saves.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::secret::SecretHash;

/// How many device sessions a user has at most; one more ends the one that was not used for longest.
pub const SESSIONS_PER_USER: usize = 32;

/// How long a client that lost the answer to a refresh may repeat it.
pub const REPEAT_WINDOW: Duration = Duration::from_mins(1);

/// All device sessions of one user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSessions {
    /// The lowest account epoch that may still open a session. It fences off a sign-in that read the account before a
    /// ban or a new password.
    pub lowest_epoch: i64,
    pub sessions: Vec<DeviceSession>,
}

/// One sign-in of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSession {
    pub id: Uuid,
    /// The device's own credential, if it signed in with one: such a device has one session.
    pub device_key: Option<SecretHash>,
    pub device: Device,
    pub address: Option<IpAddr>,
    #[serde(with = "time::serde::timestamp::milliseconds")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::timestamp::milliseconds")]
    pub refreshed_at: OffsetDateTime,
    #[serde(with = "time::serde::timestamp::milliseconds")]
    pub expires_at: OffsetDateTime,
    /// When the newest access token runs out, not counting those that a repeated refresh was given.
    #[serde(with = "time::serde::timestamp::milliseconds")]
    pub access_expires_at: OffsetDateTime,
    /// The account's epoch at sign-in.
    pub epoch: i64,
    /// The refresh token that is valid now.
    pub refresh_hash: SecretHash,
    /// The refresh token before it: its use was at `refreshed_at`.
    pub previous_hash: Option<SecretHash>,
}

/// A device, in its user's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub name: String,
    pub platform: String,
}

/// A session that is over. Its access tokens may still live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub session: Uuid,
    pub reason: EndReason,
    tokens_end_at: OffsetDateTime,
}

impl Ended {
    /// Whether an access token of the session may still be valid, so that it must be revoked.
    pub fn has_live_tokens(&self, now: OffsetDateTime) -> bool {
        self.tokens_end_at > now
    }
}

/// Why a session ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    Logout,
    /// From another session of the user.
    EndedByUser,
    /// The device signed in again.
    Replaced,
    PasswordChanged,
    TokenReused,
    Banned,
    RoleChanged,
    AccountDeleted,
    /// To make room for another one.
    TooMany,
    /// By a change of the account that did not get to the session at the time. Which one is not known any more.
    AccountChanged,
}

/// The account changed between the check of the credential and the opening of the session.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the account was changed meanwhile")]
pub struct StaleEpoch;

/// A refresh token that was presented, and what it is to become.
#[derive(Debug, Clone, Copy)]
pub struct Presented {
    pub session: Uuid,
    pub hash: SecretHash,
    pub successor_hash: SecretHash,
    /// The account's epoch now.
    pub account_epoch: i64,
    pub address: Option<IpAddr>,
    pub access_expires_at: OffsetDateTime,
}

/// What a refresh came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// The token was the valid one; its successor is now.
    Rotated { session_expires_at: OffsetDateTime },
    /// The token was used just before and its successor not yet: the same answer again.
    Repeated { session_expires_at: OffsetDateTime },
    /// There is no such session, or it was ended.
    Unknown,
    /// The session has run out.
    Expired,
    /// The token was used before: somebody else has it. The session was ended.
    Reused(Ended),
    /// The session is older than a change of the account that ends all sign-ins. It was ended.
    Outdated(Ended),
}

impl DeviceSessions {
    /// Opens a session. Ends the one before of the same device, and the one not used for longest where there are too many.
    pub fn open(&mut self, new: DeviceSession, now: OffsetDateTime) -> Result<Vec<Ended>, StaleEpoch> {
        if new.epoch < self.lowest_epoch {
            return Err(StaleEpoch);
        }
        self.forget_expired(now);
        let same_device = |old: &DeviceSession| new.device_key.is_some() && old.device_key == new.device_key;
        let mut ended = self.end_where(EndReason::Replaced, same_device);

        while self.sessions.len() >= SESSIONS_PER_USER {
            let idle = self.sessions.iter().min_by_key(|session| session.refreshed_at).map(|session| session.id);
            ended.extend(self.end_where(EndReason::TooMany, |session| Some(session.id) == idle));
        }
        self.sessions.push(new);
        Ok(ended)
    }

    /// Exchanges a refresh token for its successor.
    pub fn refresh(&mut self, presented: &Presented, now: OffsetDateTime) -> Refresh {
        let Some(session) = self.sessions.iter_mut().find(|session| session.id == presented.session) else {
            return Refresh::Unknown;
        };
        if session.expires_at <= now {
            return Refresh::Expired;
        }
        let session_expires_at = session.expires_at;
        if session.epoch < presented.account_epoch {
            let ended = session.ended(EndReason::AccountChanged);
            self.sessions.retain(|session| session.id != presented.session);
            return Refresh::Outdated(ended);
        }
        if session.refresh_hash == presented.hash {
            session.previous_hash = Some(presented.hash);
            session.refresh_hash = presented.successor_hash;
            session.refreshed_at = now;
            session.access_expires_at = presented.access_expires_at.min(session.expires_at);
            session.address = presented.address.or(session.address);
            return Refresh::Rotated { session_expires_at };
        }
        if session.previous_hash == Some(presented.hash) && now - session.refreshed_at <= REPEAT_WINDOW {
            return Refresh::Repeated { session_expires_at };
        }
        let ended = session.ended(EndReason::TokenReused);
        self.sessions.retain(|session| session.id != presented.session);
        Refresh::Reused(ended)
    }

    /// Ends one session, if it is there.
    pub fn end(&mut self, session: Uuid, reason: EndReason) -> Option<Ended> {
        self.end_where(reason, |candidate| candidate.id == session).pop()
    }

    /// Ends all sessions but one, which the user asks by.
    pub fn end_others(&mut self, keep: Uuid, now: OffsetDateTime) -> Vec<Ended> {
        self.forget_expired(now);
        self.end_where(EndReason::EndedByUser, |session| session.id != keep)
    }

    /// Ends every session older than an epoch of the account, and lets none be opened by it. One may be taken over from the
    /// epoch before; not from an earlier one, which somebody else has ended.
    pub fn begin_epoch(&mut self, epoch: i64, keep: Option<Uuid>, reason: EndReason) -> Vec<Ended> {
        self.lowest_epoch = self.lowest_epoch.max(epoch);
        for session in &mut self.sessions {
            if Some(session.id) == keep && session.epoch == epoch - 1 {
                session.epoch = epoch;
            }
        }
        self.end_where(reason, |session| session.epoch < epoch)
    }

    /// The sessions that live at `now`, the most recently used first.
    pub fn listed(&self, now: OffsetDateTime) -> Vec<DeviceSession> {
        let mut listed: Vec<_> = self.sessions.iter().filter(|session| session.expires_at > now).cloned().collect();
        listed.sort_by_key(|session| (std::cmp::Reverse(session.refreshed_at), session.id));
        listed
    }

    fn forget_expired(&mut self, now: OffsetDateTime) {
        self.sessions.retain(|session| session.expires_at > now);
    }

    fn end_where(&mut self, reason: EndReason, over: impl Fn(&DeviceSession) -> bool) -> Vec<Ended> {
        self.sessions.extract_if(.., |session| over(session)).map(|session| session.ended(reason)).collect()
    }
}

impl DeviceSession {
    fn ended(&self, reason: EndReason) -> Ended {
        // A repeated refresh gives an access token without a note here, at most REPEAT_WINDOW later than the noted one.
        Ended { session: self.id, reason, tokens_end_at: self.access_expires_at + REPEAT_WINDOW }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const MONTH: Duration = Duration::from_hours(30 * 24);

    fn at(seconds: u64) -> OffsetDateTime {
        START + Duration::from_secs(seconds)
    }

    fn token(n: u8) -> SecretHash {
        SecretHash::from([n; 32])
    }

    fn session(n: u8, now: OffsetDateTime) -> DeviceSession {
        DeviceSession {
            id: Uuid::from_u128(n.into()),
            device_key: None,
            device: Device::default(),
            address: None,
            created_at: now,
            refreshed_at: now,
            expires_at: now + MONTH,
            access_expires_at: now + Duration::from_mins(15),
            epoch: 1,
            refresh_hash: token(0),
            previous_hash: None,
        }
    }

    fn one_session() -> DeviceSessions {
        let mut sessions = DeviceSessions::default();
        sessions.open(session(1, START), START).unwrap();
        sessions
    }

    fn present(n: u8, now: OffsetDateTime) -> Presented {
        Presented {
            session: Uuid::from_u128(1),
            hash: token(n),
            successor_hash: token(n + 1),
            account_epoch: 1,
            address: None,
            access_expires_at: now + Duration::from_mins(15),
        }
    }

    #[test]
    fn a_token_becomes_its_successor() {
        let mut sessions = one_session();
        assert!(matches!(sessions.refresh(&present(0, at(10)), at(10)), Refresh::Rotated { .. }));
        assert!(matches!(sessions.refresh(&present(1, at(20)), at(20)), Refresh::Rotated { .. }));
    }

    #[test]
    fn a_lost_answer_is_repeated_within_the_window_only() {
        let mut sessions = one_session();
        sessions.refresh(&present(0, at(10)), at(10));
        let before = sessions.clone();
        assert!(matches!(sessions.refresh(&present(0, at(70)), at(70)), Refresh::Repeated { .. }));
        assert_eq!(sessions, before);
        assert!(matches!(sessions.refresh(&present(0, at(71)), at(71)), Refresh::Reused(_)));
        assert_eq!(sessions.refresh(&present(1, at(72)), at(72)), Refresh::Unknown);
    }

    #[test]
    fn a_token_whose_successor_was_used_ends_the_session() {
        let mut sessions = one_session();
        sessions.refresh(&present(0, at(10)), at(10));
        sessions.refresh(&present(1, at(11)), at(11));
        assert!(matches!(sessions.refresh(&present(0, at(12)), at(12)), Refresh::Reused(_)));
        assert!(sessions.sessions.is_empty());
    }

    #[test]
    fn a_session_ends_at_its_absolute_expiry_however_often_it_is_refreshed() {
        let mut sessions = one_session();
        let end = START + MONTH;
        sessions.refresh(&present(0, at(10)), at(10));
        assert_eq!(sessions.refresh(&present(1, end), end), Refresh::Expired);
        assert!(sessions.listed(end).is_empty());
    }

    #[test]
    fn a_device_has_one_session() {
        let mut sessions = DeviceSessions::default();
        let device = |n| DeviceSession { device_key: Some(token(9)), ..session(n, START) };
        sessions.open(device(1), START).unwrap();
        sessions.open(session(2, START), START).unwrap();
        let ended = sessions.open(device(3), START).unwrap();
        assert_eq!(ended.iter().map(|ended| ended.session).collect::<Vec<_>>(), [Uuid::from_u128(1)]);
        assert_eq!(sessions.sessions.len(), 2);
    }

    #[test]
    fn the_session_not_used_for_longest_makes_room() {
        let mut sessions = DeviceSessions::default();
        for n in 0..32 {
            sessions.open(session(n, at(u64::from(n))), at(100)).unwrap();
        }
        let ended = sessions.open(session(99, at(100)), at(100)).unwrap();
        assert_eq!((ended[0].session, ended[0].reason), (Uuid::from_u128(0), EndReason::TooMany));
        assert_eq!(sessions.sessions.len(), SESSIONS_PER_USER);
    }

    #[test]
    fn a_new_epoch_ends_all_but_the_one_kept_and_fences_off_late_sign_ins() {
        let mut sessions = one_session();
        sessions.open(session(2, START), START).unwrap();
        let ended = sessions.begin_epoch(2, Some(Uuid::from_u128(2)), EndReason::PasswordChanged);
        assert_eq!(ended.len(), 1);
        assert_eq!(sessions.sessions[0].epoch, 2);
        assert_eq!(sessions.open(session(3, START), START), Err(StaleEpoch));
    }

    #[test]
    fn a_session_that_a_ban_ended_is_not_kept_by_a_new_password() {
        let (ban, password) = (2, 3);
        for order in [[ban, password], [password, ban]] {
            let mut sessions = one_session();
            for epoch in order {
                let keep = (epoch == password).then_some(Uuid::from_u128(1));
                sessions.begin_epoch(epoch, keep, EndReason::Banned);
            }
            assert!(sessions.sessions.is_empty(), "{order:?}");
        }
    }

    #[test]
    fn what_was_stored_can_still_be_read() {
        let stored = r#"{"lowest_epoch":3,"sessions":[{"id":"019a0000-0000-7000-8000-000000000000","device_key":null,
            "device":{"name":"phone","platform":"web"},"address":"192.0.2.1","created_at":1,"refreshed_at":2,
            "expires_at":3,"access_expires_at":4,"epoch":3,"previous_hash":null,
            "refresh_hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#;
        let sessions: DeviceSessions = serde_json::from_str(stored).unwrap();
        assert_eq!((sessions.lowest_epoch, sessions.sessions.len()), (3, 1));
    }

    #[test]
    fn a_session_that_missed_a_new_epoch_ends_at_its_next_refresh() {
        let mut sessions = one_session();
        let presented = Presented { account_epoch: 2, ..present(0, at(1)) };
        assert!(matches!(sessions.refresh(&presented, at(1)), Refresh::Outdated(_)));
        assert!(sessions.sessions.is_empty());
    }

    #[test]
    fn tokens_of_an_ended_session_are_revoked_as_long_as_one_may_live() {
        let mut sessions = one_session();
        let ended = sessions.end(Uuid::from_u128(1), EndReason::Logout).unwrap();
        assert!(ended.has_live_tokens(at(959)));
        assert!(!ended.has_live_tokens(at(960)));
    }

    proptest! {
        /// Whatever order tokens of one family are presented in, only the newest one or its predecessor is ever honoured,
        /// and after a refusal none is.
        #[test]
        fn one_family_has_one_lineage(steps in proptest::collection::vec((0_u8..6, 0_u64..90), 1..40)) {
            let mut sessions = one_session();
            let (mut newest, mut now, mut ended) = (0, 0, false);
            for (n, wait) in steps {
                now += wait;
                match sessions.refresh(&present(n, at(now)), at(now)) {
                    Refresh::Rotated { .. } => {
                        prop_assert!(!ended && n == newest);
                        newest = n + 1;
                    }
                    Refresh::Repeated { .. } => prop_assert!(!ended && n + 1 == newest),
                    Refresh::Reused(_) => ended = true,
                    Refresh::Unknown => prop_assert!(ended),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }
}
