//! A running server for tests of what callers see.

use pkg_ambient::Ambient;
use pkg_auth::Role;
use pkg_db::SqlRevocations;
use pkg_db::testing::TestDatabase;
use pkg_middleware::testing::{self, TestServer};
use pkg_middleware::{InProcess, Service};
use tonic::transport::Channel;
use uuid::Uuid;

pub(super) use pkg_middleware::testing::{in_time, told};

/// A running server.
pub(super) struct Harness {
    server: TestServer,
    channel: Channel,
    database: TestDatabase,
}

/// A channel of somebody who is signed in.
pub(super) type SignedIn = testing::SignedIn<Channel>;

impl Harness {
    /// Serves what is built of an embedded database.
    pub(super) async fn start(service: impl FnOnce(pkg_db::Database, Ambient) -> Service) -> Self {
        let (ambient, database) = (Ambient::system(), pkg_db::testing::sqlite().await);
        let revocations = SqlRevocations::new(database.clone());
        let build = |_| [service(database.clone(), ambient.clone())];
        let server = TestServer::start(revocations, ambient.clone(), build).await;
        let channel = server.connect().await;
        Self { server, channel, database }
    }

    pub(super) fn signed_in(&self, user: Uuid, role: Role) -> SignedIn {
        self.server.signed_in(self.channel.clone(), user, role)
    }

    /// On a connection of their own: what they do not read holds up nobody else.
    pub(super) async fn signed_in_apart(&self, user: Uuid, role: Role) -> SignedIn {
        self.server.signed_in(self.server.connect().await, user, role)
    }

    /// Without a socket, for tests that stop the time.
    pub(super) fn signed_in_process(&self, user: Uuid, role: Role) -> testing::SignedIn<InProcess> {
        self.server.signed_in(self.server.in_process(), user, role)
    }

    /// Begins to drain; the answer comes when the server has ended.
    pub(super) fn drain(self) -> impl Future<Output = ()> {
        let (ended, database) = (self.server.drain(), self.database);
        async move {
            ended.await;
            drop(database);
        }
    }
}
