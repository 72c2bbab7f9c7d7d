//! The executable: one role per subcommand. It alone decides which adapters are wired in.

mod accounts;
mod auth;
mod dev;
mod keys;
mod migrate;
mod options;
mod readiness;
mod run;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Run the auth service (accounts, players) on Postgres and Redis.
    Auth(Box<auth::Options>),
    /// Bring the database schema up or down, or show where it is.
    Migrate(migrate::Options),
    /// Print an access token for an operator.
    Token(token::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().role {
        Role::Dev(options) => run::in_runtime(dev::run(*options)),
        Role::Auth(options) => run::in_runtime(auth::run(*options)),
        Role::Migrate(options) => run::in_runtime(migrate::run(options)),
        Role::Token(options) => token::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => run::fail(&error),
    }
}
