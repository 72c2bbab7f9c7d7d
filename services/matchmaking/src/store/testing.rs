//! Tickets and matches for the contracts.

use std::collections::HashMap;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_db::Database;
use pkg_definition::{AttributeKey, AttributeValue, Attributes, Key, Region, TeamName};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Claim, Match, MatchPlayer, MatchTeam, NewTicket, QueueId};
use crate::rating::Rating;
use crate::ticket::{Player, Regions, Ticket};

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// How long anything may take.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// No ids.
pub(super) const NOBODY: [Uuid; 0] = [];

pub(super) fn id() -> Uuid {
    Ambient::system().id()
}

/// Two ids in their order: those of one millisecond have any.
pub(super) fn two_ids() -> [Uuid; 2] {
    let mut ids = [id(), id()];
    ids.sort_unstable();
    ids
}

/// To the millisecond, as stores keep it.
pub(super) fn now() -> OffsetDateTime {
    pkg_db::from_millis(pkg_db::to_millis(Ambient::system().now()))
}

/// A queue of a new game.
pub(super) fn queue() -> QueueId {
    queue_of(id(), "duel")
}

pub(super) fn queue_of(game: Uuid, key: &str) -> QueueId {
    QueueId { game, key: Key::parse(key).unwrap() }
}

pub(super) fn player(id: Uuid) -> Player {
    let key = AttributeKey::parse("level").unwrap();
    Player {
        id,
        rating: Rating::new(25.5, 8.25).unwrap(),
        latencies: [(Region::EuWest, Duration::from_millis(31)), (Region::Africa, 9 * SECOND)].into_iter().collect(),
        properties: Attributes::new([(key, AttributeValue::Int(7))].into()).unwrap(),
    }
}

pub(super) fn ticket(queue: &QueueId, players: &[Uuid]) -> NewTicket {
    let ticket = Ticket {
        id: id(),
        players: players.iter().map(|id| player(*id)).collect(),
        regions: [Region::EuWest, Region::Sa].into_iter().collect::<Regions>(),
        created: now(),
    };
    NewTicket { queue: queue.clone(), expires: ticket.created + 300 * SECOND, ticket }
}

pub(super) fn claim(tickets: &[Uuid]) -> Claim {
    Claim { match_id: id(), tickets: tickets.to_vec(), deadline: now() + 10 * SECOND }
}

/// A match of two teams of one.
pub(super) fn duel(queue: &QueueId, players: [Uuid; 2]) -> Match {
    let team = |name: &str, player| MatchTeam {
        name: Some(TeamName::parse(name).unwrap()),
        players: vec![MatchPlayer { player, ticket: id(), wait: Duration::from_millis(1_234) }],
        win_probability: Some(0.5),
    };
    Match {
        id: id(),
        queue: queue.clone(),
        session: id(),
        region: Region::EuNorth,
        teams: vec![team("red", players[0]), team("blue", players[1])],
        definition_revision: 3,
        created: now(),
    }
}

/// Who has leases now, and how many, in `SQLite`.
pub(crate) async fn lease_owners(database: &Database) -> HashMap<Uuid, usize> {
    const OWNERS: &str = "SELECT worker_id FROM queue_leases WHERE until_ms > unixepoch('subsec') * 1000";
    let Database::Sqlite(pool) = database else { unreachable!("it is SQLite") };
    let found: Vec<Uuid> = sqlx::query_scalar(OWNERS).fetch_all(pool).await.unwrap();
    let mut owners = HashMap::new();
    for owner in found {
        *owners.entry(owner).or_default() += 1;
    }
    owners
}
