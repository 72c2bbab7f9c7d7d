use pkg_api::game::v1::{PlayerResult, SessionResults};
use pkg_api::log::v1::{Record, SeatLeft, SessionEnded, record};
use uuid::Uuid;

use super::*;
use crate::accounts_gone::AccountsGone;
use crate::grpc::harness::GAME;
use crate::seat_sweeper::SeatSweeper;
use crate::store::{Match, MatchPlayer, MatchTeam, Recorded, SqlPositions, StoredRating};
use crate::worker::testing::{World, duel, player, until};

const LIMIT: Duration = Duration::from_secs(30);

/// A process that follows the log.
struct Following {
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl Following {
    fn start(world: &World) -> Self {
        let follower = ResultsFollower {
            log: world.log.clone(),
            ratings: world.ratings.clone(),
            rules: RatingRules::new(world.channel()),
            ambient: world.ambient.clone(),
            counters: Counters::new(),
        };
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(follower.run(shutdown.clone()));
        Self { shutdown, running }
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.running.await.expect("it does not panic");
    }
}

/// A recorded match of two players.
async fn recorded(world: &World, players: [u128; 2]) -> Match {
    let team = |number| MatchTeam {
        name: pkg_definition::TeamName::parse(&format!("team-{number}")),
        players: vec![MatchPlayer { player: player(number), ticket: world.ambient.id(), wait: Duration::ZERO }],
        win_probability: None,
    };
    let made = Match {
        id: world.ambient.id(),
        queue: duel(),
        session: world.ambient.id(),
        region: pkg_definition::Region::Global,
        teams: players.map(team).into(),
        definition_revision: 1,
        created: world.ambient.now().truncate_to_millisecond(),
    };
    let recorded = world.matches.record(std::slice::from_ref(&made), world.ambient.now()).await.unwrap();
    assert_eq!(recorded, [Recorded::Done]);
    made
}

async fn append(world: &World, topic: Topic, key: &str, id: Uuid, event: record::Event) {
    let record = Record { record_id: id.to_string(), key: key.to_owned(), event: Some(event), ..Record::default() };
    world.log.append(topic, &record, LIMIT).await.unwrap();
}

/// The first of these players has won.
async fn end(world: &World, made: &Match, players: [u128; 2]) {
    let result = |(place, number): (i32, u128)| PlayerResult {
        player_id: player(number).to_string(),
        team: format!("team-{number}"),
        placement: place,
        ..PlayerResult::default()
    };
    let players = (1..).zip(players).map(result).collect();
    let ended = SessionEnded {
        session_id: made.session.to_string(),
        game_id: GAME.to_string(),
        queue_key: duel().key.to_string(),
        match_id: made.id.to_string(),
        definition_revision: 1,
        results: Some(SessionResults { players, ..SessionResults::default() }),
        ..SessionEnded::default()
    };
    let key = format!("{GAME}/{}", duel().key);
    append(world, Topic::Matches, &key, made.session, record::Event::SessionEnded(ended)).await;
}

async fn rating(world: &World, number: u128) -> Option<StoredRating> {
    world.ratings.ratings(&duel(), &[player(number)]).await.unwrap().pop()
}

#[tokio::test]
async fn a_session_counts_once_however_often_its_end_is_recorded() {
    let world = World::start().await;
    let following = Following::start(&world);
    let made = recorded(&world, [1, 2]).await;
    end(&world, &made, [1, 2]).await;
    let first = until(async || rating(&world, 1).await).await;
    assert_eq!((first.match_count, first.last_session), (1, Some(made.session)));
    assert!(first.rating.skill() > 25.0 && first.last_skill_change > 0.0, "{first:?}");
    assert!(world.matches.open_seats(GAME, &[player(1), player(2)]).await.unwrap().is_empty());

    // Repeated, also in one batch with others, and by another process.
    end(&world, &made, [1, 2]).await;
    following.end().await;
    let again = recorded(&world, [1, 2]).await;
    for _ in 0..3 {
        end(&world, &made, [1, 2]).await;
        end(&world, &again, [2, 1]).await;
    }
    let (following, other) = (Following::start(&world), Following::start(&world));
    let second = until(async || rating(&world, 1).await.filter(|rating| rating.match_count > 1)).await;
    assert_eq!((second.match_count, second.last_session), (2, Some(again.session)));
    assert!(second.last_skill_change < 0.0);
    let last = recorded(&world, [3, 4]).await;
    end(&world, &last, [3, 4]).await;
    until(async || rating(&world, 3).await).await;
    assert_eq!(rating(&world, 1).await.unwrap(), second);
    for following in [following, other] {
        following.end().await;
    }
}

#[tokio::test]
async fn a_seat_that_is_given_up_is_free() {
    let world = World::start().await;
    let following = Following::start(&world);
    let made = recorded(&world, [1, 2]).await;
    let left = SeatLeft {
        session_id: made.session.to_string(),
        player_id: player(2).to_string(),
        game_id: GAME.to_string(),
        queue_key: duel().key.to_string(),
        ..SeatLeft::default()
    };
    let key = format!("{GAME}/{}", duel().key);
    append(&world, Topic::Matches, &key, world.ambient.id(), record::Event::SeatLeft(left)).await;
    let seats = async || world.matches.open_seats(GAME, &[player(1), player(2)]).await.unwrap();
    until(async || (seats().await.len() == 1).then_some(())).await;
    assert_eq!(seats().await[0].player, player(1));
    assert!(rating(&world, 1).await.is_none());
    following.end().await;
}

#[tokio::test]
async fn seats_of_a_session_that_nobody_knows_are_swept() {
    use crate::store::Dispatched;
    let world = World::start().await;
    let (gone, running, undispatched) =
        (recorded(&world, [1, 2]).await, recorded(&world, [3, 4]).await, recorded(&world, [5, 6]).await);
    let dispatched = [&gone, &running].map(|made| Dispatched { match_id: made.id, session_cursor: "begin".to_owned() });
    assert_eq!(world.matches.dispatched(&dispatched).await.unwrap(), [true, true]);
    world.sessions.set(running.session, pkg_api::game::v1::SessionState::Started);
    let sweeper = SeatSweeper {
        matches: world.matches.clone(),
        game: world.channel(),
        ambient: world.ambient.clone(),
        counters: Counters::new(),
    };
    let everybody: Vec<Uuid> = (1..=6).map(player).collect();
    let seats = async || world.matches.open_seats(GAME, &everybody).await.unwrap();
    // A minute goes by on the world's clock.
    let swept = async || {
        sweeper.sweep().await.unwrap();
        (seats().await.len() == 4).then_some(())
    };
    until(swept).await;
    let left: Vec<Uuid> = seats().await.iter().map(|seat| seat.session).collect();
    assert!(!left.contains(&gone.session) && left.contains(&undispatched.session));
}

#[tokio::test]
async fn accounts_that_are_gone_lose_their_tickets_and_ratings() {
    use pkg_api::log::v1::{AccountDeleted, UserBanned};

    use crate::store::{EndReason, TicketStatus};
    let world = World::start().await;
    let gone = AccountsGone {
        log: world.log.clone(),
        positions: Arc::new(SqlPositions::new(world.database.clone())),
        tickets: world.tickets.clone(),
        ratings: world.ratings.clone(),
        queues: world.queues.clone(),
        endings: world.endings(),
    };
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(gone.run(shutdown.clone()));
    let (deleted, banned, other) = (world.queue(1).await, world.queue(2).await, world.queue(3).await);
    let rated = crate::rating::Rating::new(30.0, 5.0).unwrap();
    for number in [1, 2] {
        world.ratings.seed(&duel(), player(number), rated, world.ambient.now()).await.unwrap();
    }
    let of = |number| player(number).to_string();
    let event = record::Event::AccountDeleted(AccountDeleted { user_id: of(1) });
    append(&world, Topic::Accounts, &of(1), world.ambient.id(), event).await;
    let event = record::Event::UserBanned(UserBanned { user_id: of(2), ..UserBanned::default() });
    append(&world, Topic::Accounts, &of(2), world.ambient.id(), event).await;
    for ticket in [deleted, banned] {
        world.until(ticket, |status| status == TicketStatus::Ended(EndReason::AccountGone)).await;
    }
    until(async || rating(&world, 1).await.is_none().then_some(())).await;
    assert!(rating(&world, 2).await.is_some());
    assert_eq!(world.status(other).await, TicketStatus::Queued);
    shutdown.cancel();
    running.await.unwrap();
}
