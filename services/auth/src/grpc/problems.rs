//! The one place where errors of the domain become what callers see.

use std::time::Duration;

use pkg_middleware::{Problem, chain};
use tonic::{Code, Status};

use crate::account::Ban;
use crate::hashing::{MAX_WAIT, Overloaded};
use crate::limits::Limited;
use crate::moderation::ModerationError;
use crate::ownership::OwnershipError;
use crate::profile::ProfileError;
use crate::server_credential::ServerCredentialError;
use crate::sessions::{RefreshError, RevocationFailed, SessionError};
use crate::sign_in::SignInError;
use crate::store::{ClaimError, StoreError};

fn store(error: &StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) => Problem::unavailable("STORE_UNAVAILABLE", chain(error)),
        StoreError::Broken(_) => Problem::internal(chain(error)),
    }
}

fn revocation(error: &RevocationFailed) -> Problem {
    Problem::unavailable("STORE_UNAVAILABLE", chain(error))
}

fn session(error: &SessionError) -> Problem {
    match error {
        SessionError::AccountChanged => {
            Problem::new(Code::Aborted, "ACCOUNT_CHANGED", "the account was changed meanwhile: try again")
        }
        SessionError::NotFound => {
            Problem::new(Code::NotFound, "DEVICE_SESSION_NOT_FOUND", "you have no such device session")
        }
        SessionError::Contended => {
            Problem::new(Code::Aborted, "TOO_MANY_CHANGES", "too many sign-ins of one account at once: try again")
        }
        SessionError::Revocation(error) => revocation(error),
        SessionError::Store(error) => store(error),
    }
}

fn limited(error: Limited) -> Problem {
    Problem::new(Code::ResourceExhausted, "RATE_LIMITED", "too many tries: wait and try again")
        .retry_after(error.retry_after)
}

fn overloaded(Overloaded: Overloaded) -> Problem {
    const RETRY_AFTER: Duration = MAX_WAIT.saturating_mul(4);
    Problem::new(Code::ResourceExhausted, "SIGN_IN_OVERLOADED", "too many passwords wait to be checked: try again")
        .retry_after(RETRY_AFTER)
}

fn banned(ban: &Ban) -> Problem {
    let problem = Problem::new(Code::PermissionDenied, "ACCOUNT_BANNED", "the account is banned")
        .metadata("ban_reason", &ban.reason);
    match ban.until.and_then(|until| until.format(&time::format_description::well_known::Rfc3339).ok()) {
        Some(until) => problem.metadata("ban_expire_time", until),
        None => problem,
    }
}

fn wrong_credential() -> Problem {
    Problem::new(Code::Unauthenticated, "CREDENTIALS_INVALID", "the name or the credential is wrong")
}

fn claim(error: &ClaimError) -> Problem {
    let taken = |reason| Problem::new(Code::AlreadyExists, reason, error.to_string());
    match error {
        ClaimError::UsernameTaken => taken("USERNAME_TAKEN").field("username", "choose another"),
        ClaimError::EmailTaken => {
            taken("EMAIL_TAKEN").field("email", "sign in to the account that has it, or give another")
        }
        ClaimError::RegistrationUsed => {
            taken("REGISTRATION_ID_USED").field("registration_id", "make a new one for each registration")
        }
        ClaimError::Store(error) => store(error),
    }
}

fn user_not_found() -> Problem {
    Problem::new(Code::NotFound, "USER_NOT_FOUND", "there is no such user")
}

impl From<SessionError> for Status {
    fn from(error: SessionError) -> Self {
        session(&error).into()
    }
}

impl From<SignInError> for Status {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::WrongCredential { .. } => wrong_credential(),
            SignInError::Banned { ban, .. } => banned(&ban),
            SignInError::NoGuestName => Problem::unavailable("STORE_UNAVAILABLE", error),
            SignInError::Claim(error) => claim(&error),
            SignInError::Limited(error) => limited(error),
            SignInError::Overloaded(error) => overloaded(error),
            SignInError::Session(error) => session(&error),
        }
        .into()
    }
}

impl From<RefreshError> for Status {
    fn from(error: RefreshError) -> Self {
        let over = |reason| Problem::new(Code::Unauthenticated, reason, error.to_string());
        match &error {
            RefreshError::Invalid => over("REFRESH_TOKEN_INVALID"),
            RefreshError::Expired => over("REFRESH_TOKEN_EXPIRED"),
            RefreshError::Reused => over("REFRESH_TOKEN_REUSED"),
            RefreshError::Banned(ban) => banned(ban),
            RefreshError::Limited(error) => limited(*error),
            RefreshError::Session(error) => session(error),
        }
        .into()
    }
}

impl From<OwnershipError> for Status {
    fn from(error: OwnershipError) -> Self {
        let refused = |reason| Problem::new(Code::FailedPrecondition, reason, error.to_string());
        match &error {
            OwnershipError::NotAGuest => refused("NOT_A_GUEST"),
            OwnershipError::NoPassword => refused("NO_PASSWORD"),
            OwnershipError::WrongCredential => wrong_credential(),
            OwnershipError::Gone => user_not_found(),
            OwnershipError::NewPassword(reason) => Problem::invalid_field("new_password", reason.to_string()),
            OwnershipError::Claim(error) => claim(error),
            OwnershipError::Limited(error) => limited(*error),
            OwnershipError::Overloaded(error) => overloaded(*error),
            OwnershipError::Session(error) => session(error),
        }
        .into()
    }
}

impl From<ModerationError> for Status {
    fn from(error: ModerationError) -> Self {
        match error {
            ModerationError::NotFound => user_not_found(),
            ModerationError::Session(error) => session(&error),
        }
        .into()
    }
}

impl From<ServerCredentialError> for Status {
    fn from(error: ServerCredentialError) -> Self {
        let problem = |code, reason| Problem::new(code, reason, error.to_string());
        match &error {
            ServerCredentialError::TooMany => problem(Code::FailedPrecondition, "TOO_MANY_SERVER_CREDENTIALS"),
            ServerCredentialError::NotFound => problem(Code::NotFound, "SERVER_CREDENTIAL_NOT_FOUND"),
            ServerCredentialError::Wrong => wrong_credential(),
            ServerCredentialError::Limited(error) => limited(*error),
            ServerCredentialError::Revocation(error) => revocation(error),
            ServerCredentialError::Store(error) => store(error),
        }
        .into()
    }
}

impl From<ProfileError> for Status {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::NotFound => Problem::new(Code::NotFound, "PLAYER_NOT_FOUND", "there is no such player"),
            ProfileError::Changed => {
                Problem::new(Code::Aborted, "PROFILE_CHANGED", "the profile was changed meanwhile: read it again")
            }
            ProfileError::Store(error) => store(&error),
        }
        .into()
    }
}
