//! Games and sessions to test with.

use pkg_ambient::Ambient;
use pkg_api::events::v1::{GameEvent, NewEvent, PublishRequest, PublishResponse};
use pkg_api::game::v1::{
    CreateSessionRequest, CreateSessionResponse, GameDefinition, GetSessionRequest, JoinSessionRequest,
    JoinSessionResponse, Session, SessionRules,
};
use tonic::{Response, Status};

use crate::client::{Client, bearer};
use crate::signer::SignedIn;

impl Client {
    /// Creates a game with these rules, and says its id.
    pub async fn create_game(&self, admin_token: &str, rules: SessionRules) -> String {
        let definition = GameDefinition { session_rules: Some(rules), ..GameDefinition::default() };
        self.create_defined_game(admin_token, definition).await
    }

    /// Creates a session of a game.
    pub async fn create_session(&self, by: &SignedIn, game: &str) -> CreateSessionResponse {
        let request = CreateSessionRequest { game_id: game.to_owned(), ..CreateSessionRequest::default() };
        self.sessions().create_session(bearer(request, &by.token)).await.expect("sessions can be created").into_inner()
    }

    /// Takes a seat.
    pub async fn join_session(&self, by: &SignedIn, session: &str) -> Result<JoinSessionResponse, Status> {
        let request = JoinSessionRequest { session_id: session.to_owned(), ..JoinSessionRequest::default() };
        self.sessions().join_session(bearer(request, &by.token)).await.map(Response::into_inner)
    }

    /// Reads a session.
    pub async fn get_session(&self, by: &SignedIn, session: &str) -> Result<Session, Status> {
        let request = GetSessionRequest { session_id: session.to_owned() };
        let answer = self.sessions().get_session(bearer(request, &by.token)).await?;
        Ok(answer.into_inner().session.expect("an answer has a session"))
    }

    /// Publishes events.
    pub async fn publish(
        &self,
        by: &SignedIn,
        session: &str,
        events: Vec<NewEvent>,
    ) -> Result<PublishResponse, Status> {
        let request = PublishRequest { session_id: session.to_owned(), events };
        self.events().publish(bearer(request, &by.token)).await.map(Response::into_inner)
    }
}

/// A retained event with this data.
#[must_use]
pub fn game_event(data: impl Into<Vec<u8>>) -> NewEvent {
    let event = GameEvent { name: "move".to_owned(), data: data.into(), ..GameEvent::default() };
    NewEvent { event_id: Ambient::system().id().to_string(), unretained: false, event: Some(event) }
}
