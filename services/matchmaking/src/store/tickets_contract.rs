//! What every store of tickets promises. Each function is one promise; at the end they run against each adapter.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use pkg_ambient::Ambient;
use tokio::sync::broadcast::Receiver;
use uuid::Uuid;

use super::testing::{LIMIT, NOBODY, SECOND, claim, id, now, queue, queue_of, ticket};
use super::*;

async fn create(store: &dyn TicketStore, queue: &QueueId) -> Uuid {
    let new = ticket(queue, &[id()]);
    assert_eq!(store.create(&new).await.unwrap(), Created::Done);
    new.ticket.id
}

async fn status(store: &dyn TicketStore, ticket: Uuid) -> Option<TicketStatus> {
    store.load(&[ticket]).await.unwrap().remove(0).map(|stored| stored.status)
}

async fn claimed(store: &dyn TicketStore, queue: &QueueId, epoch: i64, claims: &[Claim]) -> Vec<Claimed> {
    store.claim(queue, epoch, claims).await.unwrap().unwrap()
}

async fn arrivals(store: &dyn TicketStore, queue: &QueueId) -> Vec<Uuid> {
    let all = store.arrivals(queue, ArrivalNumber::default(), usize::MAX).await.unwrap();
    assert!(all.is_sorted_by(|one, other| one.number < other.number));
    all.into_iter().map(|arrival| arrival.ticket.id).collect()
}

async fn next(news: &mut Receiver<News>) -> News {
    tokio::time::timeout(LIMIT, news.recv()).await.expect("news arrive").unwrap()
}

async fn what_was_created_is_found_in_every_way(store: &dyn TicketStore) {
    let queue = queue();
    let mut news = store.news(queue.game).await.unwrap();
    let (one, other) = (id(), id());
    let new = ticket(&queue, &[one, other]);
    assert_eq!(store.create(&new).await.unwrap(), Created::Done);
    assert_eq!(next(&mut news).await, News::Arrived(queue.key.clone()));

    let expected = Stored {
        ticket: new.ticket.clone(),
        queue: queue.clone(),
        expires: new.expires,
        status: TicketStatus::Queued,
        ended_at: None,
        why: None,
    };
    let unknown = id();
    let found = store.load(&[unknown, new.ticket.id]).await.unwrap();
    assert_eq!(found, [None, Some(expected)]);
    let arrival = store.arrivals(&queue, ArrivalNumber(0), 10).await.unwrap().remove(0);
    assert_eq!((&*arrival.ticket, arrival.expires), (&new.ticket, new.expires));
    assert_eq!(store.arrivals(&queue, arrival.number, 10).await.unwrap(), []);
    assert_eq!(store.waiting_count(&queue).await.unwrap(), 1);
    assert_eq!(store.still_waiting(&queue, &[unknown, new.ticket.id]).await.unwrap(), [false, true]);
    assert_eq!(store.queues(queue.game).await.unwrap(), std::slice::from_ref(&queue.key));
    let of = store.tickets_of(queue.game, &[other, unknown, one]).await.unwrap();
    assert_eq!(of, [Some(new.ticket.id), None, Some(new.ticket.id)]);
    assert_eq!(store.tickets_of(id(), &[one]).await.unwrap(), [None]);

    store.end(&[new.ticket.id], EndReason::Cancelled, now()).await.unwrap();
    assert_eq!(store.queues(queue.game).await.unwrap(), []);
    assert_eq!(store.tickets_of(queue.game, &[one]).await.unwrap(), [None]);
}

async fn a_repeated_creation_is_known_by_its_content(store: &dyn TicketStore) {
    let queue = queue();
    let new = ticket(&queue, &[id()]);
    assert_eq!(store.create(&new).await.unwrap(), Created::Done);
    let mut later = new.clone();
    later.ticket.created += SECOND;
    later.ticket.players[0].rating = crate::rating::Rating::new(1.0, 1.0).unwrap();
    match store.create(&later).await.unwrap() {
        Created::Exists(stored) => assert_eq!(stored.ticket, new.ticket),
        other => panic!("{other:?}"),
    }
    let mut wants_more = new.clone();
    wants_more.ticket.regions = crate::ticket::Regions::NONE;
    assert_eq!(store.create(&wants_more).await.unwrap(), Created::IdTaken);
    let elsewhere = NewTicket { queue: queue_of(queue.game, "other"), ..new.clone() };
    assert_eq!(store.create(&elsewhere).await.unwrap(), Created::IdTaken);
    let other_game = NewTicket { queue: queue_of(id(), "duel"), ..new.clone() };
    assert_eq!(store.create(&other_game).await.unwrap(), Created::IdTaken);

    store.end(&[new.ticket.id], EndReason::Cancelled, now()).await.unwrap();
    match store.create(&new).await.unwrap() {
        Created::Exists(stored) => assert_eq!(stored.status, TicketStatus::Ended(EndReason::Cancelled)),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.waiting_count(&queue).await.unwrap(), 0);
}

async fn a_player_is_in_one_ticket_of_a_game(store: &dyn TicketStore) {
    let queue = queue();
    let (player, friend) = (id(), id());
    let first = ticket(&queue, &[player]);
    store.create(&first).await.unwrap();
    let blocked = Created::AlreadyQueued { ticket: first.ticket.id, player };
    let second = ticket(&queue_of(queue.game, "ranked"), &[friend, player]);
    assert_eq!(store.create(&second).await.unwrap(), blocked);
    // Nothing of it stays: neither the ticket nor a claim on the friend.
    assert_eq!(store.tickets_of(queue.game, &[friend]).await.unwrap(), [None]);
    assert_eq!(store.load(&[second.ticket.id]).await.unwrap(), [None]);
    assert_eq!(store.create(&ticket(&queue_of(id(), "duel"), &[player])).await.unwrap(), Created::Done);

    // Still while it is being matched; free when it is matched, and when it has ended.
    let of = claim(&[first.ticket.id]);
    claimed(store, &queue, 1, std::slice::from_ref(&of)).await;
    assert_eq!(store.create(&second).await.unwrap(), blocked);
    let made = Acknowledgement { match_id: of.match_id, tickets: of.tickets };
    store.acknowledge(&queue, &[made], now()).await.unwrap();
    assert_eq!(store.create(&second).await.unwrap(), Created::Done);
    store.end(&[second.ticket.id], EndReason::PlayerGone, now()).await.unwrap();
    assert_eq!(store.create(&ticket(&queue, &[player])).await.unwrap(), Created::Done);
}

async fn of_a_hundred_creations_of_a_player_one_is_done(store: &Arc<dyn TicketStore>) {
    let game = id();
    let player = id();
    let creations = (0..100).map(|number| {
        let store = store.clone();
        let new = ticket(&queue_of(game, &format!("queue-{}", number % 3)), &[player]);
        async move { store.create(&new).await.unwrap() }
    });
    let outcomes = join_all(creations).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Created::Done).count(), 1);
    let held = store.tickets_of(game, &[player]).await.unwrap()[0];
    let others = outcomes.iter().filter(|outcome| **outcome != Created::Done);
    for outcome in others {
        assert_eq!(*outcome, Created::AlreadyQueued { ticket: held.unwrap(), player });
    }
}

async fn a_claim_takes_all_of_its_tickets_or_none(store: &dyn TicketStore) {
    let queue = queue();
    let mut tickets = Vec::new();
    for _ in 0..5 {
        tickets.push(create(store, &queue).await);
    }
    let unknown = id();
    let mut news = store.news(queue.game).await.unwrap();
    let good = claim(&tickets[..2]);
    let bad = claim(&[tickets[2], tickets[1], unknown]);
    let claims = [good.clone(), bad];
    let expected = [Claimed::Done, Claimed::NotWaiting(vec![tickets[1], unknown])];
    assert_eq!(claimed(store, &queue, 1, &claims).await, expected);
    assert_eq!(next(&mut news).await, News::Claimed(tickets[..2].to_vec()));
    assert_eq!(claimed(store, &queue, 1, &claims).await, expected, "repeated");
    assert_eq!(status(store, tickets[0]).await, Some(TicketStatus::Matching(good.match_id)));
    assert_eq!(arrivals(store, &queue).await, tickets[2..]);

    let made = Acknowledgement { match_id: good.match_id, tickets: tickets[..2].to_vec() };
    for _ in 0..2 {
        store.acknowledge(&queue, std::slice::from_ref(&made), now()).await.unwrap();
        assert_eq!(status(store, tickets[1]).await, Some(TicketStatus::Matched(good.match_id)));
    }
    assert_eq!(claimed(store, &queue, 1, &[good]).await, [Claimed::Done], "repeated late");
    assert_eq!(store.overdue_claims(&queue, now() + 60 * SECOND, 10).await.unwrap(), []);
    assert!(store.load(&tickets[..1]).await.unwrap()[0].as_ref().unwrap().ended_at.is_some());
    assert_eq!(store.end(&tickets[..1], EndReason::Cancelled, now()).await.unwrap(), [EndOutcome::Matched]);
}

async fn who_had_the_queue_before_is_refused(store: &dyn TicketStore) {
    let queue = queue();
    let (one, other) = (create(store, &queue).await, create(store, &queue).await);
    let of = claim(&[one]);
    assert_eq!(claimed(store, &queue, 5, std::slice::from_ref(&of)).await, [Claimed::Done]);
    let fenced = Fenced { epoch: 5 };
    assert_eq!(store.claim(&queue, 4, &[claim(&[other])]).await.unwrap(), Err(fenced));
    let back = GiveBack { match_id: of.match_id, end: Vec::new() };
    assert_eq!(store.give_back(&queue, 4, std::slice::from_ref(&back), now()).await.unwrap(), Err(fenced));
    assert_eq!(arrivals(store, &queue).await, [other]);
    // The next owner gives back what was claimed, and from then on the one before claims nothing.
    store.give_back(&queue, 6, &[back], now()).await.unwrap().unwrap();
    assert_eq!(store.claim(&queue, 5, &[claim(&[one])]).await.unwrap(), Err(Fenced { epoch: 6 }));
    assert_eq!(arrivals(store, &queue).await, [other, one]);
}

async fn what_is_given_back_arrives_again_with_its_age(store: &dyn TicketStore) {
    let queue = queue();
    let (stays, ends, last) = (create(store, &queue).await, create(store, &queue).await, create(store, &queue).await);
    let before = store.load(&[stays]).await.unwrap().remove(0).unwrap();
    let number = store.arrivals(&queue, ArrivalNumber(0), 10).await.unwrap()[2].number;
    let of = claim(&[stays, ends]);
    claimed(store, &queue, 1, std::slice::from_ref(&of)).await;
    let mut news = store.news(queue.game).await.unwrap();
    let back = GiveBack { match_id: of.match_id, end: vec![(ends, EndReason::AlreadyInMatch)] };
    for _ in 0..2 {
        store.give_back(&queue, 1, std::slice::from_ref(&back), now()).await.unwrap().unwrap();
        assert_eq!(arrivals(store, &queue).await, [last, stays]);
    }
    let told = [next(&mut news).await, next(&mut news).await];
    assert!(told.contains(&News::Changed(vec![stays, ends])) && told.contains(&News::Arrived(queue.key.clone())));
    let after = store.load(&[stays]).await.unwrap().remove(0).unwrap();
    assert_eq!(after, before);
    assert!(store.arrivals(&queue, number, 10).await.unwrap()[0].ticket.created == before.ticket.created);
    assert_eq!(status(store, ends).await, Some(TicketStatus::Ended(EndReason::AlreadyInMatch)));
    assert_eq!(store.overdue_claims(&queue, now() + 60 * SECOND, 10).await.unwrap(), []);
    // It is as before: it expires, its player can go, it is cancelled.
    assert!(store.expired(&queue, before.expires, 10).await.unwrap().contains(&stays));
    assert_eq!(store.gone(&queue, now() + SECOND, 10).await.unwrap().len(), 2);
    assert_eq!(store.end(&[stays], EndReason::Cancelled, now()).await.unwrap(), [EndOutcome::Ended]);
}

async fn many_claims_are_given_back_at_once(store: &dyn TicketStore) {
    let queue = queue();
    let mut claims = Vec::new();
    for _ in 0..180 {
        claims.push(claim(&[create(store, &queue).await, create(store, &queue).await]));
    }
    claimed(store, &queue, 1, &claims).await;
    let back: Vec<GiveBack> = claims
        .iter()
        .map(|it| GiveBack { match_id: it.match_id, end: vec![(it.tickets[0], EndReason::RulesChanged)] })
        .collect();
    store.give_back(&queue, 1, &back, now()).await.unwrap().unwrap();
    let given_back: Vec<Uuid> = claims.iter().map(|it| it.tickets[1]).collect();
    assert_eq!(arrivals(store, &queue).await, given_back);
    assert_eq!(store.overdue_claims(&queue, now() + 60 * SECOND, 10).await.unwrap(), []);
    let ended = store.end(&given_back, EndReason::QueueClosed, now()).await.unwrap();
    assert!(ended.iter().all(|outcome| *outcome == EndOutcome::Ended));
}

async fn claims_are_overdue_from_their_deadline(store: &dyn TicketStore) {
    let queue = queue();
    let begin = now();
    let mut claims = Vec::new();
    for seconds in [3, 1, 2] {
        let tickets = [create(store, &queue).await, create(store, &queue).await];
        claims.push(Claim { deadline: begin + seconds * SECOND, ..claim(&tickets) });
    }
    claimed(store, &queue, 1, &claims).await;
    let overdue = async |seconds: u32, max| store.overdue_claims(&queue, begin + seconds * SECOND, max).await.unwrap();
    assert_eq!(overdue(0, 10).await, []);
    let made = |claim: &Claim| MadeClaim {
        match_id: claim.match_id,
        tickets: claim.tickets.clone(),
        deadline: claim.deadline,
    };
    assert_eq!(overdue(2, 10).await, [made(&claims[1]), made(&claims[2])]);
    assert_eq!(overdue(9, 1).await, [made(&claims[1])]);
    assert_eq!(store.queues(queue.game).await.unwrap(), std::slice::from_ref(&queue.key));
}

async fn a_recorded_match_is_acknowledged_whatever_became_of_its_claim(store: &dyn TicketStore) {
    let queue = queue();
    let (lost, elsewhere, ended) =
        (create(store, &queue).await, create(store, &queue).await, create(store, &queue).await);
    let wrong = claim(&[elsewhere]);
    claimed(store, &queue, 1, std::slice::from_ref(&wrong)).await;
    store.end(&[ended], EndReason::Cancelled, now()).await.unwrap();
    let made = Acknowledgement { match_id: id(), tickets: vec![lost, elsewhere, ended, id()] };
    store.acknowledge(&queue, std::slice::from_ref(&made), now()).await.unwrap();
    assert_eq!(status(store, lost).await, Some(TicketStatus::Matched(made.match_id)));
    assert_eq!(status(store, elsewhere).await, Some(TicketStatus::Matched(made.match_id)));
    assert_eq!(status(store, ended).await, Some(TicketStatus::Ended(EndReason::Cancelled)));
    assert_eq!(arrivals(store, &queue).await, NOBODY);
    // The other claim comes to nothing, and takes nobody with it.
    let back = GiveBack { match_id: wrong.match_id, end: vec![(elsewhere, EndReason::AlreadyInMatch)] };
    store.give_back(&queue, 1, &[back], now()).await.unwrap().unwrap();
    assert_eq!(status(store, elsewhere).await, Some(TicketStatus::Matched(made.match_id)));
}

async fn of_a_cancellation_and_a_claim_one_says_yes(store: &Arc<dyn TicketStore>) {
    let queue = queue();
    let (mut cancelled, mut matched) = (0, 0);
    for _ in 0..200 {
        let ticket = create(&**store, &queue).await;
        let (ending, claiming) = (store.clone(), store.clone());
        let of = queue.clone();
        let cancel = tokio::spawn(async move { ending.end(&[ticket], EndReason::Cancelled, now()).await.unwrap() });
        let take = tokio::spawn(async move { claiming.claim(&of, 1, &[claim(&[ticket])]).await.unwrap().unwrap() });
        match (cancel.await.unwrap()[0], take.await.unwrap().remove(0)) {
            (EndOutcome::Ended, Claimed::NotWaiting(_)) => cancelled += 1,
            (EndOutcome::Matching, Claimed::Done) => matched += 1,
            both => panic!("{both:?}"),
        }
    }
    assert_eq!(cancelled + matched, 200);
}

async fn only_what_waits_can_end(store: &dyn TicketStore) {
    let queue = queue();
    let (waits, matching) = (create(store, &queue).await, create(store, &queue).await);
    claimed(store, &queue, 1, &[claim(&[matching])]).await;
    let ids = [waits, matching, id()];
    let outcomes = store.end(&ids, EndReason::Cancelled, now()).await.unwrap();
    assert_eq!(outcomes, [EndOutcome::Ended, EndOutcome::Matching, EndOutcome::NotFound]);
    let again = store.end(&[waits], EndReason::QueueClosed, now()).await.unwrap();
    assert_eq!(again, [EndOutcome::AlreadyEnded(EndReason::Cancelled)]);
    assert_eq!(claimed(store, &queue, 1, &[claim(&[waits])]).await, [Claimed::NotWaiting(vec![waits])]);
    for reason in EndReason::ALL {
        let ticket = create(store, &queue).await;
        store.end(&[ticket], reason, now()).await.unwrap();
        assert_eq!(status(store, ticket).await, Some(TicketStatus::Ended(reason)));
    }
}

async fn who_gives_no_sign_has_gone(store: &dyn TicketStore) {
    let queue = queue();
    let (silent, alive) = (create(store, &queue).await, create(store, &queue).await);
    let begin = now();
    let sign = |ticket| Sign { ticket, asks: false };
    let signed = store.sign(&[sign(alive), sign(id())], begin + 20 * SECOND).await.unwrap();
    assert_eq!(signed, [Some(Signed { status: TicketStatus::Queued, why: None }), None]);
    // A replica whose clock is behind takes nothing back.
    store.sign(&[sign(alive)], begin - 20 * SECOND).await.unwrap();
    assert_eq!(store.gone(&queue, begin - SECOND, 10).await.unwrap(), NOBODY);
    assert_eq!(store.gone(&queue, begin + 20 * SECOND, 10).await.unwrap(), [silent]);
    assert_eq!(store.gone(&queue, begin + 21 * SECOND, 10).await.unwrap(), [silent, alive]);
    assert_eq!(store.gone(&queue, begin + 21 * SECOND, 1).await.unwrap(), [silent]);

    // A sign while it is being matched counts if it is given back.
    let of = claim(&[silent]);
    claimed(store, &queue, 1, std::slice::from_ref(&of)).await;
    let signed = store.sign(&[sign(silent)], begin + 60 * SECOND).await.unwrap().remove(0).unwrap();
    assert_eq!(signed.status, TicketStatus::Matching(of.match_id));
    assert_eq!(store.gone(&queue, begin + 61 * SECOND, 10).await.unwrap(), [alive]);
    let back = GiveBack { match_id: of.match_id, end: Vec::new() };
    store.give_back(&queue, 1, &[back], now()).await.unwrap().unwrap();
    assert_eq!(store.gone(&queue, begin + 50 * SECOND, 10).await.unwrap(), [alive]);
}

async fn tickets_expire_in_the_order_of_their_times(store: &dyn TicketStore) {
    let queue = queue();
    let mut ids = Vec::new();
    let begin = now();
    for seconds in [3, 1, 2] {
        let new = NewTicket { expires: begin + seconds * SECOND, ..ticket(&queue, &[id()]) };
        store.create(&new).await.unwrap();
        ids.push(new.ticket.id);
    }
    assert_eq!(store.expired(&queue, begin, 10).await.unwrap(), NOBODY);
    assert_eq!(store.expired(&queue, begin + 2 * SECOND, 10).await.unwrap(), [ids[1], ids[2]]);
    assert_eq!(store.expired(&queue, begin + 9 * SECOND, 1).await.unwrap(), [ids[1]]);
    store.end(&[ids[1]], EndReason::WaitedTooLong, now()).await.unwrap();
    assert_eq!(store.expired(&queue, begin + 9 * SECOND, 1).await.unwrap(), [ids[2]]);
}

async fn who_asks_is_told_why(store: &dyn TicketStore) {
    let queue = queue();
    let (one, other, matching) =
        (create(store, &queue).await, create(store, &queue).await, create(store, &queue).await);
    let begin = now();
    let asks = |ticket| Sign { ticket, asks: true };
    store.sign(&[asks(one)], begin).await.unwrap();
    store.sign(&[asks(other), asks(matching)], begin + SECOND).await.unwrap();
    claimed(store, &queue, 1, &[claim(&[matching])]).await;
    assert_eq!(store.asked(&queue, begin, 10).await.unwrap(), [other, one]);
    assert_eq!(store.asked(&queue, begin, 1).await.unwrap(), [other]);
    assert_eq!(store.asked(&queue, begin + SECOND, 10).await.unwrap(), [other]);
    assert_eq!(store.asked(&queue, begin, 10).await.unwrap(), [other], "older ones are forgotten");

    let why = bytes::Bytes::from_static(&[0, 255, 7]);
    let explain = |ticket| Explanation { ticket, why: why.clone() };
    store.explain(&queue, &[explain(one), explain(matching), explain(id())]).await.unwrap();
    assert_eq!(store.sign(&[asks(one)], begin).await.unwrap()[0].as_ref().unwrap().why, Some(why.clone()));
    assert_eq!(store.load(&[one]).await.unwrap()[0].as_ref().unwrap().why, Some(why));
    assert_eq!(store.load(&[matching]).await.unwrap()[0].as_ref().unwrap().why, None);
    store.end(&[one], EndReason::Cancelled, now()).await.unwrap();
    assert_eq!(store.load(&[one]).await.unwrap()[0].as_ref().unwrap().why, None);
}

async fn a_summary_is_there_for_its_time(store: &dyn TicketStore) {
    let queue = queue();
    assert_eq!(store.summary(&queue).await.unwrap(), None);
    store.put_summary(&queue, "first".into(), LIMIT).await.unwrap();
    assert_eq!(store.summary(&queue).await.unwrap(), Some("first".into()));
    store.put_summary(&queue, "second".into(), Duration::from_millis(1)).await.unwrap();
    let gone = async {
        while store.summary(&queue).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.expect("its time is over");
}

/// Thousands at once are created, claimed and matched, each once.
async fn a_flood_is_matched(store: &Arc<dyn TicketStore>, count: usize) {
    let queue = queue();
    let created = std::time::Instant::now();
    let creations = (0..count).map(|_| {
        let (store, queue) = (store.clone(), queue.clone());
        tokio::spawn(async move { create(&*store, &queue).await })
    });
    let mut tickets: Vec<Uuid> = join_all(creations).await.into_iter().map(Result::unwrap).collect();
    let created = created.elapsed();
    let waiting = arrivals(&**store, &queue).await;
    tickets.sort_unstable();
    assert_eq!(waiting.iter().copied().collect::<HashSet<_>>(), tickets.iter().copied().collect());
    assert_eq!(store.load(&tickets).await.unwrap().iter().flatten().count(), count);

    let taken = std::time::Instant::now();
    let claims: Vec<Claim> = waiting.chunks(2).map(claim).collect();
    assert!(claimed(&**store, &queue, 1, &claims).await.iter().all(|outcome| *outcome == Claimed::Done));
    let taken = taken.elapsed();
    let made: Vec<Acknowledgement> =
        claims.into_iter().map(|claim| Acknowledgement { match_id: claim.match_id, tickets: claim.tickets }).collect();
    let acknowledged = std::time::Instant::now();
    store.acknowledge(&queue, &made, now()).await.unwrap();
    println!("{count} tickets: created in {created:?}, claimed in {taken:?}, matched in {:?}", acknowledged.elapsed());
    assert_eq!(store.waiting_count(&queue).await.unwrap(), 0);
    assert_eq!(status(&**store, made[0].tickets[0]).await, Some(TicketStatus::Matched(made[0].match_id)));
}

pub(super) async fn verify(store: Arc<dyn TicketStore>) {
    what_was_created_is_found_in_every_way(&*store).await;
    a_repeated_creation_is_known_by_its_content(&*store).await;
    a_player_is_in_one_ticket_of_a_game(&*store).await;
    of_a_hundred_creations_of_a_player_one_is_done(&store).await;
    a_claim_takes_all_of_its_tickets_or_none(&*store).await;
    who_had_the_queue_before_is_refused(&*store).await;
    what_is_given_back_arrives_again_with_its_age(&*store).await;
    many_claims_are_given_back_at_once(&*store).await;
    claims_are_overdue_from_their_deadline(&*store).await;
    a_recorded_match_is_acknowledged_whatever_became_of_its_claim(&*store).await;
    of_a_cancellation_and_a_claim_one_says_yes(&store).await;
    only_what_waits_can_end(&*store).await;
    who_gives_no_sign_has_gone(&*store).await;
    tickets_expire_in_the_order_of_their_times(&*store).await;
    who_asks_is_told_why(&*store).await;
    a_summary_is_there_for_its_time(&*store).await;
    a_flood_is_matched(&store, 5_000).await;
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    verify(Arc::new(MemoryTickets::new(Ambient::system()))).await;
}
