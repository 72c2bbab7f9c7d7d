use futures::future::join_all;
use pkg_middleware::testing::{PATIENCE, in_time};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::testing::TestGames;

/// How many ask at the same time.
const ASKERS: usize = 100;
const GAME: Uuid = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0090);

/// What the tests make of a game.
#[derive(Debug, PartialEq)]
struct Rules {
    revision: i64,
    archived: bool,
    boards: usize,
}

impl Learned for Rules {
    fn learn(game: Defined, _: Option<&Self>) -> Self {
        assert_eq!(game.id, GAME);
        Self { revision: game.revision, archived: game.archived, boards: game.definition.leaderboards.len() }
    }
}

fn rules(revision: i64, archived: bool, boards: usize) -> Rules {
    Rules { revision, archived, boards }
}

/// A definition with these leaderboards.
fn definition(boards: &[&str]) -> api::GameDefinition {
    let board = |key: &&str| api::LeaderboardDefinition { key: (*key).to_owned(), ..Default::default() };
    api::GameDefinition { leaderboards: boards.iter().map(board).collect(), ..Default::default() }
}

/// Follows nothing, so that whatever is missing is asked for.
fn asking(games: &TestGames) -> Catalog<Rules> {
    Catalog::new(games.channel()).0
}

/// Follows the games until the guard is dropped.
fn following(games: &TestGames) -> (Catalog<Rules>, DropGuard) {
    let (catalog, follower) = Catalog::new(games.channel());
    let stop = CancellationToken::new();
    tokio::spawn(follower.run(stop.clone()));
    (catalog, stop.drop_guard())
}

#[tokio::test(start_paused = true)]
async fn those_who_need_a_game_at_the_same_time_ask_for_it_once() {
    let games = TestGames::default();
    games.define(GAME, definition(&["points"]));
    let catalog = asking(&games);
    for found in join_all((0..ASKERS).map(|_| catalog.find(GAME))).await {
        assert_eq!(*found.unwrap(), rules(1, false, 1));
    }
    assert_eq!(games.asked(), 1);
    catalog.find(GAME).await.unwrap();
    assert_eq!(games.asked(), 1, "it is known");
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_a_service_that_is_not_available_at_the_same_time_do_it_together() {
    let games = TestGames::default();
    games.be_unavailable(true);
    let catalog = asking(&games);
    for found in join_all((0..ASKERS).map(|_| catalog.find(GAME))).await {
        assert!(matches!(found, Err(CatalogError::Unavailable(_))), "{found:?}");
    }
    // Those who come while the first one is under way wait for another one, and have nothing to go by.
    assert!((1..=2).contains(&games.asked()), "{}", games.asked());
}

#[tokio::test(start_paused = true)]
async fn what_was_just_made_is_found_before_anybody_is_told() {
    let games = TestGames::default();
    let (catalog, _following) = following(&games);
    in_time(catalog.caught_up()).await;
    games.be_silent(true);
    games.define(GAME, definition(&["points"]));
    let changes = catalog.changes();
    assert_eq!(*catalog.find(GAME).await.unwrap(), rules(1, false, 1));
    assert_eq!((games.asked(), *changes.borrow()), (1, 1));
    assert_eq!(catalog.all(), [catalog.known(GAME).unwrap()]);

    games.define(GAME, definition(&["points", "wins"]));
    assert_eq!(*catalog.ask(GAME).await.unwrap(), rules(1, false, 1), "it was asked for a moment ago");
    sleep(ASKED_FOR).await;
    assert_eq!(*catalog.ask(GAME).await.unwrap(), rules(2, false, 2));
    assert_eq!((games.asked(), *changes.borrow()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_is_not_found_and_asked_for_again_later() {
    let games = TestGames::default();
    let catalog = asking(&games);
    for _ in 0..2 {
        assert!(matches!(catalog.find(GAME).await, Err(CatalogError::NotFound)));
    }
    assert_eq!(games.asked(), 1);
    games.define(GAME, definition(&[]));
    sleep(ASKED_FOR).await;
    assert_eq!(*catalog.find(GAME).await.unwrap(), rules(1, false, 0));
    assert_eq!(games.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_available_is_asked_again_at_once() {
    let games = TestGames::default();
    games.define(GAME, definition(&[]));
    games.be_unavailable(true);
    let catalog = asking(&games);
    for asked in 1..=2 {
        assert!(matches!(catalog.find(GAME).await, Err(CatalogError::Unavailable(_))));
        assert_eq!(games.asked(), asked);
    }
    games.be_unavailable(false);
    assert_eq!(*catalog.find(GAME).await.unwrap(), rules(1, false, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_for_a_call_of_their_own() {
    let games = TestGames::default();
    games.hang();
    let catalog = asking(&games);
    let (first, own) = (catalog.clone(), Instant::now());
    let first = tokio::spawn(async move { first.find(GAME).await });
    sleep(Duration::from_secs(1)).await;
    assert!(matches!(catalog.find(GAME).await, Err(CatalogError::Unavailable(_))));
    assert_eq!(own.elapsed().as_secs(), 1 + ASK_TIMEOUT.as_secs());
    assert!(matches!(first.await.unwrap(), Err(CatalogError::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn a_change_is_followed() {
    let games = TestGames::default();
    games.be_unavailable(true);
    let (catalog, _following) = following(&games);
    sleep(PATIENCE).await;
    assert!(catalog.check().await.is_err(), "nothing was read yet");
    games.be_unavailable(false);
    in_time(catalog.caught_up()).await;
    catalog.check().await.unwrap();

    let mut changes = catalog.changes();
    games.define(GAME, definition(&["points"]));
    in_time(changes.changed()).await.unwrap();
    assert_eq!(*catalog.known(GAME).unwrap(), rules(1, false, 1));
    games.define(GAME, definition(&["points", "wins"]));
    in_time(changes.changed()).await.unwrap();
    assert_eq!(*catalog.known(GAME).unwrap(), rules(2, false, 2));
    games.archive(GAME);
    in_time(changes.changed()).await.unwrap();
    assert_eq!(*catalog.known(GAME).unwrap(), rules(2, true, 2));

    games.be_silent(true);
    games.define(GAME, definition(&[]));
    sleep(PATIENCE).await;
    assert!(!changes.has_changed().unwrap());
    games.be_silent(false);
    in_time(changes.changed()).await.unwrap();
    assert_eq!(*catalog.known(GAME).unwrap(), rules(3, true, 0));
    assert_eq!(games.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn rules_that_are_not_understood_are_not_taken() {
    let games = TestGames::default();
    let (catalog, _following) = following(&games);
    games.define(GAME, definition(&[""]));
    in_time(catalog.caught_up()).await;
    assert!(catalog.known(GAME).is_none());
    for found in join_all((0..3).map(|_| catalog.find(GAME))).await {
        assert!(matches!(found, Err(CatalogError::Broken(_))), "{found:?}");
    }
    assert!(matches!(catalog.find(GAME).await, Err(CatalogError::Broken(_))), "it was asked for a moment ago");

    let mut changes = catalog.changes();
    games.define(GAME, definition(&["points"]));
    in_time(changes.changed()).await.unwrap();
    games.define(GAME, definition(&[""]));
    sleep(PATIENCE).await;
    assert_eq!(*catalog.known(GAME).unwrap(), rules(2, false, 1), "the old ones stay");
}

#[tokio::test]
async fn what_is_older_changes_nothing() {
    let catalog = asking(&TestGames::default());
    let changes = catalog.changes();
    let state = |revision, state: api::GameState| api::DefinitionState {
        revision: Some(api::DefinitionRevision {
            revision,
            definition: Some(api::GameDefinition::default()),
            ..Default::default()
        }),
        state: state.into(),
        ..Default::default()
    };
    catalog.apply(GAME, &state(2, api::GameState::Active), Source::Followed).unwrap();
    // What is asked for may have been said before what was followed.
    for (revision, source) in [(1, Source::Followed), (1, Source::Asked), (2, Source::Asked)] {
        catalog.apply(GAME, &state(revision, api::GameState::Archived), source).unwrap();
        assert_eq!(*catalog.known(GAME).unwrap(), rules(2, false, 0), "{revision} {source:?}");
    }
    assert_eq!(*changes.borrow(), 1);
    catalog.apply(GAME, &state(2, api::GameState::Archived), Source::Followed).unwrap();
    assert_eq!(*catalog.known(GAME).unwrap(), rules(2, true, 0));
    catalog.apply(GAME, &state(3, api::GameState::Active), Source::Asked).unwrap();
    assert_eq!(*catalog.known(GAME).unwrap(), rules(3, false, 0));
    assert_eq!(*changes.borrow(), 3);
}
