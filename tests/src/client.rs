//! gRPC clients.

use std::net::SocketAddr;

use pkg_api::auth::v1::auth_service_client::AuthServiceClient;
use pkg_api::auth::v1::{
    LoginRequest, LoginWithDeviceRequest, LoginWithDeviceResponse, RefreshTokenRequest, RegisterRequest,
    RegisterResponse, Tokens, ValidateTokenRequest,
};
use pkg_api::events::v1::event_service_client::EventServiceClient;
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_api::game::v1::entity_service_client::EntityServiceClient;
use pkg_api::game::v1::session_service_client::SessionServiceClient;
use pkg_api::leaderboard::v1::history_service_client::HistoryServiceClient;
use pkg_api::leaderboard::v1::leaderboard_service_client::LeaderboardServiceClient;
use pkg_api::matchmaking::v1::matchmaking_service_client::MatchmakingServiceClient;
use pkg_api::player::v1::GetProfileRequest;
use pkg_api::player::v1::player_service_client::PlayerServiceClient;
use pkg_api::presence::v1::presence_service_client::PresenceServiceClient;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::text::{PASSWORD, email, random_text, username};
use crate::wait::eventually;

/// The largest message of the game service.
const MESSAGE_BYTES: usize = 2 * 1024 * 1024;

/// A connection to one server.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
}

impl Client {
    /// A client that connects at its first call, and again when the connection is lost.
    ///
    /// # Panics
    /// Never: an address makes a URI.
    #[must_use]
    pub fn of(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URI");
        Self { channel: endpoint.connect_lazy() }
    }

    /// As [`Self::of`], taking no more than so many bytes of a stream that nobody reads.
    ///
    /// # Panics
    /// Never: an address makes a URI.
    #[must_use]
    pub fn with_window(address: SocketAddr, bytes: u32) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URI");
        Self { channel: endpoint.initial_stream_window_size(bytes).connect_lazy() }
    }

    /// The connection itself.
    #[must_use]
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// `muster.auth.v1.AuthService`.
    #[must_use]
    pub fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    /// `muster.player.v1.PlayerService`.
    #[must_use]
    pub fn player(&self) -> PlayerServiceClient<Channel> {
        PlayerServiceClient::new(self.channel.clone())
    }

    /// `muster.game.v1.CatalogService`.
    #[must_use]
    pub fn catalog(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.channel.clone())
    }

    /// `muster.game.v1.SessionService`.
    #[must_use]
    pub fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.channel.clone())
    }

    /// `muster.game.v1.EntityService`.
    #[must_use]
    pub fn entities(&self) -> EntityServiceClient<Channel> {
        EntityServiceClient::new(self.channel.clone())
    }

    /// `muster.events.v1.EventService`.
    #[must_use]
    pub fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES)
    }

    /// `muster.matchmaking.v1.MatchmakingService`.
    #[must_use]
    pub fn matchmaking(&self) -> MatchmakingServiceClient<Channel> {
        MatchmakingServiceClient::new(self.channel.clone())
    }

    /// `muster.leaderboard.v1.LeaderboardService`.
    #[must_use]
    pub fn boards(&self) -> LeaderboardServiceClient<Channel> {
        LeaderboardServiceClient::new(self.channel.clone())
    }

    /// `muster.leaderboard.v1.HistoryService`.
    #[must_use]
    pub fn history(&self) -> HistoryServiceClient<Channel> {
        HistoryServiceClient::new(self.channel.clone())
    }

    /// `muster.presence.v1.PresenceService`.
    #[must_use]
    pub fn presence(&self) -> PresenceServiceClient<Channel> {
        PresenceServiceClient::new(self.channel.clone())
    }

    /// Registers somebody with [`PASSWORD`].
    pub async fn register(&self) -> RegisterResponse {
        let (username, email) = (username(), email());
        let request = RegisterRequest { username, email, password: PASSWORD.to_owned(), ..RegisterRequest::default() };
        self.auth().register(request).await.expect("a new name can be registered").into_inner()
    }

    /// Signs in by name.
    pub async fn log_in(&self, identifier: &str, password: &str) -> Result<Tokens, Status> {
        let (identifier, password) = (identifier.to_owned(), password.to_owned());
        let answer = self.auth().login(LoginRequest { identifier, password, device: None }).await?;
        Ok(answer.into_inner().tokens.expect("a sign-in has tokens"))
    }

    /// Signs in a guest.
    pub async fn log_in_with_device(&self, secret: &str) -> Result<LoginWithDeviceResponse, Status> {
        let request = LoginWithDeviceRequest { device_secret: secret.to_owned(), device: None };
        self.auth().login_with_device(request).await.map(Response::into_inner)
    }

    /// A guest that nobody knew.
    pub async fn new_guest(&self) -> Tokens {
        let answer = self.log_in_with_device(&random_text::<32>()).await.expect("a new device makes a guest");
        answer.tokens.expect("a sign-in has tokens")
    }

    /// Exchanges a refresh token.
    pub async fn refresh(&self, token: &str) -> Result<Tokens, Status> {
        let answer = self.auth().refresh_token(RefreshTokenRequest { refresh_token: token.to_owned() }).await?;
        Ok(answer.into_inner().tokens.expect("a refresh has tokens"))
    }

    /// Makes a call that any player may make.
    pub async fn use_token(&self, access_token: &str) -> Result<(), Status> {
        self.player().get_profile(bearer(GetProfileRequest {}, access_token)).await.map(drop)
    }

    /// Waits until a token is refused because its session was ended.
    pub async fn wait_until_revoked(&self, access_token: &str) {
        eventually("the token is not valid any more", async || {
            let request = ValidateTokenRequest { access_token: access_token.to_owned() };
            let validity = self.auth().validate_token(request).await.expect("anybody may ask").into_inner();
            (!validity.valid).then_some(())
        })
        .await;
        let refused = self.use_token(access_token).await.expect_err("a token that is not valid is refused");
        assert_eq!(refusal(&refused), (Code::Unauthenticated, "TOKEN_REVOKED".to_owned()));
    }

    /// What gRPC health says of a service; "" is all of them.
    pub async fn health(&self, service: &str) -> Result<ServingStatus, Status> {
        let request = HealthCheckRequest { service: service.to_owned() };
        Ok(HealthClient::new(self.channel.clone()).check(request).await?.into_inner().status())
    }
}

/// A request with an access token.
#[must_use]
pub fn bearer<T>(message: T, access_token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(format!("Bearer {access_token}")).expect("a token is ASCII");
    request.metadata_mut().insert("authorization", value);
    request
}

/// A request that proxies have passed on for somebody.
#[must_use]
pub fn with_forwarded_for<T>(message: T, list: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-forwarded-for", MetadataValue::try_from(list).expect("a list is ASCII"));
    request
}

/// The code and the stable reason of an error.
///
/// # Panics
/// If the error has no reason of ours.
#[must_use]
pub fn refusal(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("an error without a reason: {status:?}"));
    assert_eq!(info.domain, "muster", "{status:?}");
    (status.code(), info.reason)
}
