//! How full a queue is and how long one waits in it: counted by the queue's worker, told by every replica.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use pkg_definition::Region;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::store::RecentWaits;
use crate::ticket::{Regions, place};

/// For how many minutes a match counts, the one that runs among them.
const MINUTES: usize = 10;
const MINUTE_SECONDS: i64 = 60;
/// By how much the waits that are counted as one differ: an estimate is not off by more than that.
const STEP: f64 = 1.1;
/// Where waits are counted whose region is not known: they count for the whole queue.
const ANYWHERE: u8 = u8::MAX;
/// With fewer waits nothing is said of tickets like one; then those of the whole queue are taken.
const ENOUGH: u32 = 8;

/// A queue as its worker counted it a moment ago.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// When, in milliseconds since 1970.
    pub counted_at: i64,
    /// How many tickets wait.
    pub tickets: u64,
    /// How many players wait.
    pub players: u64,
    /// When the ticket was created that waits for longest, in milliseconds since 1970.
    pub oldest: Option<i64>,
    /// How many players wait for each region; one who takes several counts in each. By the place of the region.
    pub regions: BTreeMap<u8, u64>,
    /// What recent matches took.
    pub recent: Waits,
}

/// How long the tickets of the matches of the last [`MINUTES`] have waited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Waits {
    /// The oldest first.
    minutes: VecDeque<Minute>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Minute {
    /// Minutes since 1970.
    number: i64,
    matches: u64,
    /// By the place of the match's region, then by [`bucket`].
    waits: BTreeMap<u8, BTreeMap<u8, u32>>,
}

impl Summary {
    /// How many players wait for each region.
    pub fn players_by_region(&self) -> impl Iterator<Item = (Region, u64)> {
        let by_place = self.regions.iter();
        by_place.filter_map(|(place, players)| Some((*Region::ALL.get(usize::from(*place))?, *players)))
    }

    /// How long the oldest ticket has waited.
    #[must_use]
    pub fn oldest_wait(&self) -> Option<Duration> {
        let waited = u64::try_from(self.counted_at.saturating_sub(self.oldest?)).unwrap_or(0);
        Some(Duration::from_millis(waited))
    }
}

impl Waits {
    /// What the database still knows, for a worker that begins.
    #[must_use]
    pub fn of(recent: &RecentWaits) -> Self {
        let mut minutes: BTreeMap<i64, Minute> = BTreeMap::new();
        for (made, waited) in &recent.waits {
            let number = minute(*made);
            let minute = minutes.entry(number).or_insert_with(|| Minute { number, ..Minute::default() });
            *minute.waits.entry(ANYWHERE).or_default().entry(bucket(*waited)).or_default() += 1;
        }
        // When each match was made is not known: they are spread as the waits are.
        let (mut left, mut waits) = (recent.matches, recent.waits.len() as u64);
        for minute in minutes.values_mut() {
            let here: u64 = minute.waits.values().flat_map(BTreeMap::values).copied().map(u64::from).sum();
            minute.matches = (left * here).checked_div(waits).unwrap_or_default();
            (left, waits) = (left - minute.matches, waits - here);
        }
        Self { minutes: minutes.into_values().collect() }
    }

    /// A match was made; its tickets have waited for so long.
    pub fn record(&mut self, region: Region, waited: impl IntoIterator<Item = Duration>, now: OffsetDateTime) {
        let number = minute(now);
        // A clock that was set back counts into the newest minute.
        if self.minutes.back().is_none_or(|newest| newest.number < number) {
            self.minutes.push_back(Minute { number, ..Minute::default() });
        }
        while self.minutes.len() > MINUTES {
            self.minutes.pop_front();
        }
        let Some(newest) = self.minutes.back_mut() else { return };
        newest.matches += 1;
        let of_region = newest.waits.entry(u8::try_from(place(region)).unwrap_or(ANYWHERE)).or_default();
        for wait in waited {
            *of_region.entry(bucket(wait)).or_default() += 1;
        }
    }

    /// How many matches there were.
    #[must_use]
    pub fn matches(&self, now: OffsetDateTime) -> u64 {
        self.recent(now).map(|minute| minute.matches).sum()
    }

    /// The wait that this part of the tickets did not exceed, 0–1; `None` if there was no match.
    #[must_use]
    pub fn quantile(&self, part: f64, now: OffsetDateTime) -> Option<Duration> {
        quantile(&self.counts(Regions::NONE, now), part)
    }

    /// How much longer a ticket that has waited for `age` waits, as half of those did that waited for so long in matches
    /// of these regions, or of any if they are empty. `None` if nobody waited for so long.
    #[must_use]
    pub fn remaining(&self, regions: Regions, age: Duration, now: OffsetDateTime) -> Option<Duration> {
        let longer = |regions| {
            let mut counts = self.counts(regions, now);
            counts.retain(|bucket, _| wait(*bucket) > age);
            counts
        };
        let alike = longer(regions);
        let is_enough = alike.values().sum::<u32>() >= ENOUGH;
        let counts = if regions.is_empty() || is_enough { alike } else { longer(Regions::NONE) };
        Some(quantile(&counts, 0.5)?.saturating_sub(age))
    }

    fn recent(&self, now: OffsetDateTime) -> impl Iterator<Item = &Minute> {
        let first = minute(now) - i64::try_from(MINUTES).unwrap_or(i64::MAX);
        self.minutes.iter().filter(move |minute| minute.number > first)
    }

    /// How many tickets waited for how long, in matches of these regions, or of all if they are empty.
    fn counts(&self, regions: Regions, now: OffsetDateTime) -> BTreeMap<u8, u32> {
        let counts = |place: u8| {
            let region = Region::ALL.get(usize::from(place));
            regions.is_empty() || region.is_some_and(|region| regions.contains(*region))
        };
        let waits = self.recent(now).flat_map(|minute| &minute.waits);
        let mut sum = BTreeMap::new();
        for (bucket, count) in waits.filter(|(place, _)| counts(**place)).flat_map(|(_, waits)| waits) {
            *sum.entry(*bucket).or_default() += count;
        }
        sum
    }
}

fn quantile(counts: &BTreeMap<u8, u32>, part: f64) -> Option<Duration> {
    let all: u32 = counts.values().sum();
    let wanted = (f64::from(all) * part).ceil().max(1.0);
    let mut seen = 0;
    counts.iter().find_map(|(bucket, count)| {
        seen += count;
        (f64::from(seen) >= wanted).then(|| wait(*bucket))
    })
}

/// Waits are counted by the power of [`STEP`] that is as many milliseconds.
fn bucket(wait: Duration) -> u8 {
    let power = ((wait.as_secs_f64() * 1_000.0).max(1.0).ln() / STEP.ln()).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast that saturates is meant")]
    let bucket = power as u8;
    bucket
}

fn wait(bucket: u8) -> Duration {
    Duration::from_secs_f64(STEP.powi(bucket.into()) / 1_000.0)
}

fn minute(time: OffsetDateTime) -> i64 {
    time.unix_timestamp().div_euclid(MINUTE_SECONDS)
}
