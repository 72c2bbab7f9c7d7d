use std::time::Duration;

use pkg_ambient::ManualClock;
use pkg_api::game::v1 as api;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::store::{SessionCounts, SqlGames, SqlSessionCounts};
use crate::testing::Leaderboards;

const AUTHOR: Uuid = Uuid::from_u128(1);

struct Room {
    catalog: Catalog,
    games: Arc<SqlGames>,
    counts: Arc<SqlSessionCounts>,
    clock: Arc<ManualClock>,
    ambient: Ambient,
    _database: pkg_db::testing::TestDatabase,
}

async fn room() -> Room {
    let database = pkg_db::testing::sqlite().await;
    let games = Arc::new(SqlGames::new(database.clone()));
    let counts = Arc::new(SqlSessionCounts::new(database.clone()));
    let clock = ManualClock::new();
    let ambient = Ambient::with_clock(clock.clone());
    let catalog = Catalog::new(games.clone(), Leaderboards::default().channel(), ambient.clone());
    Room { catalog, games, counts, clock, ambient, _database: database }
}

fn draft(key: &str, name: &str, max_players: i32) -> Draft {
    let session_rules = Some(api::SessionRules { max_players, ..Default::default() });
    Draft {
        key: GameKey::parse(key).unwrap(),
        shown: Shown::parse(&api::Game { name: name.to_owned(), ..Default::default() }).unwrap(),
        rules: Rules::parse(api::GameDefinition { session_rules, ..Default::default() }).unwrap(),
    }
}

fn apply(draft: Draft) -> Apply {
    Apply { draft, expected_version: None, validate_only: false }
}

#[tokio::test]
async fn a_creation_is_repeated_whatever_became_of_the_game() {
    let room = room().await;
    let id = room.ambient.id();
    let created = room.catalog.create(Some(id), draft("duel", "Duel", 2), AUTHOR).await.unwrap();
    assert_eq!(room.catalog.create(Some(id), draft("duel", "Duel", 2), AUTHOR).await.unwrap(), created);
    let changed = room.catalog.apply(&apply(draft("duel", "Duel!", 3)), AUTHOR).await.unwrap().game;
    assert_eq!((changed.version, changed.definition_revision), (2, 2));
    assert_eq!(room.catalog.create(Some(id), draft("duel", "Duel", 2), AUTHOR).await.unwrap(), changed);

    let taken = async |id, draft| room.catalog.create(id, draft, AUTHOR).await.unwrap_err();
    assert!(matches!(taken(Some(id), draft("duel", "Duel", 4)).await, CatalogError::IdTaken));
    assert!(matches!(taken(Some(id), draft("other", "Duel", 2)).await, CatalogError::IdTaken));
    assert!(matches!(taken(Some(room.ambient.id()), draft("duel", "Duel", 2)).await, CatalogError::KeyTaken));
    assert!(matches!(taken(None, draft("duel", "Duel", 2)).await, CatalogError::KeyTaken));
}

#[tokio::test]
async fn what_is_applied_twice_changes_nothing_the_second_time() {
    let room = room().await;
    let wish = apply(draft("duel", "Duel", 2));
    let trial = Apply { validate_only: true, ..apply(draft("duel", "Duel", 2)) };
    let tried = room.catalog.apply(&trial, AUTHOR).await.unwrap();
    assert!(tried.created && !tried.changes.is_empty());
    assert!(matches!(room.catalog.find(&wish.draft.key).await, Err(CatalogError::GameNotFound)));

    let first = room.catalog.apply(&wish, AUTHOR).await.unwrap();
    assert_eq!((first.created, &first.changes), (true, &tried.changes));
    let second = room.catalog.apply(&wish, AUTHOR).await.unwrap();
    assert_eq!((second.created, second.changes.len(), &second.game), (false, 0, &first.game));

    // What is shown makes no revision of the definition.
    let renamed = room.catalog.apply(&apply(draft("duel", "Duel!", 2)), AUTHOR).await.unwrap();
    assert_eq!((renamed.game.version, renamed.game.definition_revision), (2, 1));
    assert_eq!(renamed.changes[0].path, "game.name");
    let redefined = room.catalog.apply(&apply(draft("duel", "Duel!", 3)), AUTHOR).await.unwrap();
    assert_eq!((redefined.game.version, redefined.game.definition_revision), (3, 2));
    assert_eq!(redefined.changes[0].path, "definition.session_rules.max_players");

    let stale = Apply { expected_version: Some(2), ..apply(draft("duel", "Duel!", 4)) };
    assert!(matches!(room.catalog.apply(&stale, AUTHOR).await, Err(CatalogError::Changed)));
    let unknown = Apply { expected_version: Some(1), ..apply(draft("other", "Other", 4)) };
    assert!(matches!(room.catalog.apply(&unknown, AUTHOR).await, Err(CatalogError::Changed)));
}

#[tokio::test]
async fn an_archived_game_is_left_alone_until_it_is_restored() {
    let room = room().await;
    let id = room.catalog.create(None, draft("duel", "Duel", 2), AUTHOR).await.unwrap().id;
    let archived = room.catalog.set_state(id, GameState::Archived).await.unwrap();
    assert_eq!(room.catalog.set_state(id, GameState::Archived).await.unwrap(), archived);
    let wish = apply(draft("duel", "Duel", 3));
    assert!(matches!(room.catalog.apply(&wish, AUTHOR).await, Err(CatalogError::Archived)));
    let named = |expected_version| {
        let named = api::Game { name: "New".to_owned(), ..Default::default() };
        ShownChange::parse([ShownField::Name].into(), &named, expected_version).unwrap()
    };
    let change = named(None);
    assert!(matches!(room.catalog.update(id, &change).await, Err(CatalogError::Archived)));

    room.catalog.set_state(id, GameState::Active).await.unwrap();
    let updated = room.catalog.update(id, &change).await.unwrap();
    assert_eq!((updated.shown.to_api().name.as_str(), updated.version), ("New", 4));
    assert_eq!(room.catalog.update(id, &change).await.unwrap(), updated, "nothing changes, so nothing is written");
    assert!(matches!(room.catalog.update(id, &named(Some(3))).await, Err(CatalogError::Changed)));
}

#[tokio::test]
async fn those_who_apply_at_once_make_one_revision_after_the_other() {
    const WRITERS: i32 = 6;
    let room = room().await;
    let mut writers = tokio::task::JoinSet::new();
    for number in 1..=WRITERS {
        let catalog = room.catalog.clone();
        writers.spawn(async move { catalog.apply(&apply(draft("duel", "Duel", number)), AUTHOR).await.unwrap().game });
    }
    let mut numbers: Vec<i64> = writers.join_all().await.iter().map(|game| game.definition_revision).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=i64::from(WRITERS)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_revision_that_is_not_there_is_told_from_a_game_that_is_not() {
    let room = room().await;
    let id = room.catalog.create(None, draft("duel", "Duel", 2), AUTHOR).await.unwrap().id;
    assert_eq!(room.catalog.revision(id, None).await.unwrap().number, 1);
    assert!(matches!(room.catalog.revision(id, Some(2)).await, Err(CatalogError::RevisionNotFound)));
    assert!(matches!(room.catalog.revision(AUTHOR, None).await, Err(CatalogError::GameNotFound)));
    assert!(matches!(room.catalog.revisions(AUTHOR, None, 1).await, Err(CatalogError::GameNotFound)));
}

#[tokio::test]
async fn the_pages_of_a_trend_come_from_one_moment() {
    let room = room().await;
    let mut games = Vec::new();
    for key in ["a", "b", "c"] {
        games.push(room.catalog.create(None, draft(key, key, 2), AUTHOR).await.unwrap().id);
    }
    let tally = SessionTally::new(room.counts.clone(), room.ambient.clone());
    tally.record(games[1], 3);
    tally.record(games[2], 1);
    tally.record(games[2], 1);
    tally.flush().await;
    tally.flush().await;

    let trending = Trending::new(room.counts.clone(), room.games.clone(), room.ambient.clone());
    let told = |page: &TrendPage| -> Vec<(Uuid, i64)> {
        page.games.iter().map(|(game, place)| (game.id, place.sessions)).collect()
    };
    let first = trending.page(None, 2).await.unwrap();
    assert_eq!((told(&first), first.more), (vec![(games[1], 3), (games[2], 2)], true));
    let next = TrendPlace { moment: first.moment, place: first.games[1].1.number };

    // The order changes with the next minute; the second page is still that of the first, on every replica.
    tally.record(games[0], 9);
    tally.flush().await;
    assert_eq!(told(&trending.page(None, 3).await.unwrap())[0], (games[1], 3));
    room.clock.advance(Duration::from_mins(1));
    let other = Trending::new(room.counts.clone(), room.games.clone(), room.ambient.clone());
    assert_eq!(told(&other.page(None, 3).await.unwrap())[0], (games[0], 9));
    let second = other.page(Some(next), 2).await.unwrap();
    assert_eq!((told(&second), second.more), (vec![(games[0], 0)], false));

    room.clock.advance(Duration::from_mins(11));
    trending.page(None, 1).await.unwrap();
    assert!(matches!(trending.page(Some(next), 2).await, Err(CatalogError::PageForgotten)));
    room.clock.advance(Duration::from_hours(25));
    assert!(told(&trending.page(None, 3).await.unwrap()).iter().all(|(_, sessions)| *sessions == 0));
}

#[tokio::test]
async fn a_tally_that_ends_writes_what_it_has() {
    let room = room().await;
    let id = room.catalog.create(None, draft("duel", "Duel", 2), AUTHOR).await.unwrap().id;
    let tally = SessionTally::new(room.counts.clone(), room.ambient.clone());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(tally.clone().run(shutdown.clone()));
    tally.record(id, 4);
    shutdown.cancel();
    running.await.unwrap();
    let moment = room.ambient.now();
    room.counts.take_trend(moment, tally::hour_of(moment), moment).await.unwrap();
    assert_eq!(room.counts.trend(moment, 0, 1).await.unwrap()[0].sessions, 4);
}

async fn told(follower: &mut Follower) -> Option<(String, i64, GameState)> {
    let next = tokio::time::timeout(Duration::from_secs(30), follower.next()).await.expect("something is told");
    match next.unwrap() {
        Followed::Definition(state) => Some((state.key.as_str().to_owned(), state.revision.number, state.state)),
        Followed::CaughtUp => None,
    }
}

#[tokio::test]
async fn followers_are_told_the_newest_of_each_and_then_what_changes() {
    let room = room().await;
    for number in 0..20 {
        room.catalog.create(None, draft(&format!("game-{number:02}"), "Game", 2), AUTHOR).await.unwrap();
    }
    let duel = room.catalog.create(None, draft("duel", "Duel", 2), AUTHOR).await.unwrap().id;
    room.catalog.apply(&apply(draft("duel", "Duel", 3)), AUTHOR).await.unwrap();

    let (feed, clock) = DefinitionFeed::new(room.games.clone());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(clock.run(shutdown.clone()));
    let (mut all, mut one) = (feed.follow(None).await.unwrap(), feed.follow(Some(vec![duel])).await.unwrap());
    for number in 0..20 {
        assert_eq!(told(&mut all).await, Some((format!("game-{number:02}"), 1, GameState::Active)));
    }
    let known = Some(("duel".to_owned(), 2, GameState::Active));
    assert_eq!((told(&mut all).await, told(&mut all).await), (known.clone(), None));
    assert_eq!((told(&mut one).await, told(&mut one).await), (known, None));

    room.catalog.apply(&apply(draft("game-07", "Game", 5)), AUTHOR).await.unwrap();
    assert_eq!(told(&mut all).await, Some(("game-07".to_owned(), 2, GameState::Active)));
    // A new name is nothing to those who follow definitions.
    room.catalog.apply(&apply(draft("game-08", "Renamed", 2)), AUTHOR).await.unwrap();
    room.catalog.set_state(duel, GameState::Archived).await.unwrap();
    let archived = Some(("duel".to_owned(), 2, GameState::Archived));
    assert_eq!((told(&mut all).await, told(&mut one).await), (archived.clone(), archived));

    assert!(matches!(feed.follow(Some(vec![duel, AUTHOR])).await, Err(CatalogError::GameNotFound)));
    shutdown.cancel();
    running.await.unwrap();
}
