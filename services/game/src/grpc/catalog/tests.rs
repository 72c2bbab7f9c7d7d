use pkg_api::game::v1 as api;
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_api::game::v1::watch_definitions_response::Message;
use pkg_auth::Role;
use prost_types::FieldMask;
use tonic::{Code, Streaming};
use uuid::Uuid;

use super::*;
use crate::grpc::harness::{Harness, SignedIn, in_time, told};

type Client = CatalogServiceClient<SignedIn>;

const ADMIN: Uuid = Uuid::from_u128(1);

async fn start() -> (Harness, Client) {
    let harness = Harness::start(|database, ambient| crate::build(crate::testing::embedded(&database, &ambient))).await;
    let admin = CatalogServiceClient::new(harness.signed_in(ADMIN, Role::Admin));
    (harness, admin)
}

fn game(key: &str) -> api::Game {
    api::Game { key: key.to_owned(), name: "Duel".to_owned(), ..Default::default() }
}

fn definition(max_players: i32) -> api::GameDefinition {
    let session_rules = Some(api::SessionRules { max_players, ..Default::default() });
    api::GameDefinition { session_rules, ..Default::default() }
}

async fn create(client: &mut Client, game: api::Game) -> api::Game {
    let request = CreateGameRequest { game: Some(game), definition: Some(definition(2)), ..Default::default() };
    client.create_game(request).await.unwrap().into_inner().game.unwrap()
}

async fn apply(client: &mut Client, key: &str, max_players: i32) -> ApplyGameResponse {
    let (game, definition) = (Some(game(key)), Some(definition(max_players)));
    let request = ApplyGameRequest { game, definition, ..Default::default() };
    client.apply_game(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn every_violation_is_told_with_its_place() {
    let (_harness, mut client) = start().await;
    let queue = api::QueueDefinition {
        key: "ranked".to_owned(),
        format: Some(api::queue_definition::Format::FreeForAll(api::FreeForAllFormat {
            max_players: 2,
            ..Default::default()
        })),
        rating_window: Some(api::RatingWindow {
            distance: Some(api::RelaxingLimit { start: 2.0, growth_per_second: 1.0, ceiling: 1.0 }),
        }),
        rating: Some(api::RatingRule::default()),
        ..Default::default()
    };
    let bad = api::GameDefinition { queues: vec![queue], ..definition(-1) };
    let request = CreateGameRequest {
        game: Some(api::Game { key: "Duel".to_owned(), ..Default::default() }),
        definition: Some(bad.clone()),
        ..Default::default()
    };
    let expected = [
        "game.key",
        "game.name",
        "definition.session_rules.max_players",
        "definition.queues[0].rating_window.distance.ceiling",
    ];
    let expected = (Code::InvalidArgument, "INVALID_FIELD".to_owned(), expected.map(str::to_owned).to_vec());
    assert_eq!(told(&client.create_game(request.clone()).await.unwrap_err()), expected);
    let request =
        ApplyGameRequest { game: request.game, definition: Some(bad), validate_only: true, ..Default::default() };
    assert_eq!(told(&client.apply_game(request).await.unwrap_err()), expected);

    // So many fit into what a client reads.
    let board = |number| api::LeaderboardDefinition { key: format!("B{number}"), order: 9, ..Default::default() };
    let many = api::GameDefinition { leaderboards: (0..256).map(board).collect(), ..Default::default() };
    let request = CreateGameRequest { game: Some(game("duel")), definition: Some(many), ..Default::default() };
    let (code, reason, fields) = told(&client.create_game(request).await.unwrap_err());
    assert_eq!((code, reason.as_str(), fields.len()), (Code::InvalidArgument, "INVALID_FIELD", 40));
}

#[tokio::test]
async fn a_game_is_created_found_changed_and_archived() {
    let (harness, mut client) = start().await;
    let created = create(&mut client, api::Game { data: vec![1, 2], ..game("duel") }).await;
    assert_eq!((created.state(), created.definition_revision, created.version), (api::GameState::Active, 1, 1));
    let id = created.game_id.clone();

    let mut player = CatalogServiceClient::new(harness.signed_in(Uuid::from_u128(2), Role::Player));
    let got = player.get_game(GetGameRequest { game_id: id.clone() }).await.unwrap().into_inner().game.unwrap();
    let found = player.find_game(FindGameRequest { key: "duel".to_owned() }).await.unwrap().into_inner().game.unwrap();
    assert_eq!((&got, &found), (&created, &created));
    let game_ids = vec![Uuid::from_u128(9).to_string(), id.clone()];
    let batch = player.batch_get_games(BatchGetGamesRequest { game_ids }).await.unwrap().into_inner().games;
    assert_eq!(batch, [api::Game { data: Vec::new(), ..created.clone() }]);

    let update = |mask: &[&str], version| UpdateGameRequest {
        game: Some(api::Game {
            game_id: id.clone(),
            name: "New".to_owned(),
            short_description: "ignored".to_owned(),
            version,
            ..Default::default()
        }),
        update_mask: Some(FieldMask { paths: mask.iter().map(|path| (*path).to_owned()).collect() }),
    };
    let updated = client.update_game(update(&["name"], 1)).await.unwrap().into_inner().game.unwrap();
    assert_eq!((updated.name.as_str(), updated.short_description.as_str(), updated.version), ("New", "", 2));
    let refused = |code, reason: &str, fields: &[&str]| {
        (code, reason.to_owned(), fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>())
    };
    let error = client.update_game(update(&["short_description"], 1)).await.unwrap_err();
    assert_eq!(told(&error), refused(Code::Aborted, "GAME_CHANGED", &[]));
    for mask in [&[][..], &["key"], &["attributes.level"]] {
        let error = client.update_game(update(mask, 0)).await.unwrap_err();
        assert_eq!(told(&error), refused(Code::InvalidArgument, "INVALID_FIELD", &["update_mask"]));
    }

    let archive = ArchiveGameRequest { game_id: id.clone() };
    let archived = client.archive_game(archive.clone()).await.unwrap().into_inner().game.unwrap();
    assert_eq!(archived.state(), api::GameState::Archived);
    assert_eq!(client.archive_game(archive).await.unwrap().into_inner().game.unwrap(), archived);
    let error = client.update_game(update(&["name"], 0)).await.unwrap_err();
    assert_eq!(told(&error), refused(Code::FailedPrecondition, "GAME_ARCHIVED", &[]));
    let restored = client.restore_game(RestoreGameRequest { game_id: id }).await.unwrap().into_inner().game.unwrap();
    assert_eq!(restored.state(), api::GameState::Active);

    let request = CreateGameRequest { game: Some(game("duel")), ..Default::default() };
    let error = client.create_game(request).await.unwrap_err();
    assert_eq!(told(&error), refused(Code::AlreadyExists, "GAME_KEY_TAKEN", &["game.key"]));
    let unknown = GetGameRequest { game_id: Uuid::from_u128(9).to_string() };
    let error = player.get_game(unknown).await.unwrap_err();
    assert_eq!(told(&error), refused(Code::NotFound, "GAME_NOT_FOUND", &[]));
    let error = player.archive_game(ArchiveGameRequest::default()).await.unwrap_err();
    assert_eq!(told(&error), refused(Code::PermissionDenied, "ROLE_NOT_ALLOWED", &[]));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let (_harness, mut client) = start().await;
    for key in ["b", "a", "c"] {
        // So large that no two fit into one page.
        let long = "€".repeat(10_000);
        create(&mut client, api::Game { long_description: long, data: vec![7; 60_000], ..game(key) }).await;
    }
    let mut keys = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListGamesRequest { page_size: 2, page_token, ..Default::default() };
        let page = client.list_games(request).await.unwrap().into_inner();
        assert!(page.games.len() <= 2 && page.games.iter().all(|game| game.data.is_empty()));
        keys.extend(page.games.into_iter().map(|game| game.key));
        if page.next_page_token.is_empty() {
            break;
        }
        page_token = page.next_page_token;
    }
    assert_eq!(keys, ["a", "b", "c"]);

    let first = ListTrendingGamesRequest { page_size: 2, ..Default::default() };
    let first = client.list_trending_games(first).await.unwrap().into_inner();
    assert_eq!((first.games.len(), first.games[0].session_count), (2, 0));
    let second = ListTrendingGamesRequest { page_token: first.next_page_token, ..Default::default() };
    let second = client.list_trending_games(second).await.unwrap().into_inner();
    assert_eq!((second.games.len(), second.next_page_token.as_str()), (1, ""));

    let token = |page_token: &str| ListGamesRequest { page_token: page_token.to_owned(), ..Default::default() };
    for bad in ["?", "AA"] {
        let error = client.list_games(token(bad)).await.unwrap_err();
        assert_eq!(told(&error).2, ["page_token"]);
        let request = ListTrendingGamesRequest { page_token: bad.to_owned(), ..Default::default() };
        assert_eq!(told(&client.list_trending_games(request).await.unwrap_err()).2, ["page_token"]);
    }
    let request = ListGamesRequest { page_size: 101, ..Default::default() };
    assert_eq!(told(&client.list_games(request).await.unwrap_err()).2, ["page_size"]);
}

#[tokio::test]
async fn large_games_end_a_page_early() {
    const GAMES: usize = 20;
    let (_harness, mut client) = start().await;
    for number in 0..GAMES {
        create(&mut client, api::Game { long_description: "𝄞".repeat(10_000), ..game(&format!("g{number:02}")) }).await;
    }
    let (mut seen, mut pages, mut page_token) = (0, 0, String::new());
    while pages == 0 || !page_token.is_empty() {
        let request = ListGamesRequest { page_size: 100, page_token, ..Default::default() };
        let page = client.list_games(request).await.unwrap().into_inner();
        (seen, pages, page_token) = (seen + page.games.len(), pages + 1, page.next_page_token);
    }
    assert_eq!((seen, pages), (GAMES, 2));
}

#[tokio::test]
async fn a_game_is_applied_and_its_revisions_stay() {
    let (harness, mut client) = start().await;
    let trial = ApplyGameRequest {
        game: Some(game("duel")),
        definition: Some(definition(2)),
        validate_only: true,
        ..Default::default()
    };
    let tried = client.apply_game(trial).await.unwrap().into_inner();
    assert!(tried.created && tried.game.unwrap().game_id.is_empty());
    let first = apply(&mut client, "duel", 2).await;
    assert_eq!((first.created, &first.changes), (true, &tried.changes));
    let second = apply(&mut client, "duel", 4).await;
    assert_eq!((second.created, second.changes.len()), (false, 1));
    let change = &second.changes[0];
    assert_eq!(
        (change.kind(), change.path.as_str()),
        (api::ChangeKind::Changed, "definition.session_rules.max_players")
    );
    assert_eq!((change.old_value.as_str(), change.new_value.as_str()), ("2", "4"));
    assert_eq!(apply(&mut client, "duel", 4).await.changes, []);

    let game_id = first.game.unwrap().game_id;
    let get = |revision| GetDefinitionRequest { game_id: game_id.clone(), revision };
    let mut player = CatalogServiceClient::new(harness.signed_in(Uuid::from_u128(2), Role::Player));
    for (asked, revision, max_players) in [(0, 2, 4), (1, 1, 2)] {
        let got = player.get_definition(get(asked)).await.unwrap().into_inner().revision.unwrap();
        assert_eq!(
            (got.revision, got.definition, got.author_id),
            (revision, Some(definition(max_players)), ADMIN.to_string())
        );
    }
    let error = player.get_definition(get(3)).await.unwrap_err();
    assert_eq!(told(&error), (Code::NotFound, "REVISION_NOT_FOUND".to_owned(), vec![]));
    let list = |page_token| ListDefinitionRevisionsRequest { game_id: game_id.clone(), page_size: 1, page_token };
    let newest = client.list_definition_revisions(list(String::new())).await.unwrap().into_inner();
    let oldest = client.list_definition_revisions(list(newest.next_page_token)).await.unwrap().into_inner();
    assert_eq!((newest.revisions[0].revision, oldest.revisions[0].revision), (2, 1));
    assert_eq!((oldest.next_page_token.as_str(), &oldest.revisions[0].definition), ("", &None));
}

async fn next(stream: &mut Streaming<WatchDefinitionsResponse>) -> Option<Message> {
    in_time(stream.message()).await.unwrap().map(|response| response.message.unwrap())
}

fn definition_state(message: Option<Message>) -> (String, i64, api::GameState) {
    let Some(Message::Definition(state)) = message else { panic!("{message:?}") };
    (state.game_key.clone(), state.revision.as_ref().unwrap().revision, state.state())
}

#[tokio::test]
async fn definitions_are_followed_until_the_server_goes_away() {
    let (harness, mut client) = start().await;
    let id = create(&mut client, game("duel")).await.game_id;
    let mut server = CatalogServiceClient::new(harness.signed_in(Uuid::from_u128(3), Role::Server));
    let mut all = server.watch_definitions(WatchDefinitionsRequest::default()).await.unwrap().into_inner();
    let one = WatchDefinitionsRequest { game_ids: vec![id.clone()] };
    let mut one = server.watch_definitions(one).await.unwrap().into_inner();
    for stream in [&mut all, &mut one] {
        assert_eq!(definition_state(next(stream).await), ("duel".to_owned(), 1, api::GameState::Active));
        assert!(matches!(next(stream).await, Some(Message::CaughtUp(_))));
    }

    create(&mut client, game("other")).await;
    assert_eq!(definition_state(next(&mut all).await).0, "other");
    apply(&mut client, "duel", 8).await;
    client.archive_game(ArchiveGameRequest { game_id: id }).await.unwrap();
    for stream in [&mut all, &mut one] {
        let mut state = definition_state(next(stream).await);
        if state.2 == api::GameState::Active {
            state = definition_state(next(stream).await);
        }
        assert_eq!(state, ("duel".to_owned(), 2, api::GameState::Archived));
    }

    let unknown = WatchDefinitionsRequest { game_ids: vec![Uuid::from_u128(9).to_string()] };
    let error = server.watch_definitions(unknown).await.unwrap_err();
    assert_eq!(told(&error), (Code::NotFound, "GAME_NOT_FOUND".to_owned(), vec![]));
    let mut player = CatalogServiceClient::new(harness.signed_in(Uuid::from_u128(2), Role::Player));
    let error = player.watch_definitions(WatchDefinitionsRequest::default()).await.unwrap_err();
    assert_eq!(told(&error).0, Code::PermissionDenied);

    let ended = harness.drain();
    for stream in [&mut all, &mut one] {
        let Some(Message::GoAway(last)) = next(stream).await else { panic!("no GoAway") };
        assert_eq!(last.reason(), api::GoAwayReason::Drain);
        assert_eq!(next(stream).await, None, "the status is OK");
    }
    drop((client, server, player, all, one));
    ended.await;
}
