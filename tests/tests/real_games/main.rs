//! Games, sessions and live events on replicas of `muster game`, with Postgres, Redis, Kafka and Envoy.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod away;
mod browser;
mod cluster;
mod edge;
mod exchange;
mod finishing;
mod native;
mod outage;
mod seats;
mod slow_reader;
mod system;
