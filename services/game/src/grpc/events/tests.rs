//! The live services as their clients see them, in process.

mod announcing;
mod connecting;
mod presence;
mod publishing;
mod resuming;
mod subscribing;
mod world;
