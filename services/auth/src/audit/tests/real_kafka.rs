//! From Postgres to Kafka.

use pkg_log::kafka::{KafkaLog, prepare_topics};
use pkg_log::testing::{KafkaServer, settings_of};

use super::relay::{assert_recorded, emptied, life};
use super::*;
use crate::audit::OutboxRelay;
use crate::store::{AuditOutbox, SqlAccounts};

#[tokio::test(flavor = "multi_thread")]
async fn a_life_is_recorded_in_order_and_once_across_an_outage_and_two_relays() {
    let database = pkg_db::testing::postgres().await;
    let mut server = tokio::task::spawn_blocking(KafkaServer::start).await.unwrap();
    let settings = settings_of(server.brokers());
    prepare_topics(&settings).await.unwrap();

    // Two replicas, each with a pool's share of the outbox and a log of its own.
    let replicas = [(); 2].map(|()| {
        let store = SqlAccounts::new(database.clone());
        let log: Arc<dyn Log> = Arc::new(KafkaLog::connect(settings.clone()).unwrap());
        let outbox = Arc::new(store.clone());
        let relay = OutboxRelay { outbox, log: log.clone(), counters: Counted::new().counters };
        (store, log, Running::start(|shutdown| relay.run(shutdown)))
    });
    let lives = async |names: &[&str]| {
        let mut users = Vec::new();
        for (number, name) in names.iter().enumerate() {
            users.push(life(&replicas[number % 2].0, name).await);
        }
        users
    };

    let mut users = lives(&["before-1", "before-2"]).await;
    emptied(&replicas[0].0).await;
    let mut server = tokio::task::spawn_blocking(move || {
        server.kill();
        server
    })
    .await
    .unwrap();
    users.extend(lives(&["during-1", "during-2", "during-3"]).await);
    assert!(replicas[0].0.waiting(100).await.unwrap() > 0);
    let server = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    })
    .await
    .unwrap();
    users.extend(lives(&["after-1", "after-2"]).await);
    emptied(&replicas[0].0).await;

    let reader = replicas[0].1.clone();
    assert_recorded(&*reader, &users).await;
    for (_, log, relay) in replicas {
        relay.stop().await;
        log.close().await;
    }
    drop(server);
}
