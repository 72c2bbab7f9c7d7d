//! Requests, parsed: past here, values cannot be invalid.

use std::fmt::Display;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pkg_api::auth::v1 as auth;
use pkg_api::player::v1 as player;
use pkg_middleware::{Caller, Problem, RequestContext};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::account::{AccountRole, Email, Identifier, Username};
use crate::audit::{Actor, RequestId};
use crate::device_session::Device;
use crate::moderation::BanReason;
use crate::ownership::Credential;
use crate::password::{Password, PasswordInvalid};
use crate::profile::{AvatarUrl, BATCH_MAX, DisplayName, Locale, ProfileChange};
use crate::secret::SecretHash;
use crate::server_credential::ServerName;
use crate::sessions::{Origin, Owner};
use crate::sign_in::{DeviceSecret, Registration};

const DEVICE_NAME_MAX: usize = 64;
const DEVICE_PLATFORM_MAX: usize = 32;
/// 32 bytes as base64url have 43 characters; as hex 64.
const DEVICE_SECRET_LENGTH: std::ops::RangeInclusive<usize> = 43..=128;
const PAGE_SIZE_DEFAULT: usize = 50;
const PAGE_SIZE_MAX: usize = 100;

/// A field that is not acceptable, and why.
fn field<E: Display>(name: &'static str) -> impl Fn(E) -> Problem {
    move |reason| Problem::invalid_field(name, reason.to_string())
}

pub(super) fn id(name: &'static str, text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::invalid_field(name, "is not a UUID"))
}

pub(super) fn origin<T>(request: &Request<T>, device: Option<&auth::Device>) -> Result<Origin, Status> {
    let device = device.map(parse_device).transpose()?.unwrap_or_default();
    let context = RequestContext::of(request)?;
    Ok(Origin { device, address: context.client_address, request: request_id(context) })
}

/// The owner of an account, who asks for it to be changed.
pub(super) fn owner<T>(request: &Request<T>) -> Result<Owner, Status> {
    let (caller, context) = (Caller::of(request)?, RequestContext::of(request)?);
    let address = context.client_address;
    Ok(Owner { user: caller.user_id, session: caller.session_id, address, request: request_id(context) })
}

/// The admin who asks for somebody else's account to be changed.
pub(super) fn actor<T>(request: &Request<T>) -> Result<Actor, Status> {
    let (caller, context) = (Caller::of(request)?, RequestContext::of(request)?);
    Ok(Actor { user: caller.user_id, request: request_id(context) })
}

fn request_id(context: &RequestContext) -> RequestId {
    context.request_id.as_str().into()
}

fn parse_device(device: &auth::Device) -> Result<Device, Problem> {
    let text = |name: &'static str, text: &str, most: usize| {
        let fits = text.chars().count() <= most && !text.chars().any(char::is_control);
        let reason = || Problem::invalid_field(name, format!("has at most {most} characters, none of them control"));
        if fits { Ok(text.to_owned()) } else { Err(reason()) }
    };
    Ok(Device {
        name: text("device.name", &device.name, DEVICE_NAME_MAX)?,
        platform: text("device.platform", &device.platform, DEVICE_PLATFORM_MAX)?,
    })
}

pub(super) fn username(text: &str) -> Result<Username, Problem> {
    Username::parse(text).map_err(field("username"))
}

pub(super) fn registration(request: &auth::RegisterRequest) -> Result<Registration, Problem> {
    let (username, email, password) = full_account(&request.username, &request.email, &request.password)?;
    let id = match request.registration_id.as_str() {
        "" => None,
        text => Some(id("registration_id", text)?),
    };
    Ok(Registration { username, email, password, id })
}

pub(super) fn upgrade(request: &auth::UpgradeGuestRequest) -> Result<(Username, Email, Password), Problem> {
    full_account(&request.username, &request.email, &request.password)
}

fn full_account(name: &str, email: &str, password: &str) -> Result<(Username, Email, Password), Problem> {
    let name = username(name)?;
    let email = Email::parse(email).map_err(field("email"))?;
    let password = Password::parse_new(password).map_err(field("password"))?;
    password.check_against_names(&name, Some(&email)).map_err(field("password"))?;
    Ok((name, email, password))
}

pub(super) fn login(request: &auth::LoginRequest) -> Result<(Identifier, Password), Problem> {
    let identifier = Identifier::parse(&request.identifier)
        .ok_or_else(|| Problem::invalid_field("identifier", "a username or an e-mail address is needed"))?;
    Ok((identifier, Password::parse(&request.password).map_err(field("password"))?))
}

pub(super) fn device_secret(text: &str) -> Result<DeviceSecret, Problem> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte);
    if DEVICE_SECRET_LENGTH.contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(DeviceSecret(SecretHash::of(text)));
    }
    let reason = "32 or more random bytes as hex, base64 or base64url: 43 to 128 characters";
    Err(Problem::invalid_field("device_secret", reason))
}

pub(super) fn password_change(request: &auth::ChangePasswordRequest) -> Result<(Password, Password), Problem> {
    let current = Password::parse(&request.current_password).map_err(field("current_password"))?;
    let new = Password::parse_new(&request.new_password).map_err(field::<PasswordInvalid>("new_password"))?;
    Ok((current, new))
}

pub(super) fn credential(request: auth::DeleteAccountRequest) -> Result<Credential, Problem> {
    use auth::delete_account_request::Credential as Given;
    match request.credential {
        Some(Given::Password(text)) => Password::parse(&text).map(Credential::Password).map_err(field("password")),
        Some(Given::DeviceSecret(text)) => device_secret(&text).map(Credential::Device),
        None => Err(Problem::invalid_field("credential", "the password, or the device secret of a guest, is needed")),
    }
}

pub(super) fn ban(request: &auth::BanUserRequest) -> Result<(Uuid, BanReason, Option<Duration>), Problem> {
    let user = id("user_id", &request.user_id)?;
    let reason = BanReason::parse(&request.reason).map_err(field("reason"))?;
    let duration = request.duration.map(ban_duration).transpose()?;
    Ok((user, reason, duration))
}

fn ban_duration(duration: prost_types::Duration) -> Result<Duration, Problem> {
    const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);
    let fits = Duration::try_from(duration).ok().filter(|given| (Duration::from_secs(1)..=LONGEST).contains(given));
    fits.ok_or_else(|| Problem::invalid_field("duration", "is 1 s to 100 years; leave it out for a ban for good"))
}

pub(super) fn role_change(request: &auth::SetRoleRequest) -> Result<(Uuid, AccountRole), Problem> {
    let role = match request.role() {
        auth::Role::Player => AccountRole::Player,
        auth::Role::Admin => AccountRole::Admin,
        auth::Role::Unspecified | auth::Role::Server => {
            return Err(Problem::invalid_field("role", "is ROLE_PLAYER or ROLE_ADMIN"));
        }
    };
    Ok((id("user_id", &request.user_id)?, role))
}

pub(super) fn server_name(text: &str) -> Result<ServerName, Problem> {
    ServerName::parse(text).map_err(field("name"))
}

/// Which page of a list is asked for.
pub(super) struct Page {
    pub(super) after: Option<Uuid>,
    pub(super) size: usize,
}

pub(super) fn page(request: &auth::ListServerCredentialsRequest) -> Result<Page, Problem> {
    let size = match usize::try_from(request.page_size) {
        Ok(0) => PAGE_SIZE_DEFAULT,
        Ok(size @ 1..=PAGE_SIZE_MAX) => size,
        _ => return Err(Problem::invalid_field("page_size", format!("is 1 to {PAGE_SIZE_MAX}, or 0 for the default"))),
    };
    let after = match request.page_token.as_str() {
        "" => None,
        text => Some(parse_page_token(text)?),
    };
    Ok(Page { after, size })
}

/// The token that asks for what comes after an id.
pub(super) fn page_token(last: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(last.as_bytes())
}

fn parse_page_token(text: &str) -> Result<Uuid, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| Uuid::from_slice(&bytes).ok());
    bytes.ok_or_else(|| Problem::invalid_field("page_token", "is not the next_page_token of an answer"))
}

pub(super) fn player_ids(texts: &[String]) -> Result<Vec<Uuid>, Problem> {
    if !(1..=BATCH_MAX).contains(&texts.len()) {
        return Err(Problem::invalid_field("player_ids", format!("has 1 to {BATCH_MAX} ids")));
    }
    let parse = |(place, text): (usize, &String)| {
        Uuid::try_parse(text).map_err(|_| Problem::invalid_field(format!("player_ids[{place}]"), "is not a UUID"))
    };
    texts.iter().enumerate().map(parse).collect()
}

pub(super) fn profile_change(request: player::UpdateProfileRequest) -> Result<ProfileChange, Problem> {
    let profile = request.profile.unwrap_or_default();
    let shown = profile.player.unwrap_or_default();
    let mask = request.update_mask.unwrap_or_default();
    if mask.paths.is_empty() {
        return Err(Problem::invalid_field("update_mask", "names at least one field"));
    }
    let mut change = ProfileChange::default();
    for path in &mask.paths {
        match path.as_str() {
            "player.display_name" => {
                let name = DisplayName::parse(&shown.display_name).map_err(field("profile.player.display_name"))?;
                change.display_name = Some(name);
            }
            "player.avatar_url" => {
                let url = AvatarUrl::parse(&shown.avatar_url).map_err(field("profile.player.avatar_url"))?;
                change.avatar_url = url.into();
            }
            "locale" => change.locale = Locale::parse(&profile.locale).map_err(field("profile.locale"))?.into(),
            other => {
                let reason = format!("{other:?} is not player.display_name, player.avatar_url or locale");
                return Err(Problem::invalid_field("update_mask", reason));
            }
        }
    }
    change.expected_version = match profile.version {
        0 => None,
        1.. => Some(profile.version),
        _ => return Err(Problem::invalid_field("profile.version", "is not negative")),
    };
    Ok(change)
}
