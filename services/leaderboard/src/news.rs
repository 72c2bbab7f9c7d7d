//! What boards look like now, told on their topics.

use std::collections::HashSet;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use pkg_ambient::Ambient;
use pkg_api::events::v1::event::Payload;
use pkg_api::events::v1::{Event, LeaderboardUpdated};
use pkg_api::leaderboard::v1 as api;
use pkg_bus::{Bus, NewEvent, PublishError, Retention, Topic};
use pkg_envelope::Audience;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::board::BoardId;
use crate::catalog::{Catalog, DefinedBoard};
use crate::message;
use crate::store::{BoardStore, Place, Read, StoreError};

/// A board is told of at most once in so long.
const PAUSE: Duration = Duration::from_millis(250);
/// How many of the best are told, of each period.
const TOP: usize = 10;
/// How many boards are told of at once.
const AT_ONCE: usize = 32;
/// How many boards wait to be told of at most; further ones are told of when they change again.
const WAITING_MAX: usize = 65_536;
/// How long the last round may take when the process ends.
const LAST_ROUND: Duration = Duration::from_secs(1);
/// Who was away for longer reads the board.
const RETENTION: Retention =
    Retention { max_length: 32, lifetime: Duration::from_mins(10), after_end: Duration::from_mins(1) };

/// Where to say that boards have changed. Cloning shares it.
#[derive(Clone)]
pub struct BoardNews {
    waiting: Arc<Waiting>,
}

/// Tells what has changed, a few times a second at most.
pub struct NewsTeller {
    waiting: Arc<Waiting>,
    catalog: Catalog,
    boards: Arc<dyn BoardStore>,
    bus: Arc<dyn Bus>,
    ambient: Ambient,
}

#[derive(Default)]
struct Waiting {
    boards: Mutex<HashSet<BoardId>>,
    some: Notify,
}

/// Why a board was not told of, for now.
#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the board is being rebuilt")]
    Missing,
}

impl BoardNews {
    /// Where to say it, and who tells it.
    pub fn new(
        catalog: Catalog,
        boards: Arc<dyn BoardStore>,
        bus: Arc<dyn Bus>,
        ambient: Ambient,
    ) -> (Self, NewsTeller) {
        let waiting = Arc::<Waiting>::default();
        (Self { waiting: waiting.clone() }, NewsTeller { waiting, catalog, boards, bus, ambient })
    }

    /// A board has changed: its topic is told what it looks like then, once for all changes that come fast.
    pub fn changed(&self, board: &BoardId) {
        self.waiting.add(board);
    }
}

impl Waiting {
    fn add(&self, board: &BoardId) {
        let mut boards = self.lock();
        if boards.len() < WAITING_MAX && !boards.contains(board) {
            boards.insert(board.clone());
            self.some.notify_one();
        }
    }

    fn take(&self) -> HashSet<BoardId> {
        mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<BoardId>> {
        self.boards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NewsTeller {
    /// Runs until it is told to end, and tells then what is left.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut failing = false;
        while shutdown.run_until_cancelled(self.waiting.some.notified()).await.is_some() {
            let next = Instant::now() + PAUSE;
            self.round(&mut failing).await;
            // Told to end meanwhile, it ends.
            let _ = timeout_at(next, shutdown.cancelled()).await;
        }
        let _ = timeout(LAST_ROUND, self.round(&mut failing)).await;
    }

    async fn round(&self, failing: &mut bool) {
        let boards = self.waiting.take();
        let told = futures::stream::iter(boards).map(async |board| (self.tell(&board).await, board));
        let mut told = std::pin::pin!(told.buffer_unordered(AT_ONCE));
        while let Some((outcome, board)) = told.next().await {
            if let Err(error) = outcome {
                self.waiting.add(&board);
                // Told once: it is tried again.
                if !mem::replace(failing, true) {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, %board, "who follows leaderboards is told late");
                }
            } else {
                *failing = false;
            }
        }
    }

    async fn tell(&self, id: &BoardId) -> Result<(), TellError> {
        // One that was removed changes nobody's view.
        let Some(board) = self.catalog.known(id) else { return Ok(()) };
        let Ok(topic) = Topic::new(&format!("board/{id}")) else { return Ok(()) };
        let updated = LeaderboardUpdated {
            game_id: id.game.to_string(),
            board_key: id.key.to_string(),
            views: self.views(&board).await?,
        };
        let event_id = self.ambient.id();
        let payload = Some(Payload::LeaderboardUpdated(updated));
        let event = Event { event_id: event_id.to_string(), payload, ..Event::default() };
        let event = NewEvent { id: Some(event_id), payload: pkg_envelope::encode(&Audience::Everyone, &event) };
        self.bus.publish(&topic, &[event], Some(RETENTION)).await?;
        Ok(())
    }

    /// The best of each period of now.
    async fn views(&self, board: &DefinedBoard) -> Result<Vec<api::BoardView>, TellError> {
        let mut views = Vec::new();
        for span in board.rules.periods_at(self.ambient.now()) {
            let place = Place::new(&board.id, &board.rules, span.id);
            let Read::Found(seen) = self.boards.page(&place, None, TOP).await? else { return Err(TellError::Missing) };
            views.push(message::view(&board.id, &span, Some(&seen), TOP));
        }
        Ok(views)
    }
}
