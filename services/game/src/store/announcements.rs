//! Announcements in Postgres or `SQLite`.

use std::time::Duration;

use async_trait::async_trait;
use pkg_api::events::v1 as api;
use pkg_db::{Database, from_millis, on, to_millis};
use prost::Message;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::announcement::{Announcement, Content, Place};

/// How long an announcement is kept after it expired, so that a repeated call finds it.
const KEPT_AFTER_EXPIRY: Duration = Duration::from_hours(24);

/// What admins have said.
#[async_trait]
pub trait AnnouncementStore: Send + Sync {
    /// Adds one, unless there is one with its id: that one is returned.
    async fn add(&self, new: &Announcement) -> Result<Option<Announcement>, StoreError>;

    /// Those for everyone and those about a game that have not expired: the newest first, after a place.
    async fn page(
        &self,
        game: Option<Uuid>,
        now: OffsetDateTime,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Announcement>, StoreError>;
}

/// The announcements of a database.
#[derive(Debug, Clone)]
pub struct SqlAnnouncements {
    database: Database,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    game_id: Option<Uuid>,
    body: Vec<u8>,
    created_ms: i64,
    expires_ms: i64,
}

impl SqlAnnouncements {
    /// The announcements of this database, which has the newest migrations.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl AnnouncementStore for SqlAnnouncements {
    async fn add(&self, new: &Announcement) -> Result<Option<Announcement>, StoreError> {
        const FORGET: &str = "DELETE FROM announcements WHERE expires_ms < $1";
        const ADD: &str = "INSERT INTO announcements (id, game_id, body, created_ms, expires_ms) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING";
        const FIND: &str = "SELECT id, game_id, body, created_ms, expires_ms FROM announcements WHERE id = $1";
        let body = new.to_api().encode_to_vec();
        let (created, expires) = (to_millis(new.created_at), to_millis(new.expires_at));
        let known: Option<Row> = on!(self.database, pool => {
            sqlx::query(FORGET).bind(to_millis(new.created_at - KEPT_AFTER_EXPIRY)).execute(pool).await?;
            let added = sqlx::query(ADD)
                .bind(new.id)
                .bind(new.game)
                .bind(&body)
                .bind(created)
                .bind(expires)
                .execute(pool)
                .await?;
            if added.rows_affected() == 1 {
                return Ok(None);
            }
            sqlx::query_as(FIND).bind(new.id).fetch_optional(pool).await?
        });
        let known = known.ok_or_else(|| StoreError::broken("an announcement vanished"))?;
        known.try_into().map(Some)
    }

    async fn page(
        &self,
        game: Option<Uuid>,
        now: OffsetDateTime,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Announcement>, StoreError> {
        const PAGE: &str = "SELECT id, game_id, body, created_ms, expires_ms FROM announcements \
             WHERE expires_ms > $1 AND (game_id IS NULL OR game_id = $2) \
             AND (created_ms < $3 OR (created_ms = $3 AND id < $4)) \
             ORDER BY created_ms DESC, id DESC LIMIT $5";
        let (before_ms, before_id) =
            after.map_or((i64::MAX, Uuid::max()), |after| (to_millis(after.created_at), after.id));
        // No game has this id, and with NULL the comparison would have no type in Postgres.
        let game = game.unwrap_or(Uuid::nil());
        let rows: Vec<Row> = on!(self.database, pool => {
            sqlx::query_as(PAGE)
                .bind(to_millis(now))
                .bind(game)
                .bind(before_ms)
                .bind(before_id)
                .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                .fetch_all(pool)
                .await?
        });
        rows.into_iter().map(TryInto::try_into).collect()
    }
}

impl TryFrom<Row> for Announcement {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let message = api::Announcement::decode(&row.body[..]).map_err(StoreError::broken)?;
        let content = Content::from_api(&message);
        Ok(Self {
            id: row.id,
            game: row.game_id,
            content: content.ok_or_else(|| StoreError::broken("an announcement is damaged"))?,
            created_at: from_millis(row.created_ms),
            expires_at: from_millis(row.expires_ms),
        })
    }
}

#[cfg(test)]
mod contract {
    //! What the store promises on either database.

    use pkg_ambient::{Ambient, ManualClock};
    use pkg_api::events::v1::AnnouncementKind;
    use pkg_db::testing;
    use pkg_definition::{AttributeKey, AttributeValue, Attributes, Region};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn now() -> OffsetDateTime {
        Ambient::with_clock(ManualClock::new()).now()
    }

    fn announcement(game: Option<Uuid>, created_at: OffsetDateTime) -> Announcement {
        let key = AttributeKey::parse("level").unwrap();
        let attributes = Attributes::new([(key, AttributeValue::Int(5))].into()).unwrap();
        let content = Content {
            kind: AnnouncementKind::Alert,
            title: "Maintenance".to_owned(),
            text: "At noon".to_owned(),
            attributes,
            region: Some(Region::EuWest),
        };
        Announcement { id: Ambient::system().id(), game, content, created_at, expires_at: created_at + HOUR }
    }

    async fn what_is_added_comes_back_and_an_id_is_used_once(store: &dyn AnnouncementStore) {
        let first = announcement(None, now());
        assert_eq!(store.add(&first).await.unwrap(), None);
        let mut again = announcement(Some(Uuid::from_u128(5)), now());
        again.id = first.id;
        assert_eq!(store.add(&again).await.unwrap(), Some(first.clone()));
        assert_eq!(store.page(None, now(), None, 10).await.unwrap(), [first]);
    }

    async fn each_game_sees_its_own_the_newest_first_by_pages(store: &dyn AnnouncementStore) {
        let (game, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let begin = now() + 100 * HOUR;
        let mut expected = Vec::new();
        for number in 0..5_u32 {
            // Two at a time, so that ids tell apart what times do not.
            let at = begin + (number / 2) * Duration::from_secs(1);
            let new = announcement((number % 2 == 0).then_some(game), at);
            assert_eq!(store.add(&new).await.unwrap(), None);
            assert_eq!(store.add(&announcement(Some(other), at)).await.unwrap(), None);
            expected.push(new);
        }
        expected.sort_by_key(|it| std::cmp::Reverse((it.created_at, it.id)));
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = store.page(Some(game), begin, after, 2).await.unwrap();
            after = page.last().map(Announcement::place);
            found.extend(page);
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected);
        expected.retain(|it| it.game.is_none());
        assert_eq!(store.page(None, begin, None, 100).await.unwrap(), expected);
    }

    async fn what_has_expired_is_not_listed_and_is_forgotten_later(store: &dyn AnnouncementStore) {
        let begin = now() + 1_000 * HOUR;
        let new = announcement(None, begin);
        assert_eq!(store.add(&new).await.unwrap(), None);
        assert_eq!(store.page(None, begin + HOUR, None, 10).await.unwrap(), []);
        assert_eq!(store.add(&new).await.unwrap(), Some(new.clone()));
        let later = announcement(None, new.expires_at + KEPT_AFTER_EXPIRY + HOUR);
        assert_eq!(store.add(&later).await.unwrap(), None);
        assert_eq!(store.add(&new).await.unwrap(), None, "its id is free again");
    }

    async fn verify(database: &Database) {
        let store = SqlAnnouncements::new(database.clone());
        what_is_added_comes_back_and_an_id_is_used_once(&store).await;
        each_game_sees_its_own_the_newest_first_by_pages(&store).await;
        what_has_expired_is_not_listed_and_is_forgotten_later(&store).await;
    }

    #[tokio::test]
    async fn sqlite() {
        let database = testing::sqlite().await;
        verify(&database).await;
    }

    mod real_postgres {
        use super::*;

        #[tokio::test]
        async fn the_contract_holds() {
            let database = testing::postgres().await;
            verify(&database).await;
        }
    }
}
