//! Reads what clients saw, and what the log and the database say, and finds what does not go together.

use std::collections::{BTreeSet, HashMap, HashSet};

use pkg_api::matchmaking::v1::{Match, Ticket, TicketStatus};
use serde_json::Value;
use system_tests::{Deployment, players_of, run_muster};

/// A ticket that was acknowledged, as its player saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub player: String,
    pub ticket: String,
    /// Its last status, and whether it was cancelled by a call that said so.
    pub end: Ticket,
    pub cancelled: bool,
}

/// A match as the log tells of it.
#[derive(Debug)]
struct Logged {
    session: String,
    /// Players and their tickets.
    players: HashMap<String, String>,
    made: Place,
}

/// Partition and offset.
type Place = (i64, i64);

/// The log of matches.
#[derive(Debug, Default)]
pub struct LogOfMatches {
    matches: HashMap<String, Logged>,
    /// When a session ended, or one of its seats was given up.
    ends: HashMap<String, Place>,
    left: HashMap<(String, String), Place>,
}

impl LogOfMatches {
    pub fn read(deployment: &Deployment) -> Self {
        let arguments = ["log", "tail", "matches", "--from-beginning", "--no-follow"];
        let printed = run_muster(&arguments, &deployment.environment());
        assert!(printed.status.success(), "{}", printed.stderr);
        let mut log = Self::default();
        for line in printed.stdout.lines() {
            log.take(&serde_json::from_str(line).unwrap());
        }
        log
    }

    fn take(&mut self, line: &Value) {
        let place = (line["partition"].as_i64().unwrap(), line["offset"].as_i64().unwrap());
        let record = &line["record"];
        if let Some(made) = record.get("match_made") {
            let players = made["teams"].as_array().unwrap().iter().flat_map(|team| team["players"].as_array().unwrap());
            let players = players.map(|player| (text(player, "player_id"), text(player, "ticket_id"))).collect();
            let logged = Logged { session: text(made, "session_id"), players, made: place };
            // The first of several records counts.
            self.matches.entry(text(made, "match_id")).or_insert(logged);
        } else if let Some(ended) = record.get("session_ended") {
            self.ends.entry(text(ended, "session_id")).or_insert(place);
        } else if let Some(left) = record.get("seat_left") {
            self.left.entry((text(left, "session_id"), text(left, "player_id"))).or_insert(place);
        }
    }

    pub fn count(&self) -> usize {
        self.matches.len()
    }

    /// Where a player was free again after a match.
    fn free(&self, found: &Logged, player: &str) -> Option<Place> {
        let ended = self.ends.get(&found.session);
        let left = self.left.get(&(found.session.clone(), player.to_owned()));
        ended.into_iter().chain(left).min().copied()
    }

    /// Nobody is in two sessions at once: of two matches of a player one was over before the other was made.
    pub fn assert_nobody_is_in_two(&self) {
        let mut of_players: HashMap<&str, Vec<&Logged>> = HashMap::new();
        for found in self.matches.values() {
            for player in found.players.keys() {
                of_players.entry(player).or_default().push(found);
            }
        }
        for (player, matches) in of_players {
            for (at, one) in matches.iter().enumerate() {
                for other in &matches[at + 1..] {
                    // Of another queue, it is in another partition: nothing is known of the order.
                    if one.made.0 != other.made.0 {
                        continue;
                    }
                    let before = |a: &Logged, b: &Logged| self.free(a, player).is_some_and(|free| free < b.made);
                    assert!(before(one, other) || before(other, one), "{player} is in two: {one:?} {other:?}");
                }
            }
        }
    }

    /// What players saw is what was recorded, and the other way round.
    pub fn assert_fits(&self, seen: &[Seen]) {
        let mut matched: HashMap<&str, &str> = HashMap::new();
        for (id, found) in &self.matches {
            for ticket in found.players.values() {
                assert_eq!(matched.insert(ticket, id), None, "a ticket is in two matches: {ticket}");
            }
        }
        let tickets: HashMap<&str, &Seen> = seen.iter().map(|seen| (seen.ticket.as_str(), seen)).collect();
        assert_eq!(tickets.len(), seen.len(), "a ticket was acknowledged twice");
        for ticket in seen {
            let logged = matched.get(ticket.ticket.as_str());
            assert!(!ticket.cancelled || logged.is_none(), "matched after a cancel that said yes: {ticket:?}");
            let status = ticket.end.status();
            if status == TicketStatus::Matched {
                let found = ticket.end.r#match.as_ref().unwrap();
                assert_eq!(logged, Some(&found.match_id.as_str()), "{ticket:?}");
                self.assert_is(found, &ticket.player);
            } else {
                assert_eq!(logged, None, "its player was not told: {ticket:?}");
            }
        }
        for found in self.matches.values() {
            for (player, ticket) in &found.players {
                let seen = tickets.get(ticket.as_str()).unwrap_or_else(|| panic!("nobody has the ticket {ticket}"));
                assert_eq!(&seen.player, player);
            }
        }
    }

    fn assert_is(&self, found: &Match, player: &str) {
        let logged = &self.matches[&found.match_id];
        assert_eq!(logged.session, found.session_id);
        let players: BTreeSet<_> = players_of(found).into_iter().collect();
        assert!(players.contains(player), "{player} is told of {found:?}");
        assert_eq!(logged.players.keys().cloned().collect::<BTreeSet<_>>(), players);
    }
}

/// Nobody has two open seats, and nothing is left to be dispatched. Answers with how many seats are open.
pub fn assert_seats(deployment: &Deployment) -> usize {
    let open = deployment.ask_postgres("SELECT player_id FROM match_seats WHERE released_ms IS NULL");
    let distinct: HashSet<_> = open.iter().collect();
    assert_eq!(distinct.len(), open.len(), "somebody has two seats");
    open.len()
}

/// How many matches have no session yet.
pub fn undispatched(deployment: &Deployment) -> usize {
    deployment.ask_postgres("SELECT match_id FROM matches WHERE state = 'made'").len()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is not in {value}")).to_owned()
}
