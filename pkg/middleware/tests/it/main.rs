//! The server over real sockets, with clients of three kinds.

mod admin;
mod client;
mod drain;
mod edge;
mod harness;
mod input;
mod layers;
mod limits;
mod pages;
mod probe;
mod streams;
