use pkg_ambient::Ambient;
use pkg_api::log::v1::{ScoreRecorded, SeatLeft};
use pkg_db::testing::TestDatabase;
use pkg_definition::Key;
use uuid::Uuid;

use super::*;
use crate::store::{Appended, HistoryStep, SqlHistory, SqlPositions};
use crate::testing::TestLog;

struct World {
    log: TestLog,
    history: Arc<SqlHistory>,
    positions: Arc<SqlPositions>,
    check: ScoreCheck,
    _database: TestDatabase,
}

async fn world() -> World {
    let (log, database) = (TestLog::start().await, pkg_db::testing::sqlite().await);
    let history = Arc::new(SqlHistory::new(database.clone()));
    let positions = Arc::new(SqlPositions::new(database.clone()));
    let check = ScoreCheck::new(history.clone(), positions.clone(), log.log.clone());
    World { log, history, positions, check, _database: database }
}

fn board(number: u128) -> BoardId {
    BoardId { game: Uuid::from_u128(number), key: Key::parse("points").unwrap() }
}

impl World {
    async fn append(&self, board: &BoardId) -> pkg_log::Position {
        let event = record::Event::ScoreRecorded(ScoreRecorded::default());
        self.log.append(Topic::Scores, &board.to_string(), Ambient::system().id(), event).await.position
    }

    /// As the projector leaves it.
    async fn apply(&self, board: &BoardId, position: pkg_log::Position) {
        let step = HistoryStep {
            board: board.clone(),
            from: None,
            to: position.offset,
            time: Ambient::system().now().truncate_to_millisecond(),
            rows: Vec::new(),
            periods: Vec::new(),
        };
        assert_eq!(self.history.append(&[step]).await.unwrap(), [Appended::Done]);
        self.positions.advance(Topic::Scores, position.partition, position.offset + 1).await.unwrap();
    }
}

#[tokio::test]
async fn scores_count_from_the_log_on() {
    let world = world().await;
    let boards: Vec<BoardId> = (1..=30).map(board).collect();
    assert_eq!(world.check.have_scores(&boards).await.unwrap(), [false; 30]);
    let mut expected = [false; 30];
    for (place, board) in boards.iter().enumerate().filter(|(place, _)| place % 3 == 0) {
        let position = world.append(board).await;
        if place % 2 == 0 {
            world.apply(board, position).await;
        }
        expected[place] = true;
    }
    assert_eq!(world.check.have_scores(&boards).await.unwrap(), expected);
    assert_eq!(world.check.have_scores(&[boards[0].clone(), boards[0].clone()]).await.unwrap(), [true, true]);
}

#[tokio::test]
async fn other_records_of_a_board_are_no_scores() {
    let world = world().await;
    let event = record::Event::SeatLeft(SeatLeft::default());
    world.log.append(Topic::Scores, &board(1).to_string(), Ambient::system().id(), event).await;
    assert_eq!(world.check.have_scores(&[board(1)]).await.unwrap(), [false]);
}
