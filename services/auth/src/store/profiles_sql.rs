//! Profiles in Postgres or SQLite: columns of the users.

use async_trait::async_trait;
use pkg_db::{Database, from_millis, on};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::{ProfileChanged, ProfileStore, SqlAccounts, StoreError};
use crate::account::{Email, Username};
use crate::profile::{AvatarUrl, DisplayName, Locale, Profile, ProfileChange};

macro_rules! columns {
    () => {
        "id, username, email, display_name, avatar_url, locale, profile_version, created_ms"
    };
}

#[derive(FromRow)]
struct ProfileRow {
    id: Uuid,
    username: String,
    email: Option<String>,
    display_name: Option<String>,
    avatar_url: Option<String>,
    locale: Option<String>,
    profile_version: i64,
    created_ms: i64,
}

impl From<ProfileRow> for Profile {
    fn from(row: ProfileRow) -> Self {
        Self {
            id: row.id,
            username: Username::from_store(row.username),
            email: row.email.map(Email::from_store),
            display_name: row.display_name.map(DisplayName::from_store),
            avatar_url: row.avatar_url.map(AvatarUrl::from_store),
            locale: row.locale.map(Locale::from_store),
            version: row.profile_version,
            created_at: from_millis(row.created_ms),
        }
    }
}

#[async_trait]
impl ProfileStore for SqlAccounts {
    async fn profile(&self, id: Uuid) -> Result<Option<Profile>, StoreError> {
        const BY_ID: &str = concat!("SELECT ", columns!(), " FROM users WHERE id = $1");
        let row: Option<ProfileRow> =
            on!(self.database, pool => sqlx::query_as(BY_ID).bind(id).fetch_optional(pool).await)?;
        Ok(row.map(Into::into))
    }

    async fn profiles(&self, ids: &[Uuid]) -> Result<Vec<Profile>, StoreError> {
        const BY_IDS: &str = concat!("SELECT ", columns!(), " FROM users WHERE id");
        let rows: Vec<ProfileRow> = match &self.database {
            Database::Postgres(pool) => {
                const ANY: &str = concat!("SELECT ", columns!(), " FROM users WHERE id = ANY($1)");
                sqlx::query_as(ANY).bind(ids).fetch_all(pool).await?
            }
            // SQLite has no arrays: one placeholder for each.
            Database::Sqlite(pool) => {
                let mut query = QueryBuilder::new(BY_IDS);
                query.push(" IN (");
                let mut list = query.separated(", ");
                for id in ids {
                    list.push_bind(*id);
                }
                query.push(")");
                query.build_query_as().fetch_all(pool).await?
            }
        };
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn profile_by_username(&self, key: &str) -> Result<Option<Profile>, StoreError> {
        const BY_USERNAME: &str = concat!("SELECT ", columns!(), " FROM users WHERE username_key = $1");
        let row: Option<ProfileRow> =
            on!(self.database, pool => sqlx::query_as(BY_USERNAME).bind(key).fetch_optional(pool).await)?;
        Ok(row.map(Into::into))
    }

    async fn change_profile(&self, id: Uuid, change: &ProfileChange) -> Result<ProfileChanged, StoreError> {
        const CHANGE: &str = concat!(
            "UPDATE users SET display_name = COALESCE($2, display_name), ",
            "avatar_url = CASE WHEN $3 THEN avatar_url ELSE $4 END, ",
            "locale = CASE WHEN $5 THEN locale ELSE $6 END, profile_version = profile_version + 1 ",
            "WHERE id = $1 AND ($7 IS NULL OR profile_version = $7) RETURNING ",
            columns!()
        );
        let changed: Option<ProfileRow> = on!(self.database, pool => {
            sqlx::query_as(CHANGE)
                .bind(id)
                .bind(change.display_name.as_ref().map(DisplayName::as_str))
                .bind(change.avatar_url.keeps())
                .bind(change.avatar_url.value().map(AvatarUrl::as_str))
                .bind(change.locale.keeps())
                .bind(change.locale.value().map(Locale::as_str))
                .bind(change.expected_version)
                .fetch_optional(pool)
                .await
        })?;
        match changed {
            Some(row) => Ok(ProfileChanged::Done(row.into())),
            None if self.profile(id).await?.is_some() => Ok(ProfileChanged::Conflict),
            None => Ok(ProfileChanged::NotFound),
        }
    }
}
