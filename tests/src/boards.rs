//! Leaderboards and scores to test with.

use pkg_ambient::Ambient;
use pkg_api::game::v1::{GameDefinition, LeaderboardDefinition, LeaderboardPeriod, LeaderboardWriters, SubmissionRate};
use pkg_api::leaderboard::v1::{
    BoardView, Entry, GetEntryRequest, GetEntryResponse, ListEntriesRequest, ListPlayerScoresRequest, NewScore,
    Submission, SubmitScoreRequest,
};
use tonic::Status;

use crate::client::{Client, bearer};
use crate::signer::SignedIn;

/// More than anybody submits.
const RATE: i32 = 1_000_000;
/// As many entries as one page has.
const PAGE: i32 = 1_000;
/// As many scores as one page has.
const SCORES: i32 = 100;

impl Client {
    /// Submits a score.
    pub async fn submit(&self, by: &SignedIn, score: NewScore) -> Result<Submission, Status> {
        let request = SubmitScoreRequest { score: Some(score) };
        let answer = self.boards().submit_score(bearer(request, &by.token)).await?;
        Ok(answer.into_inner().submission.expect("an answer has a submission"))
    }

    /// The best of all time, once the board has applied a position.
    pub async fn top(&self, by: &SignedIn, game: &str, board: &str, min_position: &str) -> Result<BoardView, Status> {
        let request = ListEntriesRequest {
            game_id: game.to_owned(),
            board_key: board.to_owned(),
            period: LeaderboardPeriod::AllTime.into(),
            min_position: min_position.to_owned(),
            ..ListEntriesRequest::default()
        };
        let answer = self.boards().list_entries(bearer(request, &by.token)).await?;
        Ok(answer.into_inner().view.expect("an answer has a view"))
    }

    /// All entries of a period, page by page.
    pub async fn all_entries(
        &self,
        by: &SignedIn,
        game: &str,
        board: &str,
        period: LeaderboardPeriod,
    ) -> Result<Vec<Entry>, Status> {
        let (mut entries, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListEntriesRequest {
                game_id: game.to_owned(),
                board_key: board.to_owned(),
                period: period.into(),
                page_size: PAGE,
                page_token,
                ..ListEntriesRequest::default()
            };
            let answer = self.boards().list_entries(bearer(request, &by.token)).await?.into_inner();
            entries.extend(answer.view.expect("an answer has a view").entries);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(entries);
            }
        }
    }

    /// A player's entry of all time.
    pub async fn entry(
        &self,
        by: &SignedIn,
        game: &str,
        board: &str,
        player: &str,
        min_position: &str,
    ) -> Result<GetEntryResponse, Status> {
        let request = GetEntryRequest {
            game_id: game.to_owned(),
            board_key: board.to_owned(),
            player_id: player.to_owned(),
            period: LeaderboardPeriod::AllTime.into(),
            min_position: min_position.to_owned(),
            ..GetEntryRequest::default()
        };
        self.boards().get_entry(bearer(request, &by.token)).await.map(tonic::Response::into_inner)
    }

    /// All scores of a player on a board, the newest first.
    pub async fn all_scores(
        &self,
        by: &SignedIn,
        game: &str,
        board: &str,
        player: &str,
    ) -> Result<Vec<Submission>, Status> {
        let (mut scores, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListPlayerScoresRequest {
                game_id: game.to_owned(),
                board_key: board.to_owned(),
                player_id: player.to_owned(),
                page_size: SCORES,
                page_token,
                ..ListPlayerScoresRequest::default()
            };
            let answer = self.boards().list_player_scores(bearer(request, &by.token)).await?.into_inner();
            scores.extend(answer.submissions);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(scores);
            }
        }
    }
}

/// A board on which players write as often as they like, the highest score wins, and nothing ever ends.
#[must_use]
pub fn board(key: &str) -> LeaderboardDefinition {
    let per = prost_types::Duration { seconds: 1, nanos: 0 };
    LeaderboardDefinition {
        key: key.to_owned(),
        writers: LeaderboardWriters::Players.into(),
        rate: Some(SubmissionRate { count: RATE, per: Some(per) }),
        ..LeaderboardDefinition::default()
    }
}

/// A game with these boards.
#[must_use]
pub fn game_with_boards(leaderboards: Vec<LeaderboardDefinition>) -> GameDefinition {
    GameDefinition { leaderboards, ..GameDefinition::default() }
}

/// A score of the caller's with an id of its own.
#[must_use]
pub fn new_score(game: &str, board: &str, value: i64) -> NewScore {
    NewScore {
        submission_id: Ambient::system().id().to_string(),
        game_id: game.to_owned(),
        board_key: board.to_owned(),
        value,
        ..NewScore::default()
    }
}
