//! The harness of the whole-system tests: `muster` as a process, its stores, and ways to call it.
//!
//! Everything it starts has a folder and ports of its own, is waited for by asking, and is ended when its value is
//! dropped, also by a test that fails.

#![expect(clippy::missing_panics_doc, reason = "a harness panics: that is how a test learns what went wrong")]

mod boards;
mod client;
mod curl;
mod deployment;
mod envoy;
mod follower;
mod games;
mod generated;
mod matches;
mod muster;
mod postgres_server;
mod process;
mod proxy;
mod raw;
mod signer;
mod text;
mod wait;

pub use boards::{board, game_with_boards, new_score};
pub use client::{Client, bearer, refusal, with_forwarded_for};
pub use curl::{Answer, Curl};
pub use deployment::{Deployment, UNLIMITED};
pub use envoy::{Edge, Envoy, names_of_addresses, repository_file, validate_envoy};
pub use follower::Follower;
pub use games::game_event;
pub use generated::{generate_javascript, node_client};
pub use matches::{duel, game_of, players_of};
pub use muster::{Muster, free_address, run_muster};
pub use pkg_redis::testing::RedisServer;
pub use postgres_server::PostgresServer;
pub use process::{Finished, Process};
pub use proxy::Proxy;
pub use raw::{Outcome, body, call_grpc, call_grpc_within, call_http, frame};
pub use signer::{SignedIn, Signer};
pub use text::{PASSWORD, email, random_text, username};
pub use wait::{LIMIT, eventually, eventually_blocking};

/// A variable that `make test` sets.
///
/// # Panics
/// If it is not set.
#[must_use]
pub fn test_variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`, which sets it"))
}
