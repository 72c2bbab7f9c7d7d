//! What happens to accounts is in the durable log: in order, once, and nobody waits for Kafka.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::collections::HashSet;

use pkg_api::auth::v1::{ChangePasswordRequest, DeleteAccountRequest, delete_account_request::Credential};
use pkg_log::testing::KafkaServer;
use serde_json::Value;
use system_tests::{Client, Deployment, Muster, PASSWORD, bearer, eventually_blocking, run_muster};
use tempfile::TempDir;

/// What [`live_and_leave`] changes.
const LIFE: [&str; 3] = ["account_registered", "password_changed", "account_deleted"];

#[tokio::test]
async fn the_life_of_an_account_is_told_in_its_order() {
    let deployment = Deployment::new().await;
    let replica = deployment.unlimited_replica(&[]);
    let client = Client::of(replica.api());
    let user = live_and_leave(&client).await;

    let records = wait_for_life(&deployment.environment(), &user);
    assert!(records.iter().all(|record| record["key"] == user.as_str()), "{records:?}");
    assert!(records.iter().all(|record| record["request_id"].as_str().is_some_and(|id| !id.is_empty())));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_wait_for_kafka_and_nobody_waits_with_them() {
    let mut kafka = KafkaServer::start();
    let deployment = Deployment::with_kafka(kafka.brokers()).await;
    let mut replica = deployment.unlimited_replica(&[]);

    kafka.kill();
    let mut users = Vec::new();
    for _ in 0..3 {
        users.push(live_and_leave(&Client::of(replica.api())).await);
    }
    // What a replica left behind is sent by whoever comes next.
    replica.kill();
    let replica = deployment.unlimited_replica(&[]);
    users.push(live_and_leave(&Client::of(replica.api())).await);
    assert_eq!(replica.readiness().unwrap().0, 200);

    kafka.start_again();
    for user in &users {
        wait_for_life(&deployment.environment(), user);
    }
}

#[tokio::test]
async fn the_embedded_log_keeps_the_same_records_over_a_kill() {
    let folder = TempDir::new().unwrap();
    let mut muster = Muster::dev(folder.path(), &[]);
    let user = live_and_leave(&Client::of(muster.api())).await;
    muster.kill();
    let muster = Muster::dev(folder.path(), &[]);

    let environment = [("MUSTER_DATA", folder.path().display().to_string())];
    wait_for_life(&environment, &user);
    drop(muster);
}

/// Registers somebody, who changes the password and goes. Says who it was.
async fn live_and_leave(client: &Client) -> String {
    let registered = client.register().await;
    let (user, tokens) = (registered.user.unwrap().user_id, registered.tokens.unwrap());
    let new_password = format!("{PASSWORD}-2");
    let change = ChangePasswordRequest { current_password: PASSWORD.to_owned(), new_password: new_password.clone() };
    client.auth().change_password(bearer(change, &tokens.access_token)).await.unwrap();
    let deletion = DeleteAccountRequest { credential: Some(Credential::Password(new_password)) };
    client.auth().delete_account(bearer(deletion, &tokens.access_token)).await.unwrap();
    user
}

/// Waits until the changes of an account are in the log, each once and in their order; sign-ins and sign-outs may be
/// between them. Returns them.
fn wait_for_life(environment: &[(&'static str, String)], user: &str) -> Vec<Value> {
    eventually_blocking("the account's records are in the log", || {
        let mut found = records(environment);
        found.retain(|record| record["key"] == user && change_of(record).is_some());
        // After a kill one may be there again, as the same record.
        let mut seen = HashSet::new();
        found.retain(|record| seen.insert(record["record_id"].to_string()));
        let changes: Vec<&str> = found.iter().filter_map(change_of).collect();
        assert!(LIFE.starts_with(&changes), "{changes:?} of {user}");
        (changes == LIFE).then_some(found)
    })
}

fn change_of(record: &Value) -> Option<&'static str> {
    LIFE.into_iter().find(|change| record.get(change).is_some())
}

/// What `muster log tail accounts` prints.
fn records(environment: &[(&'static str, String)]) -> Vec<Value> {
    let printed = run_muster(&["log", "tail", "accounts", "--from-beginning", "--no-follow"], environment);
    assert!(printed.status.success(), "{}", printed.stderr);
    printed.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["record"].take()).collect()
}
