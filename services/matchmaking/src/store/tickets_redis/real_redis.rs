//! The contract on real servers, and what happens when they fail.

use std::sync::Arc;
use std::time::Duration;

use fred::interfaces::{ClientLike, KeysInterface};
use pkg_redis::Settings;
use pkg_redis::testing::{self, DURABLE, RedisServer};

use super::super::testing::{LIMIT, SECOND, claim, id, now, queue, ticket};
use super::super::tickets::{FORGOTTEN_AFTER_EXPIRY, KEPT_AFTER_END, TicketStatus};
use super::super::tickets_contract;
use super::*;

#[tokio::test]
async fn the_contract_holds() {
    let redis = testing::redis().await;
    let store = RedisTickets::connect(redis.clone()).await.unwrap();
    tickets_contract::verify(Arc::new(store.clone())).await;
    store.close().await;
}

#[tokio::test]
async fn the_contract_holds_on_a_cluster() {
    let redis = testing::cluster().await;
    let store = RedisTickets::connect(redis.clone()).await.unwrap();
    tickets_contract::verify(Arc::new(store.clone())).await;
    store.close().await;
}

/// Another replica knows a ticket by its id alone.
#[tokio::test]
async fn tickets_are_found_by_who_did_not_create_them() {
    let redis = testing::redis().await;
    let (one, other) =
        (RedisTickets::connect(redis.clone()).await.unwrap(), RedisTickets::connect(redis.clone()).await.unwrap());
    let queue = queue();
    let mut news = other.news(queue.game).await.unwrap();
    let new = ticket(&queue, &[id()]);
    one.create(&new).await.unwrap();
    assert_eq!(next(&mut news).await, News::Arrived(queue.key.clone()));
    assert_eq!(other.load(&[new.ticket.id]).await.unwrap()[0].as_ref().unwrap().ticket, new.ticket);
    assert_eq!(other.end(&[new.ticket.id], EndReason::Cancelled, now()).await.unwrap(), [EndOutcome::Ended]);
    assert_eq!(next(&mut news).await, News::Changed(vec![new.ticket.id]));
}

#[tokio::test]
async fn nothing_stays_for_ever() {
    let redis = testing::redis().await;
    let store = RedisTickets::connect(redis.clone()).await.unwrap();
    let queue = queue();
    let (player, new) = (id(), ticket(&queue, &[id()]));
    store.create(&new).await.unwrap();
    let shared = &store.shared;
    let ticket_key = format!("{}:ticket:{}", shared.base(queue.game), new.ticket.id);
    let claim_key = format!("{}:player:{}", shared.base(queue.game), new.ticket.players[0].id);
    let note_key = redis.key(&["matchmaking", "queue_of", &new.ticket.id.to_string()]);
    let left = async |key: &str| -> Duration {
        let millis: i64 = redis.client().unwrap().pttl(key).await.unwrap();
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    };
    let lifetime = 300 * SECOND + FORGOTTEN_AFTER_EXPIRY;
    for key in [&ticket_key, &claim_key] {
        let left = left(key).await;
        assert!(left <= lifetime && left + LIMIT >= lifetime);
    }
    assert!(left(&note_key).await + LIMIT > lifetime + KEPT_AFTER_END);
    store.end(&[new.ticket.id], EndReason::Cancelled, now()).await.unwrap();
    let after_end = left(&ticket_key).await;
    assert!(after_end <= KEPT_AFTER_END && after_end + LIMIT >= KEPT_AFTER_END);

    // A ticket that was forgotten leaves its queue, and its player is free.
    let forgotten = ticket(&queue, &[player]);
    store.create(&forgotten).await.unwrap();
    let key = format!("{}:ticket:{}", shared.base(queue.game), forgotten.ticket.id);
    let _: i64 = redis.client().unwrap().del(key).await.unwrap();
    assert_eq!(store.waiting_count(&queue).await.unwrap(), 1);
    assert_eq!(store.arrivals(&queue, ArrivalNumber(0), 10).await.unwrap(), []);
    assert_eq!(store.waiting_count(&queue).await.unwrap(), 0);
    assert_eq!(store.tickets_of(queue.game, &[player]).await.unwrap(), [None]);
    assert_eq!(store.create(&ticket(&queue, &[player])).await.unwrap(), Created::Done);
}

/// Everything is lost between two steps: nobody is held by it, nothing fails, and numbers go on.
#[tokio::test]
async fn an_emptied_server_locks_nobody_out() {
    let server = RedisServer::start_with(DURABLE);
    let redis = Redis::connect(&server.url(), Settings::default()).await.unwrap();
    let store = RedisTickets::connect(redis.clone()).await.unwrap();
    let queue = queue();
    let empty = async || {
        redis.client().unwrap().flushall::<()>(false).await.unwrap();
    };
    let mut last = ArrivalNumber(0);
    for step in 0..3 {
        let (one, other) = (ticket(&queue, &[id()]), ticket(&queue, &[id()]));
        let tickets = [one.ticket.id, other.ticket.id];
        let of = claim(&tickets);
        store.create(&one).await.unwrap();
        store.create(&other).await.unwrap();
        let arrivals = store.arrivals(&queue, last, 10).await.unwrap();
        assert_eq!(arrivals.len(), 2, "numbers rise, whatever was lost");
        last = arrivals[1].number;
        if step == 0 {
            empty().await;
            let claimed = store.claim(&queue, 1, std::slice::from_ref(&of)).await.unwrap().unwrap();
            assert_eq!(claimed, [Claimed::NotWaiting(tickets.to_vec())]);
        } else {
            assert_eq!(store.claim(&queue, 1, std::slice::from_ref(&of)).await.unwrap().unwrap(), [Claimed::Done]);
            empty().await;
        }
        if step == 1 {
            let made = Acknowledgement { match_id: of.match_id, tickets: tickets.to_vec() };
            store.acknowledge(&queue, &[made], now()).await.unwrap();
        }
        let back = GiveBack { match_id: of.match_id, end: Vec::new() };
        store.give_back(&queue, 1, &[back], now()).await.unwrap().unwrap();
        assert_eq!(store.overdue_claims(&queue, now() + 60 * SECOND, 10).await.unwrap(), []);
        assert_eq!(store.load(&tickets).await.unwrap(), [None, None]);
        let sign = Sign { ticket: tickets[0], asks: true };
        assert_eq!(store.sign(&[sign], now()).await.unwrap(), [None]);
        let ended = store.end(&tickets, EndReason::Cancelled, now()).await.unwrap();
        assert_eq!(ended, [EndOutcome::NotFound; 2]);
        let again = NewTicket { ticket: crate::ticket::Ticket { id: id(), ..one.ticket.clone() }, ..one };
        assert_eq!(store.create(&again).await.unwrap(), Created::Done);
        assert_eq!(store.end(&[again.ticket.id], EndReason::Cancelled, now()).await.unwrap(), [EndOutcome::Ended]);
    }
}

/// A server that is killed between the steps of a match and comes back with what it acknowledged.
#[tokio::test]
async fn a_killed_server_goes_on_where_it_was() {
    let mut server = RedisServer::start_with(DURABLE);
    let redis = Redis::connect(&server.url(), Settings::default()).await.unwrap();
    let store = RedisTickets::connect(redis).await.unwrap();
    let queue = queue();
    let mut news = store.news(queue.game).await.unwrap();
    let new = ticket(&queue, &[id()]);
    assert_eq!(store.create(&new).await.unwrap(), Created::Done);
    let of = claim(&[new.ticket.id]);
    restart(&mut server, &store).await;
    assert!(matches!(store.create(&new).await.unwrap(), Created::Exists(_)));
    assert_eq!(store.claim(&queue, 3, std::slice::from_ref(&of)).await.unwrap().unwrap(), [Claimed::Done]);
    restart(&mut server, &store).await;
    assert_eq!(store.claim(&queue, 3, std::slice::from_ref(&of)).await.unwrap().unwrap(), [Claimed::Done]);
    assert_eq!(store.claim(&queue, 2, &[]).await.unwrap(), Ok(vec![]));
    assert_eq!(store.claim(&queue, 2, &[claim(&[id()])]).await.unwrap(), Err(Fenced { epoch: 3 }));
    let overdue = store.overdue_claims(&queue, now() + 60 * SECOND, 10).await.unwrap();
    assert_eq!(overdue[0].tickets, [new.ticket.id]);
    let made = Acknowledgement { match_id: of.match_id, tickets: of.tickets };
    store.acknowledge(&queue, &[made], now()).await.unwrap();
    restart(&mut server, &store).await;
    let stored = store.load(&[new.ticket.id]).await.unwrap().remove(0).unwrap();
    assert_eq!(stored.status, TicketStatus::Matched(of.match_id));

    // Who follows is told that news are missing, and hears again.
    let heard = async {
        let mut is_told = false;
        let mut waits = Vec::new();
        loop {
            let new = ticket(&queue, &[id()]);
            waits.push(new.ticket.id);
            store.create(&new).await.unwrap();
            while let Ok(Ok(news)) = tokio::time::timeout(Duration::from_millis(50), news.recv()).await {
                is_told |= news == News::Missed;
                if is_told && news == News::Arrived(queue.key.clone()) {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(LIMIT, heard).await.expect("news come again");
}

async fn restart(server: &mut RedisServer, store: &RedisTickets) {
    server.kill();
    assert!(matches!(store.load(&[id()]).await, Err(StoreError::Unavailable(_))));
    server.restart();
    let back = async {
        while store.load(&[id()]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, back).await.expect("it serves again");
}

async fn next(news: &mut broadcast::Receiver<News>) -> News {
    tokio::time::timeout(LIMIT, news.recv()).await.expect("news arrive").unwrap()
}
