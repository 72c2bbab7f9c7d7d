//! Creating sessions.

use bytes::Bytes;
use pkg_definition::{Attributes, Region, SessionCreators, TeamName};
use pkg_middleware::Actor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{SessionError, Sessions, View};
use crate::session::{JoinCode, Joining, NewSession, Origin, Rules, Session, SessionEvent, Team, Visibility};
use crate::store::{SessionPlace, StoreError};

/// How many random join codes are tried until one is free.
const CODE_ATTEMPTS: usize = 8;
/// Until when a session that is being created is looked for at the latest.
const CREATION_TIME: time::Duration = time::Duration::seconds(30);

/// What is to be created.
#[derive(Debug, Clone)]
pub struct Creation {
    /// The client's id, to know a repetition by.
    pub id: Option<Uuid>,
    pub game: Uuid,
    pub name: String,
    pub region: Region,
    pub visibility: Visibility,
    /// The game's number without.
    pub max_players: Option<usize>,
    pub teams: Vec<Team>,
    pub attributes: Attributes,
    pub data: Bytes,
    /// Of the creator.
    pub team: Option<TeamName>,
}

/// The session of a match.
#[derive(Debug, Clone)]
pub struct MatchCreation {
    pub match_id: Uuid,
    pub session: Uuid,
    pub game: Uuid,
    pub queue_key: String,
    pub revision: i64,
    pub region: Region,
    pub teams: Vec<MatchTeam>,
}

/// A team of a match; without a name if everyone plays for themselves.
#[derive(Debug, Clone)]
pub struct MatchTeam {
    pub name: Option<TeamName>,
    pub players: Vec<Uuid>,
}

impl Sessions {
    /// Creates a session. Who creates one has a seat in it, unless it is a game server.
    pub async fn create(&self, creation: Creation, by: Actor) -> Result<View, SessionError> {
        // The text of what was asked for is the same each time: maps are in order.
        let request = digest(&format!("{by:?} {creation:?}"));
        if let Some(id) = creation.id
            && let Some(view) = self.created_before(id, &request).await?
        {
            return view.ok_or(SessionError::IdTaken);
        }
        let game = self.games.newest(creation.game).await?.ok_or(SessionError::GameNotFound)?;
        if game.archived {
            return Err(SessionError::GameArchived);
        }
        let rules = &game.definition.sessions;
        if rules.creators == SessionCreators::Servers && matches!(by, Actor::Player(_)) {
            return Err(SessionError::CreationNotAllowed);
        }
        let most = usize::try_from(rules.max_players.get()).unwrap_or(usize::MAX);
        let max_players = creation.max_players.unwrap_or(most);
        check_sizes(max_players, most, &creation.teams)?;
        let now = self.now();
        let new = NewSession {
            id: creation.id.unwrap_or_else(|| self.ambient.id()),
            game: creation.game,
            name: creation.name,
            region: creation.region,
            visibility: creation.visibility,
            join_code: None,
            owned_by_players: !by.is_server(),
            max_players,
            teams: creation.teams,
            attributes: creation.attributes,
            data: creation.data,
            definition_revision: game.revision,
            rules: Rules::from(rules),
            origin: None,
            request: request.clone(),
        };
        let (mut session, mut events) = Session::create(new, now);
        if let Some(player) = by.person() {
            let team = creation.team.or_else(|| session.teams.first().map(|team| team.name.clone()));
            let joining = Joining { player, team, code: None, by, record: self.ambient.id() };
            // Before it is private in earnest: the creator needs no code.
            let visibility = std::mem::replace(&mut session.visibility, Visibility::Public);
            events.extend(session.join(&joining, now)?);
            session.visibility = visibility;
        }
        let most = usize::try_from(rules.max_sessions.get()).unwrap_or(usize::MAX);
        match self.save_new(session, &events, Some(by), most, now).await? {
            (id, None) => self.created_before(id, &request).await?.flatten().ok_or(SessionError::IdTaken),
            (_, Some(view)) => Ok(view),
        }
    }

    /// Creates the session of a match with all its seats; `false` if it was there.
    pub async fn create_match(&self, creation: &MatchCreation) -> Result<(View, bool), SessionError> {
        let request = digest(&format!("{creation:?}"));
        if let Some(view) = self.created_before(creation.session, &request).await? {
            return view.map(|view| (view, false)).ok_or(SessionError::MatchDiffers);
        }
        let Some(definition) = self.games.revision(creation.game, creation.revision).await? else {
            let is_there = self.games.newest(creation.game).await?.is_some();
            return Err(if is_there { SessionError::RevisionNotFound } else { SessionError::GameNotFound });
        };
        let queue = definition.queue(&creation.queue_key).ok_or(SessionError::QueueNotFound)?;
        let now = self.now();
        let (session, events) =
            self.match_session(creation, &queue.session, &definition.sessions, request.clone(), now)?;
        let most = usize::try_from(definition.sessions.max_sessions.get()).unwrap_or(usize::MAX);
        match self.save_new(session, &events, None, most, now).await? {
            (id, None) => {
                let view = self.created_before(id, &request).await?.flatten();
                view.map(|view| (view, false)).ok_or(SessionError::MatchDiffers)
            }
            (_, Some(view)) => Ok((view, true)),
        }
    }

    fn match_session(
        &self,
        creation: &MatchCreation,
        template: &pkg_definition::SessionTemplate,
        rules: &pkg_definition::SessionRules,
        request: Bytes,
        now: OffsetDateTime,
    ) -> Result<(Session, Vec<SessionEvent>), SessionError> {
        let players = creation.teams.iter().map(|team| team.players.len()).sum();
        let named = |team: &MatchTeam| Some(Team { name: team.name.clone()?, max_players: team.players.len() });
        let new = NewSession {
            id: creation.session,
            game: creation.game,
            name: String::new(),
            region: creation.region,
            visibility: Visibility::Private,
            join_code: None,
            owned_by_players: template.player_owner,
            max_players: players,
            teams: creation.teams.iter().filter_map(named).collect(),
            attributes: template.attributes.clone(),
            data: Bytes::new(),
            definition_revision: creation.revision,
            rules: Rules::from(rules),
            origin: Some(Origin {
                match_id: creation.match_id,
                queue_key: creation.queue_key.clone(),
                players,
                starts_when_connected: template.start_when_connected,
            }),
            request,
        };
        let (mut session, mut events) = Session::create(new, now);
        // Seated as game servers seat players: without a code.
        let by = Actor::Server(creation.match_id);
        for team in &creation.teams {
            for player in &team.players {
                let record = self.ambient.id();
                let joining = Joining { player: *player, team: team.name.clone(), code: None, by, record };
                events.extend(session.join(&joining, now)?);
            }
        }
        // Who made the match tells the players.
        session.errands.clear();
        Ok((session, events))
    }

    /// The session of an id if there is one: inside, `None` if it is another one than was asked for.
    async fn created_before(&self, id: Uuid, request: &Bytes) -> Result<Option<Option<View>>, StoreError> {
        let loaded = self.store.load(id).await?;
        Ok(loaded.map(|loaded| {
            let same = loaded.session.request == *request;
            same.then(|| loaded.into())
        }))
    }

    /// Saves a session that is new; no view if somebody else has created one of its id meanwhile.
    async fn save_new(
        &self,
        mut session: Session,
        events: &[SessionEvent],
        by: Option<Actor>,
        most: usize,
        now: OffsetDateTime,
    ) -> Result<(Uuid, Option<View>), SessionError> {
        let (id, game, place) = (session.id, session.game, SessionPlace::of(&session));
        // So that the sweeper takes back what follows if this ends here, and looks at the session when something is due.
        let looked_for = now + CREATION_TIME;
        let due = session.next_due(now).map_or(looked_for, |due| due.min(looked_for));
        self.index.schedule(game, place, due).await?;
        if !self.index.reserve(game, place, most).await? {
            return Err(SessionError::TooManySessions);
        }
        if session.visibility == Visibility::Private {
            session.join_code = Some(self.fresh_code(&session).await?);
        }
        let Some(view) = self.save(None, session, events, by, now).await? else { return Ok((id, None)) };
        self.games.count_session(game);
        if let Err(error) = self.index.note_saved(game, place).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(session = %id, error, "a session is not noted as saved yet");
        }
        Ok((id, Some(view)))
    }

    /// A join code that is the session's from now on.
    pub(super) async fn fresh_code(&self, session: &Session) -> Result<JoinCode, SessionError> {
        for _ in 0..CODE_ATTEMPTS {
            let code = JoinCode::random(self.ambient.random());
            if self.index.claim_code(session.game, &code, session.id, session.keep_until()).await? {
                return Ok(code);
            }
        }
        Err(SessionError::Contended)
    }
}

fn check_sizes(max_players: usize, most: usize, teams: &[Team]) -> Result<(), SessionError> {
    if max_players > most {
        let problem = format!("is 1 to {most}, what the game allows, or 0 for that");
        return Err(SessionError::InvalidField { field: "max_players", problem });
    }
    if teams.iter().map(|team| team.max_players).sum::<usize>() > max_players {
        let problem = format!("take {max_players} players together at most, as the session does");
        return Err(SessionError::InvalidField { field: "teams", problem });
    }
    Ok(())
}

fn digest(text: &str) -> Bytes {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    Bytes::copy_from_slice(digest.as_ref())
}
