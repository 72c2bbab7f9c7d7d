//! What must hold when the storm is over: the log, the history and the boards say the same, and it is what was answered.

use std::collections::{BTreeMap, HashMap, HashSet};

use pkg_api::game::v1::{LeaderboardDefinition, LeaderboardOperator, LeaderboardOrder, LeaderboardPeriod};
use pkg_api::leaderboard::v1::{SubmissionRefusal, SubmissionStatus};
use serde_json::Value;
use system_tests::{Client, Deployment, SignedIn, eventually, run_muster};

use crate::writers::Answered;

/// A score in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub offset: i64,
    pub player: String,
    pub submission: String,
    pub value: i64,
}

/// The scores of a game in the log, board by board, each in its order; of two records of one submission the first.
pub struct LogOfScores(HashMap<String, Vec<Recorded>>);

impl LogOfScores {
    pub fn read(deployment: &Deployment, game: &str) -> Self {
        Self::of(&deployment.environment(), game)
    }

    /// Of the log that these variables name.
    pub fn of(environment: &[(&'static str, String)], game: &str) -> Self {
        let printed = run_muster(&["log", "tail", "scores", "--from-beginning", "--no-follow"], environment);
        assert!(printed.status.success(), "{}", printed.stderr);
        let mut boards: HashMap<String, Vec<Recorded>> = HashMap::new();
        let mut seen = HashSet::new();
        for line in printed.stdout.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let score = &line["record"]["score_recorded"];
            let text = |field: &str| score[field].as_str().unwrap_or_default().to_owned();
            if text("game_id") != game || !seen.insert((text("board_key"), text("player_id"), text("submission_id"))) {
                continue;
            }
            // A field that is zero is left out.
            let value = score["value"].as_str().map_or(0, |value| value.parse().unwrap());
            let offset = line["offset"].as_i64().unwrap();
            let recorded = Recorded { offset, player: text("player_id"), submission: text("submission_id"), value };
            boards.entry(text("board_key")).or_default().push(recorded);
        }
        Self(boards)
    }

    pub fn of_board(&self, board: &str) -> &[Recorded] {
        self.0.get(board).map_or(&[], Vec::as_slice)
    }

    /// Every score that was answered with an outcome is there, with its position; and nothing is there that nobody sent.
    pub fn assert_fits(&self, answered: &[Answered]) {
        let mut sent: HashMap<(&str, &str), &Answered> = HashMap::new();
        for answer in answered {
            sent.insert((answer.score.board_key.as_str(), answer.score.submission_id.as_str()), answer);
        }
        let mut found = 0;
        for (board, recorded) in &self.0 {
            for record in recorded {
                let answer = sent.get(&(board.as_str(), record.submission.as_str()));
                let answer = answer.unwrap_or_else(|| panic!("nobody sent it: {record:?}"));
                assert_eq!((&answer.player, answer.score.value), (&record.player, record.value));
                found += 1;
            }
        }
        assert_eq!(found, sent.len(), "every score that was answered is in the log");
    }
}

/// What a board must show: replayed, of all time, without those who have gone.
fn replay(board: &LeaderboardDefinition, recorded: &[Recorded], gone: &HashSet<String>) -> Vec<(String, i64)> {
    let mut entries: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for record in recorded.iter().filter(|record| !gone.contains(&record.player)) {
        let Some((value, reached)) = entries.get_mut(record.player.as_str()) else {
            entries.insert(&record.player, (record.value, record.offset));
            continue;
        };
        let new = match (board.operator(), board.order()) {
            (LeaderboardOperator::Sum, _) => *value + record.value,
            (LeaderboardOperator::Last, _) => record.value,
            (_, LeaderboardOrder::LowWins) => record.value.min(*value),
            _ => record.value.max(*value),
        };
        if new != *value {
            (*value, *reached) = (new, record.offset);
        }
    }
    let mut ranked: Vec<_> = entries.into_iter().collect();
    let sign = if board.order() == LeaderboardOrder::LowWins { 1 } else { -1 };
    ranked.sort_by_key(|(_, (value, reached))| (sign * value, *reached));
    ranked.into_iter().map(|(player, (value, _))| (player.to_owned(), value)).collect()
}

/// A board as whoever reads it sees it.
pub struct Shown<'a> {
    pub client: &'a Client,
    pub by: &'a SignedIn,
    pub game: &'a str,
}

impl Shown<'_> {
    /// The board is what its log says, soon; and then so is what is kept of each player.
    pub async fn assert_is(&self, board: &LeaderboardDefinition, log: &LogOfScores, gone: &HashSet<String>) {
        let recorded = log.of_board(&board.key);
        let expected = replay(board, recorded, gone);
        let what = format!("{} shows what its log says", board.key);
        eventually(&what, async || (self.entries(board).await == expected).then_some(())).await;
        for player in recorded.iter().map(|record| &record.player).collect::<HashSet<_>>() {
            self.assert_history(board, recorded, player, gone.contains(player)).await;
        }
    }

    async fn entries(&self, board: &LeaderboardDefinition) -> Vec<(String, i64)> {
        let read = self.client.all_entries(self.by, self.game, &board.key, LeaderboardPeriod::AllTime).await;
        let entries = read.unwrap();
        assert!(entries.iter().zip(1..).all(|(entry, rank)| entry.rank == rank), "ranks follow one another");
        entries.into_iter().map(|entry| (entry.player_id, entry.value)).collect()
    }

    /// Every score of the player is kept once, the newest first; none of who has gone.
    async fn assert_history(&self, board: &LeaderboardDefinition, recorded: &[Recorded], player: &str, is_gone: bool) {
        let kept = self.client.all_scores(self.by, self.game, &board.key, player).await.unwrap();
        let accepted = kept.iter().filter(|score| score.status() == SubmissionStatus::Accepted);
        let accepted: Vec<_> = accepted.map(|score| score.submission_id.clone()).collect();
        let refused = kept.iter().filter(|score| score.status() == SubmissionStatus::Refused);
        if is_gone {
            assert_eq!(accepted, Vec::<String>::new(), "nothing is left of {player}");
            assert!(refused.clone().all(|score| score.refusal() == SubmissionRefusal::AccountGone));
            return;
        }
        assert_eq!(refused.count(), 0);
        let expected = recorded.iter().rev().filter(|record| record.player == player);
        assert_eq!(accepted, expected.map(|record| record.submission.clone()).collect::<Vec<_>>());
    }
}
