//! What follows from records.

use std::collections::{BTreeMap, HashMap, HashSet};

use pkg_api::game::v1::SessionResults;
use pkg_api::log::v1::{SessionEnded, record};
use pkg_definition::{Key, RatingRule};
use pkg_log::Entry;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ResultsFollower, WorkError};
use crate::rating::{Placed, Rating, update};
use crate::store::{QueueId, RatingChange, Results, SeatRelease};

/// A session that may change ratings.
struct Ended<'a> {
    session: Uuid,
    queue: QueueId,
    revision: i64,
    results: &'a SessionResults,
    at: OffsetDateTime,
}

/// A rating as it is after what was counted so far.
#[derive(Debug, Clone, Copy)]
struct Standing {
    from_version: i64,
    rating: Option<Rating>,
    match_count: i64,
}

type Standings = HashMap<(QueueId, Uuid), Standing>;

impl ResultsFollower {
    /// What follows from records that come one after the other; `None` without any.
    pub(super) async fn work_out(
        &self,
        partition: i32,
        expected: Option<i64>,
        entries: &[Entry],
    ) -> Result<Option<Results>, WorkError> {
        let Some(last) = entries.last() else { return Ok(None) };
        let mut results = Results { partition, expected, next_offset: last.position.offset + 1, ..Results::default() };
        let mut ended = Vec::new();
        for entry in entries {
            match entry.record.as_ref().ok().and_then(|record| record.event.as_ref()) {
                Some(record::Event::SessionEnded(session)) => {
                    results
                        .releases
                        .extend(id(&session.session_id).map(|session| SeatRelease { session, player: None }));
                    ended.extend(rateable(session, entry.time));
                }
                Some(record::Event::SeatLeft(left)) => {
                    let (session, player) = (id(&left.session_id), id(&left.player_id));
                    results.releases.extend(
                        session.zip(player).map(|(session, player)| SeatRelease { session, player: Some(player) }),
                    );
                }
                _ => {}
            }
        }
        self.count(&ended, &mut results).await?;
        Ok(Some(results))
    }

    async fn count(&self, ended: &[Ended<'_>], results: &mut Results) -> Result<(), WorkError> {
        if ended.is_empty() {
            return Ok(());
        }
        let sessions: Vec<Uuid> = ended.iter().map(|ended| ended.session).collect();
        let mut counted: HashSet<Uuid> = self.ratings.counted(&sessions).await?.into_iter().collect();
        let mut rated = Vec::new();
        for ended in ended {
            // Of two records with one id the first one counts.
            if counted.insert(ended.session)
                && let Some(rule) = self.rules.find(&ended.queue, ended.revision).await?
            {
                rated.push((ended, rule));
            }
        }
        let mut standings = self.standings(&rated).await?;
        let mut changes = BTreeMap::new();
        for (ended, rule) in &rated {
            let of_session = change(ended, rule, &mut standings);
            if !of_session.is_empty() {
                results.counted.push(ended.session);
            }
            changes.extend(of_session.into_iter().map(|change| ((change.queue.clone(), change.player), change)));
        }
        results.changes = changes.into_values().collect();
        Ok(())
    }

    /// The ratings that may change, as they are stored.
    async fn standings(&self, rated: &[(&Ended<'_>, RatingRule)]) -> Result<Standings, WorkError> {
        let mut players: BTreeMap<&QueueId, HashSet<Uuid>> = BTreeMap::new();
        for (ended, _) in rated {
            let ids = ended.results.players.iter().filter_map(|player| id(&player.player_id));
            players.entry(&ended.queue).or_default().extend(ids);
        }
        let mut standings = HashMap::new();
        for (queue, players) in players {
            let players: Vec<Uuid> = players.into_iter().collect();
            for stored in self.ratings.ratings(queue, &players).await? {
                let (from_version, rating, match_count) = (stored.version, Some(stored.rating), stored.match_count);
                standings.insert((stored.queue, stored.player), Standing { from_version, rating, match_count });
            }
        }
        Ok(standings)
    }
}

/// How a session changes ratings; nothing if it counts for nobody.
fn change(ended: &Ended<'_>, rule: &RatingRule, standings: &mut Standings) -> Vec<RatingChange> {
    let standing = |standings: &Standings, player: Uuid| {
        let unknown = Standing { from_version: 0, rating: None, match_count: 0 };
        standings.get(&(ended.queue.clone(), player)).copied().unwrap_or(unknown)
    };
    let before = |player| standing(standings, player).rating.unwrap_or_else(|| Rating::initial(rule));
    let placed = ended.results.players.iter().map(|result| {
        let player = id(&result.player_id)?;
        Some(Placed { player, team: &result.team, placement: result.placement, rating: before(player) })
    });
    // The game service has checked the ids: without one of them it would be another match.
    let Some(placed) = placed.collect::<Option<Vec<_>>>() else { return Vec::new() };
    let Some(after) = update(&placed, rule) else { return Vec::new() };
    let mut changes = Vec::with_capacity(placed.len());
    for (placed, rating) in placed.iter().zip(after) {
        let Standing { from_version, match_count, .. } = standing(standings, placed.player);
        let match_count = match_count + 1;
        standings
            .insert((ended.queue.clone(), placed.player), Standing { from_version, rating: Some(rating), match_count });
        changes.push(RatingChange {
            player: placed.player,
            queue: ended.queue.clone(),
            from_version,
            rating,
            match_count,
            session: ended.session,
            skill_change: rating.skill() - placed.rating.skill(),
            at: ended.at,
        });
    }
    changes
}

/// The session of a match that has ended with results.
fn rateable(ended: &SessionEnded, at: OffsetDateTime) -> Option<Ended<'_>> {
    // Sessions made by hand have no queue.
    let queue = QueueId { game: id(&ended.game_id)?, key: Key::parse(&ended.queue_key)? };
    let results = ended.results.as_ref()?;
    Some(Ended { session: id(&ended.session_id)?, queue, revision: ended.definition_revision, results, at })
}

fn id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}
