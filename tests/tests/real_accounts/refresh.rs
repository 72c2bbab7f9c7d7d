//! A session has one lineage of refresh tokens, whichever replicas they are presented to.

use std::collections::BTreeSet;

use futures::future::join_all;
use pkg_api::auth::v1::ListDeviceSessionsRequest;
use system_tests::{Client, Deployment, bearer, refusal};
use tonic::Code;

/// How many present the same token at once.
const CONCURRENT: usize = 100;
/// How many connections they come by, to both replicas in turn.
const CONNECTIONS: usize = 10;

#[tokio::test]
async fn a_hundred_refreshes_of_one_token_at_once_leave_one_lineage() {
    let deployment = Deployment::new().await;
    let replicas = [deployment.unlimited_replica(&[]), deployment.unlimited_replica(&[])];
    let clients: Vec<_> = (0..CONNECTIONS).map(|n| Client::of(replicas[n % 2].api())).collect();
    let first = clients[0].new_guest().await;

    let refreshes = (0..CONCURRENT).map(|n| clients[n % CONNECTIONS].refresh(&first.refresh_token));
    let mut successors = BTreeSet::new();
    for answer in join_all(refreshes).await {
        match answer {
            Ok(tokens) => drop(successors.insert(tokens.refresh_token)),
            Err(status) => assert_eq!(refusal(&status), (Code::Aborted, "TOO_MANY_CHANGES".to_owned())),
        }
    }
    assert_eq!(successors.len(), 1, "all answers name one successor");

    let successor = successors.pop_first().unwrap();
    let next = clients[1].refresh(&successor).await.unwrap();
    let list = bearer(ListDeviceSessionsRequest {}, &next.access_token);
    let sessions = clients[0].auth().list_device_sessions(list).await.unwrap().into_inner().sessions;
    assert_eq!(sessions.into_iter().map(|session| session.session_id).collect::<Vec<_>>(), [first.session_id]);
    let reused = clients[0].refresh(&first.refresh_token).await.unwrap_err();
    assert_eq!(refusal(&reused), (Code::Unauthenticated, "REFRESH_TOKEN_REUSED".to_owned()));
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again_by_either_replica() {
    let deployment = Deployment::new().await;
    let replicas = [deployment.replica(&[]), deployment.replica(&[])];
    let [first, second] = replicas.each_ref().map(|replica| Client::of(replica.api()));
    let tokens = first.new_guest().await;
    let lost = first.refresh(&tokens.refresh_token).await.unwrap();
    let repeated = second.refresh(&tokens.refresh_token).await.unwrap();
    assert_eq!(lost.refresh_token, repeated.refresh_token);
    first.use_token(&repeated.access_token).await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_ends_its_session() {
    let deployment = Deployment::new().await;
    let replicas = [deployment.replica(&[]), deployment.replica(&[])];
    let [first, second] = replicas.each_ref().map(|replica| Client::of(replica.api()));
    let stolen = first.new_guest().await;
    let owners = first.refresh(&stolen.refresh_token).await.unwrap();
    let owners = second.refresh(&owners.refresh_token).await.unwrap();

    let detected = second.refresh(&stolen.refresh_token).await.unwrap_err();
    assert_eq!(refusal(&detected), (Code::Unauthenticated, "REFRESH_TOKEN_REUSED".to_owned()));
    for replica in [&first, &second] {
        replica.wait_until_revoked(&owners.access_token).await;
        replica.wait_until_revoked(&stolen.access_token).await;
        let refused = replica.refresh(&owners.refresh_token).await.unwrap_err();
        assert_eq!(refusal(&refused), (Code::Unauthenticated, "REFRESH_TOKEN_INVALID".to_owned()));
    }
}

#[tokio::test]
async fn a_forged_refresh_token_ends_nobody_s_session() {
    let deployment = Deployment::new().await;
    let replica = deployment.replica(&[]);
    let client = Client::of(replica.api());
    let tokens = client.new_guest().await;
    let mut forged = tokens.refresh_token.clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    for text in ["", "x", &forged, &tokens.access_token] {
        let refused = client.refresh(text).await.unwrap_err();
        assert_eq!(refusal(&refused), (Code::Unauthenticated, "REFRESH_TOKEN_INVALID".to_owned()), "{text}");
    }
    client.refresh(&tokens.refresh_token).await.unwrap();
}
