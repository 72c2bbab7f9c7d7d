use bytes::Bytes;
use pkg_api::log::v1::{AccountDeleted, UserBanned};
use pkg_bus::{MemoryBus, Retentions};
use pkg_db::testing::TestDatabase;
use pkg_definition::{Key, Order};

use super::*;
use crate::board::{BoardId, BoardRules, Calendar, PeriodId};
use crate::catalog::Catalog;
use crate::reckoning::{Record, reckon};
use crate::store::{
    Appended, Applied, BoardView, MatchesStep, MemoryBoards, Place, Read, RedisBoards, SqlErasures, SqlHistory,
    SqlMatches, SqlPositions, Wanted,
};
use crate::testing::{Games, Running, TestLog, until};

struct World {
    log: TestLog,
    database: TestDatabase,
    history: Arc<SqlHistory>,
    boards: Arc<dyn BoardStore>,
    news: BoardNews,
    ambient: Ambient,
    board: BoardId,
}

fn player(number: u128) -> Uuid {
    Uuid::from_u128(0x9_0000 + number)
}

impl World {
    async fn over(database: TestDatabase, boards: Arc<dyn BoardStore>) -> Self {
        let ambient = Ambient::system();
        let history = Arc::new(SqlHistory::new(database.clone()));
        let board = BoardId { game: ambient.id(), key: Key::parse("points").unwrap() };
        let (catalog, _) = Catalog::new(Games::default().channel());
        let bus = Arc::new(MemoryBus::new(ambient.clone(), Retentions::default()));
        let (news, _) = BoardNews::new(catalog, boards.clone(), bus, ambient.clone());
        Self { log: TestLog::start().await, database, history, boards, news, ambient, board }
    }

    fn follow(&self) -> Running {
        let gone = AccountsGone {
            log: self.log.log.clone(),
            positions: Arc::new(SqlPositions::new(self.database.clone())),
            erasures: Arc::new(SqlErasures::new(self.database.clone())),
            history: self.history.clone(),
            boards: self.boards.clone(),
            news: self.news.clone(),
            ambient: self.ambient.clone(),
        };
        Running::start(|shutdown| gone.run(shutdown))
    }

    /// A score of each of these players, in the history and on the board.
    async fn score(&self, players: &[u128]) {
        let rules = BoardRules {
            order: Order::HighWins,
            operator: pkg_definition::Operator::Last,
            periods: vec![pkg_definition::Period::AllTime],
            calendar: Calendar::new(pkg_definition::TimeZone::UTC),
        };
        let head = self.history.heads(std::slice::from_ref(&self.board)).await.unwrap()[0];
        let first = head.map_or(0, |head| head.mark.offset + 1);
        let record = |(offset, number): (i64, &u128)| Record {
            offset,
            time: self.ambient.now(),
            player: player(*number),
            submission: self.ambient.id(),
            value: 1_000 - offset,
            session: None,
            attributes: Bytes::new(),
            content_hash: [0; 32],
            within_bounds: true,
        };
        let records: Vec<Record> = (first..).zip(players).map(record).collect();
        let wanted = |record: &Record| Wanted {
            board: self.board.clone(),
            player: record.player,
            submission: record.submission,
        };
        let known = self.history.look_up(&records.iter().map(wanted).collect::<Vec<_>>()).await.unwrap();
        let reckoning = reckon(&self.board, Some(&rules), head, records.into_iter().zip(known).collect());
        assert_eq!(self.history.append(&[reckoning.history]).await.unwrap(), [Appended::Done]);
        assert!(matches!(self.boards.apply(&reckoning.board).await.unwrap(), Applied::Done(_)));
    }

    async fn delete(&self, number: u128) {
        let user_id = player(number).to_string();
        let event = record::Event::AccountDeleted(AccountDeleted { user_id: user_id.clone() });
        self.log.append(Topic::Accounts, &user_id, self.ambient.id(), event).await;
    }

    async fn view(&self) -> BoardView {
        let place = Place { board: self.board.clone(), order: Order::HighWins, period: PeriodId::ALL_TIME };
        match self.boards.page(&place, None, 100).await.unwrap() {
            Read::Found(view) => view,
            Read::Missing => panic!("the board is there"),
        }
    }

    /// Waits until these are the players of the board, the best first.
    async fn until_only(&self, players: &[u128]) {
        let expected: Vec<Uuid> = players.iter().map(|number| player(*number)).collect();
        let found = async || {
            let found: Vec<Uuid> = self.view().await.entries.iter().map(|entry| entry.player).collect();
            (found == expected).then_some(())
        };
        until(found).await;
    }
}

async fn a_deleted_account_leaves_nothing(world: &World) {
    world.score(&[1, 2, 3, 2, 4]).await;
    let following = world.follow();
    let banned = UserBanned { user_id: player(1).to_string(), ..UserBanned::default() };
    let of_banned = record::Event::UserBanned(banned);
    world.log.append(Topic::Accounts, &player(1).to_string(), world.ambient.id(), of_banned).await;
    world.delete(2).await;
    world.until_only(&[1, 3, 4]).await;
    let scores = async |number| {
        let found = world.history.player_scores(&world.board, player(number), true, None, 9).await.unwrap();
        found.len()
    };
    assert_eq!((scores(1).await, scores(2).await), (1, 0));
    // Told again, by itself and to another process.
    world.delete(2).await;
    following.end().await;
    let following = world.follow();
    world.delete(4).await;
    world.delete(5).await;
    world.until_only(&[1, 3]).await;
    assert_eq!(world.view().await.mark.erasures, 2);
    following.end().await;
}

#[tokio::test]
async fn in_memory_a_deleted_account_leaves_nothing() {
    let boards = Arc::new(MemoryBoards::new(Ambient::system()));
    a_deleted_account_leaves_nothing(&World::over(pkg_db::testing::sqlite().await, boards).await).await;
}

mod real_stores {
    use super::*;

    #[tokio::test]
    async fn a_deleted_account_leaves_nothing() {
        let redis = pkg_redis::testing::redis().await;
        let boards = Arc::new(RedisBoards::new(redis.clone()));
        super::a_deleted_account_leaves_nothing(&World::over(pkg_db::testing::postgres().await, boards).await).await;
    }
}

/// The history has erased players of whom the board does not know yet: those come first.
#[tokio::test]
async fn a_board_that_missed_erasures_catches_up_with_them() {
    let boards = Arc::new(MemoryBoards::new(Ambient::system()));
    let world = World::over(pkg_db::testing::sqlite().await, boards).await;
    world.score(&[1, 2, 3, 4]).await;
    let erasures = SqlErasures::new(world.database.clone());
    for number in [1, 3] {
        assert_eq!(erasures.erase(player(number), world.ambient.now()).await.unwrap().len(), 1);
    }
    let following = world.follow();
    world.delete(4).await;
    world.until_only(&[2]).await;
    following.end().await;
}

/// Erased in the history alone; the board comes later.
#[tokio::test]
async fn a_board_that_is_not_there_holds_up_nobody() {
    let boards = Arc::new(MemoryBoards::new(Ambient::system()));
    let world = World::over(pkg_db::testing::sqlite().await, boards).await;
    world.score(&[1, 2]).await;
    let lost = World { boards: Arc::new(MemoryBoards::new(Ambient::system())), ..world };
    let following = lost.follow();
    lost.delete(1).await;
    let positions = SqlPositions::new(lost.database.clone());
    let partition = Topic::Accounts.partition_of(&player(1).to_string());
    until(async || positions.next_offset(Topic::Accounts, partition).await.unwrap()).await;
    assert_eq!(lost.history.erasures(&lost.board, 0).await.unwrap(), [player(1)]);
    following.end().await;
}

/// Results stay, without the name.
#[tokio::test]
async fn matches_lose_the_name() {
    use crate::store::{FinishedMatch, MatchOutcome, MatchResult, MatchStore, MatchesApplied};
    let boards = Arc::new(MemoryBoards::new(Ambient::system()));
    let world = World::over(pkg_db::testing::sqlite().await, boards).await;
    let matches = SqlMatches::new(world.database.clone());
    let result = |number| MatchResult {
        player: player(number),
        placement: 1,
        outcome: MatchOutcome::Drawn,
        left_early: false,
        body: Bytes::new(),
    };
    let session = world.ambient.id();
    let finished = FinishedMatch {
        session,
        game: world.board.game,
        queue: None,
        ended: world.ambient.now(),
        play_time: Duration::ZERO,
        body: Bytes::new(),
        results: vec![result(1), result(2)],
    };
    let step = MatchesStep { partition: 0, expected: None, next_offset: 1, matches: vec![finished] };
    assert_eq!(matches.apply(&step).await.unwrap(), MatchesApplied::Done);
    let following = world.follow();
    world.delete(1).await;
    let names = async || {
        let results = matches.results(session, None, 9).await.unwrap();
        let names: Vec<Option<Uuid>> = results.iter().map(|result| result.player).collect();
        (names == [None, Some(player(2))]).then_some(())
    };
    until(names).await;
    until(async || matches.stats(player(1), world.board.game).await.unwrap().is_empty().then_some(())).await;
    following.end().await;
}
