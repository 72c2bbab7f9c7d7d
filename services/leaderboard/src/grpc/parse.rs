//! Requests, made into what they mean. Past this, nothing can be invalid.

use std::ops::RangeInclusive;

use pkg_api::game::v1::LeaderboardPeriod;
use pkg_api::leaderboard::v1 as api;
use pkg_definition::{Attributes, Key, Period, Violation};
use pkg_middleware::Problem;
use prost_types::Timestamp;
use time::OffsetDateTime;
use tonic::Code;
use uuid::Uuid;

use crate::board::BoardId;
use crate::position;
use crate::reading::Asked;
use crate::submission::NewScore;
use crate::watching::Wish;

const ATTRIBUTES_MAX: usize = 16;
const ATTRIBUTES_BYTES: usize = 2 * 1024;
const SCORES: RangeInclusive<usize> = 1..=100;
const PLAYERS: RangeInclusive<usize> = 1..=100;

/// How many of something may be asked for, and how many are meant by 0.
#[derive(Debug, Clone, Copy)]
pub struct Count {
    field: &'static str,
    max: usize,
    default: usize,
}

pub const ENTRIES: Count = Count { field: "page_size", max: 1_000, default: 50 };
pub const PAGE: Count = Count { field: "page_size", max: 100, default: 50 };
pub const AROUND: Count = Count { field: "count", max: 101, default: 11 };
const WATCHED: Count = Count { field: "count", max: 100, default: 10 };

impl Count {
    pub fn of(self, count: i32) -> Result<usize, Problem> {
        let Self { field, max, default } = self;
        match usize::try_from(count) {
            Ok(0) => Ok(default),
            Ok(count) if count <= max => Ok(count),
            _ => Err(Problem::invalid_field(field, format!("is 1 to {max}, or 0 for {default}"))),
        }
    }
}

pub fn id(path: &str, text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::invalid_field(path, "is not a UUID"))
}

pub fn optional_id(path: &str, text: &str) -> Result<Option<Uuid>, Problem> {
    if text.is_empty() { Ok(None) } else { id(path, text).map(Some) }
}

pub fn board(game_id: &str, board_key: &str) -> Result<BoardId, Problem> {
    board_at("", game_id, board_key)
}

/// A board whose fields are within another one.
fn board_at(within: &str, game_id: &str, board_key: &str) -> Result<BoardId, Problem> {
    let game = id(&format!("{within}game_id"), game_id)?;
    let key = Key::parse(board_key).ok_or_else(|| {
        let path = format!("{within}board_key");
        Problem::invalid_field(path, "has 1 to 64 lower-case letters, digits, \"-\" or \"_\"")
    })?;
    Ok(BoardId { game, key })
}

/// What is asked for, of requests that say it with these fields.
macro_rules! asked {
    ($request:expr) => {
        $crate::grpc::parse::asked_with(
            (&$request.game_id, &$request.board_key),
            $request.period,
            $request.period_time.as_ref(),
            &$request.min_position,
        )
    };
}
pub(super) use asked;

pub fn asked_with(
    (game_id, board_key): (&str, &str),
    period: i32,
    period_time: Option<&Timestamp>,
    min_position: &str,
) -> Result<Asked, Problem> {
    let board = board(game_id, board_key)?;
    let min_offset = self::min_offset(&board, min_position)?;
    Ok(Asked { kind: kind(period)?, time: period_time.map(moment).transpose()?, min_offset, board })
}

/// The whole board, without a period.
pub fn asked_for_history(game_id: &str, board_key: &str, min_position: &str) -> Result<Asked, Problem> {
    asked_with((game_id, board_key), LeaderboardPeriod::Unspecified.into(), None, min_position)
}

/// The offset of a position; `None` without one.
pub fn min_offset(board: &BoardId, min_position: &str) -> Result<Option<i64>, Problem> {
    if min_position.is_empty() {
        return Ok(None);
    }
    let invalid = || Problem::invalid_field("min_position", "is not a position of this leaderboard");
    position::parse(board, min_position).map(Some).ok_or_else(invalid)
}

pub fn kind(period: i32) -> Result<Option<Period>, Problem> {
    match LeaderboardPeriod::try_from(period) {
        Ok(LeaderboardPeriod::Unspecified) => Ok(None),
        Ok(LeaderboardPeriod::AllTime) => Ok(Some(Period::AllTime)),
        Ok(LeaderboardPeriod::Daily) => Ok(Some(Period::Daily)),
        Ok(LeaderboardPeriod::Weekly) => Ok(Some(Period::Weekly)),
        Ok(LeaderboardPeriod::Monthly) => Ok(Some(Period::Monthly)),
        Err(_) => Err(Problem::invalid_field("period", "is a period, such as LEADERBOARD_PERIOD_DAILY")),
    }
}

fn moment(time: &Timestamp) -> Result<OffsetDateTime, Problem> {
    let nanos = i64::from(time.nanos);
    let moment = OffsetDateTime::from_unix_timestamp(time.seconds).ok().filter(|_| (0..1_000_000_000).contains(&nanos));
    let moment = moment.and_then(|moment| moment.checked_add(time::Duration::nanoseconds(nanos)));
    moment.ok_or_else(|| Problem::invalid_field("period_time", "is not a time"))
}

/// The players who are asked for, each once.
pub fn players(ids: &[String]) -> Result<Vec<Uuid>, Problem> {
    number_of("player_ids", ids.len(), PLAYERS)?;
    let ids = ids.iter().enumerate().map(|(place, text)| id(&format!("player_ids[{place}]"), text));
    let mut players = ids.collect::<Result<Vec<_>, _>>()?;
    players.sort_unstable();
    players.dedup();
    Ok(players)
}

pub fn wish(request: &api::WatchBoardRequest) -> Result<Wish, Problem> {
    Ok(Wish {
        board: board(&request.game_id, &request.board_key)?,
        kind: kind(request.period)?,
        around: optional_id("around_player_id", &request.around_player_id)?,
        count: WATCHED.of(request.count)?,
    })
}

pub fn score(request: &api::SubmitScoreRequest) -> Result<NewScore, Problem> {
    let given = request.score.as_ref().ok_or_else(|| Problem::invalid_field("score", "is missing"))?;
    new_score("score", given)
}

pub fn scores(request: &api::BatchSubmitScoresRequest) -> Result<Vec<NewScore>, Problem> {
    number_of("scores", request.scores.len(), SCORES)?;
    let scores = request.scores.iter().enumerate().map(|(index, given)| {
        let score = new_score(&format!("scores[{index}]"), given);
        score.map_err(|problem| problem.metadata("index", index.to_string()))
    });
    scores.collect()
}

fn new_score(path: &str, given: &api::NewScore) -> Result<NewScore, Problem> {
    let attributes = Attributes::parse(&format!("{path}.attributes"), &given.attributes).map_err(invalid)?;
    if attributes.len() > ATTRIBUTES_MAX || attributes.size() > ATTRIBUTES_BYTES {
        let limit = format!("has {ATTRIBUTES_MAX} keys and {ATTRIBUTES_BYTES} bytes at most");
        return Err(Problem::invalid_field(format!("{path}.attributes"), limit));
    }
    Ok(NewScore {
        board: board_at(&format!("{path}."), &given.game_id, &given.board_key)?,
        player: optional_id(&format!("{path}.player_id"), &given.player_id)?,
        submission: id(&format!("{path}.submission_id"), &given.submission_id)?,
        value: given.value,
        session: optional_id(&format!("{path}.session_id"), &given.session_id)?,
        attributes,
    })
}

fn number_of(path: &str, given: usize, allowed: RangeInclusive<usize>) -> Result<(), Problem> {
    if allowed.contains(&given) {
        return Ok(());
    }
    Err(Problem::invalid_field(path, format!("has {} to {} elements", allowed.start(), allowed.end())))
}

/// Everything that is wrong, place by place.
fn invalid(violations: Vec<Violation>) -> Problem {
    let problem = Problem::new(Code::InvalidArgument, "INVALID_FIELD", "a field of the request is not valid");
    violations.into_iter().fold(problem, |problem, it| problem.field(it.path, it.problem))
}
