//! The edge of the service: requests are parsed, the domain is called, its results are mapped.

mod answer;
mod channel;
#[cfg(test)]
pub(crate) mod harness;
mod matchmaking;
mod parse;
mod problems;
mod watching;

pub use channel::GameChannel;
pub use matchmaking::MatchmakingApi;
