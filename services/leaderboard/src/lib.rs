//! Scores that count exactly once, leaderboards, and the history of matches.
//!
//! A score is durable in the log before anything else. From there it goes to the history ([`HistoryStore`], the
//! truth that everything else can be made of again) and to the boards ([`BoardStore`], made for reading ranks).
//! `board` says what a score means and `reckoning` what follows from records: pure, without reading or writing anything.
//! [`build`] puts the parts together; [`access`] says who may call what.
//!
//! - Writing: `submitting` checks and appends, `projector` applies, and tells `outcomes` and `watermarks`.
//! - Reading: `reading`, `watching` for streams, `news` for the topics of boards.
//! - Looking after: `keeping` finds boards that were lost and `mending` makes them again; `boards_rebuild` is for
//!   operators.
//! - Matches: `matches` follows the log, `match_reading` answers. `accounts_gone` erases those who are gone.

pub mod access;
mod accounts_gone;
mod attributes;
mod board;
mod boards_rebuild;
mod catalog;
mod grpc;
mod keeping;
mod match_reading;
mod matches;
mod mending;
mod message;
mod news;
mod outcomes;
mod position;
mod projector;
mod reading;
mod rebuild;
mod reckoning;
mod score_check;
mod score_counters;
mod score_record;
mod store;
mod submission;
mod submitting;
#[cfg(test)]
mod testing;
mod watching;
mod watermarks;

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::leaderboard::v1::board_internal_service_server::BoardInternalServiceServer;
use pkg_api::leaderboard::v1::history_service_server::HistoryServiceServer;
use pkg_api::leaderboard::v1::leaderboard_service_server::LeaderboardServiceServer;
use pkg_bus::Bus;
use pkg_log::Log;
use pkg_middleware::{AnyChannel, Dependency, Service};

use crate::accounts_gone::AccountsGone;
pub use crate::board::{BoardId, PeriodId, PeriodSpan};
pub use crate::boards_rebuild::{BoardsRebuild, BoardsRebuildError, RebuildStep, WhichBoards};
pub use crate::catalog::{BoardError, Catalog};
use crate::grpc::{BoardInternalApi, HistoryApi, LeaderboardApi};
use crate::keeping::Keeper;
use crate::match_reading::MatchReadings;
use crate::matches::MatchesFollower;
use crate::mending::{Mender, MenderParts, Rebuilder};
use crate::news::BoardNews;
use crate::outcomes::Outcomes;
use crate::projector::{Projector, ProjectorParts};
use crate::reading::Readings;
use crate::score_check::ScoreCheck;
use crate::score_counters::ScoreCounters;
pub use crate::store::{
    BoardStore, HistoryStore, MemoryBoards, RedisBoards, SqlErasures, SqlHistory, SqlMatches, SqlPositions, StoreError,
};
use crate::store::{ErasureStore, MatchStore, Positions};
use crate::submitting::{SubmissionParts, Submissions};
use crate::watching::Watches;
use crate::watermarks::{WatermarkFollower, Watermarks};

/// What the service works with.
pub struct Deps {
    /// Scores.
    pub history: SqlHistory,
    /// Who was erased.
    pub erasures: SqlErasures,
    /// Matches and stats.
    pub matches: SqlMatches,
    /// How far the log was followed.
    pub positions: SqlPositions,
    /// Leaderboards.
    pub boards: Arc<dyn BoardStore>,
    /// The game service.
    pub game: AnyChannel,
    /// Live events; the one that clients follow.
    pub bus: Arc<dyn Bus>,
    /// Where scores become durable, and what becomes of sessions and accounts.
    pub log: Arc<dyn Log>,
    /// The stores, as health checks see them.
    pub stores: Vec<(&'static str, Arc<dyn Dependency>)>,
    /// Time and randomness.
    pub ambient: Ambient,
}

/// The service, to be mounted on a server. Must be built on a runtime.
pub fn build(deps: Deps) -> Service {
    let Deps { history, erasures, matches, positions, boards, game, bus, log, stores, ambient } = deps;
    let (history, matches): (Arc<dyn HistoryStore>, Arc<dyn MatchStore>) = (Arc::new(history), Arc::new(matches));
    let (erasures, positions): (Arc<dyn ErasureStore>, Arc<dyn Positions>) = (Arc::new(erasures), Arc::new(positions));
    let (catalog, definitions) = Catalog::new(game.clone());
    let service = Service::new("leaderboard")
        .needs("definitions", Arc::new(catalog.readiness()))
        .task("definitions of games", |shutdown| definitions.run(shutdown));
    let (news, teller) = BoardNews::new(catalog.clone(), boards.clone(), bus.clone(), ambient.clone());
    let service = service.task("topics of boards", |shutdown| teller.run(shutdown));
    let works = Works { history, boards, positions, catalog, news, game, bus, log, ambient };
    let service = works.clone().serve_scores(service);
    let service = works.serve_history(service, matches, erasures);
    stores.into_iter().fold(service, |service, (name, store)| service.needs(name, store))
}

/// What all of it works with.
#[derive(Clone)]
struct Works {
    history: Arc<dyn HistoryStore>,
    boards: Arc<dyn BoardStore>,
    positions: Arc<dyn Positions>,
    catalog: Catalog,
    news: BoardNews,
    game: AnyChannel,
    bus: Arc<dyn Bus>,
    log: Arc<dyn Log>,
    ambient: Ambient,
}

/// What brings scores to the boards.
struct Scoring {
    submissions: Submissions,
    watermarks: Watermarks,
    progress: WatermarkFollower,
    projector: Projector,
    keeper: Keeper,
    rebuilder: Rebuilder,
}

impl Works {
    /// Scores and leaderboards.
    fn serve_scores(self, service: Service) -> Service {
        let Scoring { submissions, watermarks, progress, projector, keeper, rebuilder } = self.clone().scoring();
        let Self { history, boards, catalog, ambient, .. } = self;
        let readings = Readings::new(reading::Ports {
            catalog: catalog.clone(),
            history,
            boards,
            watermarks: watermarks.clone(),
            ambient: ambient.clone(),
        });
        let (watches, feeds) = Watches::new(readings.clone(), watermarks);
        let api = LeaderboardApi { submissions, readings, watches, catalog, ambient };
        service
            .add(LeaderboardServiceServer::new(api), access::LEADERBOARD)
            .task("scores", |shutdown| projector.run(shutdown))
            .task("how far boards have come", |shutdown| progress.run(shutdown))
            .task("boards that were lost", |shutdown| keeper.run(shutdown))
            .task("periods that were lost", |shutdown| rebuilder.run(shutdown))
            .task("boards that are watched", |shutdown| feeds.run(shutdown))
    }

    /// Nothing of it runs yet.
    fn scoring(self) -> Scoring {
        let Self { history, boards, positions, catalog, news, game, bus, log, ambient } = self;
        let (counters, outcomes) = (ScoreCounters::new(), Outcomes::new());
        let (watermarks, progress) = Watermarks::new(bus, boards.clone());
        let (mender, rebuilder) = Mender::new(MenderParts {
            catalog: catalog.clone(),
            history: history.clone(),
            boards: boards.clone(),
            watermarks: watermarks.clone(),
            news: news.clone(),
            ambient: ambient.clone(),
            counters: counters.clone(),
        });
        let keeper = Keeper {
            catalog: catalog.clone(),
            history: history.clone(),
            boards: boards.clone(),
            outcomes: outcomes.clone(),
            mender: mender.clone(),
            ambient: ambient.clone(),
        };
        let projector = Projector::new(ProjectorParts {
            log: log.clone(),
            catalog: catalog.clone(),
            history: history.clone(),
            boards: boards.clone(),
            positions: positions.clone(),
            outcomes: outcomes.clone(),
            watermarks: watermarks.clone(),
            news,
            mender,
            counters: counters.clone(),
        });
        let submissions = Submissions::new(SubmissionParts {
            catalog,
            game,
            log,
            history,
            boards,
            positions,
            outcomes,
            watermarks: watermarks.clone(),
            ambient,
            counters,
        });
        Scoring { submissions, watermarks, progress, projector, keeper, rebuilder }
    }

    /// Matches, what others ask of scores, and accounts that are gone.
    fn serve_history(self, service: Service, matches: Arc<dyn MatchStore>, erasures: Arc<dyn ErasureStore>) -> Service {
        let Self { history, boards, positions, news, log, ambient, .. } = self;
        let scores = ScoreCheck::new(history.clone(), positions.clone(), log.clone());
        let results = MatchesFollower::new(log.clone(), matches.clone());
        let accounts_gone = AccountsGone { log, positions, erasures, history, boards, news, ambient };
        service
            .add(HistoryServiceServer::new(HistoryApi::new(MatchReadings::new(matches))), access::HISTORY)
            .add(BoardInternalServiceServer::new(BoardInternalApi::new(scores)), access::BOARD_INTERNAL)
            .task("history of matches", |shutdown| results.run(shutdown))
            .task("scores of accounts that are gone", |shutdown| accounts_gone.run(shutdown))
    }
}
