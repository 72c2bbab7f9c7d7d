//! Presence and the clock.

use pkg_api::game::v1::GetTimeRequest;
use pkg_api::game::v1::clock_service_client::ClockServiceClient;
use pkg_api::presence::v1::presence_internal_service_client::PresenceInternalServiceClient;
use pkg_api::presence::v1::presence_service_client::PresenceServiceClient;
use pkg_api::presence::v1::{
    BatchGetPresencesRequest, GetPresenceRequest, Presence, PresenceStatus, QueuedReport, ReportQueuedRequest,
    SetPresenceRequest,
};
use pkg_auth::Role;
use tonic::Code;
use uuid::Uuid;

use super::world::{Client, World, error, eventually, failure};

async fn presence(asker: &Client, of: Uuid) -> Presence {
    let mut client = PresenceServiceClient::new(asker.channel.clone());
    let request = GetPresenceRequest { player_id: of.to_string() };
    client.get_presence(request).await.unwrap().into_inner().presence.unwrap()
}

#[tokio::test]
async fn an_open_stream_is_presence_and_what_its_player_does_shows() {
    let world = World::start().await;
    let (player, friend) = (world.player().await, world.player().await);
    assert_eq!(presence(&friend, player.id).await.status(), PresenceStatus::Offline);

    let _stream = player.try_subscribe(&[("announcements", "")]).await.unwrap();
    eventually("online", async || presence(&friend, player.id).await.status() == PresenceStatus::Online).await;

    let service = world.client(Role::Service).await;
    let report = QueuedReport { player_id: player.id.to_string(), game_id: world.game.to_string(), queued: true };
    let request = ReportQueuedRequest {
        reports: vec![report],
        time_to_live: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
    };
    let internal = |client: &Client| PresenceInternalServiceClient::new(client.channel.clone());
    let denied = failure(internal(&player).report_queued(request.clone()).await);
    assert_eq!(denied, error(Code::PermissionDenied, "ROLE_NOT_ALLOWED"));
    internal(&service).report_queued(request).await.unwrap();
    let queued = presence(&friend, player.id).await;
    assert_eq!((queued.status(), queued.game_id), (PresenceStatus::InQueue, world.game.to_string()));

    let session = world.session(&[(&player, None)]).await;
    let playing = presence(&friend, player.id).await;
    assert_eq!((playing.status(), playing.session_id), (PresenceStatus::InSession, session.to_string()));
    assert_eq!(playing.device_count, 1);
    assert!(playing.last_seen_time.is_some());
}

#[tokio::test]
async fn a_device_says_what_it_wants_and_many_are_asked_at_once() {
    let world = World::start().await;
    let (player, nobody) = (world.player().await, Uuid::from_u128(5));
    let mut client = PresenceServiceClient::new(player.channel.clone());
    let mut set = async |status: PresenceStatus| {
        let request = SetPresenceRequest { status: status.into() };
        client.set_presence(request).await.map(tonic::Response::into_inner)
    };
    for status in [PresenceStatus::Away, PresenceStatus::Online] {
        let answer = set(status).await.unwrap();
        assert_eq!(answer.presence.unwrap().status(), status);
        assert_eq!(answer.time_to_live.unwrap().seconds, 45);
    }
    assert_eq!(failure(set(PresenceStatus::InQueue).await), error(Code::InvalidArgument, "INVALID_FIELD"));

    let mut client = PresenceServiceClient::new(player.channel.clone());
    let player_ids = [nobody, player.id, nobody].map(|id| id.to_string()).to_vec();
    let request = BatchGetPresencesRequest { player_ids: player_ids.clone() };
    let found = client.batch_get_presences(request).await.unwrap().into_inner().presences;
    assert_eq!(found.iter().map(|presence| presence.player_id.clone()).collect::<Vec<_>>(), player_ids);
    let statuses: Vec<_> = found.iter().map(Presence::status).collect();
    assert_eq!(statuses, [PresenceStatus::Offline, PresenceStatus::Online, PresenceStatus::Offline]);

    let answer = {
        let request = SetPresenceRequest { status: PresenceStatus::Offline.into() };
        client.set_presence(request).await.unwrap().into_inner()
    };
    assert_eq!(answer.presence.unwrap().status(), PresenceStatus::Offline);
}

#[tokio::test]
async fn the_clock_answers_with_a_sample() {
    let world = World::start().await;
    let player = world.player().await;
    let client_time = Some(prost_types::Timestamp { seconds: 5, nanos: 7 });
    let mut client = ClockServiceClient::new(player.channel.clone());
    let sample = client.get_time(GetTimeRequest { client_time }).await.unwrap().into_inner();
    assert_eq!(sample.client_time, client_time);
    let (received, sent) = (sample.receive_time.unwrap(), sample.send_time.unwrap());
    assert!((received.seconds, received.nanos) <= (sent.seconds, sent.nanos));
}
