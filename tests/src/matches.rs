//! Queues, tickets and matches to test with.

use std::time::Duration;

use pkg_api::game::v1::queue_definition::Format;
use pkg_api::game::v1::{
    CreateGameRequest, FinishSessionRequest, Game, GameDefinition, PlayerResult, QueueDefinition, RatingRule,
    RatingWindow, RelaxingLimit, SessionResults, SessionState, SessionTemplate, StartSessionRequest, TeamFormat,
};
use pkg_api::matchmaking::v1::get_active_match_response::Active;
use pkg_api::matchmaking::v1::watch_ticket_response::Message;
use pkg_api::matchmaking::v1::{
    CancelTicketRequest, CreateTicketRequest, GetActiveMatchRequest, GetRatingRequest, GetTicketRequest, Match, Rating,
    Ticket, TicketStatus, WatchTicketRequest, WatchTicketResponse,
};
use tokio::time::timeout;
use tonic::{Code, Response, Status, Streaming};

use crate::client::{Client, bearer, refusal};
use crate::signer::SignedIn;
use crate::text::random_text;
use crate::wait::{LIMIT, eventually};

impl Client {
    /// Creates a game with this definition, and says its id.
    pub async fn create_defined_game(&self, admin_token: &str, definition: GameDefinition) -> String {
        let game = Game { key: format!("g-{}", random_text::<8>()), name: "A game".to_owned(), ..Game::default() };
        let request = CreateGameRequest { game: Some(game), definition: Some(definition), ..Default::default() };
        let created = self.catalog().create_game(bearer(request, admin_token)).await.expect("an admin creates games");
        created.into_inner().game.expect("a game was created").game_id
    }

    /// Waits in a queue, alone and with nothing to say.
    pub async fn queue_up(&self, by: &SignedIn, game: &str, queue: &str) -> Result<Ticket, Status> {
        let request =
            CreateTicketRequest { game_id: game.to_owned(), queue_key: queue.to_owned(), ..Default::default() };
        self.create_ticket(by, request).await
    }

    /// Creates a ticket.
    pub async fn create_ticket(&self, by: &SignedIn, request: CreateTicketRequest) -> Result<Ticket, Status> {
        let answer = self.matchmaking().create_ticket(bearer(request, &by.token)).await?;
        Ok(answer.into_inner().ticket.expect("an answer has a ticket"))
    }

    /// Reads a ticket.
    pub async fn get_ticket(&self, by: &SignedIn, ticket: &str) -> Result<Ticket, Status> {
        let request = GetTicketRequest { ticket_id: ticket.to_owned() };
        let answer = self.matchmaking().get_ticket(bearer(request, &by.token)).await?;
        Ok(answer.into_inner().ticket.expect("an answer has a ticket"))
    }

    /// Cancels a ticket.
    pub async fn cancel_ticket(&self, by: &SignedIn, ticket: &str) -> Result<Ticket, Status> {
        let request = CancelTicketRequest { ticket_id: ticket.to_owned() };
        let answer = self.matchmaking().cancel_ticket(bearer(request, &by.token)).await?;
        Ok(answer.into_inner().ticket.expect("an answer has a ticket"))
    }

    /// Follows a ticket.
    pub async fn watch_ticket(&self, by: &SignedIn, ticket: &str) -> Result<Streaming<WatchTicketResponse>, Status> {
        let request = WatchTicketRequest { ticket_id: ticket.to_owned() };
        self.matchmaking().watch_ticket(bearer(request, &by.token)).await.map(Response::into_inner)
    }

    /// Follows a ticket on one stream to its end.
    pub async fn end_of_ticket(&self, by: &SignedIn, ticket: &str) -> Ticket {
        let mut stream = self.watch_ticket(by, ticket).await.expect("a ticket can be watched");
        let mut last = None;
        while let Some(told) = timeout(LIMIT, stream.message()).await.expect("it ends").expect("it ends in order") {
            if let Some(Message::Ticket(ticket)) = told.message {
                last = Some(ticket);
            }
        }
        last.expect("it said something")
    }

    /// Follows a ticket until it is matched.
    pub async fn match_of_ticket(&self, by: &SignedIn, ticket: &str) -> Match {
        let ended = self.end_of_ticket(by, ticket).await;
        assert_eq!(ended.status(), TicketStatus::Matched, "{ended:?}");
        ended.r#match.expect("a matched ticket has its match")
    }

    /// What a player waits for or plays.
    pub async fn active_match(&self, by: &SignedIn, game: &str) -> Result<Option<Active>, Status> {
        let request = GetActiveMatchRequest { game_id: game.to_owned(), ..Default::default() };
        Ok(self.matchmaking().get_active_match(bearer(request, &by.token)).await?.into_inner().active)
    }

    /// A player's rating in a queue.
    pub async fn rating(&self, of: &SignedIn, game: &str, queue: &str) -> Result<Rating, Status> {
        let (game_id, queue_key) = (game.to_owned(), queue.to_owned());
        let request = GetRatingRequest { game_id, queue_key, player_id: of.id.clone() };
        let answer = self.matchmaking().get_rating(bearer(request, &of.token)).await?;
        Ok(answer.into_inner().rating.expect("an answer has a rating"))
    }

    /// Waits in a queue as soon as the seat of the match before is free.
    pub async fn queue_up_again(&self, by: &SignedIn, game: &str, queue: &str) -> Ticket {
        eventually("the seat is free", async || match self.queue_up(by, game, queue).await {
            Ok(ticket) => Some(ticket),
            Err(status) => {
                let (code, reason) = refusal(&status);
                assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "ALREADY_IN_MATCH"), "{status:?}");
                tokio::time::sleep(Duration::from_millis(500)).await;
                None
            }
        })
        .await
    }

    /// Plays a session, as its game server: starts and finishes it, the first of these players first.
    pub async fn play_out(&self, server: &SignedIn, session: &str, players: &[String]) -> Result<SessionState, Status> {
        let request = StartSessionRequest { session_id: session.to_owned() };
        match self.sessions().start_session(bearer(request, &server.token)).await {
            // It was started before.
            Err(status) if refusal(&status).1 != "SESSION_STATE" => return Err(status),
            _ => {}
        }
        let results = players.iter().zip(1..).map(|(player, placement)| PlayerResult {
            player_id: player.clone(),
            placement,
            ..PlayerResult::default()
        });
        let results = SessionResults { players: results.collect(), ..SessionResults::default() };
        let request = FinishSessionRequest { session_id: session.to_owned(), results: Some(results) };
        let answer = self.sessions().finish_session(bearer(request, &server.token)).await?;
        Ok(answer.into_inner().session.expect("an answer has a session").state())
    }
}

/// A queue for two, in which everybody fits everybody, with ratings.
#[must_use]
pub fn duel(key: &str) -> QueueDefinition {
    let distance = RelaxingLimit { start: 1_000.0, growth_per_second: 0.0, ceiling: 1_000.0 };
    QueueDefinition {
        key: key.to_owned(),
        format: Some(Format::Teams(TeamFormat { team_count: 2, min_team_size: 1, max_team_size: 1 })),
        rating_window: Some(RatingWindow { distance: Some(distance) }),
        rating: Some(RatingRule::default()),
        session: Some(SessionTemplate { team_names: vec!["red".into(), "blue".into()], ..Default::default() }),
        ..QueueDefinition::default()
    }
}

/// A game with these queues and the usual rules.
#[must_use]
pub fn game_of(queues: Vec<QueueDefinition>) -> GameDefinition {
    GameDefinition { queues, ..GameDefinition::default() }
}

/// The players of a match, in the order of its teams.
#[must_use]
pub fn players_of(found: &Match) -> Vec<String> {
    found.teams.iter().flat_map(|team| team.player_ids.clone()).collect()
}
