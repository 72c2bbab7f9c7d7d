//! Reads what clients saw, and what the log and the database say, and finds what does not go together.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use pkg_api::matchmaking::v1::{Match, Ticket, TicketStatus};
use serde_json::Value;
use system_tests::{Deployment, players_of, run_muster};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
    made: Millis,
}

/// A time, in milliseconds since 1970: all processes have the same clock.
type Millis = i128;

/// The log of matches.
#[derive(Debug, Default)]
pub struct LogOfMatches {
    matches: HashMap<String, Logged>,
    /// From when to when sessions were there, and when one of their seats was given up.
    sessions: HashMap<String, Range<Millis>>,
    left: HashMap<(String, String), Millis>,
}

/// When the store of sessions was emptied.
#[derive(Debug, Default)]
pub struct Wipes(Vec<Millis>);

impl Wipes {
    /// It was emptied now.
    pub fn note(&mut self, now: OffsetDateTime) {
        self.0.push(millis(now));
    }
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
        let record = &line["record"];
        if let Some(made) = record.get("match_made") {
            let players = made["teams"].as_array().unwrap().iter().flat_map(|team| team["players"].as_array().unwrap());
            let players = players.map(|player| (text(player, "player_id"), text(player, "ticket_id"))).collect();
            let logged = Logged { session: text(made, "session_id"), players, made: moment(made, "create_time") };
            // The first of several records counts.
            self.matches.entry(text(made, "match_id")).or_insert(logged);
        } else if let Some(ended) = record.get("session_ended") {
            let lasted = moment(ended, "create_time")..moment(ended, "end_time");
            self.sessions.entry(text(ended, "session_id")).or_insert(lasted);
        } else if let Some(left) = record.get("seat_left") {
            let player = (text(left, "session_id"), text(left, "player_id"));
            self.left.entry(player).or_insert(moment(left, "time"));
        }
    }

    pub fn count(&self) -> usize {
        self.matches.len()
    }

    /// From when to when a player was in the session of a match. One whose end is in no record was lost with its store.
    fn played(&self, found: &Logged, player: &str, wipes: &Wipes) -> Range<Millis> {
        let lasted = self.sessions.get(&found.session);
        let begin = lasted.map_or(found.made, |lasted| lasted.start);
        let left = self.left.get(&(found.session.clone(), player.to_owned())).copied();
        let lost = || wipes.0.iter().copied().find(|wipe| *wipe >= begin);
        let end = lasted.map(|lasted| lasted.end).into_iter().chain(left).min().or_else(lost);
        begin..end.unwrap_or_else(|| panic!("a session without an end: {found:?}"))
    }

    /// Nobody is in two sessions at once, whichever partitions tell of them.
    pub fn assert_nobody_is_in_two(&self, wipes: &Wipes) {
        let mut of_players: HashMap<&str, Vec<(Range<Millis>, &Logged)>> = HashMap::new();
        for found in self.matches.values() {
            for player in found.players.keys() {
                of_players.entry(player).or_default().push((self.played(found, player, wipes), found));
            }
        }
        for (player, mut played) in of_players {
            played.sort_by_key(|(lasted, _)| (lasted.start, lasted.end));
            for pair in played.windows(2) {
                let [(one, first), (other, second)] = pair else { unreachable!("they are pairs") };
                assert!(one.end <= other.start, "{player} is in two: {first:?} {one:?} {second:?} {other:?}");
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

fn moment(value: &Value, name: &str) -> Millis {
    millis(OffsetDateTime::parse(&text(value, name), &Rfc3339).unwrap())
}

fn millis(time: OffsetDateTime) -> Millis {
    time.unix_timestamp_nanos() / 1_000_000
}

mod tests {
    use serde_json::json;

    use super::*;

    const PLAYER: &str = "somebody";

    /// A match that is made in one partition and lasts from one second to another.
    fn add(log: &mut LogOfMatches, partition: i64, name: &str, lasts: Range<u8>, ends: bool) {
        let at = |second: u8| format!("2026-01-01T00:00:{second:02}.5Z");
        let players = json!([{ "player_id": PLAYER, "ticket_id": format!("ticket of {name}") }]);
        let made = json!({ "match_id": name, "session_id": name, "create_time": at(lasts.start),
            "teams": [{ "players": players }] });
        log.take(&json!({ "partition": partition, "offset": 0, "record": { "match_made": made } }));
        if ends {
            let ended = json!({ "session_id": name, "create_time": at(lasts.start), "end_time": at(lasts.end) });
            log.take(&json!({ "partition": partition, "offset": 1, "record": { "session_ended": ended } }));
        }
    }

    fn is_found(log: &LogOfMatches, wipes: &Wipes) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| log.assert_nobody_is_in_two(wipes))).is_err()
    }

    #[test]
    fn who_is_in_two_sessions_is_found_whichever_partitions_they_are_in() {
        for partition in [1, 2] {
            let mut log = LogOfMatches::default();
            add(&mut log, 1, "first", 10..20, true);
            add(&mut log, partition, "second", 20..30, true);
            assert!(!is_found(&log, &Wipes::default()), "one after the other");
            add(&mut log, partition, "third", 19..20, true);
            assert!(is_found(&log, &Wipes::default()));
        }
        let mut log = LogOfMatches::default();
        add(&mut log, 1, "around", 10..40, true);
        add(&mut log, 2, "within", 20..30, true);
        assert!(is_found(&log, &Wipes::default()));
    }

    #[test]
    fn a_seat_that_was_given_up_and_a_session_that_was_lost_hold_nobody() {
        let mut log = LogOfMatches::default();
        add(&mut log, 1, "first", 10..40, true);
        add(&mut log, 2, "second", 20..30, false);
        let mut wipes = Wipes::default();
        wipes.note(OffsetDateTime::parse("2026-01-01T00:00:25Z", &Rfc3339).unwrap());
        assert!(is_found(&log, &wipes));
        let left = json!({ "session_id": "first", "player_id": PLAYER, "time": "2026-01-01T00:00:15Z" });
        log.take(&json!({ "partition": 1, "offset": 2, "record": { "seat_left": left } }));
        assert!(!is_found(&log, &wipes));
        assert!(is_found(&log, &Wipes::default()), "a session without an end");
    }
}
