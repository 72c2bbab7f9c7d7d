//! Matches on replicas of `muster matchmaking` and `muster game`, with Postgres, Redis, Kafka and Envoy.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod chaos;
mod checker;
mod dev;
mod edge;
mod emptied;
mod faults;
mod playing;
mod spreading;
mod storm;
mod system;
