//! Many players wait, play, change their minds and wait again, while everything goes wrong. Nobody is lost, and nobody is in
//! two matches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::matchmaking::v1::watch_ticket_response::Message;
use pkg_api::matchmaking::v1::{CreateTicketRequest, Ticket, TicketStatus, WatchTicketRequest};
use system_tests::{Client, Deployment, RedisServer, SignedIn, bearer, duel, eventually, game_of, players_of, refusal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

use crate::checker::{LogOfMatches, Seen, assert_seats, undispatched};
use crate::faults::{Measure, is_long, rage};
use crate::system::System;

const QUEUES: [&str; 3] = ["a", "b", "c"];
/// Where all meet in the end.
const LAST: &str = "last";
/// One in so many tickets is cancelled…
const CANCELLED: u64 = 6;
/// …within this time, in which it may be matched.
const HESITATION_MS: u64 = 40;
/// How long a call may take.
const CALL: Duration = Duration::from_secs(4);
/// A stream that says nothing for so long is opened again.
const SILENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(200);
/// How long players wait before they ask for a queue again whose seat is not free.
const SEATED_PAUSE: Duration = Duration::from_secs(1);
/// Who waits for so long when no new players come takes their ticket back.
const ALONE: Duration = Duration::from_secs(3);
/// How long a ticket may be without an end, whatever happens.
const TICKET_LIMIT: Duration = Duration::from_mins(2);
/// Why a ticket cannot be cancelled.
const NOT_CANCELLED: [&str; 3] = ["TICKET_MATCHED", "TICKET_ENDED", "TICKET_NOT_FOUND"];
/// How many connections players share.
const CONNECTIONS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_lost_or_in_two_matches_whatever_is_killed() {
    let (players, tickets) = if is_long() { (500, 5_000) } else { (240, 1_500) };
    let mut redis = RedisServer::start();
    let mut system = System::on(Deployment::of_matches_with_redis(redis.url()).await);
    let queues = QUEUES.iter().chain([&LAST]).map(|key| duel(key)).collect();
    let game = system.game(game_of(queues)).await;
    let crowd = Arc::new(Crowd {
        game,
        server: system.server(),
        left: AtomicUsize::new(tickets),
        is_raging: AtomicBool::new(true),
        is_over: AtomicBool::new(false),
    });
    let clients: Vec<_> = (0..CONNECTIONS).map(|_| system.client()).collect();
    let players: Vec<_> = (0..players)
        .map(|number: usize| Person {
            me: system.player(),
            client: clients[number % CONNECTIONS].clone(),
            crowd: crowd.clone(),
            polls: number.is_multiple_of(3),
        })
        .collect();

    let mut storm: JoinSet<_> = players.iter().cloned().map(Person::wait_and_play).collect();
    rage(&mut system, &mut redis, Measure::of_this_run()).await;
    crowd.is_raging.store(false, Ordering::Relaxed);
    // Whoever is still left plays in calm weather.
    let mut seen = Vec::new();
    while let Some(tickets) = storm.join_next().await {
        seen.extend(tickets.unwrap());
    }
    // Nobody is locked out.
    let mut calm: JoinSet<_> = players.into_iter().map(Person::play_once).collect();
    let last = async {
        while let Some(ticket) = calm.join_next().await {
            seen.push(ticket.unwrap());
        }
    };
    timeout(TICKET_LIMIT, last).await.expect("everybody plays once more");

    eventually("all seats are free", async || (assert_seats(&system.deployment) == 0).then_some(())).await;
    eventually("all matches have their sessions", async || (undispatched(&system.deployment) == 0).then_some(())).await;
    let log = LogOfMatches::read(&system.deployment);
    log.assert_nobody_is_in_two();
    log.assert_fits(&seen);
    let ended = |status: TicketStatus| seen.iter().filter(|seen| seen.end.status() == status).count();
    let counts = [TicketStatus::Matched, TicketStatus::Cancelled, TicketStatus::Lost].map(ended);
    assert_eq!(counts.iter().sum::<usize>(), seen.len(), "{counts:?}");
    assert!(seen.len() >= tickets && counts[0] > tickets / 2 && counts[1] > 0, "{counts:?}");
    assert_eq!(2 * log.count(), counts[0]);
}

struct Crowd {
    game: String,
    /// Plays what is matched.
    server: SignedIn,
    /// How many tickets are still to be made at least.
    left: AtomicUsize,
    /// Whether more go wrong: as long as it does, players go on.
    is_raging: AtomicBool,
    /// Whether no more of them come.
    is_over: AtomicBool,
}

impl Crowd {
    /// Whether there is another ticket to be made.
    fn has_ticket(&self) -> bool {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        taken.is_ok() || self.is_raging.load(Ordering::Relaxed)
    }
}

/// Somebody who plays.
#[derive(Clone)]
struct Person {
    me: SignedIn,
    client: Client,
    crowd: Arc<Crowd>,
    /// Whether they ask from time to time, or follow a stream.
    polls: bool,
}

impl Person {
    /// As often as there are tickets left. Answers with what was seen of each.
    async fn wait_and_play(self) -> Vec<Seen> {
        let mut seen = Vec::new();
        while self.crowd.has_ticket() {
            let queue = QUEUES[usize::try_from(random() % 3).unwrap()];
            let ticket = self.create(queue).await;
            let cancelled = random().is_multiple_of(CANCELLED) && {
                sleep(Duration::from_millis(random() % HESITATION_MS)).await;
                self.cancel(&ticket).await
            };
            seen.push(self.end(ticket, cancelled, true).await);
        }
        self.crowd.is_over.store(true, Ordering::Relaxed);
        seen
    }

    /// Once, until there is a match.
    async fn play_once(self) -> Seen {
        let ticket = self.create(LAST).await;
        let seen = self.end(ticket, false, false).await;
        assert_eq!(seen.end.status(), TicketStatus::Matched, "{seen:?}");
        seen
    }

    /// A ticket, once the seat of the match before is free. A call whose answer is lost is made again.
    async fn create(&self, queue: &str) -> String {
        let ticket_id = Ambient::system().id().to_string();
        let request = CreateTicketRequest {
            ticket_id: ticket_id.clone(),
            game_id: self.crowd.game.clone(),
            queue_key: queue.to_owned(),
            ..CreateTicketRequest::default()
        };
        let patience = Patience::of("a ticket is created");
        loop {
            let failed = match timeout(CALL, self.client.create_ticket(&self.me, request.clone())).await {
                Ok(Ok(_)) => return ticket_id,
                Ok(Err(status)) if reason(&status) == "ALREADY_IN_MATCH" => {
                    sleep(SEATED_PAUSE).await;
                    None
                }
                Ok(Err(status)) => Some(status),
                Err(_elapsed) => None,
            };
            patience.pause(failed).await;
        }
    }

    /// Whether it was cancelled: then no match follows.
    async fn cancel(&self, ticket: &str) -> bool {
        let patience = Patience::of("a ticket is cancelled or not");
        loop {
            let failed = match timeout(CALL, self.client.cancel_ticket(&self.me, ticket)).await {
                Ok(Ok(cancelled)) => {
                    assert_eq!(cancelled.status(), TicketStatus::Cancelled);
                    return true;
                }
                Ok(Err(status)) if NOT_CANCELLED.contains(&reason(&status).as_str()) => return false,
                Ok(Err(status)) => Some(status),
                Err(_elapsed) => None,
            };
            patience.pause(failed).await;
        }
    }

    /// Follows a ticket to its end, and plays its match. Where nobody else may come to the queue, it may be given up.
    async fn end(&self, ticket: String, mut cancelled: bool, may_give_up: bool) -> Seen {
        let began = Instant::now();
        let end = loop {
            assert!(began.elapsed() < TICKET_LIMIT, "a ticket without an end: {ticket} of {}", self.me.id);
            let told = if self.polls { self.ask(&ticket).await } else { self.follow(&ticket).await };
            match told {
                Some(told) if !is_waiting(&told) => break told,
                _ => {}
            }
            if may_give_up && self.crowd.is_over.load(Ordering::Relaxed) && began.elapsed() > ALONE {
                cancelled = cancelled || self.cancel(&ticket).await;
            }
            sleep(PAUSE).await;
        };
        if end.status() == TicketStatus::Matched {
            self.play(&end).await;
        }
        Seen { player: self.me.id.clone(), ticket, end, cancelled }
    }

    async fn ask(&self, ticket: &str) -> Option<Ticket> {
        timeout(CALL, self.client.get_ticket(&self.me, ticket)).await.ok()?.ok()
    }

    /// What a stream says last, until it ends or breaks, or for a while.
    async fn follow(&self, ticket: &str) -> Option<Ticket> {
        let request = WatchTicketRequest { ticket_id: ticket.to_owned() };
        let mut client = self.client.matchmaking();
        let opened = timeout(CALL, client.watch_ticket(bearer(request, &self.me.token))).await.ok()?;
        let mut stream = opened.ok()?.into_inner();
        let mut last = None;
        let until = Instant::now() + SILENCE;
        loop {
            let patience = if self.crowd.is_over.load(Ordering::Relaxed) { ALONE } else { until - Instant::now() };
            let Ok(Ok(Some(told))) = timeout(patience, stream.message()).await else { return last };
            match told.message {
                Some(Message::Ticket(ticket)) => last = Some(ticket),
                Some(Message::GoAway(_)) => return last,
                _ => {}
            }
        }
    }

    /// The session is there with its players. One of them has it played and finished.
    async fn play(&self, ticket: &Ticket) {
        let found = ticket.r#match.as_ref().unwrap();
        let mut players = players_of(found);
        players.sort();
        let patience = Patience::of("the session is there");
        let session = loop {
            match timeout(CALL, self.client.get_session(&self.me, &found.session_id)).await {
                Ok(Ok(session)) => break session,
                Ok(Err(status)) => patience.pause(Some(status)).await,
                Err(_elapsed) => patience.pause(None).await,
            }
        };
        assert_eq!(session.match_id, found.match_id);
        if players[0] != self.me.id {
            return;
        }
        let mut seated: Vec<_> = session.seats.iter().map(|seat| seat.player_id.clone()).collect();
        seated.sort();
        assert_eq!(seated, players, "{session:?}");
        let server = &self.crowd.server;
        let patience = Patience::of("the session is finished");
        loop {
            match timeout(CALL, self.client.play_out(server, &found.session_id, &players)).await {
                Ok(Ok(_)) => return,
                Ok(Err(status)) => patience.pause(Some(status)).await,
                Err(_elapsed) => patience.pause(None).await,
            }
        }
    }
}

/// Somebody's who calls until there is an answer that counts.
struct Patience {
    what: &'static str,
    began: Instant,
}

impl Patience {
    fn of(what: &'static str) -> Self {
        Self { what, began: Instant::now() }
    }

    /// A call has failed, or was not answered in time.
    async fn pause(&self, failed: Option<Status>) {
        assert!(failed.as_ref().is_none_or(may_pass), "{}: {failed:?}", self.what);
        assert!(self.began.elapsed() < TICKET_LIMIT, "not within {TICKET_LIMIT:?}: {}: {failed:?}", self.what);
        sleep(PAUSE).await;
    }
}

fn is_waiting(ticket: &Ticket) -> bool {
    matches!(ticket.status(), TicketStatus::Queued | TicketStatus::Matching)
}

/// What passes while replicas and stores go and come.
fn may_pass(status: &Status) -> bool {
    let passing = [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Unknown,
        Code::Cancelled,
        Code::Internal,
        Code::Aborted,
        Code::ResourceExhausted,
    ];
    passing.contains(&status.code())
}

/// The reason of an error of ours; connections break without one.
fn reason(status: &Status) -> String {
    if may_pass(status) { String::new() } else { refusal(status).1 }
}

fn random() -> u64 {
    u64::from_le_bytes(Ambient::system().random())
}
