//! Entities in Redis: a hash beside the session, id → version and body with a blank between, and a sorted set of the ids,
//! all with one score, so that pages are in their order.

use std::sync::LazyLock;

use async_trait::async_trait;
use bytes::Bytes;
use fred::interfaces::{HashesInterface, KeysInterface};
use fred::types::Value;
use pkg_bus::{POSITION_LUA, PUBLISH_LUA, Position};
use pkg_redis::{RedisError, Script};
use time::OffsetDateTime;
use uuid::Uuid;

use super::entities::{BATCH_MEMORY, EntityCommit, EntityCommitted, EntityPage, EntityStore, PAGE_BYTES};
use super::sessions_redis::{RedisSessions, unexpected};
use super::{StoreError, unpublished};
use crate::entity::Entity;
use crate::sessions::topic;

static COMMIT: LazyLock<Script> =
    LazyLock::new(|| Script::with_library(PUBLISH_LUA, include_str!("entity_commit.lua")));
static PAGE: LazyLock<Script> = LazyLock::new(|| Script::with_library(POSITION_LUA, include_str!("entity_page.lua")));

#[async_trait]
impl EntityStore for RedisSessions {
    async fn entities(&self, session: Uuid, ids: &[Uuid]) -> Result<Vec<Option<Entity>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let client = self.redis.client()?;
        let found: Vec<Option<String>> =
            client.hmget(self.key(session, "entities"), ids).await.map_err(RedisError::from)?;
        found.into_iter().map(|entity| entity.as_deref().map(read).transpose()).collect()
    }

    async fn entity_page(&self, session: Uuid, after: Option<Uuid>, limit: usize) -> Result<EntityPage, StoreError> {
        let position = self.bus.position(&topic(session));
        let names = ["entities", "entity_ids"].map(|name| self.key(session, name));
        let keys: Vec<String> = names.into_iter().chain(position.keys()).collect();
        let from = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
        let fixed = [from, limit.to_string(), PAGE_BYTES.to_string()];
        let arguments: Vec<String> = fixed.into_iter().chain(position.arguments()).collect();
        let (more, at, found): (i64, Value, Vec<String>) = PAGE.run(&self.redis, keys, arguments).await?;
        let entities = found.iter().map(|entity| read(entity)).collect::<Result<_, _>>()?;
        Ok(EntityPage { entities, more: more == 1, position: Some(Position::read(at)?) })
    }

    async fn commit_entities(
        &self,
        commit: &EntityCommit,
        _now: OffsetDateTime,
    ) -> Result<EntityCommitted, StoreError> {
        let events = std::slice::from_ref(&commit.event);
        let publication =
            self.bus.publication(&topic(commit.session), events, Some(commit.kept)).map_err(unpublished)?;
        let batch_key = match &commit.batch {
            Some((batch, _)) => self.batch_key(commit.session, *batch),
            None => self.key(commit.session, "no_batch"),
        };
        let names = ["session", "entities", "entity_ids"].map(|name| self.key(commit.session, name));
        let keys: Vec<String> = names.into_iter().chain([batch_key]).chain(publication.keys()).collect();
        let answer: i64 = COMMIT.run(&self.redis, keys, arguments(commit, publication.arguments())?).await?;
        match answer {
            1 => Ok(EntityCommitted::Done),
            0 => Ok(EntityCommitted::Conflict),
            -1 => Ok(EntityCommitted::SessionOver),
            -2 => Ok(EntityCommitted::TooMany),
            _ => Err(unexpected("a script answered something else")),
        }
    }

    async fn batch(&self, session: Uuid, batch: Uuid, _now: OffsetDateTime) -> Result<Option<Vec<Uuid>>, StoreError> {
        let client = self.redis.client()?;
        let ids: Option<String> = client.get(self.batch_key(session, batch)).await.map_err(RedisError::from)?;
        let Some(ids) = ids else { return Ok(None) };
        let read = |id: &str| Uuid::try_parse(id).map_err(|_| unexpected("a batch of no entities"));
        ids.split(' ').filter(|id| !id.is_empty()).map(read).collect::<Result<_, _>>().map(Some)
    }
}

impl RedisSessions {
    fn batch_key(&self, session: Uuid, batch: Uuid) -> String {
        self.redis.key_in_slot(topic(session).as_str(), &["session", "batch", &batch.to_string()])
    }
}

fn arguments(commit: &EntityCommit, publication: Vec<Value>) -> Result<Vec<Value>, StoreError> {
    /// How many arguments come before the lists.
    const FIXED: usize = 7;
    let lists = 2 * commit.expected.len() + 2 * commit.put.len() + commit.delete.len();
    let (ids, memory) = match &commit.batch {
        Some((_, ids)) => {
            (ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), BATCH_MEMORY.as_millis().to_string())
        }
        None => (String::new(), String::new()),
    };
    let mut arguments = vec![
        Value::from(commit.most.to_string()),
        Value::from(ids),
        Value::from(memory),
        Value::from(commit.expected.len().to_string()),
        Value::from(commit.put.len().to_string()),
        Value::from(commit.delete.len().to_string()),
        Value::from((FIXED + lists + 1).to_string()),
    ];
    for (id, version) in &commit.expected {
        arguments.extend([Value::from(id.to_string()), Value::from(version.to_string())]);
    }
    for entity in &commit.put {
        arguments.extend([Value::from(entity.id.to_string()), Value::from(Bytes::from(write(entity)?))]);
    }
    arguments.extend(commit.delete.iter().map(|id| Value::from(id.to_string())));
    arguments.extend(publication);
    Ok(arguments)
}

fn write(entity: &Entity) -> Result<String, StoreError> {
    let body = serde_json::to_string(entity).map_err(StoreError::broken)?;
    Ok(format!("{} {body}", entity.version))
}

fn read(text: &str) -> Result<Entity, StoreError> {
    let (_, body) = text.split_once(' ').ok_or_else(|| unexpected("an entity without a version"))?;
    serde_json::from_str(body).map_err(StoreError::broken)
}
