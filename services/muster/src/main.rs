//! The executable: one role per subcommand. It alone decides which adapters are wired in.

mod accounts;
mod apply;
mod auth;
mod boards;
mod descriptors;
mod dev;
mod examples;
mod game;
mod games;
mod ground;
mod health;
mod keys;
mod leaderboard;
mod log;
mod matches;
mod matchmaking;
mod migrate;
mod options;
mod readiness;
mod rebuild;
mod run;
mod stores;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A fifth less CPU for a ticket than with glibc's, and a sixth less memory for a connection. On Linux with glibc, libraries
/// in C have it too.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Muster, a game backend: accounts, game sessions, matchmaking and leaderboards over gRPC.
///
/// Settings may be given as environment variables instead of flags; secrets are better given so.
#[derive(Debug, Parser)]
#[command(name = "muster", version)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Run all services in one process on one port, on embedded stores.
    Dev(Box<dev::Options>),
    /// Run the auth service (accounts, players) on Postgres, Redis and Kafka.
    Auth(Box<auth::Options>),
    /// Run the game service (games, sessions, live events, presence) on Postgres, Redis and Kafka.
    Game(Box<game::Options>),
    /// Run the matchmaking service (tickets, matches, ratings) on Postgres, Redis and Kafka, beside the game service.
    Matchmaking(Box<matchmaking::Options>),
    /// Run the leaderboard service (scores, leaderboards, match history) on Postgres, Redis and Kafka, beside the game service.
    Leaderboard(Box<leaderboard::Options>),
    /// Look after leaderboards.
    Boards(rebuild::Options),
    /// Bring the database schema up or down, or show where it is.
    Migrate(migrate::Options),
    /// Read the durable log.
    Log(log::Options),
    /// Write the files from which Envoy knows the API.
    Descriptors(descriptors::Options),
    /// Say whether the server beside it is ready (exit code 0), for health checks.
    Health(health::Options),
    /// Bring a game and its rules to what a file says.
    Apply(apply::Options),
    /// Print an access token for an operator.
    Token(token::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().role {
        Role::Dev(options) => run::in_runtime(dev::run(*options)),
        Role::Auth(options) => run::in_runtime(auth::run(*options)),
        Role::Game(options) => run::in_runtime(game::run(*options)),
        Role::Matchmaking(options) => run::in_runtime(matchmaking::run(*options)),
        Role::Leaderboard(options) => run::in_runtime(leaderboard::run(*options)),
        Role::Boards(options) => run::in_runtime(rebuild::run(options)),
        Role::Migrate(options) => run::in_runtime(migrate::run(options)),
        Role::Log(options) => run::in_runtime(log::run(options)),
        Role::Descriptors(options) => descriptors::run(&options),
        Role::Health(options) => health::run(&options),
        Role::Apply(options) => run::in_runtime(apply::run(options)),
        Role::Token(options) => token::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => run::fail(&error),
    }
}
