//! What a session tells outside: records for the log, news for players. It stands in the session until it is done, so that
//! nothing is lost whatever ends in between; what is done twice has the same id.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use pkg_ambient::Ambient;
use pkg_api::log::v1::Record;
use pkg_bus::{Bus, NewEvent};
use pkg_envelope::Audience;
use pkg_log::{Log, Topic};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::turns::Turns;
use super::{SessionError, Sessions, View, player_topic};
use crate::session::{Errand, Session};
use crate::session_message;
use crate::store::Due;

/// How long one record may take.
const RECORD_WITHIN: Duration = Duration::from_secs(5);
/// How many errands of one session are under way at once.
const AT_ONCE: usize = 64;
/// For how many sessions errands are done at once; the sweeper does those of others.
const SESSIONS_AT_ONCE: usize = 256;

/// Who does errands.
pub(super) struct Errands {
    bus: Arc<dyn Bus>,
    log: Arc<dyn Log>,
    ambient: Ambient,
    places: Arc<Semaphore>,
    /// Of one session one after the other, so that nothing is done twice on this node.
    turns: Turns,
}

impl Errands {
    pub(super) fn new(bus: Arc<dyn Bus>, log: Arc<dyn Log>, ambient: Ambient) -> Self {
        Self { bus, log, ambient, places: Arc::new(Semaphore::new(SESSIONS_AT_ONCE)), turns: Turns::new() }
    }

    /// Does one, and says whether it is done.
    async fn run(&self, session: &Session, errand: &Errand, within: Duration) -> bool {
        let outcome = match errand {
            Errand::TellPlayer { id, player, lost } => {
                let event = session_message::seat_changed(session, *id, *lost);
                let payload = pkg_envelope::encode(&Audience::Everyone, &event);
                let news = [NewEvent { id: Some(*id), payload }];
                self.bus.publish(&player_topic(*player), &news, None).await.map(drop).map_err(Into::into)
            }
            Errand::RecordEnd | Errand::RecordLeft { .. } => {
                let record = session_message::record(session, errand, self.ambient.now());
                self.append(&record, within).await
            }
        };
        if let Err(error) = &outcome {
            let error: &dyn std::error::Error = &**error;
            tracing::warn!(session = %session.id, error, "something of a session is not told yet");
        }
        outcome.is_ok()
    }

    async fn append(&self, record: &Record, within: Duration) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.log.append(Topic::Matches, record, within).await.map(drop).map_err(Into::into)
    }
}

impl Sessions {
    /// Does the errands of a session beside what follows, if there is a place for it.
    pub(super) fn begin_errands(&self, session: Uuid) {
        let Ok(place) = Arc::clone(&self.errands.places).try_acquire_owned() else { return };
        let this = self.clone();
        tokio::spawn(async move {
            // The sweeper does what was not done.
            let _ = this.do_errands(session, RECORD_WITHIN).await;
            drop(place);
        });
    }

    /// Records that a session ended with the store that held it, and says whether that is done. If it is repeated, or the
    /// session was recorded in another way before, the id tells.
    pub(super) async fn record_lost(&self, due: &Due, now: OffsetDateTime) -> bool {
        let record = session_message::lost(due.game, due.place, now);
        let outcome = self.errands.append(&record, RECORD_WITHIN).await;
        if let Err(error) = &outcome {
            let error: &dyn std::error::Error = &**error;
            tracing::warn!(session = %due.session, error, "that a session is lost is not recorded yet");
        }
        outcome.is_ok()
    }

    /// Does the errands of a session, and strikes out those that are done. Answers with the session as it is then; `None`
    /// without the session.
    pub(super) async fn do_errands(&self, session: Uuid, within: Duration) -> Result<Option<View>, SessionError> {
        let _turn = self.errands.turns.take(session).await;
        let Some(loaded) = self.store.load(session).await? else { return Ok(None) };
        let within = within.min(RECORD_WITHIN);
        let run = |errand: Errand| {
            let (errands, session) = (&self.errands, &loaded.session);
            async move { errands.run(session, &errand, within).await.then_some(errand) }
        };
        // Begun in their order, which is that of the records.
        let outcomes = futures::stream::iter(loaded.session.errands.clone()).map(run).buffered(AT_ONCE);
        let done: Vec<Errand> = outcomes.filter_map(std::future::ready).collect().await;
        if done.is_empty() {
            return Ok(Some(loaded.into()));
        }
        self.change(session, None, |session, _| Ok(session.settle(&done))).await.map(Some)
    }
}
