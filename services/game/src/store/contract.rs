//! What every adapter promises. Each function is one promise; at the end they run against each adapter.

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::{Ambient, ManualClock};
use pkg_api::game::v1 as api;
use pkg_api::game::v1::attribute_value::Kind;

use super::*;

fn new_id() -> Uuid {
    Ambient::system().id()
}

/// A time without what the stores do not keep.
fn now() -> OffsetDateTime {
    Ambient::with_clock(ManualClock::new()).now()
}

fn hours(count: u64) -> Duration {
    Duration::from_hours(count)
}

fn shown(name: &str) -> Shown {
    let level = api::AttributeValue { kind: Some(Kind::IntValue(i64::MAX)) };
    Shown::parse(&api::Game {
        name: name.to_owned(),
        short_description: "short".to_owned(),
        long_description: "long\nlines 📱".to_owned(),
        image_url: "https://example.com/a.png".to_owned(),
        attributes: [("level".to_owned(), level)].into(),
        data: vec![0, 255, 7],
        ..Default::default()
    })
    .unwrap()
}

fn rules(max_players: i32) -> Rules {
    let session_rules = api::SessionRules { max_players, ..Default::default() };
    Rules::parse(api::GameDefinition { session_rules: Some(session_rules), ..Default::default() }).unwrap()
}

fn revision(game: Uuid, number: i64) -> Revision {
    let rules = rules(i32::try_from(number).unwrap());
    Revision { game, number, rules, author: Uuid::from_u128(5), created_at: now() }
}

fn new_game(key: &str) -> NewGame {
    let game = Game {
        id: new_id(),
        key: GameKey::parse(key).unwrap(),
        shown: shown(key),
        state: GameState::Active,
        definition_revision: 1,
        version: 1,
        created_at: now(),
        updated_at: now(),
    };
    NewGame { first: revision(game.id, 1), game }
}

fn without_data(game: &Game) -> Game {
    let shown = Shown::parse(&api::Game { data: Vec::new(), ..game.shown.to_api() }).unwrap();
    Game { shown, ..game.clone() }
}

fn next(game: &Game) -> Game {
    Game { version: game.version + 1, updated_at: now() + Duration::from_secs(1), ..game.clone() }
}

async fn a_game_is_found_by_its_id_and_its_key(store: &dyn GameStore) {
    let new = new_game("found");
    store.create(&new).await.unwrap();
    assert_eq!(store.game(new.game.id).await.unwrap().as_ref(), Some(&new.game));
    assert_eq!(store.game_by_key(&new.game.key).await.unwrap().as_ref(), Some(&new.game));
    assert_eq!(store.created_as(new.game.id).await.unwrap().as_ref(), Some(&new.game.shown));
    assert_eq!(store.revision(new.game.id, None).await.unwrap(), Some(new.first));
    assert_eq!(store.games(&[new_id(), new.game.id, new.game.id]).await.unwrap(), [without_data(&new.game)]);

    assert_eq!(store.game(new_id()).await.unwrap(), None);
    assert_eq!(store.game_by_key(&GameKey::parse("unknown").unwrap()).await.unwrap(), None);
    assert_eq!(store.created_as(new_id()).await.unwrap(), None);
    assert_eq!(store.revision(new_id(), None).await.unwrap(), None);
}

async fn keys_and_ids_are_given_once(store: &dyn GameStore) {
    let first = new_game("once");
    store.create(&first).await.unwrap();
    assert!(matches!(store.create(&new_game("once")).await, Err(CreateError::KeyTaken)));
    let mut same_id = new_game("twice");
    same_id.game.id = first.game.id;
    same_id.first.game = first.game.id;
    assert!(matches!(store.create(&same_id).await, Err(CreateError::IdTaken)));
    assert_eq!(store.game(first.game.id).await.unwrap(), Some(first.game));
    assert_eq!(store.game_by_key(&same_id.game.key).await.unwrap(), None);
}

async fn games_are_listed_by_the_bytes_of_their_keys(store: &dyn GameStore) {
    // A language would put "list-a" behind "list0".
    let mut keys = ["list0", "list-a", "lista", "list", "list-"];
    for key in keys {
        store.create(&new_game(key)).await.unwrap();
    }
    keys.sort_unstable();
    let list = async |state, after: &str, limit| -> Vec<String> {
        let games = store.list(state, Some(&GameKey::parse(after).unwrap()), limit).await.unwrap();
        games.into_iter().map(|game| game.key.as_str().to_owned()).collect()
    };
    assert_eq!(list(None, "lis", 5).await, keys);
    assert_eq!(list(None, "list-", 2).await, keys[2..4]);
    assert!(store.list(None, None, 100).await.unwrap().iter().all(|game| game.shown.data().is_empty()));

    let game = store.game_by_key(&GameKey::parse("lista").unwrap()).await.unwrap().unwrap();
    assert!(store.save(&Game { state: GameState::Archived, ..next(&game) }, &Save::State).await.unwrap());
    assert_eq!(list(Some(GameState::Archived), "lis", 5).await, ["lista"]);
    assert_eq!(list(Some(GameState::Active), "lis", 4).await, keys[..4]);
}

async fn of_two_who_change_one_version_the_second_is_refused(store: &dyn GameStore) {
    let NewGame { game, .. } = new_game("changed");
    store.create(&NewGame { first: revision(game.id, 1), game: game.clone() }).await.unwrap();

    let renamed = Game { shown: shown("another name"), ..next(&game) };
    assert!(store.save(&renamed, &Save::Shown).await.unwrap());
    assert_eq!(store.game(game.id).await.unwrap().as_ref(), Some(&renamed));
    assert_eq!(store.created_as(game.id).await.unwrap(), Some(game.shown.clone()));

    let redefined = Game { definition_revision: 2, ..next(&game) };
    assert!(!store.save(&redefined, &Save::Definition(Box::new(revision(game.id, 2)))).await.unwrap());
    assert_eq!(store.game(game.id).await.unwrap().as_ref(), Some(&renamed));
    assert_eq!(store.revision(game.id, Some(2)).await.unwrap(), None);

    let redefined = Game { definition_revision: 2, ..next(&renamed) };
    assert!(store.save(&redefined, &Save::Definition(Box::new(revision(game.id, 2)))).await.unwrap());
    assert_eq!(store.game(game.id).await.unwrap(), Some(redefined));
    assert!(!store.save(&next(&new_game("unknown").game), &Save::Shown).await.unwrap());
}

async fn revisions_stay_and_are_listed_from_the_newest(store: &dyn GameStore) {
    let new = new_game("revised");
    store.create(&new).await.unwrap();
    let mut game = new.game;
    for number in 2..=4 {
        game = Game { definition_revision: number, ..next(&game) };
        assert!(store.save(&game, &Save::Definition(Box::new(revision(game.id, number)))).await.unwrap());
    }
    assert_eq!(store.revision(game.id, None).await.unwrap(), Some(revision(game.id, 4)));
    assert_eq!(store.revision(game.id, Some(2)).await.unwrap(), Some(revision(game.id, 2)));
    assert_eq!(store.revision(game.id, Some(5)).await.unwrap(), None);
    let numbers = async |before, limit| -> Vec<i64> {
        let page = store.revisions(game.id, before, limit).await.unwrap();
        page.into_iter().map(|revision| revision.number).collect()
    };
    assert_eq!(numbers(None, 3).await, [4, 3, 2]);
    assert_eq!(numbers(Some(2), 3).await, [1]);
    let summary = store.revisions(game.id, None, 1).await.unwrap().remove(0);
    let expected = RevisionSummary { game: game.id, number: 4, author: Uuid::from_u128(5), created_at: now() };
    assert_eq!(summary, expected);
    assert_eq!(store.former(game.id, 4, 2).await.unwrap(), [3, 2].map(|number| revision(game.id, number)));
    assert_eq!(store.former(game.id, 2, 2).await.unwrap(), [revision(game.id, 1)]);
    assert_eq!(store.former(game.id, 1, 2).await.unwrap(), []);
}

async fn changes_of_definitions_and_states_are_told_in_their_order(store: &dyn GameStore) {
    let start = store.clock().await.unwrap();
    let (one, other) = (new_game("told-one"), new_game("told-other"));
    store.create(&one).await.unwrap();
    store.create(&other).await.unwrap();
    let told = async |since, games: Option<&[Uuid]>| -> Vec<(Uuid, i64, GameState)> {
        let states = store.changed_since(since, games, 10).await.unwrap();
        assert!(states.is_sorted_by(|one, other| one.changed < other.changed));
        states.into_iter().map(|state| (state.revision.game, state.revision.number, state.state)).collect()
    };
    let (first, second) = (one.game.id, other.game.id);
    assert_eq!(told(start, None).await, [(first, 1, GameState::Active), (second, 1, GameState::Active)]);
    assert_eq!(told(start, Some(&[second, new_id()])).await, [(second, 1, GameState::Active)]);
    let state = store.changed_since(start, None, 1).await.unwrap().remove(0);
    assert_eq!((state.revision, state.key), (one.first, one.game.key.clone()));

    let before = store.clock().await.unwrap();
    let renamed = Game { shown: shown("renamed"), ..next(&one.game) };
    assert!(store.save(&renamed, &Save::Shown).await.unwrap());
    assert_eq!((store.clock().await.unwrap(), told(before, None).await), (before, vec![]));

    let redefined = Game { definition_revision: 2, ..next(&renamed) };
    assert!(store.save(&redefined, &Save::Definition(Box::new(revision(first, 2)))).await.unwrap());
    let archived = Game { state: GameState::Archived, ..next(&other.game) };
    assert!(store.save(&archived, &Save::State).await.unwrap());
    assert_eq!(told(before, None).await, [(first, 2, GameState::Active), (second, 1, GameState::Archived)]);
    // A save that is refused is no change.
    let clock = store.clock().await.unwrap();
    assert!(!store.save(&archived, &Save::State).await.unwrap());
    assert_eq!(store.clock().await.unwrap(), clock);
}

/// Whoever reads while others write misses nothing, though transactions commit in any order.
async fn no_change_appears_behind_one_that_was_read(store: Arc<dyn GameStore>) {
    const GAMES: u32 = 20;
    let start = store.clock().await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..GAMES {
        let store = store.clone();
        writers.spawn(async move { store.create(&new_game(&format!("race-{number}"))).await.unwrap() });
    }
    let (mut seen, mut read) = (0, start);
    let reading = async {
        while seen < GAMES {
            let page = store.changed_since(read, None, 3).await.unwrap();
            seen += u32::try_from(page.len()).unwrap();
            read = page.last().map_or(read, |last| last.changed);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reading).await.expect("every change is read");
    writers.join_all().await;
    assert_eq!(store.clock().await.unwrap(), start + i64::from(GAMES));
}

async fn sessions_are_counted_and_games_ordered_by_them(games: &dyn GameStore, counts: &dyn SessionCounts) {
    let (quiet, busy, busiest) = (new_game("trend-a"), new_game("trend-b"), new_game("trend-c"));
    let archived = new_game("trend-d");
    for new in [&quiet, &busy, &busiest, &archived] {
        games.create(new).await.unwrap();
    }
    let gone = Game { state: GameState::Archived, ..next(&archived.game) };
    assert!(games.save(&gone, &Save::State).await.unwrap());

    let moment = now().truncate_to_hour() + hours(24);
    let since = moment - hours(24);
    let count = |new: &NewGame, hour, sessions| SessionCount { game: new.game.id, hour, sessions };
    counts.add(&[count(&busy, since, 5), count(&busiest, moment, u32::MAX)]).await.unwrap();
    counts
        .add(&[count(&busy, since, 2), count(&busiest, moment, u32::MAX), count(&archived, moment, 9)])
        .await
        .unwrap();
    counts.add(&[count(&quiet, since - hours(1), 100)]).await.unwrap();

    let trend = async |moment, after, limit| -> Vec<(i64, Uuid, i64)> {
        let places = counts.trend(moment, after, limit).await.unwrap();
        places.into_iter().map(|place| (place.number, place.game, place.sessions)).collect()
    };
    assert_eq!(trend(moment, 0, 10).await, []);
    counts.take_trend(moment, since, moment - hours(1)).await.unwrap();
    let order = trend(moment, 0, 3).await;
    let most = 2 * i64::from(u32::MAX);
    assert_eq!(order[..2], [(1, busiest.game.id, most), (2, busy.game.id, 7)]);
    assert_eq!(order[2].2, 0);
    assert!(trend(moment, 2, 1_000).await.iter().any(|(_, game, _)| *game == quiet.game.id));
    assert!(trend(moment, 0, 1_000).await.iter().all(|(_, game, _)| *game != archived.game.id));

    // An order that was taken stays.
    counts.add(&[count(&busy, moment, u32::MAX), count(&busy, moment, u32::MAX)]).await.unwrap();
    counts.take_trend(moment, since, moment - hours(1)).await.unwrap();
    assert_eq!(trend(moment, 0, 3).await, order);

    // What is old is forgotten.
    let later = moment + hours(2);
    counts.take_trend(later, moment + hours(1), later - hours(1)).await.unwrap();
    assert_eq!(trend(moment, 0, 3).await, []);
    assert_eq!(trend(later, 0, 1).await[0].2, 0);
}

async fn replicas_take_one_order(counts: Arc<dyn SessionCounts>) {
    let moment = now() + hours(1_000);
    let mut replicas = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let counts = counts.clone();
        replicas.spawn(async move {
            counts.take_trend(moment, moment - hours(24), moment - hours(1)).await.unwrap();
            counts.trend(moment, 0, 1_000).await.unwrap()
        });
    }
    let mut orders = replicas.join_all().await;
    orders.dedup();
    assert_eq!(orders.len(), 1);
    assert!(!orders[0].is_empty());
}

async fn contract(database: &pkg_db::Database) {
    let games = Arc::new(SqlGames::new(database.clone()));
    let counts = Arc::new(SqlSessionCounts::new(database.clone()));
    a_game_is_found_by_its_id_and_its_key(&*games).await;
    keys_and_ids_are_given_once(&*games).await;
    games_are_listed_by_the_bytes_of_their_keys(&*games).await;
    of_two_who_change_one_version_the_second_is_refused(&*games).await;
    revisions_stay_and_are_listed_from_the_newest(&*games).await;
    changes_of_definitions_and_states_are_told_in_their_order(&*games).await;
    no_change_appears_behind_one_that_was_read(games.clone()).await;
    sessions_are_counted_and_games_ordered_by_them(&*games, &*counts).await;
    replicas_take_one_order(counts).await;
}

mod sqlite {
    use super::*;

    #[tokio::test]
    async fn keeps_the_contract() {
        let database = pkg_db::testing::sqlite().await;
        contract(&database).await;
    }
}

mod real_postgres {
    use super::*;

    #[tokio::test]
    async fn keeps_the_contract() {
        let database = pkg_db::testing::postgres().await;
        contract(&database).await;
    }
}
