use super::*;
use sqlx::FromRow;
use uuid::Uuid;

const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, PartialEq, FromRow)]
struct User {
    id: Uuid,
    username: String,
    email: Option<String>,
    epoch: i64,
    registration_id: Option<Uuid>,
    ban_reason: Option<String>,
    ban_until_ms: Option<i64>,
    created_ms: i64,
}

fn id() -> Uuid {
    pkg_ambient::Ambient::system().id()
}

async fn insert(database: &Database, id: Uuid, name: &str) -> Result<User, sqlx::Error> {
    on!(database, pool => {
        sqlx::query_as(
            "INSERT INTO users (id, username, username_key, registration_id, created_ms)
             VALUES ($1, $2, $3, $4, $5)
             RETURNING id, username, email, epoch, registration_id, ban_reason, ban_until_ms, created_ms",
        )
        .bind(id)
        .bind(name)
        .bind(name.to_lowercase())
        .bind(Some(id))
        .bind(1_780_000_000_123_i64)
        .fetch_one(pool)
        .await
    })
}

/// The SQL that stores are written in means the same on both databases.
async fn one_text_serves_both(database: &Database) {
    let neo = id();
    let inserted = insert(database, neo, "Neo").await.unwrap();
    let expected = User {
        id: neo,
        username: "Neo".to_owned(),
        email: None,
        epoch: 0,
        registration_id: Some(neo),
        ban_reason: None,
        ban_until_ms: None,
        created_ms: 1_780_000_000_123,
    };
    assert_eq!(inserted, expected);

    let error = insert(database, id(), "NEO").await.unwrap_err();
    assert!(violates_unique(&error, "users", "username_key"));
    assert!(!violates_unique(&error, "users", "email_key"));
    assert!(!is_unavailable(&error));

    let secret = vec![0_u8, 255, 7];
    let found: (Vec<u8>, i64) = on!(database, pool => {
        let insert = "INSERT INTO device_identities (secret_hash, user_id, created_ms) VALUES ($1, $2, $3)
                      ON CONFLICT (secret_hash) DO NOTHING";
        for expected in [1, 0] {
            let done = sqlx::query(insert).bind(&secret).bind(neo).bind(1_i64).execute(pool).await.unwrap();
            assert_eq!(done.rows_affected(), expected);
        }
        let raise = "UPDATE users SET epoch = epoch + CASE WHEN $2 THEN 1 ELSE 0 END WHERE id = $1";
        sqlx::query(raise).bind(neo).bind(true).execute(pool).await.unwrap();
        let select = "SELECT secret_hash, epoch FROM device_identities JOIN users ON users.id = user_id
                      WHERE secret_hash = $1 AND ($2 IS NULL OR epoch = $2)";
        sqlx::query_as(select).bind(&secret).bind(Some(1_i64)).fetch_one(pool).await.unwrap()
    });
    assert_eq!(found, (secret, 1));

    let left: i64 = on!(database, pool => {
        sqlx::query("DELETE FROM users WHERE id = $1").bind(neo).execute(pool).await.unwrap();
        sqlx::query_scalar("SELECT COUNT(*) FROM device_identities").fetch_one(pool).await.unwrap()
    });
    assert_eq!(left, 0, "deleting a user deletes what refers to it");
}

/// Forth, back and forth again.
async fn the_history_goes_both_ways(database: &Database) {
    let applied = async || {
        let all = status(database).await.unwrap();
        assert!(all.iter().all(|migration| migration.known));
        (all.iter().filter(|migration| migration.applied_at.is_some()).count(), all.len())
    };
    let (none, all) = applied().await;
    assert_eq!(none, 0);

    migrate_up(database, Some(1)).await.unwrap();
    assert_eq!(applied().await, (1, all));
    migrate_up(database, None).await.unwrap();
    assert_eq!(applied().await, (all, all));
    migrate_down(database, 0).await.unwrap();
    assert_eq!(applied().await, (0, all));
    migrate_up(database, None).await.unwrap();
    one_text_serves_both(database).await;

    let unknown = migrate_down(database, 999).await.unwrap_err();
    assert!(matches!(unknown, MigrationError::UnknownVersion(999)));

    let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                  VALUES (9000, 'from the future', TRUE, $1, 0)";
    on!(database, pool => { sqlx::query(insert).bind(vec![1_u8]).execute(pool).await.unwrap(); });
    migrate_up(database, None).await.expect("an old executable starts on a newer schema");
    assert!(!status(database).await.unwrap().last().unwrap().known);
}

#[tokio::test]
async fn one_text_serves_sqlite() {
    let database = testing::sqlite().await;
    one_text_serves_both(&database).await;
}

#[tokio::test]
async fn sqlite_history_goes_both_ways() {
    the_history_goes_both_ways(&Database::sqlite_memory().await.unwrap()).await;
}

#[tokio::test]
async fn an_sqlite_file_keeps_its_data_and_several_openers_may_migrate_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("muster.db");
    let (first, second) = (Database::sqlite_file(&path).await.unwrap(), Database::sqlite_file(&path).await.unwrap());
    let (one, two) = tokio::join!(migrate_up(&first, None), migrate_up(&second, None));
    one.unwrap();
    two.unwrap();

    insert(&first, id(), "Neo").await.unwrap();
    first.close().await;
    second.close().await;
    let again = Database::sqlite_file(&path).await.unwrap();
    let error = insert(&again, id(), "neo").await.unwrap_err();
    assert!(violates_unique(&error, "users", "username_key"));
}

#[tokio::test]
async fn a_folder_that_is_missing_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent").join("muster.db");
    let error = Database::sqlite_file(&path).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { server, .. } if server.contains("absent")));
}

#[tokio::test]
async fn a_closed_database_is_unavailable() {
    let database = testing::sqlite().await;
    database.ping(TIMEOUT).await.unwrap();
    database.close().await;
    assert!(is_unavailable(&database.ping(TIMEOUT).await.unwrap_err()));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_the_password() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("postgres://muster:sesame@127.0.0.1:{port}/muster");
    let error = Database::postgres(&url, PostgresSettings::default()).await.unwrap_err();
    let ConnectError::Refused { server, source } = &error else { panic!("unexpected {error:?}") };
    assert_eq!(server, &format!("127.0.0.1:{port}"));
    assert!(is_unavailable(source));
    assert!(!format!("{error:?}").contains("sesame"));

    for url in ["mysql://muster:sesame@host/db", "sesame", "postgres://muster:12#sesame@host/db"] {
        let error = Database::postgres(url, PostgresSettings::default()).await.unwrap_err();
        assert!(!format!("{error:?} {error}").contains("sesame"), "{error:?}");
    }
}

#[tokio::test]
async fn a_proxy_without_a_server_behind_it_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = std::thread::spawn(move || drop(listener.accept()));
    let url = format!("postgres://muster:sesame@127.0.0.1:{port}/muster");
    let error = Database::postgres(&url, PostgresSettings::default()).await.unwrap_err();
    proxy.join().unwrap();
    let ConnectError::Refused { source, .. } = &error else { panic!("unexpected {error:?}") };
    assert!(is_unavailable(source), "{source:?}");
}

mod real_postgres {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_transaction_that_nobody_waits_for_spoils_no_connection() {
        let database = testing::empty_postgres().await;
        let Database::Postgres(others) = &*database else { unreachable!("it is Postgres") };
        sqlx::query("CREATE TABLE counted (number BIGINT NOT NULL)").execute(others).await.unwrap();
        let alone = PgPoolOptions::new().max_connections(1).connect_with((*others.connect_options()).clone());
        let alone = alone.await.unwrap();
        for number in 0..40 {
            // Given up at another moment each time: never begun, under way, begun.
            let mut beginning = Box::pin(begin(&alone));
            for _ in 0..number {
                if std::future::poll_fn(|context| Poll::Ready(beginning.as_mut().poll(context).is_ready())).await {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(beginning);
            sqlx::query("INSERT INTO counted VALUES ($1)").bind(number).execute(&alone).await.unwrap();
            let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM counted").fetch_one(others).await.unwrap();
            assert_eq!(seen, number + 1, "what was written is there for everybody");
        }
    }

    #[tokio::test]
    async fn one_text_serves_postgres() {
        let database = testing::postgres().await;
        one_text_serves_both(&database).await;
    }

    #[tokio::test]
    async fn postgres_history_goes_both_ways() {
        let database = testing::empty_postgres().await;
        the_history_goes_both_ways(&database).await;
    }

    #[tokio::test]
    async fn processes_that_start_at_once_migrate_once() {
        let database = testing::empty_postgres().await;
        let (one, two, three) =
            tokio::join!(migrate_up(&database, None), migrate_up(&database, None), migrate_up(&database, None));
        one.unwrap();
        two.unwrap();
        three.unwrap();
    }

    #[tokio::test]
    async fn a_statement_that_takes_too_long_is_ended_as_unavailable() {
        let url = std::env::var(testing::POSTGRES_VARIABLE).expect("set by `make test`");
        let settings = PostgresSettings { statement_timeout: Duration::from_millis(1), ..Default::default() };
        let Database::Postgres(pool) = Database::postgres(&url, settings).await.unwrap() else { unreachable!() };
        let error = sqlx::query("SELECT pg_sleep(60)").execute(&pool).await.unwrap_err();
        assert!(is_unavailable(&error));
    }

    #[tokio::test]
    async fn a_failed_migration_does_not_keep_others_waiting() {
        let database = testing::empty_postgres().await;
        on!(*database, pool => { sqlx::query("CREATE TABLE users (x BIGINT)").execute(pool).await.unwrap(); });
        assert!(matches!(migrate_up(&database, None).await, Err(MigrationError::Migration(_))));
        on!(*database, pool => { sqlx::query("DROP TABLE users").execute(pool).await.unwrap(); });
        migrate_up(&database, None).await.unwrap();
    }
}
