//! Entities in the memory of this process, with their session.

use std::ops::Bound;

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::MemorySessions;
use crate::entity::Entity;
use crate::sessions::topic;
use crate::store::StoreError;
use crate::store::entities::{BATCH_MEMORY, EntityCommit, EntityCommitted, EntityPage, EntityStore, PAGE_BYTES};

#[async_trait]
impl EntityStore for MemorySessions {
    async fn entities(&self, session: Uuid, ids: &[Uuid]) -> Result<Vec<Option<Entity>>, StoreError> {
        let (state, now) = (self.read(), self.ambient.now());
        let held = state.session(session, now);
        Ok(ids.iter().map(|id| held?.entities.get(id).cloned()).collect())
    }

    async fn entity_page(&self, session: Uuid, after: Option<Uuid>, limit: usize) -> Result<EntityPage, StoreError> {
        let (state, now) = (self.read(), self.ambient.now());
        let Some(held) = state.session(session, now) else { return Ok(EntityPage::default()) };
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut page, mut bytes) = (EntityPage::default(), 0);
        page.position = Some(self.bus.position(&topic(session)));
        for (_, entity) in held.entities.range((begin, Bound::Unbounded)) {
            if page.entities.len() == limit || bytes > PAGE_BYTES {
                page.more = true;
                break;
            }
            bytes += entity.data.len() + entity.attributes.size();
            page.entities.push(entity.clone());
        }
        Ok(page)
    }

    async fn commit_entities(&self, commit: &EntityCommit, now: OffsetDateTime) -> Result<EntityCommitted, StoreError> {
        let mut state = self.write();
        let held = state.sessions.get_mut(&commit.session).filter(|held| held.keep_until > now);
        let Some(held) = held.filter(|held| !held.session.is_over()) else { return Ok(EntityCommitted::SessionOver) };
        let version = |id: &Uuid| held.entities.get(id).map_or(0, |entity| entity.version);
        let done_before = commit.batch.as_ref().and_then(|(batch, _)| held.batches.get(batch));
        let repeated = done_before.is_some_and(|(until, _)| *until > now);
        if repeated || commit.expected.iter().any(|(id, expected)| version(id) != *expected) {
            return Ok(EntityCommitted::Conflict);
        }
        let new = commit.put.iter().filter(|entity| !held.entities.contains_key(&entity.id)).count();
        let gone = commit.delete.iter().filter(|id| held.entities.contains_key(id)).count();
        if new > gone && held.entities.len() + new - gone > commit.most {
            return Ok(EntityCommitted::TooMany);
        }
        self.publish(commit.session, std::slice::from_ref(&commit.event), commit.kept)?;
        for entity in &commit.put {
            held.entities.insert(entity.id, entity.clone());
        }
        for id in &commit.delete {
            held.entities.remove(id);
        }
        if let Some((batch, ids)) = &commit.batch {
            held.batches.insert(*batch, (now + BATCH_MEMORY, ids.clone()));
        }
        Ok(EntityCommitted::Done)
    }

    async fn batch(&self, session: Uuid, batch: Uuid, now: OffsetDateTime) -> Result<Option<Vec<Uuid>>, StoreError> {
        let state = self.read();
        let done = state.session(session, now).and_then(|held| held.batches.get(&batch));
        Ok(done.filter(|(until, _)| *until > now).map(|(_, ids)| ids.clone()))
    }
}
