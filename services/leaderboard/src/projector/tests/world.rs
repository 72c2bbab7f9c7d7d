//! Stores, a log, a game service of the test's own, and processes that come and go. A checker compares the log with what was
//! made of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::game::v1 as api;
use pkg_bus::{Bus, MemoryBus, Retentions};
use pkg_db::testing::TestDatabase;
use pkg_definition::{Attributes, Key, Period};
use pkg_log::{Start, Topic};
use pkg_redis::testing::TestRedis;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::board::{BoardId, PeriodId};
use crate::catalog::Catalog;
use crate::keeping::Keeper;
use crate::news::BoardNews;
use crate::projector::{Projector, ProjectorParts};
use crate::score_record::ScoreRecord;
use crate::store::{
    BoardStore, BoardView, HistoryStore, MemoryBoards, Place, Positions, Read, RedisBoards, ScoreRow, SqlHistory,
    SqlPositions,
};
use crate::submission::{Actor, NewScore, Submission, SubmitError};
use crate::submitting::Submissions;
use crate::testing::{Exchangeable, Games, PATIENCE, Running, TestLog, until};
use crate::{Scoring, Works};

pub(super) use crate::testing::board_definition as definition;

pub(super) const GAME: Uuid = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0077);

/// What processes share.
pub(super) struct World {
    pub(super) games: Games,
    pub(super) log: TestLog,
    pub(super) history: Arc<dyn HistoryStore>,
    pub(super) positions: Arc<dyn Positions>,
    pub(super) boards: Arc<Exchangeable>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) ambient: Ambient,
    pub(super) database: TestDatabase,
    pub(super) redis: Option<TestRedis>,
}

/// A process of the service, as far as scores go.
pub(super) struct Process {
    pub(super) submissions: Submissions,
    pub(super) parts: Arc<ProjectorParts>,
    follower: Running,
    tasks: Vec<Running>,
}

pub(super) fn board(key: &str) -> BoardId {
    BoardId { game: GAME, key: Key::parse(key).unwrap() }
}

pub(super) fn player(number: u128) -> Uuid {
    Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0002_0000 + number)
}

/// A score of a player with an id of its own.
pub(super) fn value(board: &BoardId, submission: u128, value: i64) -> NewScore {
    NewScore {
        board: board.clone(),
        player: None,
        submission: Uuid::from_u128(submission),
        value,
        session: None,
        attributes: Attributes::default(),
    }
}

impl World {
    /// In memory.
    pub(super) async fn start() -> Self {
        let boards = Arc::new(MemoryBoards::new(Ambient::system()));
        Self::over(pkg_db::testing::sqlite().await, boards, None).await
    }

    /// On Postgres and Redis.
    pub(super) async fn real() -> Self {
        let redis = pkg_redis::testing::redis().await;
        let boards = Arc::new(RedisBoards::new(pkg_redis::Redis::clone(&redis)));
        Self::over(pkg_db::testing::postgres().await, boards, Some(redis)).await
    }

    async fn over(database: TestDatabase, boards: Arc<dyn BoardStore>, redis: Option<TestRedis>) -> Self {
        let (ambient, games) = (Ambient::system(), Games::default());
        let operators = [("best", api::LeaderboardOperator::Best), ("sum", api::LeaderboardOperator::Sum)];
        games.define(GAME, operators.map(|(key, operator)| definition(key, operator)).into());
        Self {
            games,
            log: TestLog::start().await,
            history: Arc::new(SqlHistory::new(database.clone())),
            positions: Arc::new(SqlPositions::new(database.clone())),
            boards: Arc::new(Exchangeable::new(boards)),
            bus: Arc::new(MemoryBus::new(ambient.clone(), Retentions::default())),
            ambient,
            database,
            redis,
        }
    }

    /// A process that works on whatever falls to it.
    pub(super) async fn process(&self) -> Process {
        let (mut process, projector, keeper) = self.idle_process().await;
        process.tasks.push(Running::start(|shutdown| projector.run(shutdown)));
        process.tasks.push(Running::start(|shutdown| keeper.run(shutdown)));
        process
    }

    /// A process that works on nothing.
    pub(super) async fn idle_process(&self) -> (Process, Projector, Keeper) {
        let (log, bus, ambient) = (self.log.log.clone(), self.bus.clone(), self.ambient.clone());
        let (history, boards, positions) = (self.history.clone(), self.boards.clone(), self.positions.clone());
        let (catalog, follower) = Catalog::new(self.games.channel());
        let follower = Running::start(|shutdown| follower.run(shutdown));
        catalog.caught_up().await;
        let (news, teller) = BoardNews::new(catalog.clone(), boards.clone(), bus.clone(), ambient.clone());
        let game = self.games.channel();
        let works = Works { history, boards, positions, catalog, news, game, bus, log, ambient };
        let Scoring { submissions, progress, projector, keeper, rebuilder, .. } = works.scoring();
        let tasks = vec![
            Running::start(|shutdown| progress.run(shutdown)),
            Running::start(|shutdown| teller.run(shutdown)),
            Running::start(|shutdown| rebuilder.run(shutdown)),
        ];
        (Process { submissions, parts: projector.parts.clone(), follower, tasks }, projector, keeper)
    }

    /// Works on all partitions, whoever does so as well, until it is told to end.
    pub(super) async fn zombie(&self, projector: Projector, group: &str) -> Running {
        let projector = Arc::new(projector);
        let mut consumer = self.log.log.join(Topic::Scores, group).await.unwrap();
        Running::start(|shutdown: CancellationToken| async move {
            let mut workers = tokio::task::JoinSet::new();
            while let Some(Some(mut partition)) = shutdown.run_until_cancelled(consumer.next_partition()).await {
                let projector = projector.clone();
                workers.spawn(async move {
                    use pkg_log::Work;
                    if let Err(error) = projector.work(&mut partition).await {
                        projector.report(partition.number(), &error);
                    }
                });
            }
        })
    }

    /// The boards are lost.
    pub(super) async fn lose_boards(&self) -> Option<TestRedis> {
        let (boards, redis): (Arc<dyn BoardStore>, _) = if self.redis.is_some() {
            let redis = pkg_redis::testing::redis().await;
            (Arc::new(RedisBoards::new(pkg_redis::Redis::clone(&redis))), Some(redis))
        } else {
            (Arc::new(MemoryBoards::new(self.ambient.clone())), None)
        };
        self.boards.exchange(boards);
        redis
    }

    pub(super) async fn row(&self, board: &BoardId, player: Uuid, submission: u128) -> Option<ScoreRow> {
        let submission = Uuid::from_u128(submission);
        let wanted = crate::store::Wanted { board: board.clone(), player, submission };
        self.history.submission(&wanted).await.unwrap()
    }

    /// The scores of a board that are in the log.
    pub(super) async fn logged(&self, board: &BoardId) -> Vec<(i64, Uuid, Uuid, i64)> {
        let partition = Topic::Scores.partition_of(&board.to_string());
        let end = self.log.log.range(Topic::Scores, partition).await.unwrap().end;
        let mut reader = self.log.log.read(Topic::Scores, partition, Start::Beginning).await.unwrap();
        let (mut scores, mut next) = (Vec::new(), 0);
        while next < end {
            for entry in reader.next(1_000).await.unwrap() {
                next = entry.position.offset + 1;
                let Some(score) = entry.record.as_ref().ok().and_then(ScoreRecord::parse) else { continue };
                if score.board == *board {
                    scores.push((entry.position.offset, score.player, score.submission, score.value));
                }
            }
        }
        scores
    }

    /// A period of a board as soon as it is where its history is.
    pub(super) async fn view(&self, board: &BoardId, period: PeriodId, at: i64) -> BoardView {
        let place = Place { board: board.clone(), order: pkg_definition::Order::HighWins, period };
        until(async || match self.boards.page(&place, None, 4_000).await.unwrap() {
            Read::Found(view) if view.mark.offset >= at => Some(view),
            Read::Found(_) | Read::Missing => None,
        })
        .await
    }

    /// Compares the log with the history and the board, once all of it was applied: each id is there once, and none that is
    /// not in the log.
    pub(super) async fn check(&self, board: &BoardId, is_sum: bool) {
        let logged = self.logged(board).await;
        let last = logged.last().expect("something was logged").0;
        let head = until(async || {
            let head = self.history.heads(std::slice::from_ref(board)).await.unwrap()[0]?;
            (head.mark.offset >= last).then_some(head)
        })
        .await;
        assert_eq!(head.mark.offset, last);

        let (mut seen, mut entries) = (HashSet::new(), BTreeMap::<Uuid, (i64, i64)>::new());
        let mut rows: HashMap<Uuid, Vec<i64>> = HashMap::new();
        for (offset, player, submission, value) in logged {
            if !seen.insert((player, submission)) {
                continue;
            }
            rows.entry(player).or_default().push(offset);
            let entry = entries.entry(player).or_insert((0, -1));
            let new = match entry.1 {
                -1 => value,
                _ if is_sum => entry.0 + value,
                _ => entry.0.max(value),
            };
            if entry.1 == -1 || new != entry.0 {
                *entry = (new, offset);
            }
        }
        for (player, mut offsets) in rows {
            offsets.reverse();
            let kept = self.history.player_scores(board, player, true, None, 10_000).await.unwrap();
            assert!(kept.iter().all(|row| row.refusal.is_none()));
            assert_eq!(kept.iter().map(|row| row.offset).collect::<Vec<_>>(), offsets);
        }

        let mut expected: Vec<(i64, i64, Uuid)> =
            entries.into_iter().map(|(player, (value, reached))| (-value, reached, player)).collect();
        expected.sort_unstable();
        let daily = self.history.periods(board, Period::Daily, None, 10).await.unwrap();
        let mut periods = vec![PeriodId::ALL_TIME];
        // The test may run over midnight.
        periods.extend(daily.iter().map(|span| span.id).filter(|_| daily.len() == 1));
        for period in periods {
            let view = self.view(board, period, last).await;
            assert_eq!(view.mark.offset, last);
            let found: Vec<_> =
                view.entries.iter().map(|ranked| (-ranked.entry.value, ranked.entry.reached, ranked.player)).collect();
            assert_eq!(found, expected, "{period}");
        }
    }
}

impl Process {
    /// Submits a player's own score.
    pub(super) async fn submit(&self, player: Uuid, score: NewScore) -> Result<Submission, SubmitError> {
        self.submissions.submit(score, Actor::Player(player), Some(Instant::now() + PATIENCE)).await
    }

    /// Ends in order.
    pub(super) async fn end(self) {
        for task in self.tasks {
            task.end().await;
        }
        self.follower.end().await;
    }

    /// Wherever it is.
    pub(super) async fn kill(self) {
        for task in self.tasks {
            task.cut_off().await;
        }
        self.follower.cut_off().await;
    }
}
