//! Joining and leaving.

use std::num::NonZeroU32;

use pkg_definition::TeamName;
use pkg_middleware::{Actor, KeyedLimiter, Quota};
use uuid::Uuid;

use super::{SessionError, Sessions, View};
use crate::session::{JoinCode, Joining, Refused};

/// How many join codes a player may try in a minute: a mistyped one now and then, but no guessing.
const CODES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

/// How often join codes may be tried. Counted per replica.
pub(super) struct JoinLimits(KeyedLimiter<Uuid>);

impl JoinLimits {
    pub(super) fn new() -> Self {
        Self(KeyedLimiter::new(Quota::per_minute(CODES_PER_MINUTE, CODES_PER_MINUTE)))
    }
}

impl Sessions {
    /// Takes a seat for a player, unless they have one.
    pub async fn join(
        &self,
        session: Uuid,
        player: Uuid,
        team: Option<TeamName>,
        code: Option<JoinCode>,
        by: Actor,
    ) -> Result<View, SessionError> {
        let joining = Joining { player, team, code, by, record: self.ambient.id() };
        self.change(session, Some(by), |session, now| session.join(&joining, now)).await
    }

    /// Takes a seat in the session that has a join code.
    pub async fn join_by_code(
        &self,
        game: Uuid,
        code: &JoinCode,
        team: Option<TeamName>,
        by: Actor,
    ) -> Result<View, SessionError> {
        self.join_limits.0.check(&by.id()).map_err(|retry_after| SessionError::Limited { retry_after })?;
        let player = by.person().ok_or(SessionError::CodeNotFound)?;
        let session = self.index.session_by_code(game, code).await?.ok_or(SessionError::CodeNotFound)?;
        match self.join(session, player, team, Some(code.clone()), by).await {
            Err(SessionError::NotFound | SessionError::Refused(Refused::Hidden)) => Err(SessionError::CodeNotFound),
            outcome => outcome,
        }
    }

    /// Gives a seat up.
    pub async fn leave(&self, session: Uuid, by: Actor) -> Result<(), SessionError> {
        let Some(player) = by.person() else { return Err(Refused::NotInSession.into()) };
        self.change(session, Some(by), |session, now| session.leave(player, now)).await?;
        Ok(())
    }

    /// Takes a player's seat away.
    pub async fn kick(&self, session: Uuid, player: Uuid, words: &str, by: Actor) -> Result<(), SessionError> {
        self.change(session, Some(by), |session, now| session.kick(player, words, by, now)).await?;
        Ok(())
    }

    /// Hands a session over.
    pub async fn transfer(&self, session: Uuid, to: Uuid, by: Actor) -> Result<View, SessionError> {
        self.change(session, Some(by), |session, _| session.transfer(to, by)).await
    }

    /// Gives up all seats of a player whose account is gone.
    pub async fn lose_account(&self, player: Uuid) -> Result<(), SessionError> {
        /// How many sessions are looked at in one step.
        const STEP: usize = 100;
        let mut after = None;
        loop {
            let places = self.index.sessions_of(player, after, STEP).await?;
            for place in &places {
                match self.change(place.session, None, |session, now| Ok(session.lose_account(player, now))).await {
                    Ok(_) | Err(SessionError::NotFound) => {}
                    Err(error) => return Err(error),
                }
                self.index.forget_player(player, *place).await?;
            }
            if places.len() < STEP {
                return Ok(());
            }
            after = places.last().copied();
        }
    }
}
