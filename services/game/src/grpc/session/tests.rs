//! What callers see of sessions and entities.

use pkg_api::game::v1 as api;
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_api::game::v1::entity_operation::Operation;
use pkg_api::game::v1::entity_service_client::EntityServiceClient;
use pkg_api::game::v1::session_internal_service_client::SessionInternalServiceClient;
use pkg_api::game::v1::session_service_client::SessionServiceClient;
use pkg_auth::Role;
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::grpc::harness::{Harness, SignedIn, told};

type Client = SessionServiceClient<SignedIn>;

struct World {
    harness: Harness,
    game: String,
}

impl World {
    async fn start(rules: api::SessionRules) -> Self {
        let harness =
            Harness::start(|database, ambient| crate::build(crate::testing::embedded(&database, &ambient))).await;
        let mut admin = CatalogServiceClient::new(harness.signed_in(Uuid::from_u128(99), Role::Admin));
        let game = api::Game { key: "duel".to_owned(), name: "Duel".to_owned(), ..Default::default() };
        let definition = api::GameDefinition { session_rules: Some(rules), ..Default::default() };
        let request = api::CreateGameRequest { game: Some(game), definition: Some(definition), ..Default::default() };
        let game = admin.create_game(request).await.unwrap().into_inner().game.unwrap().game_id;
        Self { harness, game }
    }

    fn player(&self, number: u128) -> Client {
        SessionServiceClient::new(self.harness.signed_in(Uuid::from_u128(number), Role::Player))
    }

    fn entities(&self, number: u128, role: Role) -> EntityServiceClient<SignedIn> {
        EntityServiceClient::new(self.harness.signed_in(Uuid::from_u128(number), role))
    }

    fn creation(&self) -> api::CreateSessionRequest {
        api::CreateSessionRequest { game_id: self.game.clone(), ..Default::default() }
    }

    async fn create(&self, number: u128) -> api::Session {
        let created = self.player(number).create_session(self.creation()).await.unwrap().into_inner();
        assert!(!created.cursor.is_empty());
        created.session.unwrap()
    }
}

fn rules() -> api::SessionRules {
    api::SessionRules { owner_may_finish: true, ..Default::default() }
}

fn player_id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

#[tokio::test]
async fn a_session_lives_from_its_creation_to_its_results() {
    let world = World::start(rules()).await;
    let (mut owner, mut guest) = (world.player(1), world.player(2));
    let session_id = world.create(1).await.session_id;
    let join = api::JoinSessionRequest { session_id: session_id.clone(), ..Default::default() };
    let joined = guest.join_session(join.clone()).await.unwrap().into_inner().session.unwrap();
    assert_eq!((joined.seats.len(), joined.owner_player_id.as_str()), (2, player_id(1).as_str()));
    guest.join_session(join).await.unwrap();

    let listed =
        guest.list_open_sessions(api::ListOpenSessionsRequest { game_id: world.game.clone(), ..Default::default() });
    assert_eq!(listed.await.unwrap().into_inner().sessions[0].player_count, 2);
    let mine = guest.list_my_sessions(api::ListMySessionsRequest::default()).await.unwrap().into_inner();
    assert_eq!(mine.sessions[0].session_id, session_id);

    let start = api::StartSessionRequest { session_id: session_id.clone() };
    let refused = guest.start_session(start.clone()).await.unwrap_err();
    assert_eq!(told(&refused).1, "NOT_SESSION_OWNER");
    owner.start_session(start).await.unwrap();
    let pause = api::PauseSessionRequest { session_id: session_id.clone() };
    owner.pause_session(pause).await.unwrap();
    let refused = owner.start_session(api::StartSessionRequest { session_id: session_id.clone() }).await.unwrap_err();
    let info = refused.get_details_error_info().unwrap();
    assert_eq!((refused.code(), info.reason.as_str()), (Code::FailedPrecondition, "SESSION_STATE"));
    assert_eq!((&*info.metadata["state"], &*info.metadata["move"]), ("SESSION_STATE_PAUSED", "StartSession"));

    let result =
        |number, placement| api::PlayerResult { player_id: player_id(number), placement, ..Default::default() };
    let results = api::SessionResults { players: vec![result(1, 1), result(2, 2)], ..Default::default() };
    let finish = api::FinishSessionRequest { session_id: session_id.clone(), results: Some(results) };
    let finished = owner.finish_session(finish.clone()).await.unwrap().into_inner().session.unwrap();
    assert_eq!(finished.state(), api::SessionState::Finished);
    let again = owner.finish_session(finish.clone()).await.unwrap().into_inner().session.unwrap();
    assert_eq!(again, finished);
    let other = api::FinishSessionRequest { results: Some(api::SessionResults::default()), ..finish };
    assert_eq!(told(&owner.finish_session(other).await.unwrap_err()).1, "RESULTS_DIFFER");
    let got = guest.get_session(api::GetSessionRequest { session_id }).await.unwrap().into_inner().session.unwrap();
    assert_eq!(got.results.unwrap().players.len(), 2);
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_field() {
    let world = World::start(rules()).await;
    let mut client = world.player(1);
    let team = |name: &str, max_players| api::Team { name: name.to_owned(), max_players };
    let base = world.creation();
    let wrong = [
        (api::CreateSessionRequest { session_id: "x".to_owned(), ..base.clone() }, "session_id"),
        (api::CreateSessionRequest { session_id: player_id(1), ..base.clone() }, "session_id"),
        (api::CreateSessionRequest { game_id: "x".to_owned(), ..base.clone() }, "game_id"),
        (api::CreateSessionRequest { name: "x".repeat(101), ..base.clone() }, "name"),
        (api::CreateSessionRequest { region: 99, ..base.clone() }, "region"),
        (api::CreateSessionRequest { max_players: -1, ..base.clone() }, "max_players"),
        (api::CreateSessionRequest { max_players: 17, ..base.clone() }, "max_players"),
        (api::CreateSessionRequest { teams: vec![team("a b", 1)], ..base.clone() }, "teams[0].name"),
        (api::CreateSessionRequest { teams: vec![team("a", 1), team("a", 1)], ..base.clone() }, "teams[1].name"),
        (api::CreateSessionRequest { teams: vec![team("a", 0)], ..base.clone() }, "teams[0].max_players"),
        (api::CreateSessionRequest { teams: vec![team("a", 17)], ..base.clone() }, "teams"),
        (api::CreateSessionRequest { data: vec![0; 65_537], ..base.clone() }, "data"),
        (
            api::CreateSessionRequest {
                attributes: [("a b".to_owned(), api::AttributeValue::default())].into(),
                ..base
            },
            "attributes[a b]",
        ),
    ];
    for (request, field) in wrong {
        let (code, reason, fields) = told(&client.create_session(request).await.unwrap_err());
        assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        assert!(fields.iter().all(|found| found == field), "{field}: {fields:?}");
    }
    let session_id = world.create(1).await.session_id;
    let other =
        api::JoinSessionRequest { session_id: session_id.clone(), player_id: player_id(7), ..Default::default() };
    assert_eq!(told(&world.player(2).join_session(other).await.unwrap_err()).2, ["player_id"]);
    let kick = api::KickPlayerRequest { session_id: session_id.clone(), player_id: player_id(1), ..Default::default() };
    assert_eq!(told(&client.kick_player(kick).await.unwrap_err()).2, ["player_id"]);
    let update = api::UpdateSessionRequest { session_id, ..Default::default() };
    assert_eq!(told(&client.update_session(update).await.unwrap_err()).2, ["attributes_version"]);
    let page = api::ListMySessionsRequest { page_token: "none".to_owned(), ..Default::default() };
    assert_eq!(told(&client.list_my_sessions(page).await.unwrap_err()).2, ["page_token"]);
}

#[tokio::test]
async fn refusals_have_their_reasons() {
    let world = World::start(api::SessionRules { max_players: 2, ..rules() }).await;
    let mut owner = world.player(1);
    let session_id = world.create(1).await.session_id;
    let join = |number: u128| {
        let (mut client, session_id) = (world.player(number), session_id.clone());
        async move { client.join_session(api::JoinSessionRequest { session_id, ..Default::default() }).await }
    };
    let reason = |status: &tonic::Status| told(status).1;
    join(2).await.unwrap();
    assert_eq!(reason(&join(3).await.unwrap_err()), "SESSION_FULL");
    let kick = api::KickPlayerRequest { session_id: session_id.clone(), player_id: player_id(2), ..Default::default() };
    owner.kick_player(kick).await.unwrap();
    assert_eq!(reason(&join(2).await.unwrap_err()), "KICKED");
    let update =
        api::UpdateSessionRequest { session_id: session_id.clone(), attributes_version: 9, ..Default::default() };
    let changed = owner.update_session(update).await.unwrap_err();
    assert_eq!((changed.code(), reason(&changed).as_str()), (Code::Aborted, "SESSION_CHANGED"));
    assert_eq!(changed.get_details_error_info().unwrap().metadata["attributes_version"], "1");
    let to = |number| api::TransferOwnershipRequest { session_id: session_id.clone(), player_id: player_id(number) };
    assert_eq!(reason(&owner.transfer_ownership(to(7)).await.unwrap_err()), "SEAT_NOT_FOUND");
    let unknown = api::GetSessionRequest { session_id: player_id(77) };
    assert_eq!(reason(&owner.get_session(unknown).await.unwrap_err()), "SESSION_NOT_FOUND");
    let code = api::JoinSessionByCodeRequest {
        game_id: world.game.clone(),
        join_code: "abcdefgh".to_owned(),
        ..Default::default()
    };
    assert_eq!(reason(&owner.join_session_by_code(code).await.unwrap_err()), "JOIN_CODE_NOT_FOUND");
    owner.delete_session(api::DeleteSessionRequest { session_id: session_id.clone() }).await.unwrap();
    assert_eq!(reason(&join(3).await.unwrap_err()), "SESSION_STATE");
    let elsewhere = api::CreateSessionRequest { game_id: player_id(5), ..Default::default() };
    assert_eq!(reason(&owner.create_session(elsewhere).await.unwrap_err()), "GAME_NOT_FOUND");
}

#[tokio::test]
async fn a_code_is_shown_to_those_inside_alone() {
    let world = World::start(rules()).await;
    let private = api::CreateSessionRequest { visibility: api::SessionVisibility::Private.into(), ..world.creation() };
    let session = world.player(1).create_session(private).await.unwrap().into_inner().session.unwrap();
    let code = api::JoinSessionByCodeRequest {
        game_id: world.game.clone(),
        join_code: session.join_code.to_lowercase(),
        ..Default::default()
    };
    let joined = world.player(2).join_session_by_code(code).await.unwrap().into_inner().session.unwrap();
    assert_eq!(joined.join_code, session.join_code);
    let get = api::GetSessionRequest { session_id: session.session_id };
    assert_eq!(told(&world.player(3).get_session(get).await.unwrap_err()).1, "SESSION_NOT_FOUND");
}

#[tokio::test]
async fn services_ask_for_seats_and_states() {
    let world = World::start(rules()).await;
    let session_id = world.create(1).await.session_id;
    let service = world.harness.signed_in(Uuid::from_u128(5), Role::Service);
    let mut internal = SessionInternalServiceClient::new(service);
    let query = api::SeatQuery { game_id: world.game.clone(), session_id: session_id.clone(), player_id: player_id(1) };
    let check = || api::BatchCheckSeatsRequest { queries: vec![query.clone()] };
    assert_eq!(internal.batch_check_seats(check()).await.unwrap().into_inner().seated, [false], "it does not run");
    world.player(1).start_session(api::StartSessionRequest { session_id: session_id.clone() }).await.unwrap();
    assert_eq!(internal.batch_check_seats(check()).await.unwrap().into_inner().seated, [true]);
    let ids = vec![player_id(77), session_id];
    let states = internal.batch_get_session_states(api::BatchGetSessionStatesRequest { session_ids: ids });
    let states = states.await.unwrap().into_inner().statuses;
    assert_eq!(states[0].state(), api::SessionState::Unspecified);
    assert_eq!((states[1].state(), states[1].player_ids.len()), (api::SessionState::Started, 1));

    let mut outsider = SessionInternalServiceClient::new(world.harness.signed_in(Uuid::from_u128(1), Role::Server));
    assert_eq!(outsider.batch_check_seats(check()).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn entities_are_changed_by_who_controls_them() {
    let world = World::start(api::SessionRules { max_entities: Some(3), ..rules() }).await;
    let session_id = world.create(1).await.session_id;
    let (mut mine, mut server) = (world.entities(1, Role::Player), world.entities(50, Role::Server));
    let new = |name: &str| api::NewEntity { name: name.to_owned(), r#type: "tank".to_owned(), ..Default::default() };
    let create = |name: &str| api::CreateEntityRequest { session_id: session_id.clone(), entity: Some(new(name)) };
    let tank = mine.create_entity(create("one")).await.unwrap().into_inner().entity.unwrap();
    assert_eq!((tank.version, tank.controller_player_id.as_str()), (1, player_id(1).as_str()));
    let wall = server.create_entity(create("wall")).await.unwrap().into_inner().entity.unwrap();
    let update = |entity: &api::Entity, version, name: &str| api::UpdateEntityRequest {
        session_id: session_id.clone(),
        entity_id: entity.entity_id.clone(),
        update: Some(api::EntityUpdate { version, name: Some(name.to_owned()), ..Default::default() }),
    };
    assert_eq!(told(&mine.update_entity(update(&wall, 0, "mine")).await.unwrap_err()).1, "NOT_ENTITY_CONTROLLER");
    mine.update_entity(update(&tank, 1, "two")).await.unwrap();
    let stale = mine.update_entity(update(&tank, 1, "three")).await.unwrap_err();
    assert_eq!(
        (stale.code(), stale.get_details_error_info().unwrap().metadata["version"].as_str()),
        (Code::Aborted, "2")
    );
    assert_eq!(
        told(&world.entities(9, Role::Player).create_entity(create("x")).await.unwrap_err()).1,
        "NOT_IN_SESSION"
    );

    let operation = |operation| api::EntityOperation { operation: Some(operation) };
    let deletion = api::EntityDeletion { entity_id: player_id(77), version: 0 };
    let batch = |operations, event_id: &str| api::BatchChangeEntitiesRequest {
        session_id: session_id.clone(),
        operations,
        event_id: event_id.to_owned(),
    };
    let failing = batch(vec![operation(Operation::Create(new("three"))), operation(Operation::Delete(deletion))], "");
    let failed = mine.batch_change_entities(failing).await.unwrap_err();
    assert_eq!(failed.get_details_error_info().unwrap().metadata["index"], "1");
    let good = batch(vec![operation(Operation::Create(new("three")))], &player_id(1_234));
    let first = mine.batch_change_entities(good.clone()).await.unwrap().into_inner();
    assert_eq!(mine.batch_change_entities(good).await.unwrap().into_inner(), first);
    assert_eq!(told(&mine.create_entity(create("four")).await.unwrap_err()).1, "TOO_MANY_ENTITIES");

    let mut listed = Vec::new();
    let mut request = api::ListEntitiesRequest { session_id: session_id.clone(), page_size: 2, ..Default::default() };
    loop {
        let page = mine.list_entities(request.clone()).await.unwrap().into_inner();
        assert!(!page.cursor.is_empty());
        listed.extend(page.entities.into_iter().map(|entity| entity.name));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed, ["two", "wall", "three"]);
    let gone = api::DeleteEntityRequest { session_id, entity_id: tank.entity_id, version: 2 };
    mine.delete_entity(gone.clone()).await.unwrap();
    assert_eq!(told(&mine.delete_entity(gone).await.unwrap_err()).1, "ENTITY_NOT_FOUND");
}
