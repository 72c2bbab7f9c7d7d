//! The edge of the service: requests are parsed, the domain is called, its results are mapped.

mod answer;
mod auth;
mod parse;
mod player;
mod problems;

pub use auth::AuthApi;
pub use player::PlayerApi;
