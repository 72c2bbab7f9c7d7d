//! What `muster dev` keeps in its data folder: it survives a restart and a SIGKILL.

use pkg_api::auth::v1::RegisterRequest;
use system_tests::{Client, Muster, PASSWORD, email, refusal, username};
use tempfile::TempDir;
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_accounts_and_sessions() {
    let data = TempDir::new().unwrap();
    let muster = Muster::dev(data.path(), &[]);
    let client = Client::of(muster.api());
    let registered = client.register().await;
    let tokens = registered.tokens.unwrap();
    let ended = client.new_guest().await;
    client.auth().logout(system_tests::bearer(pkg_api::auth::v1::LogoutRequest {}, &ended.access_token)).await.unwrap();

    muster.terminate();
    let finished = muster.finish();
    assert!(finished.status.success(), "{finished:?}");

    let muster = Muster::dev(data.path(), &[]);
    let client = Client::of(muster.api());
    client.log_in(&registered.user.unwrap().username, PASSWORD).await.unwrap();
    client.use_token(&tokens.access_token).await.unwrap();
    client.refresh(&tokens.refresh_token).await.unwrap();
    let revoked = client.use_token(&ended.access_token).await.unwrap_err();
    assert_eq!(refusal(&revoked), (Code::Unauthenticated, "TOKEN_REVOKED".to_owned()));
}

#[tokio::test]
async fn a_kill_keeps_what_was_acknowledged() {
    const ROUNDS: usize = 3;
    let data = TempDir::new().unwrap();
    let mut kept: Vec<(String, String)> = Vec::new();
    for _ in 0..ROUNDS {
        let mut muster = Muster::dev(data.path(), &[]);
        let client = Client::of(muster.api());
        for (name, refresh_token) in &mut kept {
            client.log_in(name, PASSWORD).await.unwrap();
            *refresh_token = client.refresh(refresh_token).await.unwrap().refresh_token;
        }
        let registered = client.register().await;
        kept.push((registered.user.unwrap().username, registered.tokens.unwrap().refresh_token));
        muster.kill();
    }
}

#[tokio::test]
async fn without_a_data_folder_nothing_is_kept() {
    let registration =
        RegisterRequest { username: username(), email: email(), password: PASSWORD.to_owned(), ..Default::default() };
    for _ in 0..2 {
        let muster = Muster::dev("none".as_ref(), &[]);
        Client::of(muster.api()).auth().register(registration.clone()).await.unwrap();
    }
}
