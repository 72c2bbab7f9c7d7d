//! What a board is when its scores are applied.

use std::time::Duration;

use pkg_api::game::v1::{LeaderboardDefinition, LeaderboardOperator};
use pkg_api::log::v1::{ScoreRecorded, record};
use pkg_log::Topic;
use tokio::time::sleep;
use uuid::Uuid;

use super::world::{GAME, definition};
use super::*;
use crate::store::{ErasureStore, SqlErasures};
use crate::testing::until;

/// A score as another replica would have recorded it.
fn recorded(key: &str, player: Uuid, submission: u128, value: i64, revision: i64) -> record::Event {
    record::Event::ScoreRecorded(ScoreRecorded {
        game_id: GAME.to_string(),
        board_key: key.to_owned(),
        player_id: player.to_string(),
        submission_id: Uuid::from_u128(submission).to_string(),
        value,
        definition_revision: revision,
        content_hash: vec![7; 32],
        ..ScoreRecorded::default()
    })
}

async fn append(world: &World, key: &str, event: record::Event) {
    world.log.append(Topic::Scores, &board(key).to_string(), world.ambient.id(), event).await;
}

#[tokio::test]
async fn no_score_is_refused_since_a_board_was_not_heard_of_yet() {
    let world = World::start().await;
    let process = world.process().await;
    world.games.be_silent(true);
    world.games.be_unavailable(true);
    let best = LeaderboardOperator::Best;
    world.games.define(GAME, vec![definition("best", best), definition("new", best)]);
    append(&world, "new", recorded("new", player(1), 1, 5, 2)).await;
    // It waits for the definition that the score was checked under, however long that takes.
    sleep(Duration::from_millis(600)).await;
    assert_eq!(world.row(&board("new"), player(1), 1).await, None);
    world.games.be_unavailable(false);
    let row = until(async || world.row(&board("new"), player(1), 1).await).await;
    assert_eq!(row.refusal, None);
    process.end().await;
}

#[tokio::test]
async fn what_does_not_fit_the_board_any_more_is_refused() {
    let world = World::start().await;
    let narrow = LeaderboardDefinition { max_value: Some(10), ..definition("best", LeaderboardOperator::Best) };
    world.games.define(GAME, vec![narrow]);
    let process = world.process().await;
    append(&world, "best", recorded("best", player(1), 1, 11, 1)).await;
    append(&world, "best", recorded("best", player(1), 2, 10, 1)).await;
    append(&world, "sum", recorded("sum", player(1), 3, 1, 1)).await;
    let refusal =
        async |key: &str, submission| until(async || world.row(&board(key), player(1), submission).await).await.refusal;
    assert_eq!(refusal("best", 1).await, Some(Refusal::BoardChanged));
    assert_eq!(refusal("best", 2).await, None);
    assert_eq!(refusal("sum", 3).await, Some(Refusal::BoardChanged));
    process.end().await;
}

#[tokio::test]
async fn what_is_no_score_stops_nobody() {
    let world = World::start().await;
    let process = world.process().await;
    let malformed = [
        recorded("not a key", player(1), 1, 1, 1),
        record::Event::ScoreRecorded(ScoreRecorded::default()),
        record::Event::AccountDeleted(pkg_api::log::v1::AccountDeleted::default()),
    ];
    for event in malformed {
        append(&world, "best", event).await;
    }
    // In the partition of another board.
    let key = (0..100).map(|number| format!("other-{number}")).find(|key| {
        let partition = |key: &str| Topic::Scores.partition_of(&board(key).to_string());
        partition(key) != partition("best")
    });
    append(&world, &key.unwrap(), recorded("best", player(1), 2, 1, 1)).await;
    append(&world, "best", recorded("best", player(1), 3, 1, 1)).await;
    until(async || world.row(&board("best"), player(1), 3).await).await;
    assert_eq!(world.row(&board("best"), player(1), 2).await, None);
    process.end().await;
}

#[tokio::test]
async fn nothing_counts_for_players_who_are_gone() {
    let world = World::start().await;
    let process = world.process().await;
    process.submit(player(1), value(&board("sum"), 1, 1)).await.unwrap();
    process.submit(player(2), value(&board("sum"), 1, 1)).await.unwrap();
    let erasures = SqlErasures::new(world.database.clone());
    erasures.erase(player(1), world.ambient.now()).await.unwrap();
    let gone = process.submit(player(1), value(&board("sum"), 2, 1)).await.unwrap();
    assert!(matches!(gone.state, State::Applied { row, .. } if row.refusal == Some(Refusal::AccountGone)));
    let here = process.submit(player(2), value(&board("sum"), 2, 1)).await.unwrap();
    assert!(matches!(here.state, State::Applied { row, .. } if row.standings.0[0].entry.value == 2));
    process.end().await;
}
