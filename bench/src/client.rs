//! Connections to a server, and the calls that are measured.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use pkg_api::auth::v1::auth_service_client::AuthServiceClient;
use pkg_api::auth::v1::{
    LoginRequest, LoginWithDeviceRequest, RefreshTokenRequest, RegisterRequest, Tokens, ValidateTokenRequest,
};
use pkg_api::player::v1::GetProfileRequest;
use pkg_api::player::v1::player_service_client::PlayerServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Several connections: one alone would serialise its calls on a lock.
#[derive(Debug, Clone)]
pub struct Connections(Vec<Channel>);

impl Connections {
    pub async fn open(address: SocketAddr, count: NonZeroU32) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        let mut channels = Vec::new();
        for _ in 0..count.get() {
            channels.push(endpoint.connect().await?);
        }
        Ok(Self(channels))
    }

    /// A client on one of the connections, in turn.
    pub fn client(&self, number: usize) -> Client {
        let channel = &self.0[number % self.0.len()];
        Client { auth: AuthServiceClient::new(channel.clone()), player: PlayerServiceClient::new(channel.clone()) }
    }

    pub fn clients(&self, count: NonZeroU32) -> impl Iterator<Item = Client> {
        (0..count.get() as usize).map(|number| self.client(number))
    }
}

/// One player's game, as far as it talks to Muster.
#[derive(Debug, Clone)]
pub struct Client {
    auth: AuthServiceClient<Channel>,
    player: PlayerServiceClient<Channel>,
}

impl Client {
    /// Also says whether the account was created by this.
    pub async fn log_in_with_device(&mut self, device_secret: &str) -> Result<(Tokens, bool), Status> {
        let request = LoginWithDeviceRequest { device_secret: device_secret.to_owned(), device: None };
        let answer = self.auth.login_with_device(request).await?.into_inner();
        Ok((there(answer.tokens)?, answer.created))
    }

    pub async fn refresh(&mut self, refresh_token: String) -> Result<Tokens, Status> {
        there(self.auth.refresh_token(RefreshTokenRequest { refresh_token }).await?.into_inner().tokens)
    }

    pub async fn register(&mut self, username: &str, password: &str) -> Result<Tokens, Status> {
        let request = RegisterRequest {
            username: username.to_owned(),
            email: format!("{username}@example.com"),
            password: password.to_owned(),
            ..RegisterRequest::default()
        };
        there(self.auth.register(request).await?.into_inner().tokens)
    }

    pub async fn log_in(&mut self, identifier: &str, password: &str) -> Result<Tokens, Status> {
        let request = LoginRequest { identifier: identifier.to_owned(), password: password.to_owned(), device: None };
        there(self.auth.login(request).await?.into_inner().tokens)
    }

    /// An answer that says "not valid" counts as a failure here.
    pub async fn validate(&mut self, access_token: &str) -> Result<(), Status> {
        let request = ValidateTokenRequest { access_token: access_token.to_owned() };
        let answer = self.auth.validate_token(request).await?.into_inner();
        if answer.valid { Ok(()) } else { Err(Status::unauthenticated("the token is not valid")) }
    }

    pub async fn profile(&mut self, authorization: &MetadataValue<Ascii>) -> Result<(), Status> {
        let mut request = Request::new(GetProfileRequest {});
        request.metadata_mut().insert("authorization", authorization.clone());
        self.player.get_profile(request).await?;
        Ok(())
    }
}

fn there(tokens: Option<Tokens>) -> Result<Tokens, Status> {
    tokens.ok_or_else(|| Status::data_loss("an answer without tokens"))
}
