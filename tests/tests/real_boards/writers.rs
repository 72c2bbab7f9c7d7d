//! Many who write scores, and repeat each call until it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::leaderboard::v1::{GetSubmissionRequest, NewScore, Submission, SubmissionStatus};
use system_tests::{Client, SignedIn, bearer, new_score};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

/// How long a call may take.
const CALL: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(100);
/// How long a score may be without an answer, whatever happens.
const LIMIT: Duration = Duration::from_mins(3);
/// Once all scores are written that have to be, the storm goes on more slowly.
const LULL: Duration = Duration::from_millis(20);
/// One in so many is submitted once more after it was answered…
const REPEATED: u64 = 5;
/// …and one in so many is submitted twice at once.
const DOUBLED: u64 = 7;

/// What all writers have in common.
pub struct Storm {
    pub game: String,
    pub boards: Vec<&'static str>,
    /// How many scores are still to be written at least.
    pub left: AtomicUsize,
    /// Whether more go wrong: as long as it does, they go on.
    pub is_raging: AtomicBool,
}

impl Storm {
    pub fn of(game: &str, boards: &[&'static str], scores: usize) -> Arc<Self> {
        let (left, is_raging) = (AtomicUsize::new(scores), AtomicBool::new(true));
        Arc::new(Self { game: game.to_owned(), boards: boards.to_vec(), left, is_raging })
    }

    fn take(&self) -> Turn {
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Turn::Storm;
        }
        if self.is_raging.load(Ordering::Relaxed) { Turn::Lull } else { Turn::Over }
    }
}

enum Turn {
    Storm,
    Lull,
    Over,
}

/// A score with the answer that it got.
pub struct Answered {
    pub player: String,
    pub score: NewScore,
    pub submission: Submission,
}

/// Somebody who writes.
#[derive(Clone)]
pub struct Writer {
    pub me: SignedIn,
    pub client: Client,
    pub storm: Arc<Storm>,
}

impl Writer {
    /// As long as there are scores to be written. Answers with all of them.
    pub async fn write(self) -> Vec<Answered> {
        let mut answered = Vec::new();
        loop {
            match self.storm.take() {
                Turn::Storm => {}
                Turn::Lull => sleep(LULL).await,
                Turn::Over => return answered,
            }
            let board = self.storm.boards[usize::try_from(random()).unwrap_or_default() % self.storm.boards.len()];
            let value = i64::try_from(random() % 2_000).unwrap() - 1_000;
            let score = new_score(&self.storm.game, board, value);
            let submission = if random().is_multiple_of(DOUBLED) {
                let (one, other) = tokio::join!(self.submit(&score), self.submit(&score));
                assert_same(&one, &other);
                one
            } else {
                self.submit(&score).await
            };
            if random().is_multiple_of(REPEATED) {
                assert_same(&self.submit(&score).await, &submission);
            }
            answered.push(Answered { player: self.me.id.clone(), score, submission });
        }
    }

    /// Until its outcome is known.
    async fn submit(&self, score: &NewScore) -> Submission {
        let began = Instant::now();
        loop {
            let failed = match timeout(CALL, self.client.submit(&self.me, score.clone())).await {
                Ok(Ok(submission)) if submission.status() == SubmissionStatus::Pending => {
                    if let Some(submission) = self.look(score).await {
                        return submission;
                    }
                    None
                }
                Ok(Ok(submission)) => return submission,
                Ok(Err(status)) => Some(status),
                Err(_elapsed) => None,
            };
            assert!(failed.as_ref().is_none_or(may_pass), "{failed:?}");
            assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {failed:?}");
            sleep(PAUSE).await;
        }
    }

    /// What became of it, if that is known by now.
    async fn look(&self, score: &NewScore) -> Option<Submission> {
        let request = GetSubmissionRequest {
            game_id: score.game_id.clone(),
            board_key: score.board_key.clone(),
            submission_id: score.submission_id.clone(),
            ..GetSubmissionRequest::default()
        };
        let mut boards = self.client.boards();
        let asked = timeout(CALL, boards.get_submission(bearer(request, &self.me.token)));
        asked.await.ok()?.ok()?.into_inner().submission
    }
}

/// Everything about two answers to one score but the rank, which is the one of its moment.
pub fn assert_same(one: &Submission, other: &Submission) {
    let [one, other] = [one, other].map(|submission| {
        let mut submission = submission.clone();
        for outcome in &mut submission.outcomes {
            outcome.rank = None;
        }
        submission
    });
    assert_eq!(one, other);
}

/// What passes while replicas and stores go and come.
fn may_pass(status: &Status) -> bool {
    let passing = [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Unknown,
        Code::Cancelled,
        Code::Internal,
        Code::Aborted,
        Code::ResourceExhausted,
    ];
    passing.contains(&status.code())
}

fn random() -> u64 {
    u64::from_le_bytes(Ambient::system().random())
}
