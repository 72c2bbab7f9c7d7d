//! A server that does nothing but answer, with as many bytes as Muster: what gRPC itself costs on this machine.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use pkg_api::auth::v1::{
    LoginWithDeviceRequest, LoginWithDeviceResponse, RefreshTokenRequest, RefreshTokenResponse, Role, Tokens, User,
};
use prost_types::{Duration, Timestamp};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// The sizes of Muster's tokens, in characters.
const ACCESS_TOKEN: usize = 440;
const REFRESH_TOKEN: usize = 107;

/// Serves until the process is killed.
pub async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let connections = TcpListenerStream::new(TcpListener::bind(listen).await?);
    let connections = connections.map(|connection| connection.and_then(|it| it.set_nodelay(true).map(|()| it)));
    Ok(tonic::transport::Server::builder().add_service(Echo).serve_with_incoming(connections).await?)
}

/// Answers the calls that have a floor.
#[derive(Debug, Clone, Copy)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "muster.auth.v1.AuthService";
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/muster.auth.v1.AuthService/LoginWithDevice" => {
                    Grpc::new(ProstCodec::default()).unary(SignIn, request).await
                }
                "/muster.auth.v1.AuthService/RefreshToken" => {
                    Grpc::new(ProstCodec::default()).unary(Refresh, request).await
                }
                path => Status::unimplemented(path).into_http(),
            })
        })
    }
}

struct SignIn;

impl UnaryService<LoginWithDeviceRequest> for SignIn {
    type Response = LoginWithDeviceResponse;
    type Future = Ready<Result<Response<LoginWithDeviceResponse>, Status>>;

    fn call(&mut self, _: Request<LoginWithDeviceRequest>) -> Self::Future {
        let user = User {
            user_id: "0".repeat(36),
            username: "guest-0000000000".to_owned(),
            email: String::new(),
            role: Role::Player.into(),
            guest: true,
            create_time: Some(Timestamp { seconds: 1_780_000_000, nanos: 1 }),
        };
        ready(Ok(Response::new(LoginWithDeviceResponse { user: Some(user), tokens: Some(tokens()), created: false })))
    }
}

struct Refresh;

impl UnaryService<RefreshTokenRequest> for Refresh {
    type Response = RefreshTokenResponse;
    type Future = Ready<Result<Response<RefreshTokenResponse>, Status>>;

    fn call(&mut self, _: Request<RefreshTokenRequest>) -> Self::Future {
        ready(Ok(Response::new(RefreshTokenResponse { tokens: Some(tokens()) })))
    }
}

fn tokens() -> Tokens {
    Tokens {
        access_token: "a".repeat(ACCESS_TOKEN),
        expires_in: Some(Duration { seconds: 900, nanos: 0 }),
        refresh_token: "r".repeat(REFRESH_TOKEN),
        refresh_expires_in: Some(Duration { seconds: 2_592_000, nanos: 0 }),
        session_id: "0".repeat(36),
    }
}
