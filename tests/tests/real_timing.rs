//! The promises of accounts that name a time. They are measured one after another, beside no other test.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::time::{Duration, Instant};

use pkg_api::auth::v1::LogoutRequest;
use system_tests::{Client, Deployment, bearer, random_text, refusal};
use tokio::sync::Mutex;
use tonic::Code;

/// Held by the test that measures.
static MEASURING: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_logout_ends_the_session_at_the_other_replica_within_a_second() {
    const PROMISE: Duration = Duration::from_secs(1);
    const ROUNDS: usize = 5;
    let _alone = MEASURING.lock().await;
    let deployment = Deployment::new().await;
    let replicas = [deployment.replica(&[]), deployment.replica(&[])];
    let [first, second] = replicas.each_ref().map(|replica| Client::of(replica.api()));

    for _ in 0..ROUNDS {
        let token = first.new_guest().await.access_token;
        second.use_token(&token).await.unwrap();
        first.auth().logout(bearer(LogoutRequest {}, &token)).await.unwrap();
        let answered = Instant::now();
        second.wait_until_revoked(&token).await;
        assert!(answered.elapsed() <= PROMISE, "{:?}", answered.elapsed());
    }
}

#[tokio::test]
async fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    const ROUNDS: usize = 15;
    const FACTOR: f64 = 1.5;
    let _alone = MEASURING.lock().await;
    let deployment = Deployment::new().await;
    let replica = deployment.unlimited_replica(&[]);
    let client = Client::of(replica.api());
    let known = client.register().await.user.unwrap().username;

    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        wrong.push(time_of_refusal(&client, &known).await);
        unknown.push(time_of_refusal(&client, &format!("Neo_{}", random_text::<8>())).await);
    }
    let (wrong, unknown) = (median(wrong), median(unknown));
    let factor = wrong.max(unknown).as_secs_f64() / wrong.min(unknown).as_secs_f64();
    assert!(factor < FACTOR, "wrong password: {wrong:?}, unknown user: {unknown:?}");
}

async fn time_of_refusal(client: &Client, name: &str) -> Duration {
    let began = Instant::now();
    let refused = client.log_in(name, "not-the-password").await.unwrap_err();
    let took = began.elapsed();
    assert_eq!(refusal(&refused), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()));
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
