//! What callers see.

mod active;
mod asking;
mod creating;
mod ending;
mod watching;
