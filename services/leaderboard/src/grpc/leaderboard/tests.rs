//! `LeaderboardService`, as its callers see it.

mod following;
mod history;
mod losses;
mod periods;
mod reading;
mod refusals;
mod submitting;
mod watching;
