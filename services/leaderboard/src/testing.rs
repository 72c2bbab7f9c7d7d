//! What tests stand on.

mod boards;
mod games;

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::log::v1::{Record, record};
use pkg_db::Database;
use pkg_db::testing::TestDatabase;
use pkg_log::sqlite::{Settings, SqliteLog};
use pkg_log::{Appended, Log, Topic};
use pkg_middleware::testing::in_time;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use self::boards::Exchangeable;
pub(crate) use self::games::{Games, board_definition};
pub(crate) use pkg_middleware::testing::{PATIENCE, until};

/// A log of the test's own.
pub(crate) struct TestLog {
    pub(crate) log: Arc<dyn Log>,
    _database: TestDatabase,
}

impl TestLog {
    pub(crate) async fn start() -> Self {
        let database = pkg_db::testing::sqlite().await;
        let Database::Sqlite(pool) = &*database else { unreachable!("it is SQLite") };
        let log = Arc::new(SqliteLog::start(pool.clone(), Ambient::system(), Settings::default()));
        Self { log, _database: database }
    }

    pub(crate) async fn append(&self, topic: Topic, key: &str, id: Uuid, event: record::Event) -> Appended {
        let record = Record { record_id: id.to_string(), key: key.to_owned(), event: Some(event), ..Record::default() };
        self.log.append(topic, &record, PATIENCE).await.unwrap()
    }
}

/// A task that runs until it is told to end, or cut off.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    pub(crate) fn start<F>(run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(shutdown.clone()));
        Self { shutdown, task }
    }

    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        in_time(self.task).await.expect("it does not panic");
    }

    /// Wherever it is.
    pub(crate) async fn cut_off(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()), "it runs until then");
    }
}
