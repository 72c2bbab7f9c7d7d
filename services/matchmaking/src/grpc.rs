//! The edge of the service: requests are parsed, the domain is called, its results are mapped.

mod answer;
#[cfg(test)]
pub(crate) mod harness;
mod matchmaking;
mod parse;
mod problems;
mod watching;

pub use matchmaking::MatchmakingApi;
