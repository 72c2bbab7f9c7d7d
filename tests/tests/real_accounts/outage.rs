//! A store that is gone is said to be gone, and nothing else; when it is back, so is the service.

use system_tests::{Client, Deployment, Muster, PASSWORD, RedisServer, eventually, random_text, refusal};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

const AUTH: &str = "muster.auth.v1.AuthService";

#[tokio::test]
async fn without_redis_nothing_is_served_until_it_is_back() {
    let mut redis = RedisServer::start();
    let deployment = Deployment::with_redis(redis.url()).await;
    let replica = deployment.unlimited_replica(&[]);
    let client = Client::of(replica.api());
    let before = client.register().await;
    let (name, tokens) = (before.user.unwrap().username, before.tokens.unwrap());

    redis.kill();
    wait_until_unready(&replica, &client, "redis").await;
    assert_unavailable(&client.log_in(&name, PASSWORD).await.unwrap_err());
    assert_unavailable(&client.log_in_with_device(&random_text::<32>()).await.unwrap_err());
    assert_unavailable(&client.refresh(&tokens.refresh_token).await.unwrap_err());

    redis.restart();
    wait_until_ready(&replica, &client).await;
    client.use_token(&tokens.access_token).await.unwrap();
    client.refresh(&tokens.refresh_token).await.unwrap();
    client.log_in(&name, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn without_postgres_calls_are_unavailable_until_it_is_back() {
    let deployment = Deployment::new().await;
    let replica = deployment.unlimited_replica(&[]);
    let client = Client::of(replica.api());
    let before = client.register().await;
    let (name, tokens) = (before.user.unwrap().username, before.tokens.unwrap());

    deployment.postgres_proxy().cut();
    // At once, on connections that were good a moment ago, and again when the health checks have seen it.
    assert_unavailable(&client.log_in(&name, PASSWORD).await.unwrap_err());
    wait_until_unready(&replica, &client, "postgres").await;
    assert_unavailable(&client.log_in(&name, PASSWORD).await.unwrap_err());
    assert_unavailable(&client.refresh(&tokens.refresh_token).await.unwrap_err());
    assert_unavailable(&client.use_token(&tokens.access_token).await.unwrap_err());

    deployment.postgres_proxy().restore();
    wait_until_ready(&replica, &client).await;
    client.use_token(&tokens.access_token).await.unwrap();
    client.refresh(&tokens.refresh_token).await.unwrap();
    client.log_in(&name, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_connection_to_postgres_that_was_lost_for_a_moment_is_made_anew() {
    let deployment = Deployment::new().await;
    let replica = deployment.unlimited_replica(&[]);
    let client = Client::of(replica.api());
    let name = client.register().await.user.unwrap().username;
    deployment.postgres_proxy().cut();
    deployment.postgres_proxy().restore();
    eventually("a sign-in succeeds again", async || match client.log_in(&name, PASSWORD).await {
        Ok(_) => Some(()),
        Err(status) => {
            assert_unavailable(&status);
            None
        }
    })
    .await;
}

fn assert_unavailable(status: &Status) {
    assert_eq!(refusal(status), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()), "{status:?}");
}

/// Waits until `/readyz` and gRPC health say no, and `/readyz` why.
async fn wait_until_unready(replica: &Muster, client: &Client, dependency: &str) {
    eventually("/readyz says no", async || {
        let (status, body) = replica.readiness()?;
        (status == 503 && body["dependencies"][dependency]["ok"] == false).then_some(())
    })
    .await;
    for service in ["", AUTH] {
        eventually("health says no", async || {
            (client.health(service).await.unwrap() == ServingStatus::NotServing).then_some(())
        })
        .await;
    }
}

async fn wait_until_ready(replica: &Muster, client: &Client) {
    eventually("/readyz says yes", async || (replica.readiness()?.0 == 200).then_some(())).await;
    for service in ["", AUTH] {
        eventually("health says yes", async || {
            (client.health(service).await.unwrap() == ServingStatus::Serving).then_some(())
        })
        .await;
    }
}
