//! A replica that is killed takes nothing with it that it has acknowledged.

use std::sync::{Arc, Mutex};

use pkg_api::auth::v1::RegisterRequest;
use system_tests::{Client, Deployment, PASSWORD, email, eventually, random_text, username};
use tokio::task::JoinSet;

/// How many clients work at once, of each kind.
const CLIENTS: usize = 4;
/// How many sign-ins, and how many refreshes, are acknowledged before the kill.
const ENOUGH: usize = 40;

/// What the killed replica has acknowledged.
#[derive(Default)]
struct Acknowledged {
    names: Vec<String>,
    device_secrets: Vec<String>,
    /// The newest refresh token of each session that a client knows of.
    refresh_tokens: Vec<String>,
    refreshes: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_loses_no_account_and_no_session() {
    let deployment = Deployment::new().await;
    let mut killed = deployment.unlimited_replica(&[]);
    let survivor = deployment.unlimited_replica(&[]);
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));

    let mut load = JoinSet::new();
    for _ in 0..CLIENTS {
        load.spawn(register(Client::of(killed.api()), acknowledged.clone()));
        load.spawn(log_in_devices(Client::of(killed.api()), acknowledged.clone()));
        load.spawn(refresh(Client::of(killed.api()), acknowledged.clone()));
    }
    eventually("enough was acknowledged", async || {
        let known = acknowledged.lock().unwrap();
        let least = known.names.len().min(known.device_secrets.len()).min(known.refreshes);
        (least >= ENOUGH).then_some(())
    })
    .await;
    killed.kill();
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }

    let client = Client::of(survivor.api());
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    for name in &acknowledged.names {
        client.log_in(name, PASSWORD).await.unwrap();
    }
    for token in &acknowledged.refresh_tokens {
        let tokens = client.refresh(token).await.unwrap();
        client.use_token(&tokens.access_token).await.unwrap();
    }
    for secret in &acknowledged.device_secrets {
        assert!(!client.log_in_with_device(secret).await.unwrap().created);
    }
}

/// Registers until the replica is gone.
async fn register(client: Client, acknowledged: Arc<Mutex<Acknowledged>>) {
    loop {
        let username = username();
        let request = RegisterRequest {
            username: username.clone(),
            email: email(),
            password: PASSWORD.to_owned(),
            ..Default::default()
        };
        let Ok(answer) = client.auth().register(request).await else { return };
        let mut known = acknowledged.lock().unwrap();
        known.names.push(username);
        known.refresh_tokens.push(answer.into_inner().tokens.unwrap().refresh_token);
    }
}

/// Signs in new devices until the replica is gone.
async fn log_in_devices(client: Client, acknowledged: Arc<Mutex<Acknowledged>>) {
    loop {
        let secret = random_text::<32>();
        let Ok(answer) = client.log_in_with_device(&secret).await else { return };
        let mut known = acknowledged.lock().unwrap();
        known.device_secrets.push(secret);
        known.refresh_tokens.push(answer.tokens.unwrap().refresh_token);
    }
}

/// Refreshes one session until the replica is gone. What was under way then may have happened: the token that was used
/// still has the same successor.
async fn refresh(client: Client, acknowledged: Arc<Mutex<Acknowledged>>) {
    let mut newest = client.new_guest().await.refresh_token;
    while let Ok(tokens) = client.refresh(&newest).await {
        newest = tokens.refresh_token;
        acknowledged.lock().unwrap().refreshes += 1;
    }
    acknowledged.lock().unwrap().refresh_tokens.push(newest);
}
