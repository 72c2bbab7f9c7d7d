//! Databases for tests, each of its own and migrated.

use std::ops::Deref;

use pkg_ambient::Ambient;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::{Database, PostgresSettings, migrate_up};

/// Where the Postgres server for tests is.
pub const POSTGRES_VARIABLE: &str = "MUSTER_TEST_POSTGRES_URL";
/// Few, since many tests share one server.
const CONNECTIONS: u32 = 4;
/// How long the end of a test waits for a transaction that it left open.
const DROP_STATEMENTS: &str = "SET lock_timeout = '5s'";

/// A database that is gone when this value is dropped. Dereferences to the [`Database`].
#[derive(Debug)]
pub struct TestDatabase {
    database: Database,
    schema: Option<Schema>,
}

impl TestDatabase {
    /// The name of the Postgres schema, for another process to use; `None` for `SQLite`.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_ref().map(|schema| schema.name.as_str())
    }
}

impl Deref for TestDatabase {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

/// A Postgres schema of its own, migrated.
///
/// # Panics
/// If `MUSTER_TEST_POSTGRES_URL` is not set or the server does not serve.
pub async fn postgres() -> TestDatabase {
    let empty = empty_postgres().await;
    migrate_up(&empty, None).await.expect("the migrations apply");
    empty
}

/// A Postgres schema of its own with nothing in it.
///
/// # Panics
/// As [`postgres`].
pub async fn empty_postgres() -> TestDatabase {
    let Ok(url) = std::env::var(POSTGRES_VARIABLE) else {
        panic!("{POSTGRES_VARIABLE} is not set: run `make test`, which starts a server and sets it");
    };
    let schema = Schema { url, name: format!("test_{}", Ambient::system().id().simple()) };
    let mut connection = PgConnection::connect(&schema.url).await.expect("the test server serves");
    let create = AssertSqlSafe(format!("CREATE SCHEMA {}", schema.name));
    connection.execute(create).await.expect("the test server lets us make a schema");
    connection.close().await.expect("the connection closes");

    let settings =
        PostgresSettings { max_connections: CONNECTIONS, schema: Some(schema.name.clone()), ..Default::default() };
    let database = Database::postgres(&schema.url, settings).await.expect("the test server serves");
    TestDatabase { database, schema: Some(schema) }
}

/// An `SQLite` database in memory, migrated.
///
/// # Panics
/// If `SQLite` or a migration fails.
pub async fn sqlite() -> TestDatabase {
    let database = Database::sqlite_memory().await.expect("SQLite opens in memory");
    migrate_up(&database, None).await.expect("the migrations apply");
    TestDatabase { database, schema: None }
}

#[derive(Debug)]
struct Schema {
    url: String,
    name: String,
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (url, name) = (self.url.clone(), self.name.clone());
        // Dropping is not async and may happen on a runtime's thread, so it gets a thread of its own. A failure leaves
        // a schema behind on a server that is thrown away anyway.
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&url).await?;
                connection.execute(DROP_STATEMENTS).await?;
                connection.execute(AssertSqlSafe(format!("DROP SCHEMA {name} CASCADE"))).await?;
                connection.close().await
            })
        });
        drop(cleaner.join());
    }
}
