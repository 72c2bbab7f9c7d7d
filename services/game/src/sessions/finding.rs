//! Finding sessions.

use std::collections::BTreeSet;

use futures::StreamExt;
use pkg_definition::{AttributeFilter, Region};
use pkg_middleware::Actor;
use uuid::Uuid;

use super::{SessionError, Sessions, View};
use crate::session::{Session, Visibility};
use crate::store::{Loaded, SessionPlace, StoreError};

/// How many entries of an index are looked at in one step…
const STEP: usize = 100;
/// …and in one call, at most: a page may be short, and the next one goes on.
const LOOKED_AT: usize = 1_000;
/// How many sessions of a player are looked at to find the newest one that goes on.
const RECENT: usize = 8;
/// How many players are looked for at once.
const PLAYERS_AT_ONCE: usize = 16;

/// What sessions are asked for.
#[derive(Debug, Clone, Default)]
pub struct OpenFilter {
    pub region: Option<Region>,
    pub attributes: Vec<AttributeFilter>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub sessions: Vec<Session>,
    /// Where the next one begins; nothing on the last page.
    pub next: Option<SessionPlace>,
}

/// Whether a player has a seat in a running session of a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatQuery {
    pub game: Uuid,
    pub session: Uuid,
    pub player: Uuid,
}

/// Where a player is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whereabouts {
    pub game: Uuid,
    pub session: Uuid,
    pub public: bool,
}

/// Which sessions are listed.
#[derive(Clone, Copy)]
enum Listed {
    /// Those of a game that can be joined.
    Open(Uuid),
    /// Those of a player.
    Of(Uuid),
}

impl Sessions {
    /// One session, if the caller may see it.
    pub async fn get(&self, session: Uuid, by: Actor) -> Result<View, SessionError> {
        let loaded = self.store.load(session).await?.filter(|loaded| loaded.session.is_visible_to(by));
        loaded.map(View::from).ok_or(SessionError::NotFound)
    }

    /// Public sessions that a player could join now, the newest first.
    pub async fn list_open(
        &self,
        game: Uuid,
        filter: &OpenFilter,
        after: Option<SessionPlace>,
        size: usize,
    ) -> Result<Page, SessionError> {
        self.games.newest(game).await?.ok_or(SessionError::GameNotFound)?;
        let fits = |session: &Session| {
            let region = filter.region.is_none_or(|region| region == session.region);
            session.is_open() && region && filter.attributes.iter().all(|one| one.matches(&session.attributes))
        };
        self.page(Listed::Open(game), after, size, fits).await
    }

    /// Sessions that go on and in which a player has a seat, the newest first.
    pub async fn list_mine(
        &self,
        player: Uuid,
        game: Option<Uuid>,
        after: Option<SessionPlace>,
        size: usize,
    ) -> Result<Page, SessionError> {
        let fits = |session: &Session| {
            let right_game = game.is_none_or(|game| game == session.game);
            right_game && !session.is_over() && session.seat(player).is_some()
        };
        self.page(Listed::Of(player), after, size, fits).await
    }

    /// Whether players have seats in sessions that run, in the order asked for.
    pub async fn check_seats(&self, queries: &[SeatQuery]) -> Result<Vec<bool>, SessionError> {
        let ids: BTreeSet<Uuid> = queries.iter().map(|query| query.session).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let loaded = self.store.load_many(&ids).await?;
        let seated = |query: &SeatQuery| {
            let session = ids.binary_search(&query.session).ok().and_then(|place| loaded[place].as_ref());
            session.is_some_and(|Loaded { session, .. }| {
                session.game == query.game && session.is_running() && session.seat(query.player).is_some()
            })
        };
        Ok(queries.iter().map(seated).collect())
    }

    /// What has become of sessions, in the order asked for.
    pub async fn states(&self, ids: &[Uuid]) -> Result<Vec<Option<Session>>, SessionError> {
        let loaded = self.store.load_many(ids).await?;
        Ok(loaded.into_iter().map(|loaded| loaded.map(|loaded| loaded.session)).collect())
    }

    /// For each player the newest session that goes on and in which they have a seat.
    pub async fn whereabouts(&self, players: &[Uuid]) -> Result<Vec<Option<Whereabouts>>, SessionError> {
        let found = futures::stream::iter(players.to_vec()).map(|player| self.whereabouts_of(player));
        let found: Vec<Result<_, StoreError>> = found.buffered(PLAYERS_AT_ONCE).collect().await;
        Ok(found.into_iter().collect::<Result<_, _>>()?)
    }

    async fn whereabouts_of(&self, player: Uuid) -> Result<Option<Whereabouts>, StoreError> {
        let places = self.index.sessions_of(player, None, RECENT).await?;
        let ids: Vec<Uuid> = places.iter().map(|place| place.session).collect();
        let loaded = self.store.load_many(&ids).await?;
        let goes_on = |session: &Session| !session.is_over() && session.seat(player).is_some();
        let newest = loaded.into_iter().flatten().map(|loaded| loaded.session).find(goes_on);
        Ok(newest.map(|session| Whereabouts {
            game: session.game,
            session: session.id,
            public: session.visibility == Visibility::Public,
        }))
    }

    async fn page(
        &self,
        listed: Listed,
        mut after: Option<SessionPlace>,
        size: usize,
        fits: impl Fn(&Session) -> bool + Send,
    ) -> Result<Page, SessionError> {
        let mut sessions = Vec::new();
        for _ in 0..LOOKED_AT / STEP {
            let places = match listed {
                Listed::Open(game) => self.index.open_sessions(game, after, STEP).await?,
                Listed::Of(player) => self.index.sessions_of(player, after, STEP).await?,
            };
            let ids: Vec<Uuid> = places.iter().map(|place| place.session).collect();
            let loaded = self.store.load_many(&ids).await?;
            for (place, loaded) in places.iter().zip(loaded) {
                after = Some(*place);
                if let Some(loaded) = loaded.filter(|loaded| fits(&loaded.session)) {
                    sessions.push(loaded.session);
                    if sessions.len() == size {
                        return Ok(Page { sessions, next: after });
                    }
                }
            }
            if places.len() < STEP {
                return Ok(Page { sessions, next: None });
            }
        }
        Ok(Page { sessions, next: after })
    }
}
