//! `muster.auth.v1.AuthService`.

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::auth::v1::auth_service_server::AuthService;
use pkg_api::auth::v1::{
    BanUserRequest, BanUserResponse, ChangePasswordRequest, ChangePasswordResponse, CreateServerCredentialRequest,
    CreateServerCredentialResponse, DeleteAccountRequest, DeleteAccountResponse, DeleteServerCredentialRequest,
    DeleteServerCredentialResponse, EndDeviceSessionRequest, EndDeviceSessionResponse, EndOtherDeviceSessionsRequest,
    EndOtherDeviceSessionsResponse, IssueServerTokenRequest, IssueServerTokenResponse, ListDeviceSessionsRequest,
    ListDeviceSessionsResponse, ListServerCredentialsRequest, ListServerCredentialsResponse, LoginRequest,
    LoginResponse, LoginWithDeviceRequest, LoginWithDeviceResponse, LogoutRequest, LogoutResponse, RefreshTokenRequest,
    RefreshTokenResponse, RegisterRequest, RegisterResponse, SetRoleRequest, SetRoleResponse, UnbanUserRequest,
    UnbanUserResponse, UpgradeGuestRequest, UpgradeGuestResponse, ValidateTokenRequest, ValidateTokenResponse,
};
use pkg_auth::Verifier;
use pkg_middleware::{Caller, RevocationWatch};
use tonic::{Request, Response, Status};

use super::{answer, parse};
use crate::moderation::Moderation;
use crate::ownership::Ownership;
use crate::server_credential::ServerCredentials;
use crate::sessions::Sessions;
use crate::sign_in::SignIn;

/// The handlers.
pub struct AuthApi {
    pub(crate) sign_in: SignIn,
    pub(crate) sessions: Sessions,
    pub(crate) ownership: Ownership,
    pub(crate) moderation: Moderation,
    pub(crate) servers: ServerCredentials,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) revocations: RevocationWatch,
    pub(crate) ambient: Ambient,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl AuthService for AuthApi {
    async fn register(&self, request: Request<RegisterRequest>) -> Answer<RegisterResponse> {
        let origin = parse::origin(&request, request.get_ref().device.as_ref())?;
        let registration = parse::registration(request.get_ref())?;
        let (account, tokens) = self.sign_in.register(&registration, &origin).await?;
        Ok(Response::new(RegisterResponse { user: Some(account.into()), tokens: Some(tokens.into()) }))
    }

    async fn login(&self, request: Request<LoginRequest>) -> Answer<LoginResponse> {
        let origin = parse::origin(&request, request.get_ref().device.as_ref())?;
        let (identifier, password) = parse::login(request.get_ref())?;
        let (account, tokens) = self.sign_in.log_in(&identifier, &password, &origin).await?;
        Ok(Response::new(LoginResponse { user: Some(account.into()), tokens: Some(tokens.into()) }))
    }

    async fn login_with_device(&self, request: Request<LoginWithDeviceRequest>) -> Answer<LoginWithDeviceResponse> {
        let origin = parse::origin(&request, request.get_ref().device.as_ref())?;
        let secret = parse::device_secret(&request.get_ref().device_secret)?;
        let (account, tokens, created) = self.sign_in.log_in_with_device(&secret, &origin).await?;
        Ok(Response::new(LoginWithDeviceResponse { user: Some(account.into()), tokens: Some(tokens.into()), created }))
    }

    async fn upgrade_guest(&self, request: Request<UpgradeGuestRequest>) -> Answer<UpgradeGuestResponse> {
        let owner = parse::owner(&request)?;
        let (username, email, password) = parse::upgrade(request.get_ref())?;
        let account = self.ownership.upgrade_guest(&owner, username, email, &password).await?;
        Ok(Response::new(UpgradeGuestResponse { user: Some(account.into()) }))
    }

    async fn refresh_token(&self, request: Request<RefreshTokenRequest>) -> Answer<RefreshTokenResponse> {
        let origin = parse::origin(&request, None)?;
        let tokens = self.sessions.refresh(&request.get_ref().refresh_token, &origin).await?;
        Ok(Response::new(RefreshTokenResponse { tokens: Some(tokens.into()) }))
    }

    async fn validate_token(&self, request: Request<ValidateTokenRequest>) -> Answer<ValidateTokenResponse> {
        let now = self.ambient.now();
        let claims = self.verifier.verify(&request.get_ref().access_token, now).ok();
        let valid = claims.filter(|claims| claims.expires_at > now && !self.revocations.is_revoked(claims.session));
        Ok(Response::new(answer::validity(valid.as_ref())))
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Answer<LogoutResponse> {
        let owner = parse::owner(&request)?;
        self.sessions.log_out(&owner).await?;
        Ok(Response::new(LogoutResponse {}))
    }

    async fn list_device_sessions(
        &self,
        request: Request<ListDeviceSessionsRequest>,
    ) -> Answer<ListDeviceSessionsResponse> {
        let caller = Caller::of(&request)?;
        let sessions = self.sessions.list(caller.user_id).await?;
        Ok(Response::new(answer::device_sessions(sessions, caller.session_id)))
    }

    async fn end_device_session(&self, request: Request<EndDeviceSessionRequest>) -> Answer<EndDeviceSessionResponse> {
        let (owner, session) = (parse::owner(&request)?, parse::id("session_id", &request.get_ref().session_id)?);
        self.sessions.end_any(&owner, session).await?;
        Ok(Response::new(EndDeviceSessionResponse {}))
    }

    async fn end_other_device_sessions(
        &self,
        request: Request<EndOtherDeviceSessionsRequest>,
    ) -> Answer<EndOtherDeviceSessionsResponse> {
        let owner = parse::owner(&request)?;
        let ended = self.sessions.end_others(&owner).await?;
        Ok(Response::new(EndOtherDeviceSessionsResponse { ended_count: ended.try_into().unwrap_or(i32::MAX) }))
    }

    async fn change_password(&self, request: Request<ChangePasswordRequest>) -> Answer<ChangePasswordResponse> {
        let owner = parse::owner(&request)?;
        let (current, new) = parse::password_change(request.get_ref())?;
        self.ownership.change_password(&owner, &current, &new).await?;
        Ok(Response::new(ChangePasswordResponse {}))
    }

    async fn delete_account(&self, request: Request<DeleteAccountRequest>) -> Answer<DeleteAccountResponse> {
        let owner = parse::owner(&request)?;
        let credential = parse::credential(request.into_inner())?;
        self.ownership.delete(&owner, &credential).await?;
        Ok(Response::new(DeleteAccountResponse {}))
    }

    async fn ban_user(&self, request: Request<BanUserRequest>) -> Answer<BanUserResponse> {
        let (actor, (user, reason, duration)) = (parse::actor(&request)?, parse::ban(request.get_ref())?);
        let ban = self.moderation.ban(actor, user, reason, duration).await?;
        Ok(Response::new(BanUserResponse { ban: Some(ban.into()) }))
    }

    async fn unban_user(&self, request: Request<UnbanUserRequest>) -> Answer<UnbanUserResponse> {
        let (actor, user) = (parse::actor(&request)?, parse::id("user_id", &request.get_ref().user_id)?);
        self.moderation.unban(actor, user).await?;
        Ok(Response::new(UnbanUserResponse {}))
    }

    async fn set_role(&self, request: Request<SetRoleRequest>) -> Answer<SetRoleResponse> {
        let (actor, (user, role)) = (parse::actor(&request)?, parse::role_change(request.get_ref())?);
        self.moderation.set_role(actor, user, role).await?;
        Ok(Response::new(SetRoleResponse {}))
    }

    async fn create_server_credential(
        &self,
        request: Request<CreateServerCredentialRequest>,
    ) -> Answer<CreateServerCredentialResponse> {
        let (actor, name) = (parse::actor(&request)?, parse::server_name(&request.get_ref().name)?);
        let (credential, secret) = self.servers.create(&actor, name).await?;
        Ok(Response::new(CreateServerCredentialResponse { credential: Some(credential.into()), secret }))
    }

    async fn list_server_credentials(
        &self,
        request: Request<ListServerCredentialsRequest>,
    ) -> Answer<ListServerCredentialsResponse> {
        let page = parse::page(request.get_ref())?;
        let (credentials, more) = self.servers.list(page.after, page.size).await?;
        Ok(Response::new(answer::server_credentials(credentials, more)))
    }

    async fn delete_server_credential(
        &self,
        request: Request<DeleteServerCredentialRequest>,
    ) -> Answer<DeleteServerCredentialResponse> {
        let (actor, id) = (parse::actor(&request)?, parse::id("credential_id", &request.get_ref().credential_id)?);
        self.servers.delete(&actor, id).await?;
        Ok(Response::new(DeleteServerCredentialResponse {}))
    }

    async fn issue_server_token(&self, request: Request<IssueServerTokenRequest>) -> Answer<IssueServerTokenResponse> {
        let (origin, id) =
            (parse::origin(&request, None)?, parse::id("credential_id", &request.get_ref().credential_id)?);
        let token = self.servers.issue_token(id, &request.get_ref().secret, &origin).await?;
        Ok(Response::new(token.into()))
    }
}
