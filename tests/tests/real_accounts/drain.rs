//! SIGTERM: what has begun is finished, and the process ends well and soon.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use system_tests::{Client, Deployment, Outcome, call_grpc, eventually, frame};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::body::Body;
use tonic::{Code, Status};

/// How many calls are under way.
const CALLS: usize = 8;
/// How long a drain takes at most, by default.
const DRAIN: Duration = Duration::from_secs(15);

const GET_PROFILE: &str = "/muster.player.v1.PlayerService/GetProfile";

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_are_finished_and_the_process_ends() {
    let deployment = Deployment::new().await;
    let replica = deployment.replica(&[]);
    let client = Client::of(replica.api());
    let token = client.new_guest().await.access_token;
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        calls.push(HalfCall::begin(&client, &token).await);
    }

    let began = Instant::now();
    replica.terminate();
    eventually("the drain begins", async || replica.output().contains("draining").then_some(())).await;
    for call in calls {
        let answer = call.finish().await;
        assert_eq!(answer.code(), Code::Ok, "{answer:?}");
    }
    let finished = replica.finish();
    assert!(finished.status.success(), "{finished:?}");
    assert!(began.elapsed() < DRAIN, "it took {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_never_ends_does_not_hold_up_the_end() {
    let deployment = Deployment::new().await;
    let replica = deployment.replica(&["--drain", "2s"]);
    let client = Client::of(replica.api());
    let token = client.new_guest().await.access_token;
    let _stuck = HalfCall::begin(&client, &token).await;

    let began = Instant::now();
    replica.terminate();
    let finished = replica.finish();
    assert!(finished.status.success(), "{finished:?}");
    assert!(began.elapsed() < DRAIN, "it took {:?}", began.elapsed());
}

/// A call whose message has arrived by half.
struct HalfCall {
    body: mpsc::Sender<Bytes>,
    answer: JoinHandle<Outcome>,
}

impl HalfCall {
    async fn begin(client: &Client, token: &str) -> Self {
        let (body, pieces) = mpsc::channel(1);
        let pieces = ReceiverStream::new(pieces).map(|piece| Ok::<_, Status>(Frame::data(piece)));
        let (channel, sent_token) = (client.channel().clone(), token.to_owned());
        let sent = Body::new(StreamBody::new(pieces));
        let answer = tokio::spawn(async move { call_grpc(&channel, GET_PROFILE, Some(&sent_token), sent).await });
        body.send(frame(&[]).slice(..1)).await.unwrap();
        eventually("the half is sent", async || (body.capacity() > 0).then_some(())).await;
        // On the same connection: when this has an answer, the server has the half.
        client.use_token(token).await.unwrap();
        Self { body, answer }
    }

    async fn finish(self) -> Outcome {
        self.body.send(frame(&[]).slice(1..)).await.unwrap();
        drop(self.body);
        self.answer.await.unwrap()
    }
}
