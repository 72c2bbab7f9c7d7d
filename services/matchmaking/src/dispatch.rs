//! Matches that are recorded get their session, and their players are told.
//!
//! A match is created in the game service and appended to the log; then it is noted as dispatched; then its tickets are
//! acknowledged and its players told. If its session is refused for good, the log says that it has ended, too. Cut off anywhere, all of it is done again by a sweeper, and nothing happens twice: the
//! session and the record have the ids of the match, players are told under the id of their ticket. What is told has a
//! session whose cursor everybody can read, and is no match that was cancelled meanwhile.

mod pauses;
mod record;
mod session;

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::events::v1::MatchFound;
use pkg_api::events::v1::event::Payload;
use pkg_api::matchmaking::v1 as api;
use pkg_batching::Batcher;
use pkg_bus::Bus;
use pkg_log::{Log, Topic};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use pauses::Allowance;

use self::pauses::Pauses;
use self::session::NotCreated;
use crate::counters::Counters;
use crate::endings::Endings;
use crate::in_flight::Flight;
use crate::player_news::{self, News};
use crate::store::{
    Acknowledgement, Dispatched, EndReason, GiveBack, Match, MatchState, MatchStore, QueueId, RecordedMatch,
    StoreError, TicketStore,
};
use crate::ticket_message;
use crate::tickets::Tickets;
use crate::worker::Hold;
use pkg_middleware::AnyChannel;

/// How many sessions are created at once by this process: those of a round, so that the game service does them together.
const CREATED_AT_ONCE: usize = 128;
/// Of how many matches the players are told at once on their topics. Their streams come first.
const TOLD_AT_ONCE: usize = 16;
/// How long a record may take. Without it the match is told all the same, and recorded by a sweeper.
const RECORD_WITHIN: Duration = Duration::from_secs(1);
/// The pauses before a session is tried again; after the last one it is left to a sweeper.
const AGAIN_AFTER: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1)];
/// How long no matches of a game are made whose sessions could not be created…
const PAUSE: Duration = Duration::from_secs(1);
/// …or were refused.
const LONG_PAUSE: Duration = Duration::from_secs(5);
/// How long this waits at the end for what is under way; sweepers elsewhere do the rest.
const DRAIN: Duration = Duration::from_secs(5);

/// What dispatching works with.
pub struct Parts {
    pub game: AnyChannel,
    pub log: Arc<dyn Log>,
    pub bus: Arc<dyn Bus>,
    pub matches: Arc<dyn MatchStore>,
    pub tickets: Arc<dyn TicketStore>,
    pub endings: Endings,
    /// What is watched in this process.
    pub watched: Tickets,
    pub ambient: Ambient,
    pub counters: Counters,
}

/// Who dispatches. Cloning shares it.
#[derive(Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    creating: Semaphore,
    telling: Semaphore,
    pauses: Pauses,
    noting: Batcher<Dispatched, Result<bool, StoreError>>,
    acknowledging: Batcher<(QueueId, Acknowledgement), Result<(), StoreError>>,
    tasks: TaskTracker,
    /// What fails is not tried again.
    stop: CancellationToken,
    /// What is under way ends where it is.
    cut: CancellationToken,
}

/// A recorded match to be dispatched.
pub struct Dispatch {
    pub made: Match,
    /// Held until it is done or left to a sweeper.
    pub flight: Flight,
    /// Who makes it: only the owner of its queue may take it back.
    pub hold: Hold,
}

impl Dispatcher {
    /// Starts the batches on the current runtime.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let (matches, tickets, ambient) = (parts.matches.clone(), parts.tickets.clone(), parts.ambient.clone());
        let noting = Batcher::spawn(move |dispatched: Vec<Dispatched>| {
            let matches = matches.clone();
            async move {
                match matches.dispatched(&dispatched).await {
                    Ok(count) => count.into_iter().map(Ok).collect(),
                    Err(error) => dispatched.iter().map(|_| Err(error.clone())).collect(),
                }
            }
        });
        let acknowledging = Batcher::spawn(move |matches: Vec<(QueueId, Acknowledgement)>| {
            let (tickets, now) = (tickets.clone(), ambient.now());
            async move { acknowledge(&*tickets, matches, now).await }
        });
        let (creating, telling) = (Semaphore::new(CREATED_AT_ONCE), Semaphore::new(TOLD_AT_ONCE));
        let pauses = Pauses::default();
        let (tasks, stop, cut) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        Self { inner: Arc::new(Inner { parts, creating, telling, pauses, noting, acknowledging, tasks, stop, cut }) }
    }

    /// Dispatches a match beside what follows. How many are under way is bounded by their flights.
    pub fn begin(&self, dispatch: Dispatch) {
        let inner = self.inner.clone();
        let cut = self.inner.cut.clone();
        self.inner.tasks.spawn(cut.run_until_cancelled_owned(async move { inner.dispatch(dispatch).await }));
    }

    /// Acknowledges a match that was dispatched before, and tells its players again.
    pub async fn finish(&self, found: &RecordedMatch) {
        self.inner.finish(found).await;
    }

    /// Whether sessions of a game are created as matches come.
    #[must_use]
    pub fn is_free(&self, game: Uuid) -> bool {
        self.inner.pauses.is_free(game)
    }

    /// How many matches of a game may be made now. Who is allowed one uses that up.
    #[must_use]
    pub fn allowance(&self, game: Uuid) -> Allowance {
        self.inner.pauses.allowance(game)
    }

    /// Waits for what is under way, up to a limit, without trying again what fails.
    pub async fn drain(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        if timeout(DRAIN, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!(matches = self.inner.tasks.len(), "matches are left to be dispatched by others");
            self.cut_off().await;
        }
    }

    /// Ends what is under way where it is.
    pub(crate) async fn cut_off(&self) {
        self.inner.cut.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    async fn dispatch(&self, dispatch: Dispatch) {
        let Dispatch { made, flight, hold } = dispatch;
        // Matches are in the log in the order in which they were made, and before the ends of their sessions.
        let (created, recorded) = tokio::join!(self.create(&made), self.record(&made));
        match created {
            Ok(cursor) => {
                self.parts.counters.dispatched(&made, self.parts.ambient.now());
                self.created(made, cursor, recorded).await;
            }
            Err(error) => self.not_created(&made, &hold, &error).await,
        }
        drop(flight);
    }

    /// Creates the session, trying again for a while.
    async fn create(&self, made: &Match) -> Result<String, NotCreated> {
        let game = made.queue.game;
        let mut pauses = AGAIN_AFTER.into_iter();
        loop {
            let created = {
                let _place = self.creating.acquire().await;
                let began = Instant::now();
                let created = session::create(self.parts.game.clone(), made).await;
                self.parts.counters.dispatch_seconds.record(began.elapsed());
                created
            };
            let error = match created {
                Ok(cursor) => {
                    self.pauses.end(game);
                    return Ok(cursor);
                }
                Err(error) => error,
            };
            let may_pass = matches!(error, NotCreated::Now(_) | NotCreated::InTime(_));
            self.pauses.begin(game, if may_pass { PAUSE } else { LONG_PAUSE });
            let Some(pause) = pauses.next().filter(|_| may_pass) else { return Err(error) };
            if timeout(pause, self.stop.cancelled()).await.is_ok() {
                return Err(error);
            }
        }
    }

    /// Whether the match is in the log.
    async fn record(&self, made: &Match) -> bool {
        let record = record::match_made(made, self.parts.ambient.now());
        let appended = self.parts.log.append(Topic::Matches, &record, RECORD_WITHIN).await;
        if let Err(error) = &appended {
            let error: &dyn std::error::Error = error;
            tracing::debug!(match_id = %made.id, error, "a match is not in the log yet");
        }
        appended.is_ok()
    }

    /// The log may have the match: then nothing follows from it. Without this record its session has no end there.
    async fn record_end(&self, made: &Match) {
        let record = record::never_played(made, self.parts.ambient.now());
        if let Err(error) = self.parts.log.append(Topic::Matches, &record, RECORD_WITHIN).await {
            report(made, &error, "that a match was cancelled is not in the log");
        }
    }

    async fn created(&self, made: Match, cursor: String, recorded: bool) {
        if recorded {
            let dispatched = Dispatched { match_id: made.id, session_cursor: cursor.clone() };
            let noted = self.noting.call(dispatched).await.map_err(StoreError::from);
            match noted.and_then(std::convert::identity) {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(match_id = %made.id, session = %made.session, "a match was cancelled before its session was created");
                    return;
                }
                Err(error) => return report(&made, &error, "a match is dispatched again: its session was not noted"),
            }
        }
        let state = MatchState::Dispatched;
        self.finish(&RecordedMatch { made, state, session_cursor: Some(cursor) }).await;
    }

    async fn finish(&self, found: &RecordedMatch) {
        let made = &found.made;
        let acknowledgement = Acknowledgement { match_id: made.id, tickets: made.tickets() };
        let call = self.acknowledging.call((made.queue.clone(), acknowledgement)).await.map_err(StoreError::from);
        match call.and_then(std::convert::identity) {
            Ok(()) => self.parts.watched.show_matched(found, self.parts.ambient.now()),
            Err(error) => report(made, &error, "a match is acknowledged again: its tickets were not told"),
        }
        // The semaphore is never closed.
        let _turn = self.telling.acquire().await;
        self.tell(found).await;
    }

    /// Tells players that they are in a match. They also see it in their streams.
    async fn tell(&self, found: &RecordedMatch) {
        let message = ticket_message::match_found(found);
        let news = found.made.players().map(|player| News {
            player: player.player,
            id: ticket_message::end_news_id(player.ticket, api::TicketStatus::Matched),
            payload: Payload::MatchFound(MatchFound {
                ticket_id: player.ticket.to_string(),
                r#match: Some(message.clone()),
            }),
        });
        player_news::tell(&self.parts.bus, news.collect()).await;
        for player in found.made.players() {
            self.parts.endings.reports.report(player.player, found.made.queue.game, false);
        }
    }

    async fn not_created(&self, made: &Match, hold: &Hold, error: &NotCreated) {
        let end = match error {
            NotCreated::Now(_) | NotCreated::InTime(_) => {
                self.parts.counters.dispatches_repeated.increment(1);
                return report(made, error, "the session of a match is created later");
            }
            NotCreated::TooManySessions => None,
            NotCreated::Defect(_) => {
                let error: &dyn std::error::Error = error;
                tracing::error!(match_id = %made.id, error, "a match cannot be dispatched, and is cancelled");
                None
            }
            NotCreated::QueueGone(_) => Some(EndReason::QueueClosed),
        };
        self.parts.counters.dispatches_refused.increment(1);
        if let Err(error) = self.take_back(made, hold, end).await {
            report(made, &error, "a match that was refused is cancelled later");
        }
    }

    /// The match comes to nothing. Who does not own the queue any more leaves that to who does, and may be able to create
    /// the session.
    async fn take_back(&self, made: &Match, hold: &Hold, end: Option<EndReason>) -> Result<(), StoreError> {
        let Parts { matches, tickets, endings, ambient, counters, .. } = &self.parts;
        if !hold.is_good() || !matches.cancel_match(made.id, ambient.now()).await? {
            return Ok(());
        }
        self.record_end(made).await;
        let ids = made.tickets();
        let ended = end.map(|reason| ids.iter().map(|id| (*id, reason)).collect()).unwrap_or_default();
        let given_back = [GiveBack { match_id: made.id, end: ended }];
        let outcome = tickets.give_back(&made.queue, hold.epoch(), &given_back, ambient.now()).await?;
        if outcome.is_ok() {
            counters.claims_returned.increment(1);
            if let Some(reason) = end {
                endings.tell(&ids, reason).await;
            }
        }
        Ok(())
    }
}

fn report(made: &Match, error: &(dyn std::error::Error + 'static), what: &str) {
    tracing::warn!(match_id = %made.id, error, "{what}");
}

/// Acknowledges matches, those of a queue in one step.
async fn acknowledge(
    tickets: &dyn TicketStore,
    matches: Vec<(QueueId, Acknowledgement)>,
    now: time::OffsetDateTime,
) -> Vec<Result<(), StoreError>> {
    let mut queues: Vec<(QueueId, Vec<usize>, Vec<Acknowledgement>)> = Vec::new();
    let count = matches.len();
    for (place, (queue, acknowledgement)) in matches.into_iter().enumerate() {
        match queues.iter_mut().find(|(known, ..)| *known == queue) {
            Some((_, places, acknowledgements)) => {
                places.push(place);
                acknowledgements.push(acknowledgement);
            }
            None => queues.push((queue, vec![place], vec![acknowledgement])),
        }
    }
    let calls = queues.iter().map(|(queue, _, matches)| tickets.acknowledge(queue, matches, now));
    let outcomes = futures::future::join_all(calls).await;
    let mut answers: Vec<Result<(), StoreError>> = (0..count).map(|_| Ok(())).collect();
    for ((_, places, _), outcome) in queues.iter().zip(outcomes) {
        for place in places {
            answers[*place].clone_from(&outcome);
        }
    }
    answers
}
