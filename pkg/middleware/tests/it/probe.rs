//! A service that shows what the server does around it.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use http::{Request, Response};
use pkg_auth::Role;
use pkg_middleware::{Access, AccessTable, Caller, InProcess, RequestContext, ServiceChannel};
use prost_reflect::DescriptorPool;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::client::ProbeClient;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ask {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    #[prost(uint32, tag = "2")]
    pub(crate) number: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Told {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    #[prost(string, tag = "2")]
    pub(crate) user_id: String,
    #[prost(string, tag = "3")]
    pub(crate) role: String,
    #[prost(string, tag = "4")]
    pub(crate) request_id: String,
    #[prost(string, tag = "5")]
    pub(crate) trace_id: String,
    #[prost(string, tag = "6")]
    pub(crate) client_address: String,
    #[prost(uint64, tag = "7")]
    pub(crate) milliseconds_left: u64,
}

const PLAYERS: Access = Access::Roles(&[Role::Player, Role::Admin]);

pub(crate) const ACCESS: AccessTable = &[
    ("Echo", Access::Public),
    ("WhoAmI", PLAYERS),
    ("Inside", Access::Roles(&[Role::Admin, Role::Service])),
    ("Nested", PLAYERS),
    ("Hang", Access::Public),
    ("Wait", Access::Public),
    ("Panic", Access::Public),
    ("Big", Access::Public),
    ("Hold", PLAYERS),
    ("HoldPublic", Access::Public),
    ("HangStream", PLAYERS),
    ("PanicLater", Access::Public),
    ("SayGoAway", Access::Public),
    ("Chat", Access::Public),
];

/// The descriptors of the probe.
pub(crate) fn pool() -> DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut compiler = protox::Compiler::new([root.join("tests/it"), root.join("../../proto/third_party")])
            .expect("the directories exist");
        compiler.include_imports(true);
        for file in ["probe.proto", "google/rpc/error_details.proto"] {
            compiler.open_file(file).expect("the proto compiles");
        }
        DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).expect("protox writes valid sets")
    });
    POOL.clone()
}

/// What a test can see and do in the handlers.
pub(crate) struct Backstage {
    /// A permit for every handler or stream that is inside and waits.
    pub(crate) entered: Semaphore,
    /// A permit for every one of those that was dropped.
    pub(crate) left: Semaphore,
    /// A permit lets one `Wait` answer.
    pub(crate) go: Semaphore,
    pub(crate) nested: ServiceChannel<InProcess>,
}

impl Backstage {
    pub(crate) fn new(nested: ServiceChannel<InProcess>) -> Arc<Self> {
        let none = || Semaphore::new(0);
        Arc::new(Self { entered: none(), left: none(), go: none(), nested })
    }
}

/// Says so when it is dropped.
struct Inside(Arc<Backstage>);

impl Inside {
    fn enter(backstage: &Arc<Backstage>) -> Self {
        backstage.entered.add_permits(1);
        Self(backstage.clone())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.left.add_permits(1);
    }
}

/// Takes a permit for good.
pub(crate) async fn take(semaphore: &Semaphore) {
    let waited = tokio::time::timeout(std::time::Duration::from_secs(20), semaphore.acquire()).await;
    waited.expect("it happens in time").expect("never closed").forget();
}

fn told<T>(request: &tonic::Request<T>, text: String) -> Result<Told, Status> {
    let context = RequestContext::of(request)?;
    let caller = Caller::of(request).ok();
    Ok(Told {
        text,
        user_id: caller.map(|caller| caller.user_id.to_string()).unwrap_or_default(),
        role: caller.map(|caller| caller.role.to_string()).unwrap_or_default(),
        request_id: context.request_id.to_string(),
        trace_id: context.trace.trace_id.to_string(),
        client_address: context.client_address.map(|address| address.to_string()).unwrap_or_default(),
        milliseconds_left: context.time_left().map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
    })
}

type Answered<T> = Result<tonic::Response<T>, Status>;

async fn unary(backstage: Arc<Backstage>, rpc: &'static str, request: tonic::Request<Ask>) -> Answered<Told> {
    let ask = request.get_ref().clone();
    match rpc {
        "WhoAmI" | "Inside" => {
            Caller::of(&request)?;
        }
        "Nested" => return ProbeClient::new(backstage.nested.clone()).call("Inside", ask.into_request()).await,
        "Hang" => {
            let _inside = Inside::enter(&backstage);
            std::future::pending::<()>().await;
        }
        "Wait" => {
            let _inside = Inside::enter(&backstage);
            take(&backstage.go).await;
        }
        "Panic" => panic!("the secret of the probe"),
        "Big" => {
            let text = "x".repeat(usize::try_from(ask.number).expect("small"));
            return Ok(tonic::Response::new(Told { text, ..Told::default() }));
        }
        _ => {}
    }
    Ok(tonic::Response::new(told(&request, ask.text)?))
}

impl Ask {
    pub(crate) fn into_request(self) -> tonic::Request<Self> {
        tonic::Request::new(self)
    }
}

type Stream = BoxStream<'static, Result<Told, Status>>;

fn server_stream(backstage: &Arc<Backstage>, rpc: &'static str, request: &tonic::Request<Ask>) -> Answered<Stream> {
    let first = stream::iter([Ok(told(request, "first".to_owned())?)]);
    let draining = RequestContext::of(request)?.draining().clone();
    let stream: Stream = match rpc {
        "PanicLater" => {
            let panics = stream::once(async {
                // What is ready at once is sent together: the first message would never leave.
                tokio::task::yield_now().await;
                panic!("the secret of the probe")
            });
            first.chain(panics).boxed()
        }
        "SayGoAway" => first
            .chain(stream::once(async move {
                draining.cancelled().await;
                Ok(Told { text: "go away".to_owned(), ..Told::default() })
            }))
            .boxed(),
        _ => {
            let inside = Inside::enter(backstage);
            let hold = async move {
                let _inside = inside;
                std::future::pending().await
            };
            first.chain(stream::once(hold)).boxed()
        }
    };
    Ok(tonic::Response::new(stream))
}

async fn chat(request: tonic::Request<Streaming<Ask>>) -> Answered<Stream> {
    let answers = request.into_inner().map(|ask| ask.map(|ask| Told { text: ask.text, ..Told::default() }));
    Ok(tonic::Response::new(answers.boxed()))
}

/// The probe as tonic would generate it.
#[derive(Clone)]
pub(crate) struct ProbeServer(pub(crate) Arc<Backstage>);

impl NamedService for ProbeServer {
    const NAME: &'static str = "muster.testing.Probe";
}

impl tower::Service<Request<Body>> for ProbeServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let rpc = request.uri().path().rsplit('/').next().unwrap_or_default();
        let Some((rpc, _)) = ACCESS.iter().find(|(name, _)| *name == rpc) else { panic!("{rpc} was let in") };
        let backstage = self.0.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Told, Ask>::default());
            Ok(match *rpc {
                "HangStream" => {
                    let handler = service_fn(move |_| {
                        let inside = Inside::enter(&backstage);
                        async move {
                            let _inside = inside;
                            std::future::pending::<Answered<Stream>>().await
                        }
                    });
                    grpc.server_streaming(handler, request).await
                }
                "Chat" => grpc.streaming(service_fn(chat), request).await,
                "Hold" | "HoldPublic" | "PanicLater" | "SayGoAway" => {
                    let handler =
                        service_fn(move |request| std::future::ready(server_stream(&backstage, rpc, &request)));
                    grpc.server_streaming(handler, request).await
                }
                _ => grpc.unary(service_fn(move |request| unary(backstage.clone(), rpc, request)), request).await,
            })
        })
    }
}
