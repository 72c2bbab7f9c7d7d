//! Accounts on replicas of `muster auth`, with Postgres and Redis.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod crash;
mod drain;
mod limits;
mod outage;
mod refresh;
mod secrets;
mod sessions;
mod sign_in;
