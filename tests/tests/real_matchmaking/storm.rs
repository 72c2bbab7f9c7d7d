//! Players who wait, play, change their minds and wait again, whatever goes wrong meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::game::v1::{GameDefinition, SessionRules};
use pkg_api::matchmaking::v1::watch_ticket_response::Message;
use pkg_api::matchmaking::v1::{CreateTicketRequest, Ticket, TicketStatus, WatchTicketRequest};
use pkg_auth::Role;
use system_tests::{Client, SignedIn, Signer, bearer, duel, eventually, game_of, players_of, refusal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

use crate::checker::{LogOfMatches, Seen, Wipes, assert_seats, undispatched};
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
/// Who does not find their ticket for so long has lost it: what was under way has its record by then, or never.
const LOST_AFTER: Duration = Duration::from_secs(10);
/// How long a ticket may be without an end, whatever happens.
const TICKET_LIMIT: Duration = Duration::from_mins(2);
/// Why a ticket cannot be cancelled.
const NOT_CANCELLED: [&str; 3] = ["TICKET_MATCHED", "TICKET_ENDED", "TICKET_NOT_FOUND"];
/// How many connections players share.
const CONNECTIONS: usize = 8;

/// How many play, and how often at least.
#[derive(Debug, Clone, Copy)]
pub struct Storm {
    pub players: usize,
    pub tickets: usize,
    /// Whether what waits and what is played may be lost with its store.
    pub may_be_lost: bool,
}

/// What came of all tickets.
#[derive(Debug)]
pub struct Outcome {
    pub matched: usize,
    pub cancelled: usize,
    pub lost: usize,
}

impl Storm {
    /// Plays while everything goes wrong, and then once more each; nobody is lost, and nobody is in two matches. What goes
    /// wrong says when stores were emptied.
    pub async fn play(self, system: &mut System, faults: impl AsyncFnOnce(&mut System) -> Wipes) -> Outcome {
        let queues = QUEUES.iter().chain([&LAST]).map(|key| duel(key)).collect();
        let game = system.game(GameDefinition { session_rules: Some(patient()), ..game_of(queues) }).await;
        let crowd = Arc::new(Crowd {
            game,
            signer: system.deployment.signer(),
            server: system.server(),
            left: AtomicUsize::new(self.tickets),
            is_raging: AtomicBool::new(true),
            is_over: AtomicBool::new(false),
            may_be_lost: self.may_be_lost,
        });
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| system.client()).collect();
        let players: Vec<_> = (0..self.players)
            .map(|number: usize| Person {
                me: system.player(),
                client: clients[number % CONNECTIONS].clone(),
                crowd: crowd.clone(),
                polls: number.is_multiple_of(3),
            })
            .collect();

        let mut storm: JoinSet<_> = players.iter().cloned().map(Person::wait_and_play).collect();
        let wipes = faults(system).await;
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
        check(system, &seen, &wipes).await
    }
}

/// Players who hear late of their match, or who only ask, have their seats all the same.
fn patient() -> SessionRules {
    let span = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    SessionRules { reconnect_grace: span(600), abandon_after: span(3_600), ..SessionRules::default() }
}

async fn check(system: &System, seen: &[Seen], wipes: &Wipes) -> Outcome {
    let deployment = &system.deployment;
    // Sessions that are lost with their store are noticed after a minute.
    let settled = async {
        while assert_seats(deployment) > 0 {
            sleep(PAUSE).await;
        }
    };
    timeout(TICKET_LIMIT, settled).await.expect("all seats are free");
    eventually("all matches have their sessions", async || (undispatched(deployment) == 0).then_some(())).await;
    let log = LogOfMatches::read(deployment);
    log.assert_nobody_is_in_two(wipes);
    log.assert_fits(seen);
    let ended = |status: TicketStatus| seen.iter().filter(|seen| seen.end.status() == status).count();
    let outcome = Outcome {
        matched: ended(TicketStatus::Matched),
        cancelled: ended(TicketStatus::Cancelled),
        lost: ended(TicketStatus::Lost),
    };
    assert_eq!(outcome.matched + outcome.cancelled + outcome.lost, seen.len(), "{outcome:?}");
    assert_eq!(2 * log.count(), outcome.matched);
    outcome
}

struct Crowd {
    game: String,
    /// Tokens live for a quarter of an hour: everybody has a new one from time to time.
    signer: Signer,
    /// Plays what is matched.
    server: SignedIn,
    /// How many tickets are still to be made at least.
    left: AtomicUsize,
    /// Whether more go wrong: as long as it does, players go on.
    is_raging: AtomicBool,
    /// Whether no more of them come.
    is_over: AtomicBool,
    may_be_lost: bool,
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
    async fn wait_and_play(mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        while self.crowd.has_ticket() {
            self.sign_in_again();
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
    async fn play_once(mut self) -> Seen {
        self.sign_in_again();
        let ticket = self.create(LAST).await;
        let seen = self.end(ticket, false, false).await;
        assert_eq!(seen.end.status(), TicketStatus::Matched, "{seen:?}");
        seen
    }

    fn sign_in_again(&mut self) {
        self.me = self.crowd.signer.sign_in_again(&self.me, Role::Player);
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
        let mut missing_since = None;
        let end = loop {
            assert!(began.elapsed() < TICKET_LIMIT, "a ticket without an end: {ticket} of {}", self.me.id);
            let told = if self.polls { self.ask(&ticket).await } else { self.follow(&ticket).await };
            match told {
                Ok(told) if !is_waiting(&told) => break told,
                Err(Some(status)) if self.crowd.may_be_lost && status.code() == Code::NotFound => {
                    let since = *missing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > LOST_AFTER {
                        break Ticket { status: TicketStatus::Lost.into(), ..Ticket::default() };
                    }
                }
                _ => missing_since = None,
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

    /// What the ticket is, or why that is not told: without an answer, nothing.
    async fn ask(&self, ticket: &str) -> Result<Ticket, Option<Status>> {
        let asked = timeout(CALL, self.client.get_ticket(&self.me, ticket)).await;
        asked.map_err(|_elapsed| None)?.map_err(Some)
    }

    /// What a stream says last, until it ends or breaks, or for a while.
    async fn follow(&self, ticket: &str) -> Result<Ticket, Option<Status>> {
        let request = WatchTicketRequest { ticket_id: ticket.to_owned() };
        let mut client = self.client.matchmaking();
        let opened = timeout(CALL, client.watch_ticket(bearer(request, &self.me.token))).await;
        let mut stream = opened.map_err(|_elapsed| None)?.map_err(Some)?.into_inner();
        let mut last = None;
        let until = Instant::now() + SILENCE;
        loop {
            let patience = if self.crowd.is_over.load(Ordering::Relaxed) { ALONE } else { until - Instant::now() };
            let Ok(Ok(Some(told))) = timeout(patience, stream.message()).await else { return last.ok_or(None) };
            match told.message {
                Some(Message::Ticket(ticket)) => last = Some(ticket),
                Some(Message::GoAway(_)) => return last.ok_or(None),
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
                Ok(Err(status)) if self.crowd.may_be_lost && status.code() == Code::NotFound => return,
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
        let server = &self.crowd.signer.sign_in_again(&self.crowd.server, Role::Server);
        let patience = Patience::of("the session is finished");
        loop {
            match timeout(CALL, self.client.play_out(server, &found.session_id, &players)).await {
                Ok(Ok(_)) => return,
                Ok(Err(status)) if self.crowd.may_be_lost && status.code() == Code::NotFound => return,
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
