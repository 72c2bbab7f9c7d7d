//! What may go wrong, by what the caller can do about it.

use std::time::Duration;

use thiserror::Error;

/// The database could not be opened. No text in here contains a password.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The URL is not one of a Postgres server.
    #[error("not a Postgres URL")]
    Address(#[source] sqlx::Error),
    /// The server or the file said no.
    #[error("cannot open the database at {server}")]
    Refused {
        /// Host and port, or the file.
        server: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The server did not answer in time.
    #[error("the database at {server} did not answer within {after:?}")]
    TimedOut {
        /// Host and port.
        server: String,
        /// How long we waited.
        after: Duration,
    },
}

/// `SQLSTATE`s (by their beginning) after which a later attempt may succeed: connection exceptions, a read-only server
/// (a failover is under way), rolled back for the sake of another transaction, out of resources, ended by an operator
/// or a time-out.
const POSTGRES_UNAVAILABLE: [&str; 5] = ["08", "25006", "40", "53", "57"];
/// `SQLite`'s primary result codes of the same meaning: `BUSY`, `LOCKED`, `IOERR`, `FULL`, `CANTOPEN`.
const SQLITE_UNAVAILABLE: [i32; 5] = [5, 6, 10, 13, 14];
/// The primary result code is in the lowest byte of an extended one.
const SQLITE_PRIMARY_CODE: i32 = 0xff;

/// Whether the database could not serve at this moment, as opposed to a statement that will never work.
#[must_use]
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        // A proxy whose server is gone accepts and closes, which sqlx takes for an answer in a foreign language.
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => match error.code() {
            Some(code) if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() => {
                code.parse::<i32>().is_ok_and(|code| SQLITE_UNAVAILABLE.contains(&(code & SQLITE_PRIMARY_CODE)))
            }
            Some(code) => POSTGRES_UNAVAILABLE.iter().any(|class| code.starts_with(class)),
            None => false,
        },
        _ => false,
    }
}

/// Whether the statement failed because `column` of `table`, declared `UNIQUE` by itself, has that value already.
#[must_use]
pub fn violates_unique(error: &sqlx::Error, table: &str, column: &str) -> bool {
    let Some(error) = error.as_database_error().filter(|error| error.is_unique_violation()) else {
        return false;
    };
    match error.constraint() {
        Some(constraint) => constraint == format!("{table}_{column}_key"),
        // SQLite names the columns, in its text only.
        None => error.message().ends_with(&format!(" {table}.{column}")),
    }
}
