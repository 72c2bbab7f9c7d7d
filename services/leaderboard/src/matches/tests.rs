use std::collections::HashMap;

use pkg_ambient::Ambient;
use pkg_api::game::v1::{PlayerResult, SessionResults};
use pkg_api::log::v1::{SeatLeft, SessionEnded, record};
use pkg_db::testing::TestDatabase;
use pkg_definition::Key;
use uuid::Uuid;

use super::*;
use crate::store::{MatchOutcome, QueueStats, SqlMatches};
use crate::testing::{Running, TestLog, until};

const GAME: Uuid = Uuid::from_u128(0x6a3e);

struct World {
    log: TestLog,
    matches: Arc<SqlMatches>,
    _database: TestDatabase,
}

impl World {
    async fn over(database: TestDatabase) -> Self {
        Self { log: TestLog::start().await, matches: Arc::new(SqlMatches::new(database.clone())), _database: database }
    }

    fn follow(&self) -> Running {
        let follower = MatchesFollower::new(self.log.log.clone(), self.matches.clone());
        Running::start(|shutdown| follower.run(shutdown))
    }

    async fn append(&self, ended: &SessionEnded) {
        let key = format!("{}/{}", ended.game_id, ended.queue_key);
        let id = Uuid::try_parse(&ended.session_id).unwrap_or_default();
        self.log.append(Topic::Matches, &key, id, record::Event::SessionEnded(ended.clone())).await;
    }

    async fn stats(&self, number: u128) -> Vec<QueueStats> {
        self.matches.stats(player(number), GAME).await.unwrap()
    }

    /// How many games a player has played in all.
    async fn games(&self, number: u128) -> i64 {
        self.stats(number).await.iter().map(|stats| stats.games).sum()
    }
}

fn player(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A session that ended with these places of players.
fn ended(queue: &str, places: &[(u128, i32)]) -> SessionEnded {
    let result = |(number, placement): &(u128, i32)| PlayerResult {
        player_id: player(*number).to_string(),
        placement: *placement,
        ..PlayerResult::default()
    };
    let time = |seconds: i64| Some(prost_types::Timestamp { seconds: 1_780_000_000 + seconds, nanos: 1_999_999 });
    SessionEnded {
        session_id: Ambient::system().id().to_string(),
        game_id: GAME.to_string(),
        queue_key: queue.to_owned(),
        start_time: time(0),
        end_time: time(90),
        paused_duration: Some(prost_types::Duration { seconds: 30, nanos: 0 }),
        results: Some(SessionResults { players: places.iter().map(result).collect(), ..SessionResults::default() }),
        ..SessionEnded::default()
    }
}

/// However often ends are recorded, and wherever those who follow are cut off, two at once among them.
async fn sessions_count_once(database: TestDatabase) {
    const SESSIONS: usize = 240;
    const CUTS: i64 = 6;
    let world = World::over(database).await;
    let queues = ["", "duel", "solo", "team", "ranked"];
    let sessions: Vec<SessionEnded> =
        (0..SESSIONS).map(|number| ended(queues[number % queues.len()], &[(1, 1), (2, 2)])).collect();
    for (number, session) in sessions.iter().enumerate() {
        world.append(session).await;
        if number % 3 == 0 {
            world.append(&sessions[number / 2]).await;
        }
    }
    for cut in 1..=CUTS {
        let (one, other) = (world.follow(), world.follow());
        let games = i64::try_from(SESSIONS).unwrap() * cut / (CUTS + 1);
        until(async || (world.games(1).await >= games).then_some(())).await;
        tokio::join!(one.cut_off(), other.cut_off());
    }
    let following = world.follow();
    for partition in 0..Topic::Matches.partitions() {
        let end = world.log.log.range(Topic::Matches, partition).await.unwrap().end;
        until(async || (world.matches.position(partition).await.unwrap().unwrap_or(0) == end).then_some(())).await;
    }
    following.end().await;
    let each = i64::try_from(SESSIONS / queues.len()).unwrap();
    for (number, wins, losses) in [(1, each, 0), (2, 0, each)] {
        let stats = world.stats(number).await;
        assert_eq!(stats.len(), queues.len());
        for stats in stats {
            assert_eq!((stats.games, stats.wins, stats.losses, stats.draws), (each, wins, losses, 0));
            assert_eq!(stats.play_time, Duration::from_mins(1) * u32::try_from(each).unwrap());
        }
    }
    for session in &sessions {
        let id = Uuid::try_parse(&session.session_id).unwrap();
        assert_eq!(world.matches.results(id, None, 9).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn in_sqlite_sessions_count_once() {
    sessions_count_once(pkg_db::testing::sqlite().await).await;
}

mod real_postgres {
    #[tokio::test]
    async fn sessions_count_once() {
        super::sessions_count_once(pkg_db::testing::postgres().await).await;
    }
}

#[tokio::test]
async fn what_is_not_understood_stops_nobody() {
    let world = World::over(pkg_db::testing::sqlite().await).await;
    let following = world.follow();
    let strange = [
        SessionEnded { session_id: "?".to_owned(), ..ended("duel", &[(1, 1)]) },
        SessionEnded { game_id: String::new(), ..ended("duel", &[(1, 1)]) },
        SessionEnded { results: Some(without_a_player()), ..ended("duel", &[]) },
        ended("duel", &[(1, 0)]),
        ended("Duel!", &[(1, 1)]),
    ];
    for session in &strange {
        world.append(session).await;
    }
    let left = record::Event::SeatLeft(SeatLeft { player_id: player(1).to_string(), ..SeatLeft::default() });
    world.log.append(Topic::Matches, &format!("{GAME}/duel"), Uuid::from_u128(7), left).await;
    world.append(&ended("duel", &[(1, 1), (2, 2)])).await;
    until(async || (world.games(1).await > 0).then_some(())).await;
    let found = world.matches.of_player(player(1), None, None, None, 9).await.unwrap();
    assert_eq!(found.len(), 1);
    following.end().await;
}

fn without_a_player() -> SessionResults {
    SessionResults { players: vec![PlayerResult { placement: 1, ..PlayerResult::default() }], ..Default::default() }
}

#[tokio::test]
async fn a_session_without_results_is_kept_and_counts_for_nobody() {
    let world = World::over(pkg_db::testing::sqlite().await).await;
    let following = world.follow();
    let abandoned = SessionEnded { results: None, start_time: None, ..ended("", &[]) };
    world.append(&abandoned).await;
    let id = Uuid::try_parse(&abandoned.session_id).unwrap();
    let found = until(async || world.matches.found(id).await.unwrap()).await;
    assert_eq!((found.player_count, found.queue), (0, None));
    following.end().await;
}

#[test]
fn places_say_who_has_won() {
    use MatchOutcome::{Drawn, Lost, Won};
    for (places, expected) in [
        (&[(1, 1), (2, 2), (3, 2)][..], &[Won, Lost, Lost][..]),
        (&[(1, 1), (2, 1), (3, 2)], &[Won, Won, Lost]),
        (&[(1, 1), (2, 1)], &[Drawn, Drawn]),
        (&[(1, 1)], &[Drawn]),
        (&[(1, 2), (2, 3)], &[Lost, Lost]),
    ] {
        let finished = told(ended("duel", places)).unwrap();
        let outcomes: Vec<MatchOutcome> = finished.results.iter().map(|result| result.outcome).collect();
        assert_eq!(outcomes, expected, "{places:?}");
    }
}

#[test]
fn pauses_are_not_played() {
    let played = |ended: SessionEnded| told(ended).unwrap().play_time;
    assert_eq!(played(ended("duel", &[])), Duration::from_mins(1));
    assert_eq!(played(SessionEnded { start_time: None, ..ended("duel", &[]) }), Duration::ZERO);
    let paused = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    assert_eq!(played(SessionEnded { paused_duration: paused, ..ended("duel", &[]) }), Duration::ZERO);
    assert_eq!(played(SessionEnded { paused_duration: None, ..ended("duel", &[]) }), Duration::from_secs(90));
}

#[test]
fn a_session_without_a_queue_has_none_and_times_are_to_the_millisecond() {
    let finished = told(ended("", &[])).unwrap();
    assert_eq!((finished.queue, pkg_db::to_millis(finished.ended)), (None, 1_780_000_090_001));
    assert_eq!(told(ended("duel", &[])).unwrap().queue, Key::parse("duel"));
    let recorded = told(SessionEnded { end_time: None, ..ended("", &[]) }).unwrap().ended;
    assert_eq!(pkg_db::to_millis(recorded), 1_790_000_000_000);
}

#[test]
fn what_is_kept_beside_the_columns_names_nobody() {
    use prost::Message;
    let mut session = ended("duel", &[(1, 1)]);
    session.actor_id = player(9).to_string();
    session.player_ids = vec![player(1).to_string()];
    let result = &mut session.results.as_mut().unwrap().players[0];
    (result.score, result.team) = (Some(7), "red".to_owned());
    let finished = told(session).unwrap();
    let kept = PlayerResult::decode(&*finished.results[0].body).unwrap();
    let expected =
        PlayerResult { score: Some(7), team: "red".to_owned(), attributes: HashMap::new(), ..PlayerResult::default() };
    assert_eq!(kept, expected);
    for number in [1, 9] {
        let name = player(number).to_string();
        assert!(!finished.body.windows(name.len()).any(|part| part == name.as_bytes()));
    }
}

/// What a record with this says.
fn told(session: SessionEnded) -> Option<FinishedMatch> {
    let event = Some(record::Event::SessionEnded(session));
    let entry = Entry {
        position: pkg_log::Position { partition: 0, offset: 0 },
        time: pkg_db::from_millis(1_790_000_000_000),
        record: Ok(pkg_api::log::v1::Record { event, ..Default::default() }),
    };
    ended::told(&entry).expect("it tells of a session").ok()
}
