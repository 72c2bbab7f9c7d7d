//! What admins do to accounts: ban, unban, give a role.
//!
//! The account is changed first and its sessions are ended then, to the end even if the caller goes away. If the process
//! dies in between, no session survives its next refresh, which reads the account; and the repeated call ends them at once.

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use uuid::Uuid;

use crate::account::{AccountRole, Ban};
use crate::audit::{Actor, Occasion};
use crate::device_session::EndReason;
use crate::sessions::{SessionError, Sessions, to_the_end};
use crate::store::{AccountStore, StoreError};

const REASON_MAX: usize = 500;

/// Everything that only admins may do to accounts.
#[derive(Clone)]
pub struct Moderation {
    pub(crate) accounts: Arc<dyn AccountStore>,
    pub(crate) sessions: Sessions,
    pub(crate) ambient: Ambient,
}

/// Why somebody is banned: 1–500 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanReason(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a reason has 1 to {REASON_MAX} characters, none of them a control character")]
pub struct BanReasonInvalid;

impl BanReason {
    pub fn parse(text: &str) -> Result<Self, BanReasonInvalid> {
        let text = text.trim();
        let fits = (1..=REASON_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(BanReasonInvalid) }
    }
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ModerationError {
    #[error("there is no such user")]
    NotFound,
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl From<StoreError> for ModerationError {
    fn from(error: StoreError) -> Self {
        Self::Session(error.into())
    }
}

impl Moderation {
    /// Bans a user, for a time or for good, and ends their sessions. It replaces a ban that is there.
    pub async fn ban(
        &self,
        actor: Actor,
        user: Uuid,
        reason: BanReason,
        duration: Option<Duration>,
    ) -> Result<Ban, ModerationError> {
        let until = duration.map(|duration| self.ambient.now() + duration);
        let ban = Ban { reason: reason.0, until };
        let this = self.clone();
        to_the_end(async move {
            let epoch = this.accounts.set_ban(user, Some(&ban), actor.user, &this.occasion(&actor)).await?;
            let epoch = epoch.ok_or(ModerationError::NotFound)?;
            this.sessions.begin_epoch(user, epoch, None, EndReason::Banned, &actor.request).await?;
            Ok(ban)
        })
        .await
    }

    /// Lifts the ban, if there is one.
    pub async fn unban(&self, actor: Actor, user: Uuid) -> Result<(), ModerationError> {
        let epoch = self.accounts.set_ban(user, None, actor.user, &self.occasion(&actor)).await?;
        epoch.map(drop).ok_or(ModerationError::NotFound)
    }

    /// Gives a user a role and ends their sessions, whose tokens carry the old one.
    pub async fn set_role(&self, actor: Actor, user: Uuid, role: AccountRole) -> Result<(), ModerationError> {
        let this = self.clone();
        to_the_end(async move {
            let epoch = this.accounts.set_role(user, role, actor.user, &this.occasion(&actor)).await?;
            let epoch = epoch.ok_or(ModerationError::NotFound)?;
            Ok(this.sessions.begin_epoch(user, epoch, None, EndReason::RoleChanged, &actor.request).await?)
        })
        .await
    }

    fn occasion(&self, actor: &Actor) -> Occasion {
        Occasion::now(&self.ambient, &actor.request)
    }
}
