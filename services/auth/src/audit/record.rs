//! Facts as records of the log: the one mapping.

use pkg_api::auth::v1::Role;
use pkg_api::log::v1::record::Event;
use pkg_api::log::v1::{
    self as log, AccountDeleted, AccountRegistered, DeviceSessionEndReason, DeviceSessionEnded, GuestUpgraded,
    PasswordChanged, Record, RoleChanged, ServerCredentialCreated, ServerCredentialDeleted, SignInRefusal,
    SignInRefused, SignedIn, UserBanned, UserUnbanned,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Fact, Occasion, Refusal, SignInMethod};
use crate::account::AccountRole;
use crate::device_session::EndReason;

impl Occasion {
    /// The record of what happened on this occasion.
    pub fn record(&self, fact: &Fact) -> Record {
        Record {
            record_id: self.record_id.to_string(),
            time: Some(timestamp(self.at)),
            key: fact.key().map(|id| id.to_string()).unwrap_or_default(),
            request_id: self.request.to_string(),
            event: Some(fact.event()),
        }
    }
}

/// A time as messages have it.
pub fn timestamp(time: OffsetDateTime) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.unix_timestamp(),
        nanos: i32::try_from(time.nanosecond()).unwrap_or_default(),
    }
}

impl Fact {
    /// Whose order the record is in; absent for a sign-in of nobody who is known.
    fn key(&self) -> Option<Uuid> {
        match *self {
            Self::Deleted { user }
            | Self::Registered { user, .. }
            | Self::GuestUpgraded { user }
            | Self::PasswordChanged { user, .. }
            | Self::Banned { user, .. }
            | Self::Unbanned { user, .. }
            | Self::RoleChanged { user, .. }
            | Self::UserSignedIn { user, .. }
            | Self::SessionEnded { user, .. } => Some(user),
            Self::ServerCredentialCreated { credential, .. }
            | Self::ServerCredentialDeleted { credential, .. }
            | Self::ServerSignedIn { credential } => Some(credential),
            Self::SignInRefused { who, .. } => who,
        }
    }

    fn event(&self) -> Event {
        let text = |id: Uuid| id.to_string();
        match *self {
            Self::Deleted { user } => Event::AccountDeleted(AccountDeleted { user_id: text(user) }),
            Self::Registered { user, guest } => {
                Event::AccountRegistered(AccountRegistered { user_id: text(user), guest })
            }
            Self::GuestUpgraded { user } => Event::GuestUpgraded(GuestUpgraded { user_id: text(user) }),
            Self::PasswordChanged { user, session } => {
                Event::PasswordChanged(PasswordChanged { user_id: text(user), session_id: text(session) })
            }
            Self::Banned { user, actor, until } => {
                let expire_time = until.map(timestamp);
                Event::UserBanned(UserBanned { user_id: text(user), actor_id: text(actor), expire_time })
            }
            Self::Unbanned { user, actor } => {
                Event::UserUnbanned(UserUnbanned { user_id: text(user), actor_id: text(actor) })
            }
            Self::RoleChanged { user, actor, old, new } => Event::RoleChanged(RoleChanged {
                user_id: text(user),
                actor_id: text(actor),
                old_role: Role::from(old).into(),
                new_role: Role::from(new).into(),
            }),
            Self::ServerCredentialCreated { credential, actor } => {
                let (credential_id, actor_id) = (text(credential), text(actor));
                Event::ServerCredentialCreated(ServerCredentialCreated { credential_id, actor_id })
            }
            Self::ServerCredentialDeleted { credential, actor } => {
                let (credential_id, actor_id) = (text(credential), text(actor));
                Event::ServerCredentialDeleted(ServerCredentialDeleted { credential_id, actor_id })
            }
            Self::UserSignedIn { user, session, method, replaced } => Event::SignedIn(SignedIn {
                user_id: text(user),
                session_id: text(session),
                method: log::SignInMethod::from(method).into(),
                replaced_session_id: replaced.map(text).unwrap_or_default(),
            }),
            Self::ServerSignedIn { credential } => Event::SignedIn(SignedIn {
                user_id: text(credential),
                method: log::SignInMethod::ServerCredential.into(),
                ..SignedIn::default()
            }),
            Self::SignInRefused { who, method, refusal } => Event::SignInRefused(SignInRefused {
                user_id: who.map(text).unwrap_or_default(),
                method: log::SignInMethod::from(method).into(),
                reason: SignInRefusal::from(refusal).into(),
            }),
            Self::SessionEnded { user, session, reason } => Event::DeviceSessionEnded(DeviceSessionEnded {
                user_id: text(user),
                session_id: text(session),
                reason: DeviceSessionEndReason::from(reason).into(),
            }),
        }
    }
}

impl From<AccountRole> for Role {
    fn from(role: AccountRole) -> Self {
        match role {
            AccountRole::Player => Self::Player,
            AccountRole::Admin => Self::Admin,
        }
    }
}

impl From<SignInMethod> for log::SignInMethod {
    fn from(method: SignInMethod) -> Self {
        match method {
            SignInMethod::Password => Self::Password,
            SignInMethod::Device => Self::Device,
            SignInMethod::Registration => Self::Registration,
            SignInMethod::ServerCredential => Self::ServerCredential,
        }
    }
}

impl From<Refusal> for SignInRefusal {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownUser => Self::UnknownUser,
            Refusal::WrongCredential => Self::WrongCredential,
            Refusal::Banned => Self::Banned,
            Refusal::RateLimited => Self::RateLimited,
            Refusal::Overloaded => Self::Overloaded,
        }
    }
}

impl From<EndReason> for DeviceSessionEndReason {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Logout => Self::Logout,
            EndReason::EndedByUser => Self::EndedByUser,
            EndReason::Replaced => Self::Replaced,
            EndReason::PasswordChanged => Self::PasswordChanged,
            EndReason::TokenReused => Self::TokenReused,
            EndReason::Banned => Self::Banned,
            EndReason::RoleChanged => Self::RoleChanged,
            EndReason::AccountDeleted => Self::AccountDeleted,
            EndReason::TooMany => Self::TooMany,
            EndReason::AccountChanged => Self::Unspecified,
        }
    }
}
