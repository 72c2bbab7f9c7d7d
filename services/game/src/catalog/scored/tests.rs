use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::game::v1 as api;

use super::*;
use crate::catalog::{Applied, Apply, Draft, GameKey, Shown};
use crate::store::SqlGames;
use crate::testing::Leaderboards;

struct World {
    catalog: Catalog,
    leaderboards: Leaderboards,
    _database: pkg_db::testing::TestDatabase,
}

async fn world() -> World {
    let database = pkg_db::testing::sqlite().await;
    let (leaderboards, games) = (Leaderboards::default(), Arc::new(SqlGames::new(database.clone())));
    let catalog = Catalog::new(games, leaderboards.channel(), Ambient::system());
    World { catalog, leaderboards, _database: database }
}

fn board(key: &str) -> api::LeaderboardDefinition {
    api::LeaderboardDefinition { key: key.to_owned(), ..api::LeaderboardDefinition::default() }
}

fn low(key: &str) -> api::LeaderboardDefinition {
    api::LeaderboardDefinition { order: api::LeaderboardOrder::LowWins.into(), ..board(key) }
}

impl World {
    async fn apply_as(
        &self,
        boards: &[api::LeaderboardDefinition],
        validate_only: bool,
    ) -> Result<Applied, CatalogError> {
        let definition = api::GameDefinition { leaderboards: boards.to_vec(), ..api::GameDefinition::default() };
        let draft = Draft {
            key: GameKey::parse("duel").unwrap(),
            shown: Shown::parse(&api::Game { name: "Duel".to_owned(), ..Default::default() }).unwrap(),
            rules: Rules::parse(definition).unwrap(),
        };
        self.catalog.apply(&Apply { draft, expected_version: None, validate_only }, Uuid::from_u128(1)).await
    }

    async fn apply(&self, boards: &[api::LeaderboardDefinition]) -> Result<Applied, CatalogError> {
        self.apply_as(boards, false).await
    }

    /// The places of what scores hold as it is; nothing is written.
    async fn held(&self, boards: &[api::LeaderboardDefinition]) -> Vec<String> {
        let mut held = Vec::new();
        for validate_only in [true, false] {
            let Err(CatalogError::LeaderboardHasScores(violations)) = self.apply_as(boards, validate_only).await else {
                panic!("it is refused")
            };
            held = violations.into_iter().map(|violation| violation.path).collect();
        }
        held
    }
}

#[tokio::test]
async fn the_meaning_of_scores_cannot_change() {
    let world = world().await;
    let first = world.apply(&[board("a"), board("b")]).await.unwrap().game;
    world.apply(&[board("a"), low("b")]).await.unwrap();
    assert_eq!(world.leaderboards.asked(), 1);
    world.leaderboards.score(first.id, "b");
    let turned = api::LeaderboardDefinition {
        operator: api::LeaderboardOperator::Sum.into(),
        time_zone: "Europe/Vienna".to_owned(),
        ..board("b")
    };
    let expected = ["order", "operator", "time_zone"].map(|field| format!("definition.leaderboards[1].{field}"));
    assert_eq!(world.held(&[low("a"), turned]).await, expected);
    // Without scores it may turn as it likes.
    let applied = world.apply(&[low("a"), low("b")]).await.unwrap();
    assert_eq!(applied.changes.len(), 1);
}

#[tokio::test]
async fn nobody_is_asked_about_other_changes() {
    let world = world().await;
    world.leaderboards.be_unavailable(true);
    world.apply(&[board("a")]).await.unwrap();
    let other = api::LeaderboardDefinition {
        title: "A".to_owned(),
        periods: vec![api::LeaderboardPeriod::Weekly.into()],
        writers: api::LeaderboardWriters::Players.into(),
        min_value: Some(3),
        require_seat: true,
        // What is not said is this.
        order: api::LeaderboardOrder::HighWins.into(),
        time_zone: "UTC".to_owned(),
        ..board("a")
    };
    let longer = [board("c"), other, board("b")];
    world.apply(&longer).await.unwrap();
    world.apply(&longer[..2]).await.unwrap();
    world.apply(&longer).await.unwrap();
    assert_eq!(world.leaderboards.asked(), 0);

    let unknown = world.apply(&[low("a")]).await;
    assert!(matches!(unknown, Err(CatalogError::ScoresUnknown(ScoresUnknown::Refused(_)))));
    world.leaderboards.be_unavailable(false);
    world.apply(&[low("a")]).await.unwrap();
}

#[tokio::test]
async fn a_board_that_comes_back_means_what_it_meant() {
    let world = world().await;
    let first = world.apply(&[board("a"), low("b")]).await.unwrap().game;
    for key in ["a", "b"] {
        world.leaderboards.score(first.id, key);
    }
    // So many revisions without them that they are not read at once.
    for number in 0..=REVISIONS_AT_ONCE {
        world.apply(&[board(&format!("other-{number}"))]).await.unwrap();
    }
    assert_eq!(world.held(&[board("new"), board("b"), board("a")]).await, ["definition.leaderboards[1].order"]);
    world.apply(&[board("a"), low("b")]).await.unwrap();
}

#[tokio::test]
async fn callers_see_what_cannot_change() {
    use tonic::{Code, Status};
    use tonic_types::StatusExt;
    let world = world().await;
    let boards: Vec<_> = (0..60).map(|number| board(&format!("b{number}"))).collect();
    let game = world.apply(&boards).await.unwrap().game;
    for board in &boards {
        world.leaderboards.score(game.id, &board.key);
    }
    let turned: Vec<_> = boards.iter().map(|board| low(&board.key)).collect();
    let told = async || Status::from(world.apply(&turned).await.err().expect("it is refused"));
    let status = told().await;
    let (info, bad) = (status.get_details_error_info().unwrap(), status.get_details_bad_request().unwrap());
    assert_eq!((status.code(), info.reason.as_str()), (Code::FailedPrecondition, "LEADERBOARD_HAS_SCORES"));
    assert_eq!((bad.field_violations.len(), info.metadata["more_violations"].as_str()), (40, "20"));
    world.leaderboards.be_unavailable(true);
    let status = told().await;
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.get_details_error_info().unwrap().reason, "SCORES_UNKNOWN");
}
