//! What happened to accounts, for the log: who may know what later on, and other services to follow.
//!
//! Changes of accounts are written into an outbox in the transaction of the change, and a [`OutboxRelay`] appends them
//! to the log: none is lost, none comes twice to a reader who goes by record ids, and those of one account keep their
//! order. Sign-ins are many and nobody waits for the log to sign in: they go through the [`SignInBuffer`], and what
//! finds no place there is counted. Facts hold ids alone: no names, addresses or words of people.

mod backoff;
mod counters;
mod outbox_relay;
mod record;
mod sign_in_buffer;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use pkg_ambient::Ambient;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::account::AccountRole;
use crate::device_session::EndReason;
pub use counters::Counters;
pub use outbox_relay::OutboxRelay;
pub use record::timestamp;
pub use sign_in_buffer::{SignInBuffer, SignInDrain, sign_in_buffer};

/// Something that happened to an account, or to the credential of a game server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    Deleted { user: Uuid },
    Registered { user: Uuid, guest: bool },
    GuestUpgraded { user: Uuid },
    PasswordChanged { user: Uuid, session: Uuid },
    Banned { user: Uuid, actor: Uuid, until: Option<OffsetDateTime> },
    Unbanned { user: Uuid, actor: Uuid },
    RoleChanged { user: Uuid, actor: Uuid, old: AccountRole, new: AccountRole },
    ServerCredentialCreated { credential: Uuid, actor: Uuid },
    ServerCredentialDeleted { credential: Uuid, actor: Uuid },
    UserSignedIn { user: Uuid, session: Uuid, method: SignInMethod, replaced: Option<Uuid> },
    ServerSignedIn { credential: Uuid },
    SignInRefused { who: Option<Uuid>, method: SignInMethod, refusal: Refusal },
    SessionEnded { user: Uuid, session: Uuid, reason: EndReason },
}

/// How somebody signed in, or tried to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInMethod {
    Password,
    Device,
    Registration,
    ServerCredential,
}

/// Why a sign-in was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    UnknownUser,
    WrongCredential,
    Banned,
    RateLimited,
    Overloaded,
}

/// The request that causes something, by its id; empty if none does.
pub type RequestId = Arc<str>;

/// Who does something to somebody else's account, by which request.
#[derive(Debug, Clone)]
pub struct Actor {
    pub user: Uuid,
    pub request: RequestId,
}

/// What a record says besides the fact.
#[derive(Debug, Clone)]
pub struct Occasion {
    pub record_id: Uuid,
    pub at: OffsetDateTime,
    pub request: RequestId,
}

impl Occasion {
    /// Something that happens now, at the request.
    pub fn now(ambient: &Ambient, request: &RequestId) -> Self {
        Self { record_id: ambient.id(), at: ambient.now(), request: request.clone() }
    }
}
