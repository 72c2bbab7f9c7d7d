//! The look-ups of accounts that every sign-in and refresh makes, many in one statement of Postgres.
//!
//! One prepared SELECT costs Postgres 41 µs, one for 16 accounts 75 µs, and a connection is taken from the pool once.

use std::collections::HashMap;

use pkg_batching::Batcher;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::StoreError;
use super::accounts_sql::{AccountRow, columns};
use crate::account::Account;
use crate::secret::SecretHash;

const BY_IDS: &str = concat!("SELECT ", columns!(), " FROM users WHERE id = ANY($1)");

// Each LIMIT keeps the planner from joining whole tables: it guesses the length of the array, and without statistics
// much else.
const BY_DEVICES: &str = concat!(
    "SELECT secret_hash, ",
    columns!(),
    " FROM unnest($1) AS wanted (secret_hash)",
    " CROSS JOIN LATERAL (SELECT user_id FROM device_identities AS known",
    " WHERE known.secret_hash = wanted.secret_hash LIMIT 1) AS devices",
    " CROSS JOIN LATERAL (SELECT * FROM users WHERE id = user_id LIMIT 1) AS accounts"
);

type Found = Result<Option<Account>, StoreError>;

/// Look-ups in batches.
#[derive(Clone)]
pub(super) struct AccountLookups {
    by_id: Batcher<Uuid, Found>,
    by_device: Batcher<SecretHash, Found>,
}

#[derive(FromRow)]
struct DeviceRow {
    secret_hash: Vec<u8>,
    #[sqlx(flatten)]
    account: AccountRow,
}

impl AccountLookups {
    pub(super) fn spawn(pool: &PgPool) -> Self {
        let (ids, devices) = (pool.clone(), pool.clone());
        Self {
            by_id: Batcher::spawn(move |batch| find_by_ids(ids.clone(), batch)),
            by_device: Batcher::spawn(move |batch| find_by_devices(devices.clone(), batch)),
        }
    }

    pub(super) async fn by_id(&self, id: Uuid) -> Found {
        self.by_id.call(id).await?
    }

    pub(super) async fn by_device(&self, device: &SecretHash) -> Found {
        self.by_device.call(*device).await?
    }
}

async fn find_by_ids(pool: PgPool, ids: Vec<Uuid>) -> Vec<Found> {
    let rows: Result<Vec<AccountRow>, _> = sqlx::query_as(BY_IDS).bind(&ids).fetch_all(&pool).await;
    answer(&ids, rows.map(|rows| rows.into_iter().map(|row| (row.id, row)).collect()))
}

async fn find_by_devices(pool: PgPool, devices: Vec<SecretHash>) -> Vec<Found> {
    let hashes: Vec<&[u8]> = devices.iter().map(|device| device.as_bytes().as_slice()).collect();
    let rows: Result<Vec<DeviceRow>, _> = sqlx::query_as(BY_DEVICES).bind(&hashes).fetch_all(&pool).await;
    let by_device = |rows: Vec<DeviceRow>| {
        rows.into_iter().filter_map(|row| Some((SecretHash::try_from(row.secret_hash).ok()?, row.account))).collect()
    };
    answer(&devices, rows.map(by_device))
}

/// Gives each key its account. A key may be asked for twice.
fn answer<K: Eq + std::hash::Hash>(keys: &[K], rows: Result<HashMap<K, AccountRow>, sqlx::Error>) -> Vec<Found> {
    match rows {
        Ok(rows) => keys.iter().map(|key| rows.get(key).cloned().map(Account::try_from).transpose()).collect(),
        Err(error) => {
            let failed = StoreError::from(error);
            keys.iter().map(|_| Err(failed.clone())).collect()
        }
    }
}
