use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::game::v1::attribute_value::Kind;
use pkg_api::game::v1::{AttributeValue, PlayerResult, Region, SessionEndReason};
use pkg_api::leaderboard::v1 as api;
use pkg_db::testing::TestDatabase;
use pkg_definition::Key;
use prost::Message;
use tonic::Code;
use uuid::Uuid;

use super::*;
use crate::grpc::harness::told;
use crate::store::{
    ErasureStore, FinishedMatch, MatchOutcome, MatchResult, MatchStore, MatchesApplied, MatchesStep, SqlErasures,
    SqlMatches,
};

const GAME: Uuid = Uuid::from_u128(0x6a3e);

struct World {
    api: HistoryApi,
    matches: Arc<SqlMatches>,
    database: TestDatabase,
}

async fn world() -> World {
    let database = pkg_db::testing::sqlite().await;
    let matches = Arc::new(SqlMatches::new(database.clone()));
    World { api: HistoryApi::new(MatchReadings::new(matches.clone())), matches, database }
}

fn player(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn long_text(length: usize) -> std::collections::HashMap<String, AttributeValue> {
    let value = AttributeValue { kind: Some(Kind::StringValue("x".repeat(length))) };
    [("note".to_owned(), value)].into()
}

/// Won by the first of these players, at a minute.
fn finished(queue: Option<&str>, minute: i64, players: &[u128], note: usize) -> FinishedMatch {
    let body = api::MatchRecord {
        match_id: player(77).to_string(),
        region: Region::EuWest.into(),
        end_reason: SessionEndReason::Completed.into(),
        attributes: long_text(note),
        ..api::MatchRecord::default()
    };
    let result = |(placement, number): (i32, &u128)| MatchResult {
        player: player(*number),
        placement,
        outcome: if placement == 1 { MatchOutcome::Won } else { MatchOutcome::Lost },
        left_early: placement == 2,
        body: PlayerResult { score: Some(i64::MIN), team: "red".to_owned(), ..PlayerResult::default() }
            .encode_to_vec()
            .into(),
    };
    FinishedMatch {
        session: Ambient::system().id(),
        game: GAME,
        queue: queue.and_then(Key::parse),
        ended: pkg_db::from_millis(1_780_000_000_001 + minute * 60_000),
        play_time: Duration::from_millis(90_001),
        body: body.encode_to_vec().into(),
        results: (1..).zip(players).map(result).collect(),
    }
}

impl World {
    async fn add(&self, matches: Vec<FinishedMatch>) {
        let position = self.matches.position(0).await.unwrap();
        let step = MatchesStep { partition: 0, expected: position, next_offset: position.unwrap_or(0) + 1, matches };
        assert_eq!(self.matches.apply(&step).await.unwrap(), MatchesApplied::Done);
    }

    async fn player_matches(
        &self,
        request: api::ListPlayerMatchesRequest,
    ) -> Result<api::ListPlayerMatchesResponse, Status> {
        self.api.list_player_matches(Request::new(request)).await.map(Response::into_inner)
    }

    /// The sessions of all pages, and how many pages that are.
    async fn all_matches(&self, mut request: api::ListPlayerMatchesRequest) -> (Vec<String>, usize) {
        let (mut sessions, mut pages) = (Vec::new(), 0);
        loop {
            let page = self.player_matches(request.clone()).await.unwrap();
            sessions.extend(page.matches.into_iter().map(|found| found.r#match.unwrap().session_id));
            pages += 1;
            if page.next_page_token.is_empty() {
                return (sessions, pages);
            }
            request.page_token = page.next_page_token;
        }
    }
}

fn of(number: u128) -> api::ListPlayerMatchesRequest {
    api::ListPlayerMatchesRequest { player_id: player(number).to_string(), ..Default::default() }
}

#[tokio::test]
async fn matches_of_a_player_come_in_pages_the_newest_first() {
    let world = world().await;
    let other_game = FinishedMatch { game: player(5), ..finished(None, 9, &[1], 0) };
    let made = vec![
        finished(Some("duel"), 1, &[1, 2], 0),
        finished(None, 3, &[2, 1], 0),
        other_game,
        finished(Some("duel"), 2, &[1, 2], 0),
        finished(Some("duel"), 4, &[2], 0),
    ];
    let ids: Vec<String> = made.iter().map(|made| made.session.to_string()).collect();
    world.add(made).await;
    let expect = |places: &[usize]| places.iter().map(|place| ids[*place].clone()).collect::<Vec<_>>();
    assert_eq!(world.all_matches(of(1)).await, (expect(&[2, 1, 3, 0]), 1));
    let two = api::ListPlayerMatchesRequest { page_size: 2, ..of(1) };
    assert_eq!(world.all_matches(two).await, (expect(&[2, 1, 3, 0]), 2));
    let game = api::ListPlayerMatchesRequest { game_id: GAME.to_string(), page_size: 1, ..of(1) };
    assert_eq!(world.all_matches(game.clone()).await, (expect(&[1, 3, 0]), 3));
    let queue = api::ListPlayerMatchesRequest { queue_key: "duel".to_owned(), ..game };
    assert_eq!(world.all_matches(queue).await, (expect(&[3, 0]), 2));
    assert_eq!(world.all_matches(of(9)).await, (Vec::new(), 1));
}

#[tokio::test]
async fn a_match_is_told_whole() {
    let world = world().await;
    let made = finished(Some("duel"), 1, &[1, 2], 3);
    world.add(vec![made.clone()]).await;
    let session_id = made.session.to_string();
    let record = api::MatchRecord {
        session_id: session_id.clone(),
        match_id: player(77).to_string(),
        game_id: GAME.to_string(),
        queue_key: "duel".to_owned(),
        region: Region::EuWest.into(),
        start_time: None,
        end_time: Some(prost_types::Timestamp { seconds: 1_780_000_060, nanos: 1_000_000 }),
        end_reason: SessionEndReason::Completed.into(),
        player_count: 2,
        attributes: long_text(3),
    };
    let result = |number: u128, placement, left_early| PlayerResult {
        player_id: player(number).to_string(),
        placement,
        left_early,
        score: Some(i64::MIN),
        team: "red".to_owned(),
        ..PlayerResult::default()
    };
    let asked = api::GetSessionMatchRequest { session_id: session_id.clone() };
    let got = world.api.get_session_match(Request::new(asked)).await.unwrap().into_inner();
    assert_eq!(got.r#match, Some(record.clone()));

    let page = world.player_matches(of(2)).await.unwrap();
    let expected = api::PlayerMatch {
        r#match: Some(record),
        result: Some(result(2, 2, true)),
        outcome: api::MatchOutcome::Lost.into(),
    };
    assert_eq!((page.matches, page.next_page_token), (vec![expected], String::new()));

    SqlErasures::new(world.database.clone()).erase(player(2), Ambient::system().now()).await.unwrap();
    let first = api::ListSessionResultsRequest { session_id, page_size: 1, ..Default::default() };
    let one = world.api.list_session_results(Request::new(first.clone())).await.unwrap().into_inner();
    let expected = api::SessionResult { result: Some(result(1, 1, false)), outcome: api::MatchOutcome::Won.into() };
    assert_eq!(one.results, [expected]);
    let second = api::ListSessionResultsRequest { page_token: one.next_page_token, ..first };
    let two = world.api.list_session_results(Request::new(second)).await.unwrap().into_inner();
    let nameless = PlayerResult { player_id: String::new(), ..result(2, 2, true) };
    assert_eq!((two.results[0].result.clone(), two.next_page_token), (Some(nameless), String::new()));
}

#[tokio::test]
async fn large_matches_end_a_page_early() {
    const MATCHES: i64 = 60;
    let world = world().await;
    let made: Vec<FinishedMatch> = (0..MATCHES).map(|minute| finished(None, minute, &[1], 16_000)).collect();
    let ids: Vec<String> = made.iter().rev().map(|made| made.session.to_string()).collect();
    world.add(made).await;
    let (sessions, pages) = world.all_matches(api::ListPlayerMatchesRequest { page_size: 100, ..of(1) }).await;
    assert_eq!((sessions, pages), (ids, 2));
}

#[tokio::test]
async fn stats_add_up() {
    let world = world().await;
    let made = [(None, 3), (Some("duel"), 1), (Some("arena"), 2), (Some("duel"), 5)];
    world.add(made.iter().map(|(queue, minute)| finished(*queue, *minute, &[1, 2], 0)).collect()).await;
    let stats = async |number| {
        let request = api::GetPlayerStatsRequest { game_id: GAME.to_string(), player_id: player(number).to_string() };
        world.api.get_player_stats(Request::new(request)).await.unwrap().into_inner()
    };
    let of_queue = |queue: &str, games: u32, minute: i64| api::PlayerStats {
        queue_key: queue.to_owned(),
        game_count: games.into(),
        loss_count: games.into(),
        left_early_count: games.into(),
        play_time: Some(prost_types::Duration::try_from(Duration::from_millis(90_001) * games).unwrap()),
        last_end_time: Some(prost_types::Timestamp { seconds: 1_780_000_000 + minute * 60, nanos: 1_000_000 }),
        ..api::PlayerStats::default()
    };
    let second = stats(2).await;
    assert_eq!(second.total, Some(of_queue("", 4, 5)));
    assert_eq!(second.queues, [of_queue("", 1, 3), of_queue("arena", 1, 2), of_queue("duel", 2, 5)]);
    assert_eq!(stats(1).await.total.unwrap().win_count, 4);
    let nobody = stats(3).await;
    let zeros = api::PlayerStats { play_time: Some(prost_types::Duration::default()), ..Default::default() };
    assert_eq!((nobody.total, nobody.queues.len()), (Some(zeros), 0));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let world = world().await;
    let refused = |field: &str| (Code::InvalidArgument, "INVALID_FIELD".to_owned(), vec![field.to_owned()]);
    let wrong: [(api::ListPlayerMatchesRequest, &str); 6] = [
        (api::ListPlayerMatchesRequest { player_id: String::new(), ..of(1) }, "player_id"),
        (api::ListPlayerMatchesRequest { game_id: "?".to_owned(), ..of(1) }, "game_id"),
        (api::ListPlayerMatchesRequest { queue_key: "duel".to_owned(), ..of(1) }, "game_id"),
        (api::ListPlayerMatchesRequest { queue_key: "Duel".to_owned(), ..of(1) }, "queue_key"),
        (api::ListPlayerMatchesRequest { page_size: 101, ..of(1) }, "page_size"),
        (api::ListPlayerMatchesRequest { page_token: "AA".to_owned(), ..of(1) }, "page_token"),
    ];
    for (request, field) in wrong {
        assert_eq!(told(&world.player_matches(request).await.unwrap_err()), refused(field));
    }
    let session_id = player(1).to_string();
    let missing = (Code::NotFound, "MATCH_NOT_FOUND".to_owned(), Vec::new());
    let request = api::GetSessionMatchRequest { session_id: session_id.clone() };
    assert_eq!(told(&world.api.get_session_match(Request::new(request)).await.unwrap_err()), missing);
    let request = api::ListSessionResultsRequest { session_id, ..Default::default() };
    assert_eq!(told(&world.api.list_session_results(Request::new(request)).await.unwrap_err()), missing);
    // A session that ended without results has none.
    let empty = finished(None, 1, &[], 0);
    world.add(vec![empty.clone()]).await;
    let request = api::ListSessionResultsRequest { session_id: empty.session.to_string(), ..Default::default() };
    let answer = world.api.list_session_results(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(answer, api::ListSessionResultsResponse::default());
}
