//! The tickets that are watched on this replica, each once, however many watch it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::View;
use crate::store::News;

/// How many games may wait to be followed.
const SUBSCRIPTIONS: usize = 1_024;

/// News of a game's tickets.
pub(super) type Subscription = (Uuid, broadcast::Receiver<News>);

/// What is watched here.
pub(super) struct Hub {
    state: Mutex<State>,
    subscriptions: mpsc::Sender<Subscription>,
    /// Tells what was read later from what was read before.
    order: AtomicU64,
}

#[derive(Default)]
struct State {
    tickets: HashMap<Uuid, Watched>,
    games: HashMap<Uuid, WatchedGame>,
}

struct Watched {
    view: watch::Sender<Arc<View>>,
    /// How many watch it…
    watchers: usize,
    /// …and how many of those are its players, or play for them.
    lives: usize,
    /// When what is shown was read, by [`Hub::begin_reading`].
    read: u64,
    /// Since when the store does not have it.
    missing_since: Option<Instant>,
}

#[derive(Default)]
struct WatchedGame {
    tickets: usize,
    /// Whether its news come in.
    followed: bool,
}

/// One who watches a ticket. It is watched no longer when the last one is dropped.
pub(super) struct Watching {
    pub(super) view: watch::Receiver<Arc<View>>,
    hub: Arc<Hub>,
    ticket: Uuid,
    game: Uuid,
    lives: bool,
}

impl Hub {
    pub(super) fn new() -> (Arc<Self>, mpsc::Receiver<Subscription>) {
        let (subscriptions, receiver) = mpsc::channel(SUBSCRIPTIONS);
        (Arc::new(Self { state: Mutex::default(), subscriptions, order: AtomicU64::new(0) }), receiver)
    }

    /// Watches a ticket that was just read, beside others who do. `lives`: that is a sign of life of its players.
    pub(super) fn watch(self: &Arc<Self>, view: View, lives: bool) -> Watching {
        let (ticket, game) = (view.stored.ticket.id, view.stored.queue.game);
        let mut state = self.lock();
        let State { tickets, games } = &mut *state;
        let watched = tickets.entry(ticket).or_insert_with(|| {
            games.entry(game).or_default().tickets += 1;
            Watched { view: watch::Sender::new(Arc::new(view)), watchers: 0, lives: 0, read: 0, missing_since: None }
        });
        watched.watchers += 1;
        watched.lives += usize::from(lives);
        Watching { view: watched.view.subscribe(), hub: self.clone(), ticket, game, lives }
    }

    /// Whether news of a game come in, or nobody watches a ticket of it.
    pub(super) fn is_followed(&self, game: Uuid) -> bool {
        self.lock().games.get(&game).is_none_or(|game| game.followed)
    }

    /// News of a game come in from now on.
    pub(super) async fn follow(&self, game: Uuid, news: broadcast::Receiver<News>) {
        let begun = |state: &mut State| {
            let game = state.games.get_mut(&game).filter(|game| !game.followed);
            game.is_some_and(|game| !std::mem::replace(&mut game.followed, true))
        };
        if begun(&mut self.lock()) {
            // It fails when the process ends.
            let _ = self.subscriptions.send((game, news)).await;
        }
    }

    /// The news of a game have ended, or are not needed any more: says so if nobody watches.
    pub(super) fn unfollow(&self, game: Uuid, always: bool) -> bool {
        let mut state = self.lock();
        match state.games.get_mut(&game) {
            Some(watched) if !always && watched.tickets > 0 => false,
            Some(watched) => {
                watched.followed = false;
                if watched.tickets == 0 {
                    state.games.remove(&game);
                }
                true
            }
            None => true,
        }
    }

    /// Those of these tickets that are watched and may still change.
    pub(super) fn watched_of(&self, ids: Vec<Uuid>) -> Vec<Uuid> {
        let state = self.lock();
        let lives = |id: &Uuid| state.tickets.get(id).is_some_and(|watched| !watched.view.borrow().is_final());
        ids.into_iter().filter(lives).collect()
    }

    /// The same, with what is shown of them.
    pub(super) fn views_of(&self, ids: &[Uuid]) -> Vec<Arc<View>> {
        let state = self.lock();
        let views = ids.iter().filter_map(|id| state.tickets.get(id)).map(|watched| watched.view.borrow().clone());
        views.filter(|view| !view.is_final()).collect()
    }

    /// All tickets that are watched and may still change, and whether their players are among those who watch.
    pub(super) fn watched(&self) -> Vec<(Arc<View>, bool)> {
        let state = self.lock();
        let views = state.tickets.values().map(|watched| (watched.view.borrow().clone(), watched.lives > 0));
        views.filter(|(view, _)| !view.is_final()).collect()
    }

    /// The same, of one game.
    pub(super) fn watched_in(&self, game: Uuid) -> Vec<Uuid> {
        let all = self.watched().into_iter().map(|(view, _)| view);
        all.filter(|view| view.stored.queue.game == game).map(|view| view.stored.ticket.id).collect()
    }

    /// To be called before something is read that is shown then.
    pub(super) fn begin_reading(&self) -> u64 {
        self.order.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Shows what was read, unless something newer is shown, and says what ended by that. Who watches is told of another
    /// status; of the rest only if they are to be.
    pub(super) fn show(&self, read: u64, views: Vec<View>, tell_estimates: bool) -> Vec<Arc<View>> {
        let mut ended = Vec::new();
        let mut state = self.lock();
        for view in views {
            let Some(watched) = state.tickets.get_mut(&view.stored.ticket.id) else { continue };
            if read < watched.read || watched.view.borrow().is_final() {
                continue;
            }
            watched.read = read;
            watched.missing_since = None;
            let is_final = view.is_final();
            watched.view.send_if_modified(|shown| {
                let is_news = shown.stored.status != view.stored.status || shown.lost != view.lost || tell_estimates;
                *shown = Arc::new(view);
                is_news
            });
            if is_final {
                ended.push(watched.view.borrow().clone());
            }
        }
        ended
    }

    /// The store has these tickets.
    pub(super) fn found(&self, ids: impl IntoIterator<Item = Uuid>) {
        let mut state = self.lock();
        for id in ids {
            if let Some(watched) = state.tickets.get_mut(&id) {
                watched.missing_since = None;
            }
        }
    }

    /// The store does not have these tickets. Those that it has not had for so long.
    pub(super) fn missed(&self, ids: &[Uuid], for_so_long: Duration) -> HashSet<Uuid> {
        let mut state = self.lock();
        let mut lost = HashSet::new();
        for id in ids {
            let Some(watched) = state.tickets.get_mut(id) else { continue };
            if watched.missing_since.get_or_insert_with(Instant::now).elapsed() >= for_so_long {
                lost.insert(*id);
            }
        }
        lost
    }

    fn forget(&self, ticket: Uuid, game: Uuid, lives: bool) {
        let mut state = self.lock();
        let Some(watched) = state.tickets.get_mut(&ticket) else { return };
        watched.watchers -= 1;
        watched.lives -= usize::from(lives);
        if watched.watchers > 0 {
            return;
        }
        state.tickets.remove(&ticket);
        let Some(watched) = state.games.get_mut(&game) else { return };
        watched.tickets -= 1;
        if watched.tickets == 0 && !watched.followed {
            state.games.remove(&game);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.hub.forget(self.ticket, self.game, self.lives);
    }
}
