//! Leaderboards on replicas of `muster leaderboard`, with Postgres, Redis, Kafka and Envoy.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod changing;
mod checker;
mod cluster;
mod dev;
mod edge;
mod exactly_once;
mod faults;
mod matches;
mod reading;
mod rebuilding;
mod system;
mod watching;
mod writers;
