//! Without Redis nothing is played, and nobody is told otherwise; when it is back, everything goes on.

use pkg_auth::Role;
use system_tests::{Client, Deployment, Follower, RedisServer, eventually, game_event, refusal};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::system::{generous, topic_of};

const EVENTS: &str = "muster.events.v1.EventService";

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nothing_is_served_until_it_is_back() {
    let mut redis = RedisServer::start();
    let deployment = Deployment::with_redis(redis.url()).await;
    let replica = deployment.game_replica(&[]);
    let (client, player) = (Client::of(replica.api()), deployment.signer().sign_in(Role::Player));
    let game = client.create_game(&deployment.admin_token(), generous()).await;
    let created = client.create_session(&player, &game).await;
    let session = created.session.unwrap().session_id;
    let topic = topic_of(&session);
    client.publish(&player, &session, vec![game_event("before")]).await.unwrap();
    let mut follower = Follower::of(&client, &player, &topic, &created.cursor).await.unwrap();
    assert_eq!(follower.next_data().await, b"before");

    redis.wait_until_written();
    redis.kill();
    eventually("/readyz says no", async || {
        let (status, body) = replica.readiness()?;
        (status == 503 && body["dependencies"]["redis"]["ok"] == false).then_some(())
    })
    .await;
    eventually("health says no", async || {
        (client.health(EVENTS).await.unwrap() == ServingStatus::NotServing).then_some(())
    })
    .await;
    assert_unavailable(&client.publish(&player, &session, vec![game_event("lost")]).await.unwrap_err());
    assert_unavailable(&client.get_session(&player, &session).await.unwrap_err());
    assert_unavailable(&Follower::of(&client, &player, &topic, "").await.unwrap_err());

    redis.restart();
    eventually("health says yes", async || {
        (client.health(EVENTS).await.unwrap() == ServingStatus::Serving).then_some(())
    })
    .await;
    let after = game_event("after");
    eventually("events are taken", async || client.publish(&player, &session, vec![after.clone()]).await.ok()).await;
    // On the stream that was open all the while, if it still is, and on a new one.
    let data = follower.next_data().await;
    assert_eq!(data, b"after");
    let mut again = Follower::of(&client, &player, &topic, &created.cursor).await.unwrap();
    assert_eq!([again.next_data().await, again.next_data().await], [&b"before"[..], b"after"]);
}

fn assert_unavailable(status: &Status) {
    assert_eq!(refusal(status), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()), "{status:?}");
}
