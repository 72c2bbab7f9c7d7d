use std::sync::Mutex;

use bytes::Bytes;
use pkg_api::game::v1 as api;
use pkg_db::testing::TestDatabase;
use pkg_definition::Order;
use time::OffsetDateTime;

use super::*;
use crate::board::{BoardRules, PeriodId};
use crate::reckoning::{Record, reckon};
use crate::store::{Appended, Applied, BoardView, MemoryBoards, Read, RedisBoards, SqlHistory, Wanted};
use crate::testing::Games;

const DAY: Duration = Duration::from_hours(24);

struct World {
    games: Games,
    rebuild: BoardsRebuild,
    game: Uuid,
    _database: TestDatabase,
}

/// Wins by the highest value, in all time and by days.
fn definition(key: &str) -> api::LeaderboardDefinition {
    let periods = vec![api::LeaderboardPeriod::AllTime.into(), api::LeaderboardPeriod::Daily.into()];
    api::LeaderboardDefinition { key: key.to_owned(), periods, ..api::LeaderboardDefinition::default() }
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

impl World {
    fn over(database: TestDatabase, boards: Arc<dyn BoardStore>) -> Self {
        let (games, ambient) = (Games::default(), Ambient::system());
        let game = ambient.id();
        games.define(game, vec![definition("points"), definition("races")]);
        let (catalog, _) = Catalog::new(games.channel());
        let history = Arc::new(SqlHistory::new(database.clone()));
        Self { games, rebuild: BoardsRebuild { history, boards, catalog, ambient }, game, _database: database }
    }

    fn board(&self, text: &str) -> BoardId {
        BoardId { game: self.game, key: key(text) }
    }

    fn now(&self) -> OffsetDateTime {
        self.rebuild.ambient.now().truncate_to_millisecond()
    }

    async fn rules(&self, board: &BoardId) -> BoardRules {
        self.rebuild.catalog.find(board).await.unwrap().rules.clone()
    }

    /// A score into the history, so long ago; what follows for the board goes there too.
    async fn score(&self, board: &BoardId, player: u128, value: i64, ago: Duration) {
        let (history, rules) = (&self.rebuild.history, self.rules(board).await);
        let head = history.heads(std::slice::from_ref(board)).await.unwrap()[0];
        let record = Record {
            offset: head.map_or(0, |head| head.mark.offset + 1),
            time: self.now() - ago,
            player: Uuid::from_u128(player),
            submission: self.rebuild.ambient.id(),
            value,
            session: None,
            attributes: Bytes::new(),
            content_hash: [0; 32],
            within_bounds: true,
        };
        let wanted = Wanted { board: board.clone(), player: record.player, submission: record.submission };
        let known = history.look_up(&[wanted]).await.unwrap().remove(0);
        let reckoning = reckon(board, Some(&rules), head, vec![(record, known)]);
        assert_eq!(history.append(&[reckoning.history]).await.unwrap(), [Appended::Done]);
        assert!(matches!(self.rebuild.boards.apply(&reckoning.board).await.unwrap(), Applied::Done(_)));
    }

    async fn run(&self, which: WhichBoards) -> Vec<RebuildStep> {
        let steps = Mutex::new(Vec::new());
        self.rebuild.run(&which, |step| steps.lock().unwrap().push(step)).await.unwrap();
        steps.into_inner().unwrap()
    }

    async fn view(&self, board: &BoardId, period: PeriodId) -> Read<BoardView> {
        let place = Place { board: board.clone(), order: Order::HighWins, period };
        self.rebuild.boards.page(&place, None, 100).await.unwrap()
    }

    async fn values(&self, board: &BoardId, period: PeriodId) -> Option<Vec<i64>> {
        match self.view(board, period).await {
            Read::Found(view) => Some(view.entries.iter().map(|entry| entry.entry.value).collect()),
            Read::Missing => None,
        }
    }
}

/// `empty` loses all boards.
async fn what_is_lost_is_rebuilt(world: &mut World, empty: impl AsyncFnOnce(&mut World)) {
    let (points, races) = (world.board("points"), world.board("races"));
    world.score(&points, 1, 5, DAY * 200).await;
    world.score(&points, 1, 10, DAY).await;
    world.score(&points, 2, 30, Duration::ZERO).await;
    world.score(&races, 3, 7, Duration::ZERO).await;
    empty(world).await;
    assert_eq!(world.values(&points, PeriodId::ALL_TIME).await, None);

    let rules = world.rules(&points).await;
    let day = |ago| rules.calendar.period(Period::Daily, world.now() - ago);
    let all_time = PeriodSpan { id: PeriodId::ALL_TIME, end_ms: None };
    let steps = world.run(WhichBoards { board: Some(key("points")), ..WhichBoards::default() }).await;
    // Days that ended long ago come when they are asked for.
    let expected = [all_time, day(Duration::ZERO), day(DAY)].map(|span| RebuildStep::Rebuilt(points.clone(), span));
    assert_eq!(steps, expected);
    assert_eq!(world.values(&points, PeriodId::ALL_TIME).await, Some(vec![30, 10]));
    assert_eq!(world.values(&points, day(DAY).id).await, Some(vec![10]));
    assert_eq!(world.values(&points, day(DAY * 200).id).await, None);
    assert_eq!(world.values(&races, PeriodId::ALL_TIME).await, None);

    // What is there is made anew, and scores go on.
    world.score(&points, 4, 20, Duration::ZERO).await;
    let all = world.run(WhichBoards::default()).await;
    assert_eq!(all.len(), 5);
    assert_eq!(world.values(&points, PeriodId::ALL_TIME).await, Some(vec![30, 20, 10]));
    assert_eq!(world.values(&races, day(Duration::ZERO).id).await, Some(vec![7]));
    let daily = WhichBoards { game: Some(world.game), period: Some(Period::Daily), ..WhichBoards::default() };
    assert_eq!(world.run(daily).await.len(), 3);
    let other_game = WhichBoards { game: Some(Uuid::from_u128(1)), ..WhichBoards::default() };
    assert_eq!(world.run(other_game).await, []);
}

#[tokio::test]
async fn in_memory_what_is_lost_is_rebuilt() {
    let boards = || Arc::new(MemoryBoards::new(Ambient::system()));
    let mut world = World::over(pkg_db::testing::sqlite().await, boards());
    what_is_lost_is_rebuilt(&mut world, async |world: &mut World| world.rebuild.boards = boards()).await;
}

mod real_stores {
    use super::*;

    /// Keys under another prefix are as good as none.
    #[tokio::test]
    async fn what_is_lost_is_rebuilt() {
        let (first, second) = (pkg_redis::testing::redis().await, pkg_redis::testing::redis().await);
        let boards = Arc::new(RedisBoards::new(first.clone()));
        let mut world = World::over(pkg_db::testing::postgres().await, boards);
        let empty = async |world: &mut World| world.rebuild.boards = Arc::new(RedisBoards::new(second.clone()));
        super::what_is_lost_is_rebuilt(&mut world, empty).await;
    }
}

#[tokio::test]
async fn a_board_that_was_removed_is_left_out() {
    let world = World::over(pkg_db::testing::sqlite().await, Arc::new(MemoryBoards::new(Ambient::system())));
    let (points, races) = (world.board("points"), world.board("races"));
    for board in [&points, &races] {
        world.score(board, 1, 5, Duration::ZERO).await;
    }
    world.games.define(world.game, vec![definition("points")]);
    let (catalog, _) = Catalog::new(world.games.channel());
    let world = World { rebuild: BoardsRebuild { catalog, ..world.rebuild }, ..world };
    let steps = world.run(WhichBoards::default()).await;
    assert_eq!((steps.len(), steps.last()), (3, Some(&RebuildStep::Removed(races))));
}

#[tokio::test]
async fn without_the_game_service_nothing_is_rebuilt() {
    let world = World::over(pkg_db::testing::sqlite().await, Arc::new(MemoryBoards::new(Ambient::system())));
    world.score(&world.board("points"), 1, 5, Duration::ZERO).await;
    world.games.be_unavailable(true);
    let (catalog, _) = Catalog::new(world.games.channel());
    let rebuild = BoardsRebuild { catalog, ..world.rebuild };
    let refused = rebuild.run(&WhichBoards::default(), drop).await;
    assert!(matches!(refused, Err(BoardsRebuildError::Board { error: BoardError::Unavailable(_), .. })));
}
