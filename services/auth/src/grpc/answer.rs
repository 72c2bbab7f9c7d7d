//! What the domain says, as messages of the API.

use pkg_api::auth::v1 as auth;
use pkg_api::player::v1 as player;
use pkg_auth::{Claims, Role};
use uuid::Uuid;

use super::parse;
use crate::account::{Account, Ban};
use crate::audit::timestamp;
use crate::device_session::{Device, DeviceSession};
use crate::profile::Profile;
use crate::server_credential::ServerCredential;
use crate::tokens::{AccessToken, Tokens};

fn duration(duration: std::time::Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

impl From<Account> for auth::User {
    fn from(account: Account) -> Self {
        Self {
            user_id: account.id.to_string(),
            username: account.username.as_str().to_owned(),
            email: account.email.as_ref().map(|email| email.as_str().to_owned()).unwrap_or_default(),
            role: auth::Role::from(account.role).into(),
            guest: account.is_guest(),
            create_time: Some(timestamp(account.created_at)),
        }
    }
}

impl From<Tokens> for auth::Tokens {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access.text,
            expires_in: Some(duration(tokens.access.lifetime)),
            refresh_token: tokens.refresh,
            refresh_expires_in: Some(duration(tokens.refresh_lifetime)),
            session_id: tokens.session.to_string(),
        }
    }
}

impl From<AccessToken> for auth::IssueServerTokenResponse {
    fn from(token: AccessToken) -> Self {
        Self { access_token: token.text, expires_in: Some(duration(token.lifetime)) }
    }
}

impl From<Ban> for auth::Ban {
    fn from(ban: Ban) -> Self {
        Self { reason: ban.reason, expire_time: ban.until.map(timestamp) }
    }
}

impl From<Device> for auth::Device {
    fn from(device: Device) -> Self {
        Self { name: device.name, platform: device.platform }
    }
}

impl From<ServerCredential> for auth::ServerCredential {
    fn from(credential: ServerCredential) -> Self {
        Self {
            credential_id: credential.id.to_string(),
            name: credential.name.as_str().to_owned(),
            create_time: Some(timestamp(credential.created_at)),
        }
    }
}

/// The validity of a token, of which nothing more is said unless it is valid.
pub(super) fn validity(claims: Option<&Claims>) -> auth::ValidateTokenResponse {
    let Some(claims) = claims else { return auth::ValidateTokenResponse::default() };
    let role = match claims.role {
        Role::Player => auth::Role::Player,
        Role::Server => auth::Role::Server,
        Role::Admin => auth::Role::Admin,
        // Tokens between services are nobody's business outside.
        Role::Service => return auth::ValidateTokenResponse::default(),
    };
    auth::ValidateTokenResponse {
        valid: true,
        user_id: claims.subject.to_string(),
        role: role.into(),
        session_id: claims.session.to_string(),
        expire_time: Some(timestamp(claims.expires_at)),
    }
}

pub(super) fn device_sessions(sessions: Vec<DeviceSession>, current: Uuid) -> auth::ListDeviceSessionsResponse {
    let message = |session: DeviceSession| auth::DeviceSession {
        session_id: session.id.to_string(),
        device: Some(session.device.into()),
        create_time: Some(timestamp(session.created_at)),
        refresh_time: Some(timestamp(session.refreshed_at)),
        expire_time: Some(timestamp(session.expires_at)),
        address: session.address.map(|address| address.to_string()).unwrap_or_default(),
        current: session.id == current,
    };
    auth::ListDeviceSessionsResponse { sessions: sessions.into_iter().map(message).collect() }
}

pub(super) fn server_credentials(page: Vec<ServerCredential>, more: bool) -> auth::ListServerCredentialsResponse {
    let last = page.last().filter(|_| more).map(|credential| parse::page_token(credential.id));
    auth::ListServerCredentialsResponse {
        credentials: page.into_iter().map(Into::into).collect(),
        next_page_token: last.unwrap_or_default(),
    }
}

impl From<Profile> for player::Player {
    fn from(profile: Profile) -> Self {
        let username = profile.username.as_str().to_owned();
        Self {
            player_id: profile.id.to_string(),
            display_name: profile.display_name.map_or_else(|| username.clone(), |name| name.as_str().to_owned()),
            username,
            avatar_url: profile.avatar_url.map(|url| url.as_str().to_owned()).unwrap_or_default(),
            create_time: Some(timestamp(profile.created_at)),
        }
    }
}

impl From<Profile> for player::Profile {
    fn from(profile: Profile) -> Self {
        Self {
            email: profile.email.as_ref().map(|email| email.as_str().to_owned()).unwrap_or_default(),
            locale: profile.locale.as_ref().map(|locale| locale.as_str().to_owned()).unwrap_or_default(),
            version: profile.version,
            player: Some(profile.into()),
        }
    }
}
