//! Follows the definitions of all games.

use std::ops::ControlFlow;
use std::time::Duration;

use pkg_api::game::v1 as api;
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_api::game::v1::watch_definitions_response::Message;
use pkg_middleware::CallRefused;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Catalog, Learned, Source};

/// A stream that says nothing for so long is dead: heartbeats come every 15 s.
const SILENCE: Duration = Duration::from_secs(45);
/// The pause before a stream is opened again…
const AGAIN: Duration = Duration::from_millis(250);
/// …and the longest pause, however often that failed.
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// A stream that was good for so long ended in order: services' tokens end, servers drain.
const GOOD: Duration = Duration::from_secs(5);

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum EndedBy {
    #[error(transparent)]
    Refused(#[from] CallRefused),
    #[error("nothing was heard for {SILENCE:?}")]
    Silence,
}

/// Who follows.
pub struct CatalogFollower<G> {
    catalog: Catalog<G>,
}

impl<G: Learned> CatalogFollower<G> {
    pub(super) fn new(catalog: Catalog<G>) -> Self {
        Self { catalog }
    }

    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut pause = AGAIN;
        let mut failing = false;
        loop {
            let begun = Instant::now();
            let ended = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                ended = self.follow() => ended,
            };
            let was_good = begun.elapsed() >= GOOD || ended.is_ok();
            // Told once: the rules that are known still hold.
            match ended {
                Err(error) if !was_good && !failing => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "the definitions of games cannot be followed for now");
                }
                _ => {}
            }
            failing = !was_good;
            pause = if was_good { AGAIN } else { (pause * 2).min(AGAIN_MAX) };
            if timeout(pause, shutdown.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    /// One stream to its end.
    async fn follow(&self) -> Result<(), EndedBy> {
        let mut client = CatalogServiceClient::new(self.catalog.inner.channel.clone());
        let request = api::WatchDefinitionsRequest::default();
        let opened = timeout(SILENCE, client.watch_definitions(request)).await.map_err(|_| EndedBy::Silence)?;
        let mut stream = opened.map_err(CallRefused::from)?.into_inner();
        loop {
            let told = timeout(SILENCE, stream.message()).await.map_err(|_| EndedBy::Silence)?;
            let Some(told) = told.map_err(CallRefused::from)? else { return Ok(()) };
            if self.take(told.message).is_break() {
                return Ok(());
            }
        }
    }

    fn take(&self, message: Option<Message>) -> ControlFlow<()> {
        match message {
            Some(Message::Definition(state)) => self.learn(&state),
            Some(Message::CaughtUp(api::CaughtUp {})) => {
                self.catalog.inner.caught_up.send_if_modified(|caught_up| !std::mem::replace(caught_up, true));
            }
            Some(Message::GoAway(_)) => return ControlFlow::Break(()),
            Some(Message::Heartbeat(_)) | None => {}
        }
        ControlFlow::Continue(())
    }

    /// A game that is not understood keeps the rules that it has here.
    fn learn(&self, state: &api::DefinitionState) {
        let game = state.revision.as_ref().and_then(|revision| Uuid::try_parse(&revision.game_id).ok());
        let learned = game.map(|game| self.catalog.apply(game, state, Source::Followed));
        if let Some(Err(error)) = learned {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, game_key = state.game_key, "new rules are not understood; the old ones stay");
        }
    }
}
