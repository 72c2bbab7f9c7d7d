//! Sessions, what leads to them, and their entities, in the memory of this process: nothing survives it.

mod entities;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use pkg_ambient::Ambient;
use pkg_bus::{Cursor, MemoryBus, NewEvent, Published, Retention};
use pkg_db::{from_millis, to_millis};
use time::OffsetDateTime;
use uuid::Uuid;

use super::sessions::{
    Commit, Committed, Connected, Due, Lease, Loaded, SESSIONS_OF_PLAYER, SessionIndex, SessionPlace, SessionStore,
};
use super::{StoreError, unpublished};
use crate::entity::Entity;
use crate::session::{JoinCode, Session};
use crate::sessions::topic;

/// How often what is past its time is looked for: after so many writes.
const PURGE_EVERY: u32 = 256;

/// The embedded store of sessions. Cloning shares them.
#[derive(Clone)]
pub struct MemorySessions {
    ambient: Ambient,
    bus: MemoryBus,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    writes: u32,
    sessions: HashMap<Uuid, Held>,
    /// Whether each was saved.
    running: HashMap<Uuid, BTreeMap<SessionPlace, bool>>,
    open: HashMap<Uuid, BTreeSet<SessionPlace>>,
    players: HashMap<Uuid, BTreeSet<SessionPlace>>,
    codes: HashMap<(Uuid, JoinCode), (Uuid, OffsetDateTime)>,
    due: BTreeSet<(i64, Uuid, SessionPlace)>,
    due_at: HashMap<(Uuid, SessionPlace), i64>,
}

struct Held {
    session: Session,
    revision: i64,
    begin: Option<Cursor>,
    keep_until: OffsetDateTime,
    connections: BTreeMap<(Uuid, Uuid), OffsetDateTime>,
    entities: BTreeMap<Uuid, Entity>,
    batches: BTreeMap<Uuid, (OffsetDateTime, Vec<Uuid>)>,
}

impl MemorySessions {
    /// No sessions yet; their topics are on this bus.
    #[must_use]
    pub fn new(ambient: Ambient, bus: MemoryBus) -> Self {
        Self { ambient, bus, state: Arc::default() }
    }

    fn read(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be changed; what is past its time is dropped now and then.
    fn write(&self) -> MutexGuard<'_, State> {
        let mut state = self.read();
        state.writes += 1;
        if state.writes >= PURGE_EVERY {
            state.writes = 0;
            state.purge(self.ambient.now());
        }
        state
    }

    fn publish(&self, session: Uuid, events: &[NewEvent], kept: Retention) -> Result<Vec<Published>, StoreError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        self.bus.publish_now(&topic(session), events, Some(kept)).map_err(unpublished)
    }

    /// With the state locked, so that its topic is where it says.
    fn loaded(&self, held: &Held) -> Loaded {
        let cursor = self.bus.position(&topic(held.session.id));
        Loaded { session: held.session.clone(), revision: held.revision, cursor, begin: held.begin }
    }
}

impl State {
    fn session(&self, id: Uuid, now: OffsetDateTime) -> Option<&Held> {
        self.sessions.get(&id).filter(|held| held.keep_until > now)
    }

    fn purge(&mut self, now: OffsetDateTime) {
        self.sessions.retain(|_, held| {
            held.batches.retain(|_, (until, _)| *until > now);
            held.keep_until > now
        });
        self.codes.retain(|_, (_, until)| *until > now);
        self.running.retain(|_, places| !places.is_empty());
        for index in [&mut self.open, &mut self.players] {
            index.retain(|_, places| !places.is_empty());
        }
    }

    fn set_due(&mut self, game: Uuid, place: SessionPlace, at: Option<i64>) {
        let before = match at {
            Some(at) => self.due_at.insert((game, place), at),
            None => self.due_at.remove(&(game, place)),
        };
        if let Some(before) = before {
            self.due.remove(&(before, game, place));
        }
        if let Some(at) = at {
            self.due.insert((at, game, place));
        }
    }
}

fn newest(places: Option<&BTreeSet<SessionPlace>>, after: Option<SessionPlace>, limit: usize) -> Vec<SessionPlace> {
    let end = after.map_or(Bound::Unbounded, Bound::Excluded);
    let places = places.into_iter().flat_map(|places| places.range((Bound::Unbounded, end)).rev());
    places.take(limit).copied().collect()
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn load(&self, id: Uuid) -> Result<Option<Loaded>, StoreError> {
        let state = self.read();
        Ok(state.session(id, self.ambient.now()).map(|held| self.loaded(held)))
    }

    async fn load_many(&self, ids: &[Uuid]) -> Result<Vec<Option<Loaded>>, StoreError> {
        let (state, now) = (self.read(), self.ambient.now());
        Ok(ids.iter().map(|id| state.session(*id, now).map(|held| self.loaded(held))).collect())
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, StoreError> {
        let (id, now) = (commit.session.id, self.ambient.now());
        let mut state = self.write();
        if state.session(id, now).map_or(0, |held| held.revision) != commit.revision {
            return Ok(Committed::Conflict);
        }
        let published = self.publish(id, &commit.events, commit.session.rules.events.kept())?;
        if commit.ends_topic {
            self.bus.end_now(&topic(id));
        }
        let first = published.first().and_then(|event| event.cursor);
        let before = if commit.revision == 0 { None } else { state.sessions.remove(&id) };
        let mut held = before.unwrap_or_else(|| Held {
            session: commit.session.clone(),
            revision: 0,
            begin: first,
            keep_until: now,
            connections: BTreeMap::new(),
            entities: BTreeMap::new(),
            batches: BTreeMap::new(),
        });
        held.session = commit.session.clone();
        held.revision = commit.revision + 1;
        held.keep_until = commit.session.keep_until();
        if commit.drops_content {
            held.entities.clear();
        }
        state.sessions.insert(id, held);
        Ok(Committed::Done { first, cursor: self.bus.position(&topic(id)) })
    }

    async fn connect(&self, lease: &Lease, until: OffsetDateTime) -> Result<bool, StoreError> {
        let mut state = self.write();
        let Some(held) = state.sessions.get_mut(&lease.session) else { return Ok(false) };
        held.connections.insert((lease.user, lease.stream), until);
        held.revision += 1;
        Ok(true)
    }

    async fn disconnect(&self, lease: &Lease) -> Result<(), StoreError> {
        if let Some(held) = self.write().sessions.get_mut(&lease.session) {
            held.connections.remove(&(lease.user, lease.stream));
            held.revision += 1;
        }
        Ok(())
    }

    async fn renew(&self, leases: &[Lease], until: OffsetDateTime) -> Result<Vec<bool>, StoreError> {
        let mut state = self.write();
        let renew = |lease: &Lease| {
            let held = state.sessions.get_mut(&lease.session);
            let end = held.and_then(|held| held.connections.get_mut(&(lease.user, lease.stream)));
            end.is_some_and(|end| {
                *end = until;
                true
            })
        };
        Ok(leases.iter().map(renew).collect())
    }

    async fn connected(&self, session: Uuid, now: OffsetDateTime) -> Result<Connected, StoreError> {
        let mut state = self.write();
        let Some(held) = state.sessions.get_mut(&session) else { return Ok(Connected::default()) };
        held.connections.retain(|_, until| *until > now);
        Ok(Connected {
            users: held.connections.keys().map(|(user, _)| *user).collect(),
            next_end: held.connections.values().min().copied(),
        })
    }
}

#[async_trait]
impl SessionIndex for MemorySessions {
    async fn reserve(&self, game: Uuid, place: SessionPlace, most: usize) -> Result<bool, StoreError> {
        let mut state = self.write();
        let running = state.running.entry(game).or_default();
        let fits = running.len() < most || running.contains_key(&place);
        if fits {
            running.entry(place).or_insert(false);
        }
        Ok(fits)
    }

    async fn note_saved(&self, game: Uuid, place: SessionPlace) -> Result<(), StoreError> {
        if let Some(saved) = self.write().running.get_mut(&game).and_then(|running| running.get_mut(&place)) {
            *saved = true;
        }
        Ok(())
    }

    async fn was_saved(&self, game: Uuid, place: SessionPlace) -> Result<bool, StoreError> {
        Ok(self.read().running.get(&game).and_then(|running| running.get(&place)).is_some_and(|saved| *saved))
    }

    async fn release(&self, game: Uuid, place: SessionPlace) -> Result<(), StoreError> {
        if let Some(running) = self.write().running.get_mut(&game) {
            running.remove(&place);
        }
        Ok(())
    }

    async fn list(&self, game: Uuid, place: SessionPlace, open: bool) -> Result<(), StoreError> {
        let mut state = self.write();
        let listed = state.open.entry(game).or_default();
        if open {
            listed.insert(place)
        } else {
            listed.remove(&place)
        };
        Ok(())
    }

    async fn open_sessions(
        &self,
        game: Uuid,
        after: Option<SessionPlace>,
        limit: usize,
    ) -> Result<Vec<SessionPlace>, StoreError> {
        Ok(newest(self.read().open.get(&game), after, limit))
    }

    async fn note_player(&self, player: Uuid, place: SessionPlace) -> Result<(), StoreError> {
        let mut state = self.write();
        let places = state.players.entry(player).or_default();
        places.insert(place);
        if places.len() > SESSIONS_OF_PLAYER {
            places.pop_first();
        }
        Ok(())
    }

    async fn forget_player(&self, player: Uuid, place: SessionPlace) -> Result<(), StoreError> {
        if let Some(places) = self.write().players.get_mut(&player) {
            places.remove(&place);
        }
        Ok(())
    }

    async fn sessions_of(
        &self,
        player: Uuid,
        after: Option<SessionPlace>,
        limit: usize,
    ) -> Result<Vec<SessionPlace>, StoreError> {
        Ok(newest(self.read().players.get(&player), after, limit))
    }

    async fn claim_code(
        &self,
        game: Uuid,
        code: &JoinCode,
        session: Uuid,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let now = self.ambient.now();
        let mut state = self.write();
        let claim = state.codes.entry((game, code.clone())).or_insert((session, until));
        let is_free = claim.1 <= now;
        if is_free {
            *claim = (session, until);
        }
        // A code of random letters is claimed once, so one that is ours is ours by this call.
        Ok(*claim == (session, until))
    }

    async fn release_code(&self, game: Uuid, code: &JoinCode, session: Uuid) -> Result<(), StoreError> {
        let mut state = self.write();
        let key = (game, code.clone());
        if state.codes.get(&key).is_some_and(|(holder, _)| *holder == session) {
            state.codes.remove(&key);
        }
        Ok(())
    }

    async fn session_by_code(&self, game: Uuid, code: &JoinCode) -> Result<Option<Uuid>, StoreError> {
        let now = self.ambient.now();
        let state = self.read();
        Ok(state.codes.get(&(game, code.clone())).filter(|(_, until)| *until > now).map(|(session, _)| *session))
    }

    async fn schedule(&self, game: Uuid, place: SessionPlace, at: OffsetDateTime) -> Result<(), StoreError> {
        let mut state = self.write();
        let at = to_millis(at);
        if state.due_at.get(&(game, place)).is_none_or(|before| at < *before) {
            state.set_due(game, place, Some(at));
        }
        Ok(())
    }

    async fn claim_due(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        let mut state = self.write();
        let is_due = |(at, _, _): &&(i64, Uuid, SessionPlace)| *at <= to_millis(now);
        let due: Vec<_> = state.due.iter().take_while(is_due).take(limit).copied().collect();
        for (_, game, place) in &due {
            state.set_due(*game, *place, Some(to_millis(until)));
        }
        let claimed_until = from_millis(to_millis(until));
        let claimed =
            |(_, game, place): (i64, Uuid, SessionPlace)| Due { session: place.session, place, game, claimed_until };
        Ok(due.into_iter().map(claimed).collect())
    }

    async fn reschedule(&self, due: &Due, at: Option<OffsetDateTime>) -> Result<(), StoreError> {
        let mut state = self.write();
        if state.due_at.get(&(due.game, due.place)) == Some(&to_millis(due.claimed_until)) {
            state.set_due(due.game, due.place, at.map(to_millis));
        }
        Ok(())
    }
}
