//! Load: callers that wait for their answers, and calls at a fixed rate.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tonic::Status;

use crate::tally::Tally;

/// How much is asked, and for how long.
#[derive(Debug, Clone, Copy, Args, Serialize)]
pub struct Load {
    /// How many calls are under way at once.
    #[arg(long, value_name = "COUNT", default_value = "64")]
    pub concurrency: NonZeroU32,

    /// How many HTTP/2 connections they share.
    #[arg(long, value_name = "COUNT", default_value = "8")]
    pub connections: NonZeroU32,

    /// How long each figure is measured, in seconds; floors half as long.
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    pub seconds: NonZeroU32,

    /// How long the load runs before that, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "2")]
    pub warm_up: u32,
}

impl Load {
    /// From when to when a figure is measured, if its load starts now.
    pub fn window(&self) -> Window {
        let begin = Instant::now() + Duration::from_secs(self.warm_up.into());
        Window { begin, end: begin + Duration::from_secs(self.seconds.get().into()) }
    }

    /// The same for a floor, which is steadier.
    pub fn floor_window(&self) -> Window {
        let Window { begin, end } = self.window();
        Window { begin, end: begin + (end - begin) / 2 }
    }
}

/// The time that is measured. Load begins earlier.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub begin: Instant,
    pub end: Instant,
}

impl Window {
    pub fn duration(&self) -> Duration {
        self.end - self.begin
    }

    fn contains(&self, moment: Instant) -> bool {
        (self.begin..self.end).contains(&moment)
    }
}

/// One who calls, waits for the answer, and calls again.
pub trait Caller: Send + 'static {
    fn call(&mut self) -> impl Future<Output = Result<(), Status>> + Send;
}

/// All callers at once, until the window ends. Counts the calls that ended within it.
pub async fn closed_loop<C: Caller>(callers: Vec<C>, window: Window) -> anyhow::Result<Tally> {
    let mut tasks = JoinSet::new();
    for mut caller in callers {
        tasks.spawn(async move {
            let mut tally = Tally::new();
            let mut began = Instant::now();
            while began < window.end {
                let outcome = caller.call().await;
                let ended = Instant::now();
                if window.contains(ended) {
                    tally.record(ended - began, outcome);
                }
                began = ended;
            }
            tally
        });
    }
    total(tasks).await
}

/// As many calls a second as said, whether the ones before were answered or not, until nobody is left to call. Counts those
/// that began in the window.
pub async fn open_loop<C: Caller>(
    per_second: NonZeroU32,
    window: Window,
    mut next: impl FnMut() -> Option<C>,
) -> anyhow::Result<Tally> {
    let mut calls = JoinSet::new();
    let mut clock = interval_at(Instant::now(), Duration::from_secs(1) / per_second.get());
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        clock.tick().await;
        let began = Instant::now();
        if began >= window.end {
            break;
        }
        let Some(mut caller) = next() else { break };
        calls.spawn(async move {
            let outcome = caller.call().await;
            (began, began.elapsed(), outcome)
        });
    }
    let mut tally = Tally::new();
    while let Some(call) = calls.join_next().await {
        let (began, took, outcome) = call.context("a caller panicked")?;
        if window.contains(began) {
            tally.record(took, outcome);
        }
    }
    Ok(tally)
}

/// Makes a call for every item, some at a time; all must succeed.
pub async fn each<T, C>(items: impl IntoIterator<Item = T>, at_once: usize, call: impl Fn(T) -> C) -> anyhow::Result<()>
where
    C: Future<Output = Result<(), Status>> + Send + 'static,
{
    let mut calls = JoinSet::new();
    for item in items {
        if calls.len() >= at_once
            && let Some(done) = calls.join_next().await
        {
            done??;
        }
        calls.spawn(call(item));
    }
    while let Some(done) = calls.join_next().await {
        done??;
    }
    Ok(())
}

async fn total(mut tallies: JoinSet<Tally>) -> anyhow::Result<Tally> {
    let mut total = Tally::new();
    while let Some(tally) = tallies.join_next().await {
        total.add(tally.context("a caller panicked")?);
    }
    Ok(total)
}

/// Numbers that look random and are the same in every run (`SplitMix64`).
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// One of a slice, which is not empty.
    pub fn choose<'a>(&mut self, among: &'a [String]) -> &'a str {
        let index = self.roll() % among.len() as u64;
        &among[usize::try_from(index).expect("it is below a length")]
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
