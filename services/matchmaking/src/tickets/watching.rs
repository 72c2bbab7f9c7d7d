//! Watching tickets: one place on each replica learns of changes, for all who watch.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, FuturesUnordered, SelectAll, StreamExt};
use time::OffsetDateTime;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::hub::{Hub, Subscription, Watching};
use super::losing::{lost, news, status_by};
use super::{Actor, TicketError, Tickets, View};
use crate::player_news;
use crate::store::{MatchState, News, RecordedMatch, Sign, StoreError, Stored, TicketStatus};

/// How often all watched tickets give their sign of life, and what news have not told is noticed. No player counts as gone
/// in less than twice that.
const SWEEP: Duration = Duration::from_secs(2);
/// Every so many sweeps the estimates are told…
const SWEEPS_TO_TELL: u64 = 2;
/// …and presence that somebody waits: well within its time to live.
const SWEEPS_TO_REPORT: u64 = 10;
/// How many tickets one call to the store is about.
const STEP: usize = 512;
/// How many of those calls are under way at once, for news.
const AT_ONCE: usize = 4;
/// That a match is being made with a ticket is shown if nothing else has come of it for so long: mostly it is matched by then.
const CLAIMED_SHOWN_AFTER: Duration = Duration::from_millis(250);
/// How many such news wait at most; further ones are shown at once.
const CLAIMED_WAITING: usize = 1_024;
/// For how long the store must not have a ticket until it is lost: a claim that was made before is a match by then, or
/// never.
const LOST_AFTER: Duration = Duration::from_secs(6);

/// A ticket that somebody watches.
pub struct TicketWatch(State);

enum State {
    /// It is over, after this.
    Ended(Option<Arc<View>>),
    Going {
        watching: Watching,
        begun: bool,
    },
}

/// What learns of changes.
pub struct Watchers {
    tickets: Tickets,
    subscriptions: mpsc::Receiver<Subscription>,
}

impl Tickets {
    /// Watches a ticket. A sign of life of its players as long as it is watched.
    pub async fn watch(&self, id: Uuid, by: Actor) -> Result<TicketWatch, TicketError> {
        self.inner.limits.read(by).map_err(|retry_after| TicketError::Limited { retry_after })?;
        let view = self.view(self.seen(id, by).await?).await?;
        if view.is_final() {
            return Ok(TicketWatch(State::Ended(Some(Arc::new(view)))));
        }
        let (game, status) = (view.stored.queue.game, view.stored.status);
        self.report(&view.stored, true);
        let lives = !matches!(by, Actor::Admin(_));
        let watching = self.inner.hub.watch(view, lives);
        self.follow(game).await;
        // What has changed since it was read was told to nobody here.
        let signed = self.sign(id, by, true).await?;
        if signed.is_none_or(|signed| signed.status != status) {
            self.refresh(&[id]).await?;
        }
        Ok(TicketWatch(State::Going { watching, begun: false }))
    }

    /// News of a game's tickets come in from now on; else the sweep is all there is.
    async fn follow(&self, game: Uuid) {
        let hub = &self.inner.hub;
        if hub.is_followed(game) {
            return;
        }
        match self.inner.ports.tickets.news(game).await {
            Ok(news) => hub.follow(game, news).await,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "changes of tickets are seen late for now");
            }
        }
    }

    /// Shows these tickets as they are now. Those that the store does not have are left as they were.
    async fn refresh(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        let read = self.inner.hub.begin_reading();
        let stored = self.inner.ports.tickets.load(ids).await?;
        let views = self.views(stored.into_iter().flatten().collect()).await?;
        self.show(read, views, false);
        Ok(())
    }

    /// Shows at once that tickets are matched which somebody watches here. They are in the store by now, and news of it come
    /// to whoever watches elsewhere.
    pub(crate) fn show_matched(&self, found: &RecordedMatch, now: OffsetDateTime) {
        let read = self.inner.hub.begin_reading();
        let status = status_by(found);
        let matched = self.inner.hub.views_of(&found.made.tickets()).into_iter().map(|view| {
            let stored = Stored { status, ended_at: Some(now), why: None, ..view.stored.clone() };
            let revision = found.made.definition_revision;
            View { stored, found: Some(found.clone()), estimate: None, revision, ..View::clone(&view) }
        });
        self.show(read, matched.collect(), false);
    }

    fn show(&self, read: u64, views: Vec<View>, tell_estimates: bool) -> Vec<Arc<View>> {
        let ended = self.inner.hub.show(read, views, tell_estimates);
        for view in &ended {
            self.report(&view.stored, false);
        }
        ended
    }

    /// Gives the signs of life of all who watch, and sees what has become of their tickets.
    async fn sweep(&self, round: u64) -> Result<(), StoreError> {
        let watched = self.inner.hub.watched();
        let games: HashSet<Uuid> = watched.iter().map(|(view, _)| view.stored.queue.game).collect();
        for game in games {
            self.follow(game).await;
        }
        for step in watched.chunks(STEP) {
            let (alive, others): (Vec<_>, Vec<_>) = step.iter().partition(|(_, lives)| *lives);
            let alive: Vec<Arc<View>> = alive.into_iter().map(|(view, _)| view.clone()).collect();
            let mut changed: Vec<Uuid> = others.into_iter().map(|(view, _)| view.stored.ticket.id).collect();
            changed.extend(self.sweep_step(&alive, round).await?);
            if !changed.is_empty() {
                self.refresh(&changed).await?;
            }
        }
        Ok(())
    }

    /// Those whose status is not what is shown.
    async fn sweep_step(&self, alive: &[Arc<View>], round: u64) -> Result<Vec<Uuid>, StoreError> {
        let ports = &self.inner.ports;
        let (now, read) = (ports.ambient.now(), self.inner.hub.begin_reading());
        let signs: Vec<Sign> = alive.iter().map(|view| Sign { ticket: view.stored.ticket.id, asks: true }).collect();
        let signed = ports.tickets.sign(&signs, now).await?;
        let (mut told, mut changed, mut missing, mut found) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut estimates = self.inner.summaries.estimates(now);
        for (view, signed) in alive.iter().zip(signed) {
            let id = view.stored.ticket.id;
            let Some(signed) = signed else {
                missing.push(view.clone());
                continue;
            };
            found.push(id);
            if signed.status != view.stored.status {
                changed.push(id);
            } else if signed.status == TicketStatus::Queued {
                if round.is_multiple_of(SWEEPS_TO_REPORT) {
                    self.report(&view.stored, true);
                }
                if round.is_multiple_of(SWEEPS_TO_TELL) {
                    let stored = Stored { why: signed.why, ..view.stored.clone() };
                    let estimate = estimates.of(&stored).await;
                    let known = ports.queues.known(stored.queue.game, &stored.queue.key);
                    let revision = known.map_or(view.revision, |queue| queue.revision);
                    told.push(View { stored, estimate, revision, ..View::clone(view) });
                }
            }
        }
        self.inner.hub.found(found);
        self.show(read, told, true);
        if !missing.is_empty() {
            self.lose(&missing).await?;
        }
        Ok(changed)
    }

    /// The store does not have these: they are in matches by the record of those, or lost.
    async fn lose(&self, missing: &[Arc<View>]) -> Result<(), StoreError> {
        let ports = &self.inner.ports;
        let read = self.inner.hub.begin_reading();
        let ids: Vec<Uuid> = missing.iter().map(|view| view.stored.ticket.id).collect();
        let lost_for_good = self.inner.hub.missed(&ids, LOST_AFTER);
        let found = ports.matches.matches_of_tickets(&ids).await?;
        let mut found: HashMap<Uuid, _> = found.into_iter().map(|it| (it.ticket, it.found)).collect();
        let now = ports.ambient.now();
        let views = missing.iter().filter_map(|view| match found.remove(&view.stored.ticket.id) {
            Some(found) => {
                let is_there = found.state == MatchState::Dispatched;
                let stored =
                    Stored { status: status_by(&found), ended_at: is_there.then_some(now), ..view.stored.clone() };
                Some(View { stored, found: is_there.then_some(found), estimate: None, ..View::clone(view) })
            }
            None if lost_for_good.contains(&view.stored.ticket.id) => Some(lost(View::clone(view), now)),
            None => None,
        });
        let ended = self.show(read, views.collect(), false);
        let lost: Vec<_> = ended.into_iter().filter(|view| view.lost.is_some()).collect();
        if !lost.is_empty() {
            tracing::warn!(tickets = lost.len(), "the store has lost tickets: their players are told");
            self.inner.counters.lost.increment(lost.len() as u64);
            player_news::tell(&ports.bus, lost.iter().flat_map(|view| news(view)).collect()).await;
        }
        Ok(())
    }
}

impl TicketWatch {
    /// What comes next: first the ticket as it is, then every change and the estimates; `None` after its last status.
    /// Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Option<Arc<View>> {
        let (watching, begun) = match &mut self.0 {
            State::Ended(last) => return last.take(),
            State::Going { watching, begun } => (watching, begun),
        };
        if *begun {
            watching.view.changed().await.ok()?;
        }
        *begun = true;
        let view = watching.view.borrow_and_update().clone();
        if view.is_final() {
            self.0 = State::Ended(None);
        }
        Some(view)
    }
}

impl Watchers {
    pub(super) fn new(tickets: Tickets, subscriptions: mpsc::Receiver<Subscription>) -> Self {
        Self { tickets, subscriptions }
    }

    /// Runs until it is told to end.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut games: SelectAll<BoxStream<'static, (Uuid, News)>> = SelectAll::new();
        let mut work: FuturesUnordered<BoxFuture<'static, Worked>> = FuturesUnordered::new();
        let (mut changed, mut under_way, mut sweeping, mut round) = (HashSet::new(), 0, false, 0);
        let mut claimed: VecDeque<(Instant, Vec<Uuid>)> = VecDeque::new();
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while under_way < AT_ONCE
                && let Some(step) = take(&mut changed, STEP)
            {
                under_way += 1;
                work.push(Box::pin(refresh(self.tickets.clone(), step)));
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some((game, news)) = self.subscriptions.recv() => {
                    games.push(follow(self.tickets.inner.hub.clone(), game, news));
                }
                Some((game, news)) = games.next(), if !games.is_empty() => {
                    let soon = matches!(news, News::Claimed(_)) && claimed.len() < CLAIMED_WAITING;
                    let concerned = self.concerned(game, news);
                    if soon && !concerned.is_empty() {
                        claimed.push_back((Instant::now() + CLAIMED_SHOWN_AFTER, concerned));
                    } else {
                        changed.extend(concerned);
                    }
                }
                () = first_due(&claimed), if !claimed.is_empty() => {
                    let due = claimed.pop_front().map(|(_, ids)| ids).unwrap_or_default();
                    changed.extend(self.tickets.inner.hub.watched_of(due));
                }
                Some(worked) = work.next(), if !work.is_empty() => match worked {
                    Worked::Refreshed => under_way -= 1,
                    Worked::Swept => sweeping = false,
                },
                _ = ticks.tick(), if !sweeping => {
                    (sweeping, round) = (true, round + 1);
                    work.push(Box::pin(sweep(self.tickets.clone(), round)));
                }
            }
        }
    }

    /// The watched tickets that news are about.
    fn concerned(&self, game: Uuid, news: News) -> Vec<Uuid> {
        let hub = &self.tickets.inner.hub;
        match news {
            News::Changed(ids) | News::Claimed(ids) => hub.watched_of(ids),
            News::Missed => hub.watched_in(game),
            News::Arrived(_) => Vec::new(),
        }
    }
}

/// When the first of them is to be shown.
async fn first_due(claimed: &VecDeque<(Instant, Vec<Uuid>)>) {
    match claimed.front() {
        Some((at, _)) => sleep_until(*at).await,
        None => std::future::pending().await,
    }
}

/// What was done.
enum Worked {
    Refreshed,
    Swept,
}

async fn refresh(tickets: Tickets, ids: Vec<Uuid>) -> Worked {
    if let Err(error) = tickets.refresh(&ids).await {
        tell(&error);
    }
    Worked::Refreshed
}

async fn sweep(tickets: Tickets, round: u64) -> Worked {
    if let Err(error) = tickets.sweep(round).await {
        tell(&error);
    }
    Worked::Swept
}

fn tell(error: &StoreError) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(error, "those who watch tickets learn of changes late");
}

fn take(changed: &mut HashSet<Uuid>, most: usize) -> Option<Vec<Uuid>> {
    let step: Vec<Uuid> = changed.iter().take(most).copied().collect();
    for id in &step {
        changed.remove(id);
    }
    (!step.is_empty()).then_some(step)
}

/// The news of a game, as long as somebody watches a ticket of it.
fn follow(hub: Arc<Hub>, game: Uuid, news: broadcast::Receiver<News>) -> BoxStream<'static, (Uuid, News)> {
    let next = move |(hub, mut news): (Arc<Hub>, broadcast::Receiver<News>)| async move {
        let told = match news.recv().await {
            Ok(told) => told,
            Err(RecvError::Lagged(_)) => News::Missed,
            Err(RecvError::Closed) => {
                hub.unfollow(game, true);
                return None;
            }
        };
        if hub.unfollow(game, false) { None } else { Some(((game, told), (hub, news))) }
    };
    stream::unfold((hub, news), next).boxed()
}
