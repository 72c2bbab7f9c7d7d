//! What Envoy lets through of matchmaking, and what is refused with which reason.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use pkg_ambient::Ambient;
use pkg_api::game::v1::{LatencyRule, QueueDefinition, RegionRule};
use pkg_api::matchmaking::v1::{CreateTicketRequest, TicketPlayer};
use prost_types::Duration;
use serde_json::{Value, json};
use system_tests::{Curl, SignedIn, duel, game_of, refusal};
use tonic::Code;

use crate::system::System;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_its_reason() {
    let system = System::start().await;
    let (client, curl, me) = (system.client(), Curl::to(system.envoy.address()), system.player());
    let unrated = QueueDefinition { rating: None, rating_window: None, ..duel("unrated") };
    let game = system.game(game_of(vec![duel("duel"), unrated, nearby()])).await;
    let nobody = Ambient::system().id().to_string();

    let create = |body: Value| curl.post_as(&me.token, "/v1/tickets", &body);
    for (body, expected) in [
        (json!({ "gameId": nobody, "queueKey": "duel" }), (404, "GAME_NOT_FOUND")),
        (json!({ "gameId": game, "queueKey": "duet" }), (404, "QUEUE_NOT_FOUND")),
        (json!({ "gameId": "here", "queueKey": "duel" }), (400, "INVALID_FIELD")),
        (json!({ "gameId": game, "queueKey": "No Key" }), (400, "INVALID_FIELD")),
        (json!({ "gameId": game, "queueKey": "duel", "rating": 9000 }), (400, "INVALID_FIELD")),
        (json!({ "gameId": game, "queueKey": "duel", "ticketId": "1" }), (400, "INVALID_FIELD")),
        (
            json!({ "gameId": game, "queueKey": "duel", "players": [{ "playerId": nobody }] }),
            (403, "PLAYERS_NOT_ALLOWED"),
        ),
        (json!({ "gameId": game, "queueKey": "nearby" }), (400, "INVALID_FIELD")),
    ] {
        let refused = create(body.clone());
        assert_eq!(refused.refusal(), expected, "{body}: {refused:?}");
    }
    assert_eq!(create(json!({ "gameId": game, "queueKey": "nearby" })).violated_fields(), ["players[0].latencies"]);
    assert_eq!(curl.post("/v1/tickets", &json!({})).refusal(), (401, "TOKEN_MISSING"));

    let ticket = client.queue_up(&me, &game, "duel").await.unwrap().ticket_id;
    let again = client.queue_up(&me, &game, "unrated").await.unwrap_err();
    assert_eq!(refusal(&again), (Code::FailedPrecondition, "ALREADY_QUEUED".to_owned()));
    let taken = CreateTicketRequest {
        ticket_id: ticket.clone(),
        game_id: game.clone(),
        queue_key: "unrated".to_owned(),
        ..Default::default()
    };
    let taken = client.create_ticket(&system.player(), taken).await.unwrap_err();
    assert_eq!(refusal(&taken), (Code::AlreadyExists, "TICKET_ID_TAKEN".to_owned()));
    // To others it is not there.
    let other = system.player();
    for path in [format!("/v1/tickets/{ticket}"), format!("/v1/tickets/{ticket}:watch")] {
        assert_eq!(curl.get(&path, &other.token).refusal(), (404, "TICKET_NOT_FOUND"), "{path}");
    }
    let cancel = format!("/v1/tickets/{ticket}:cancel");
    assert_eq!(curl.post_as(&other.token, &cancel, &json!({})).refusal(), (404, "TICKET_NOT_FOUND"));
    for _ in 0..2 {
        assert_eq!(curl.post_as(&me.token, &cancel, &json!({})).text("ticket/status"), "TICKET_STATUS_CANCELLED");
    }
    assert_ratings(&system, &curl, &game, &me);
}

fn assert_ratings(system: &System, curl: &Curl, game: &str, me: &SignedIn) {
    let path = |queue: &str| format!("/v1/games/{game}/queues/{queue}/ratings/{}", me.id);
    assert_eq!(curl.get(&path("unrated"), &me.token).refusal(), (400, "QUEUE_NOT_RATED"));
    let seed = json!({ "skill": 40.0, "uncertainty": 3.0 });
    let seeding = format!("{}:seed", path("duel"));
    assert_eq!(curl.post_as(&me.token, &seeding, &seed).refusal(), (403, "ROLE_NOT_ALLOWED"));
    let seeded = curl.post_as(&system.server().token, &seeding, &seed);
    assert_eq!((seeded.status, seeded.body["rating"]["skill"].as_f64()), (200, Some(40.0)), "{seeded:?}");
    assert_eq!(curl.get(&path("duel"), &me.token).body["rating"]["skill"].as_f64(), Some(40.0));
    let stats = format!("/v1/games/{game}/queues/duel/stats");
    assert_eq!(curl.get(&stats, &me.token).status, 200);
    assert_eq!(curl.get(&format!("/v1/games/{game}/activeMatch"), &me.token).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_waits_by_json_and_hears_line_by_line_of_its_match() {
    let system = System::start().await;
    let (client, curl, script) = (system.client(), Curl::to(system.envoy.address()), system.player());
    let game = system.game(game_of(vec![duel("duel")])).await;
    let created = curl.post_as(&script.token, "/v1/tickets", &json!({ "gameId": game, "queueKey": "duel" }));
    assert_eq!(created.status, 200, "{created:?}");
    let mut lines = Lines::of(&system, &script, &created.text("ticket/ticketId"));
    assert_eq!(lines.next().unwrap()["ticket"]["status"], "TICKET_STATUS_QUEUED");

    let native = system.player();
    let ticket = client.queue_up(&native, &game, "duel").await.unwrap();
    let found = client.match_of_ticket(&native, &ticket.ticket_id).await;
    let last = lines.last().unwrap();
    assert_eq!(last["ticket"]["match"]["sessionId"], found.session_id.as_str(), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_server_queues_several_as_one() {
    let system = System::start().await;
    let client = system.client();
    let mut pairs = duel("pairs");
    let Some(pkg_api::game::v1::queue_definition::Format::Teams(teams)) = &mut pairs.format else { panic!("teams") };
    (teams.min_team_size, teams.max_team_size) = (2, 2);
    let game = system.game(game_of(vec![pairs])).await;
    let server = system.server();
    let players: Vec<_> = (0..4).map(|_| system.player()).collect();
    let mut tickets = Vec::new();
    for pair in players.chunks(2) {
        let players = pair.iter().map(|player| TicketPlayer { player_id: player.id.clone(), ..Default::default() });
        let request = CreateTicketRequest {
            game_id: game.clone(),
            queue_key: "pairs".to_owned(),
            players: players.collect(),
            ..Default::default()
        };
        tickets.push(client.create_ticket(&server, request).await.unwrap().ticket_id);
    }
    // Each of them may follow it.
    let found = client.match_of_ticket(&players[1], &tickets[0]).await;
    for (team, pair) in found.teams.iter().zip(0..) {
        let together = |pair: &[SignedIn]| pair.iter().all(|player| team.player_ids.contains(&player.id));
        assert!(players.chunks(2).any(together), "team {pair}: {found:?}");
    }
    assert_eq!(client.match_of_ticket(&players[3], &tickets[1]).await, found);
}

/// A queue for those who are near to a region.
fn nearby() -> QueueDefinition {
    let millis = |millis: i32| Some(Duration { seconds: 0, nanos: millis * 1_000_000 });
    let latency = LatencyRule { start: millis(50), growth_per_second: millis(0), ceiling: millis(50) };
    let region = RegionRule { regions: vec![pkg_api::game::v1::Region::EuWest.into()], ..RegionRule::default() };
    QueueDefinition { latency: Some(latency), region: Some(region), ..duel("nearby") }
}

/// What curl hears of a ticket, a message a line.
struct Lines {
    curl: Child,
    output: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Lines {
    fn of(system: &System, who: &SignedIn, ticket: &str) -> Self {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--no-buffer", "--max-time", "30", "-H"])
            .arg(format!("authorization: Bearer {}", who.token));
        curl.arg(format!("http://{}/v1/tickets/{ticket}:watch", system.envoy.address()));
        let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(curl.stdout.take().unwrap()).lines();
        Self { curl, output }
    }
}

impl Iterator for Lines {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let line = self.output.next()?.unwrap();
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        drop(self.curl.kill());
        drop(self.curl.wait());
    }
}
