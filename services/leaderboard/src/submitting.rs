//! Submitting scores: checked, made durable in the log, and answered with what has become of them.

mod checking;
mod content;
mod finding;
mod looking;
mod rates;
mod seats;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use pkg_ambient::Ambient;
use pkg_api::log::v1::Record;
use pkg_log::{AppendError, Appended, Log, Topic};
use pkg_middleware::AnyChannel;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use crate::board::{BoardId, Refusal, Standings};
use crate::catalog::{Catalog, DefinedBoard};
use crate::outcomes::{Expected, Outcomes, Settled};
use crate::score_counters::ScoreCounters;
use crate::store::{BoardStore, HistoryStore, Positions, ScoreRow, StoreError, Wanted};
use crate::submission::{Actor, BatchError, LookError, NewScore, Pending, State, Submission, SubmitError};
use crate::watermarks::Watermarks;

use self::content::content_hash;
use self::finding::Finder;
use self::looking::Looker;
use self::rates::Rates;
use self::seats::Seats;

/// How long a call may take whose caller says nothing about it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long before the caller's deadline the answer is given, whatever it is.
const ANSWER_BEFORE: Duration = Duration::from_millis(100);
/// The pause before a record is appended again of which nobody knows whether it was.
const APPEND_AGAIN: Duration = Duration::from_millis(50);
/// How long one waits for who works on a partition in this process before the store is asked as well.
const GRACE: Duration = Duration::from_millis(100);

/// Submits scores. Cloning shares it.
#[derive(Clone)]
pub struct Submissions {
    inner: Arc<Inner>,
}

/// What submissions work with.
pub struct SubmissionParts {
    /// The rules of boards.
    pub catalog: Catalog,
    /// The game service, asked for seats.
    pub game: AnyChannel,
    /// Where scores become durable.
    pub log: Arc<dyn Log>,
    /// What has become of them.
    pub history: Arc<dyn HistoryStore>,
    /// Where ranks are.
    pub boards: Arc<dyn BoardStore>,
    /// How far the log was worked on.
    pub positions: Arc<dyn Positions>,
    /// Those who wait in this process; shared with the projector.
    pub outcomes: Outcomes,
    /// How far boards have come.
    pub watermarks: Watermarks,
    /// Time and ids.
    pub ambient: Ambient,
    /// What is counted.
    pub counters: ScoreCounters,
}

struct Inner {
    catalog: Catalog,
    log: Arc<dyn Log>,
    seats: Seats,
    rates: Rates,
    finder: Finder,
    looker: Looker,
    outcomes: Outcomes,
    watermarks: Watermarks,
    ambient: Ambient,
    counters: ScoreCounters,
}

/// A score that has passed every check, with its player.
struct Checked {
    score: NewScore,
    player: Uuid,
    board: Arc<DefinedBoard>,
    hash: [u8; 32],
}

/// A score of which the answer is known already, or one to submit.
enum Admitted {
    New(Checked),
    Answered(Submission),
}

impl Submissions {
    /// Must be made on a runtime.
    #[must_use]
    pub fn new(parts: SubmissionParts) -> Self {
        let SubmissionParts { catalog, game, log, history, boards, positions, outcomes, watermarks, ambient, counters } =
            parts;
        let finder = Finder::new(catalog.clone(), history.clone(), boards, ambient.clone());
        let looker = Looker::new(log.clone(), history, positions);
        let (seats, rates) = (Seats::new(game), Rates::new());
        let inner = Inner { catalog, log, seats, rates, finder, looker, outcomes, watermarks, ambient, counters };
        Self { inner: Arc::new(inner) }
    }

    /// Submits a score and answers with its outcome or, when the deadline comes near, that it is pending. Without a deadline
    /// that is after 5 s.
    pub async fn submit(
        &self,
        score: NewScore,
        actor: Actor,
        deadline: Option<Instant>,
    ) -> Result<Submission, SubmitError> {
        let until = answer_at(deadline);
        let submission = self.inner.submit(score, actor, until).await;
        self.inner.counters.submitted(&submission);
        submission
    }

    /// Submits scores, each as [`Self::submit`] does. All are checked before the first is recorded; once they are, an error
    /// says that some may have been.
    pub async fn submit_many(
        &self,
        scores: Vec<NewScore>,
        actor: Actor,
        deadline: Option<Instant>,
    ) -> Result<Vec<Submission>, BatchError> {
        let until = answer_at(deadline);
        let admitted = join_all(scores.into_iter().map(|score| self.inner.admit(score, actor))).await;
        let admitted = in_order(admitted)?;
        // They are appended in the order in which they are polled first: this one.
        let submissions = admitted.into_iter().map(async |admitted| match admitted {
            Admitted::New(checked) => self.inner.record(checked, actor, until).await,
            Admitted::Answered(submission) => Ok(submission),
        });
        let submissions = join_all(submissions).await;
        for submission in &submissions {
            self.inner.counters.submitted(submission);
        }
        in_order(submissions)
    }

    /// What became of a submission of a player, or of the caller, as far as it is known now.
    pub async fn look(
        &self,
        board: &BoardId,
        player: Option<Uuid>,
        submission: Uuid,
        actor: Actor,
    ) -> Result<Submission, LookError> {
        let Inner { catalog, finder, looker, .. } = &*self.inner;
        catalog.find(board).await?;
        let player = match actor {
            Actor::Player(own) if player.is_some_and(|player| player != own) => return Err(LookError::NotAllowed),
            Actor::Player(own) => own,
            Actor::Admin(own) => player.unwrap_or(own),
            Actor::Server(_) => player.ok_or(LookError::NotFound)?,
        };
        let wanted = Wanted { board: board.clone(), player, submission };
        let state = match finder.row(wanted.clone()).await? {
            Some(row) => finder.applied(board, row).await,
            None => match looker.look(&wanted).await? {
                looking::Looked::Recorded(row) => finder.applied(board, row).await,
                looking::Looked::Pending(pending) => State::Pending(pending),
                looking::Looked::Nowhere => return Err(LookError::NotFound),
            },
        };
        Ok(Submission { board: board.clone(), state })
    }
}

// What is seldom needed is boxed, as a future has room for all that it may come to, and is copied several times.
impl Inner {
    async fn submit(&self, score: NewScore, actor: Actor, until: Instant) -> Result<Submission, SubmitError> {
        match self.admit(score, actor).await? {
            Admitted::New(checked) => self.record(checked, actor, until).await,
            Admitted::Answered(submission) => Ok(submission),
        }
    }

    /// Checks a score. One that was recorded before is answered as it was then, also if it could not be submitted any more.
    async fn admit(&self, score: NewScore, actor: Actor) -> Result<Admitted, SubmitError> {
        let board = self.catalog.find(&score.board).await?;
        let player = checking::player(&score, actor)?;
        checking::content(&score)?;
        let hash = content_hash(&score);
        match self.check(&board, &score, player, actor).await {
            Ok(()) => Ok(Admitted::New(Checked { score, player, board, hash })),
            Err(refusal) if checking::is_of_now(&refusal) => {
                match Box::pin(self.as_before(&score, player, hash)).await? {
                    Some(submission) => Ok(Admitted::Answered(submission)),
                    None => Err(refusal),
                }
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// What became of the same score when it was recorded before.
    async fn as_before(
        &self,
        score: &NewScore,
        player: Uuid,
        hash: [u8; 32],
    ) -> Result<Option<Submission>, StoreError> {
        let wanted = Wanted { board: score.board.clone(), player, submission: score.submission };
        let Some(row) = self.finder.row(wanted).await?.filter(|row| row.content_hash == hash) else { return Ok(None) };
        let state = self.finder.applied(&score.board, row).await;
        Ok(Some(Submission { board: score.board.clone(), state }))
    }

    async fn check(
        &self,
        board: &DefinedBoard,
        score: &NewScore,
        player: Uuid,
        actor: Actor,
    ) -> Result<(), SubmitError> {
        checking::board(board, score, actor)?;
        if board.definition.require_seat {
            let session = score.session.ok_or(SubmitError::SeatRequired)?;
            if !Box::pin(self.seats.has(score.board.game, session, player)).await? {
                return Err(SubmitError::SeatRequired);
            }
        }
        match actor {
            Actor::Server(_) => Ok(()),
            Actor::Player(_) | Actor::Admin(_) => self.rates.check(board, player),
        }
    }

    /// Makes a score durable and waits for what becomes of it.
    async fn record(&self, checked: Checked, actor: Actor, until: Instant) -> Result<Submission, SubmitError> {
        let id = self.ambient.id();
        let record = content::record(id, &checked, actor, self.ambient.now());
        let Some(mut expected) = self.outcomes.expect(id) else {
            return Err(SubmitError::Unavailable("too many submissions wait for their outcome".into()));
        };
        let appended = self.append(&record, until).await?;
        let settled = self.settled(&mut expected, &checked, appended, until).await;
        let Checked { mut score, player, .. } = checked;
        let board = score.board.clone();
        score.player = Some(player);
        let pending = Pending { score, offset: appended.position.offset, time: appended.time };
        let state = match settled {
            Ok(Ok(Outcome::Applied(row, ranks))) => State::Applied { row, ranks },
            Ok(Ok(Outcome::Differs)) => State::Differs(pending),
            Ok(Err(error)) => {
                // It is durable all the same.
                let error: &dyn std::error::Error = &error;
                tracing::warn!(%board, error, "the outcome of a score cannot be read");
                State::Pending(pending)
            }
            Err(_elapsed) => State::Pending(pending),
        };
        Ok(Submission { board, state })
    }

    /// Appends a record; again if nobody knows whether it was.
    async fn append(&self, record: &Record, until: Instant) -> Result<Appended, SubmitError> {
        loop {
            let within = until.saturating_duration_since(Instant::now());
            match self.log.append(Topic::Scores, record, within).await {
                Ok(appended) => return Ok(appended),
                Err(AppendError::Unknown(_)) if Instant::now() + APPEND_AGAIN < until => sleep(APPEND_AGAIN).await,
                Err(error @ AppendError::Unknown(_)) => return Err(SubmitError::Unknown(error.into())),
                Err(AppendError::TooLarge { bytes }) => {
                    let problem = format!("make a record of {bytes} bytes, which is too large");
                    return Err(SubmitError::Field { path: "attributes", problem });
                }
                Err(
                    error @ (AppendError::Full
                    | AppendError::Unavailable(_)
                    | AppendError::Closed
                    | AppendError::Refused(_)),
                ) => return Err(SubmitError::Unavailable(error.into())),
            }
        }
    }

    /// What has become of a record: as it is told in this process, or else as it is found when its board is so far.
    async fn settled(
        &self,
        expected: &mut Expected,
        checked: &Checked,
        appended: Appended,
        until: Instant,
    ) -> Result<Result<Outcome, StoreError>, Elapsed> {
        if self.outcomes.are_here(appended.position.partition) {
            match timeout_at(until.min(Instant::now() + GRACE), &mut expected.settled).await {
                Ok(Ok(Settled::Kept(row, ranks))) => return Ok(Ok(Outcome::Applied(row, ranks))),
                Ok(Ok(settled)) => {
                    let told = async { Ok(self.told(&checked.score.board, settled).await) };
                    return Box::pin(timeout_at(until, told)).await;
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Box::pin(timeout_at(until, self.looked_for(expected, checked, appended))).await
    }

    /// What has become of a record: told late, or found when its board is so far.
    async fn looked_for(
        &self,
        expected: &mut Expected,
        checked: &Checked,
        appended: Appended,
    ) -> Result<Outcome, StoreError> {
        let Checked { score, player, hash, .. } = checked;
        let reached = self.watermarks.reached(&score.board, appended.position.offset);
        tokio::select! {
            biased;
            Ok(settled) = &mut expected.settled, if !expected.settled.is_terminated() => {
                return Ok(self.told(&score.board, settled).await);
            }
            () = reached => {}
        }
        let wanted = Wanted { board: score.board.clone(), player: *player, submission: score.submission };
        match self.finder.row(wanted).await? {
            Some(row) if row.content_hash != *hash => Ok(Outcome::Differs),
            Some(row) => {
                let ranks = self.finder.ranks(&score.board, &row).await;
                Ok(Outcome::Applied(row, ranks))
            }
            // Rows are gone only with their players.
            None => Ok(Outcome::Applied(erased(checked, appended), Vec::new())),
        }
    }

    async fn told(&self, board: &BoardId, settled: Settled) -> Outcome {
        match settled {
            Settled::Kept(row, ranks) => Outcome::Applied(row, ranks),
            Settled::Repeated(row) => {
                let ranks = self.finder.ranks(board, &row).await;
                Outcome::Applied(row, ranks)
            }
            Settled::Differs => Outcome::Differs,
        }
    }
}

/// What has become of a record that was applied.
enum Outcome {
    Applied(ScoreRow, Vec<Option<u64>>),
    Differs,
}

/// The row of a score whose player was erased after it was applied.
fn erased(checked: &Checked, appended: Appended) -> ScoreRow {
    let Checked { score, player, hash, .. } = checked;
    ScoreRow {
        offset: appended.position.offset,
        player: *player,
        submission: score.submission,
        value: score.value,
        session: score.session,
        attributes: crate::attributes::write(&score.attributes.to_api()),
        content_hash: *hash,
        time: appended.time,
        refusal: Some(Refusal::AccountGone),
        standings: Standings::default(),
    }
}

fn answer_at(deadline: Option<Instant>) -> Instant {
    let now = Instant::now();
    let deadline = deadline.unwrap_or(now + PATIENCE);
    deadline.checked_sub(ANSWER_BEFORE).unwrap_or(now)
}

/// All of them, or the first error.
fn in_order<T>(outcomes: Vec<Result<T, SubmitError>>) -> Result<Vec<T>, BatchError> {
    let outcomes = outcomes.into_iter().enumerate();
    outcomes.map(|(index, outcome)| outcome.map_err(|error| BatchError { index, error })).collect()
}
