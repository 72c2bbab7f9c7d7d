//! Scores are written while everything goes wrong. Each that was answered counts once, none is invented, and boards are what
//! the log says.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use pkg_api::auth::v1::{DeleteAccountRequest, delete_account_request::Credential};
use pkg_api::game::v1::{LeaderboardDefinition, LeaderboardOperator, LeaderboardOrder, LeaderboardPeriod};
use pkg_api::leaderboard::v1::{SubmissionRefusal, SubmissionStatus};
use pkg_log::testing::KafkaServer;
use system_tests::{
    Client, Deployment, PASSWORD, RedisServer, SignedIn, bearer, board, eventually, new_score, refusal,
};
use tokio::task::JoinSet;
use tonic::Code;

use crate::checker::{LogOfScores, Shown};
use crate::faults::{Measure, Servers, rage};
use crate::system::System;
use crate::writers::{Answered, Storm, Writer};

const SCORES: usize = 10_000;
const WRITERS: usize = 48;
/// How many connections they share.
const CONNECTIONS: usize = 8;
const BOARDS: [&str; 3] = ["best", "total", "fastest"];

#[tokio::test(flavor = "multi_thread")]
async fn every_score_counts_once_whatever_is_killed() {
    let mut servers = Servers { redis: RedisServer::start(), kafka: KafkaServer::start() };
    let deployment = Deployment::with_servers(servers.redis.url(), servers.kafka.brokers()).await;
    let mut system = System::on(deployment);
    let definitions = definitions();
    let game = system.game_with(definitions.clone()).await;
    let storm = Storm::of(&game, &BOARDS, SCORES);
    let clients: Vec<_> = (0..CONNECTIONS).map(|_| system.client()).collect();
    let mut writers: JoinSet<_> = (0..WRITERS)
        .map(|number| Writer {
            me: system.player(),
            client: clients[number % CONNECTIONS].clone(),
            storm: storm.clone(),
        })
        .map(Writer::write)
        .collect();
    let leaver = Leaver::write(&clients[0], &game).await;

    rage(&mut system, &mut servers, Measure::of_this_run()).await;
    leaver.leave(&clients[0]).await;
    storm.is_raging.store(false, Ordering::Relaxed);
    let mut answered = leaver.answered;
    while let Some(written) = writers.join_next().await {
        answered.extend(written.unwrap());
    }

    assert!(answered.len() >= SCORES);
    let accepted = answered.iter().filter(|it| it.submission.status() == SubmissionStatus::Accepted).count();
    assert_eq!(accepted, answered.len(), "nothing here is to be refused");
    let log = LogOfScores::read(&system.deployment, &game);
    log.assert_fits(&answered);
    let gone = HashSet::from([leaver.me.id.clone()]);
    let (server, client) = (system.server(), system.client());
    let shown = Shown { client: &client, by: &server, game: &game };
    for definition in &definitions {
        shown.assert_is(definition, &log, &gone).await;
    }
    assert_stays_gone(&client, &server, &leaver.me, &game).await;
}

fn definitions() -> Vec<LeaderboardDefinition> {
    let all = [LeaderboardPeriod::AllTime, LeaderboardPeriod::Daily, LeaderboardPeriod::Weekly];
    let periods = all.into_iter().chain([LeaderboardPeriod::Monthly]).map(Into::into).collect();
    vec![
        LeaderboardDefinition { periods, ..board("best") },
        LeaderboardDefinition { operator: LeaderboardOperator::Sum.into(), ..board("total") },
        LeaderboardDefinition { order: LeaderboardOrder::LowWins.into(), ..board("fastest") },
    ]
}

/// Somebody who writes, and deletes their account.
struct Leaver {
    me: SignedIn,
    answered: Vec<Answered>,
}

impl Leaver {
    async fn write(client: &Client, game: &str) -> Self {
        let registered = client.register().await;
        let (user, tokens) = (registered.user.unwrap(), registered.tokens.unwrap());
        let me = SignedIn { id: user.user_id, token: tokens.access_token };
        let storm = Storm::of(game, &BOARDS, 20);
        storm.is_raging.store(false, Ordering::Relaxed);
        let answered = Writer { me: me.clone(), client: client.clone(), storm }.write().await;
        Self { me, answered }
    }

    async fn leave(&self, client: &Client) {
        eventually("the account is deleted", async || {
            let credential = Some(Credential::Password(PASSWORD.to_owned()));
            let request = DeleteAccountRequest { credential };
            client.auth().delete_account(bearer(request, &self.me.token)).await.ok().map(drop)
        })
        .await;
    }
}

/// What a game server writes for somebody who has gone is refused, and says why.
async fn assert_stays_gone(client: &Client, server: &SignedIn, gone: &SignedIn, game: &str) {
    eventually("scores of an account that is gone are refused", async || {
        let mut score = new_score(game, "best", 1);
        score.player_id.clone_from(&gone.id);
        let submission = client.submit(server, score).await.unwrap();
        (submission.refusal() == SubmissionRefusal::AccountGone).then_some(())
    })
    .await;
    let missing = client.entry(server, game, "best", &gone.id, "").await.unwrap_err();
    assert_eq!(refusal(&missing), (Code::NotFound, "NOT_RANKED".to_owned()));
}
