//! Streams: limited, and ended from outside.

use std::time::Duration;

use futures::StreamExt;
use pkg_auth::{Revocations, Role};
use tonic::Code;

use crate::client::{ask, end, error, failure};
use crate::harness::{Harness, eventually};
use crate::probe::{Ask, take};

#[tokio::test]
async fn a_user_has_so_many_streams_and_one_that_is_left_makes_room() {
    let harness = Harness::with(|settings| settings.limits.streams_per_user = 2).await;
    let (mut client, player) = (harness.client().await, harness.player());
    let hold = || ask(&[("authorization", &player)]);
    let first = client.open("Hold", hold()).await.expect("there is room");
    let _second = client.open("Hold", hold()).await.expect("there is room");
    assert_eq!(failure(client.open("Hold", hold()).await), error(Code::ResourceExhausted, "TOO_MANY_STREAMS"));
    let other = harness.bearer(&harness.claims(2, Role::Player));
    assert!(client.open("Hold", ask(&[("authorization", &other)])).await.is_ok());

    drop(first);
    take(&harness.backstage.left).await;
    eventually("a stream that its client left makes room", || async {
        harness.client().await.open("Hold", hold()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let harness = Harness::start().await;
    let mut claims = harness.claims(1, Role::Player);
    claims.expires_at = claims.issued_at + Duration::from_secs(2);
    let bearer = harness.bearer(&claims);
    let mut client = harness.client().await;
    let mut stream = client.open("Hold", ask(&[("authorization", &bearer)])).await.expect("the token is good");
    assert!(stream.message().await.expect("the first message").is_some());

    let status = end(&mut stream).await;
    assert_eq!(failure(Err::<(), _>(status)), error(Code::Unauthenticated, "TOKEN_EXPIRED"));
    take(&harness.backstage.left).await;
}

#[tokio::test]
async fn a_stream_ends_when_its_session_does_here_or_elsewhere() {
    let harness = Harness::start().await;
    let mut client = harness.client().await;
    let claims = [(); 3].map(|()| harness.claims(1, Role::Player));
    let mut streams = Vec::new();
    for claims in &claims {
        let bearer = harness.bearer(claims);
        let mut stream = client.open("Hold", ask(&[("authorization", &bearer)])).await.expect("the token is good");
        assert!(stream.message().await.expect("the first message").is_some());
        streams.push(stream);
    }

    harness.watch.revoke(&[claims[0].session]).await.expect("the store answers");
    let here = end(&mut streams[0]).await;
    assert_eq!(failure(Err::<(), _>(here)), error(Code::Unauthenticated, "TOKEN_REVOKED"));

    // Another replica writes to the store, and this one reads it.
    harness.store.append(&[claims[1].session], claims[1].issued_at).await.expect("the store answers");
    let elsewhere = end(&mut streams[1]).await;
    assert_eq!(failure(Err::<(), _>(elsewhere)), error(Code::Unauthenticated, "TOKEN_REVOKED"));
    assert!(futures::poll!(streams[2].next()).is_pending(), "other sessions go on");
}

#[tokio::test]
async fn a_stream_whose_handler_has_not_answered_yet_ends_as_well() {
    let harness = Harness::start().await;
    let claims = harness.claims(1, Role::Player);
    let (mut client, bearer) = (harness.client().await, harness.bearer(&claims));
    let opening = tokio::spawn(async move { client.open("HangStream", ask(&[("authorization", &bearer)])).await });
    take(&harness.backstage.entered).await;
    harness.watch.revoke(&[claims.session]).await.expect("the store answers");
    let ended = opening.await.expect("no panic");
    assert_eq!(failure(ended), error(Code::Unauthenticated, "TOKEN_REVOKED"));
    take(&harness.backstage.left).await;
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline() {
    let harness = Harness::start().await;
    let mut client = harness.client().await;
    let mut stream = client.open("HoldPublic", ask(&[("grpc-timeout", "200m")])).await.expect("a stream");
    assert!(stream.message().await.expect("the first message").is_some());
    let status = end(&mut stream).await;
    assert_eq!(failure(Err::<(), _>(status)), error(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    take(&harness.backstage.left).await;
}

#[tokio::test]
async fn a_client_that_goes_away_frees_what_it_held() {
    let harness = Harness::start().await;
    let mut client = harness.client().await;
    let stream = client.open("HoldPublic", ask(&[])).await.expect("a stream");
    drop((stream, client));
    take(&harness.backstage.left).await;

    let hanging = harness.client().await;
    let call = tokio::spawn(async move {
        let mut hanging = hanging;
        hanging.call("Hang", ask(&[])).await
    });
    for _ in 0..2 {
        take(&harness.backstage.entered).await;
    }
    call.abort();
    take(&harness.backstage.left).await;
}

#[tokio::test]
async fn both_sides_may_stream() {
    let harness = Harness::start().await;
    let asks = futures::stream::iter(["a", "b"].map(|text| Ask { text: text.to_owned(), number: 0 }));
    let answers = harness.client().await.chat(asks).await.expect("a stream");
    let texts: Vec<_> = answers.map(|told| told.expect("a message").text).collect().await;
    assert_eq!(texts, ["a", "b"]);
}
