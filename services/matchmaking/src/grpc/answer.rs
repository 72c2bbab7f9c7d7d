//! What answers are made of.

use pkg_api::matchmaking::v1 as api;

use super::parse::to_page_token;
use crate::store::{QueueId, RatingPlace, StoredRating};
use crate::ticket_message::{self, duration, region, timestamp};
use crate::tickets::{Active, QueueStats, RatingPage, RatingShown};

pub(super) fn active(active: Active) -> api::get_active_match_response::Active {
    match active {
        Active::Ticket(view) => api::get_active_match_response::Active::Ticket(view.message()),
        Active::Match(found) => api::get_active_match_response::Active::Match(ticket_message::match_found(&found)),
    }
}

pub(super) fn stats(stats: &QueueStats) -> api::QueueStats {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let regions = stats.regions.iter();
    api::QueueStats {
        ticket_count: count(stats.tickets),
        player_count: count(stats.players),
        oldest_wait: stats.oldest_wait.map(duration),
        median_wait: stats.median_wait.map(duration),
        p95_wait: stats.p95_wait.map(duration),
        match_count: count(stats.matches),
        regions: regions
            .map(|(at, players)| api::RegionCount { region: region(*at), player_count: count(*players) })
            .collect(),
        time: Some(timestamp(stats.counted_at)),
    }
}

pub(super) fn rating(shown: &RatingShown) -> api::Rating {
    match shown {
        RatingShown::Stored(stored) => stored_rating(stored),
        RatingShown::Initial { player, queue: QueueId { game, key }, rating } => api::Rating {
            player_id: player.to_string(),
            game_id: game.to_string(),
            queue_key: key.to_string(),
            skill: rating.skill(),
            uncertainty: rating.uncertainty(),
            ..api::Rating::default()
        },
    }
}

pub(super) fn stored_rating(stored: &StoredRating) -> api::Rating {
    api::Rating {
        player_id: stored.player.to_string(),
        game_id: stored.queue.game.to_string(),
        queue_key: stored.queue.key.to_string(),
        skill: stored.rating.skill(),
        uncertainty: stored.rating.uncertainty(),
        match_count: stored.match_count,
        update_time: Some(timestamp(stored.updated_at)),
        last_session_id: stored.last_session.map(|session| session.to_string()).unwrap_or_default(),
        last_skill_change: stored.last_skill_change,
    }
}

pub(super) fn ratings(page: &RatingPage) -> api::ListRatingsResponse {
    let next: Option<&RatingPlace> = page.next.as_ref();
    api::ListRatingsResponse {
        ratings: page.ratings.iter().map(stored_rating).collect(),
        next_page_token: next.map(to_page_token).unwrap_or_default(),
    }
}
