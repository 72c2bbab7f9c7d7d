//! Seats and presence: taken without a race, kept for a time, given up in time, and nothing of it lost with a process.

use std::time::{Duration, Instant};

use pkg_api::events::v1::event::Payload;
use pkg_api::game::v1::{LeaveReason, SessionRules, SessionState};
use pkg_api::presence::v1::{GetPresenceRequest, PresenceStatus};
use pkg_auth::Role;
use system_tests::{Client, Deployment, Follower, RedisServer, SignedIn, bearer, eventually, refusal};
use tokio::task::JoinSet;
use tonic::Code;

use crate::system::{System, generous, topic_of};

/// How long a sign of presence holds, and so does a seat at a replica that was killed.
const TIME_TO_LIVE: Duration = Duration::from_secs(45);
/// How much later it may be seen.
const MARGIN: Duration = Duration::from_secs(8);
const GRACE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_who_come_at_once_into_a_room_of_eight_are_eight() {
    const PLAYERS: usize = 100;
    const ROOM: usize = 8;
    let deployment = Deployment::new().await;
    let replicas = [deployment.game_replica(&[]), deployment.game_replica(&[])];
    let clients = replicas.each_ref().map(|replica| Client::of(replica.api()));
    let signer = deployment.signer();
    let rules = SessionRules { max_players: i32::try_from(ROOM).unwrap(), ..generous() };
    let game = clients[0].create_game(&deployment.admin_token(), rules).await;
    let owner = signer.sign_in(Role::Server);
    let session = clients[0].create_session(&owner, &game).await.session.unwrap().session_id;

    let mut joins = JoinSet::new();
    for number in 0..PLAYERS {
        let (client, player, session) = (clients[number % 2].clone(), signer.sign_in(Role::Player), session.clone());
        joins.spawn(async move { client.join_session(&player, &session).await });
    }
    let mut seated = 0;
    for joined in joins.join_all().await {
        match joined {
            Ok(_) => seated += 1,
            Err(status) => assert_eq!(refusal(&status), (Code::ResourceExhausted, "SESSION_FULL".to_owned())),
        }
    }
    let session = clients[1].get_session(&owner, &session).await.unwrap();
    assert_eq!((seated, session.seats.len()), (ROOM, ROOM));
}

/// All that takes as long as a sign of life holds, at once.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_is_seen_to_be_gone_in_time() {
    let mut system = System::start().await;
    let rules = SessionRules { reconnect_grace: prost_types::Duration::try_from(GRACE).ok(), ..generous() };
    let game = system.game(rules).await;
    let client = system.client();
    let (owner, leaves, loses) = (system.player(), system.player(), system.player());
    let session = client.create_session(&owner, &game).await.session.unwrap().session_id;
    let topic = topic_of(&session);
    let [first, second] = [0, 1].map(|replica| Client::of(system.games[replica].api()));
    let mut follower = Follower::of(&second, &owner, &topic, "").await.unwrap();
    let mut streams = Vec::new();
    for player in [&leaves, &loses] {
        client.join_session(player, &session).await.unwrap();
        // The first of them will vanish, the second one's replica will.
        let connection = Client::of(system.games[0].api());
        streams.push(Follower::of(&connection, player, &topic, "").await.unwrap());
    }
    for player in [&owner, &leaves, &loses] {
        eventually("they are there", async || {
            (presence(&second, &owner, player).await == PresenceStatus::InSession).then_some(())
        })
        .await;
    }

    drop(streams.remove(0));
    let left = Instant::now();
    wait_until_left(&mut follower, &leaves, LeaveReason::ConnectionLost, left + GRACE + MARGIN).await;
    system.games[0].kill();
    let killed = Instant::now();
    drop(first);
    let offline = async |player: &SignedIn, since: Instant| {
        while presence(&second, &owner, player).await != PresenceStatus::Offline {
            assert!(since.elapsed() < TIME_TO_LIVE + MARGIN, "{:?}", since.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let lost =
        wait_until_left(&mut follower, &loses, LeaveReason::ConnectionLost, killed + TIME_TO_LIVE + GRACE + MARGIN);
    tokio::join!(offline(&leaves, left), offline(&loses, killed), lost);
    let session = second.get_session(&owner, &session).await.unwrap();
    assert_eq!(session.seats.iter().map(|seat| seat.player_id.as_str()).collect::<Vec<_>>(), [owner.id.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_the_replicas_and_a_killed_redis() {
    let mut redis = RedisServer::start();
    let mut system = System::with(Deployment::with_redis(redis.url()).await, |_| {});
    let game = system.game(generous()).await;
    let (client, owner, other) = (system.client(), system.player(), system.player());
    let created = client.create_session(&owner, &game).await;
    let id = created.session.unwrap().session_id;
    client.join_session(&other, &id).await.unwrap();
    let before = client.get_session(&owner, &id).await.unwrap();
    assert_eq!((before.state(), before.seats.len()), (SessionState::Waiting, 2));

    system.kill_one().await;
    system.kill_one().await;
    assert_eq!(client.get_session(&owner, &id).await.unwrap(), before);
    redis.wait_until_written();
    redis.kill();
    redis.restart();
    let after = eventually("the session can be read", async || client.get_session(&owner, &id).await.ok()).await;
    assert_eq!(after, before);
    // Events too: whoever comes back hears from the beginning who came.
    let mut follower = Follower::of(&client, &owner, &topic_of(&id), &created.cursor).await.unwrap();
    let Payload::PlayerJoined(joined) = follower.next_payload().await else { panic!("it is not told who came") };
    assert_eq!(joined.seat.unwrap().player_id, other.id);
}

async fn presence(client: &Client, asks: &SignedIn, player: &SignedIn) -> PresenceStatus {
    let request = GetPresenceRequest { player_id: player.id.clone() };
    let answer = client.presence().get_presence(bearer(request, &asks.token)).await.unwrap().into_inner();
    answer.presence.unwrap().status()
}

/// Waits until everyone is told that a player's seat was given up, which must be in time.
async fn wait_until_left(follower: &mut Follower, player: &SignedIn, reason: LeaveReason, until: Instant) {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let payload = tokio::time::timeout(left, follower.next_payload()).await.expect("it is told in time");
        if let Payload::PlayerLeft(left) = payload
            && left.player_id == player.id
        {
            assert_eq!(left.reason(), reason);
            return;
        }
    }
}
