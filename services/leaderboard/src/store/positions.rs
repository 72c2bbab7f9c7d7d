//! How far the service has followed the log: in the database of the history.

use pkg_log::PositionsTable;

/// The positions in a database that has the newest migrations.
pub type SqlPositions = pkg_log::SqlPositions<LeaderboardPositions>;

/// The table.
#[derive(Debug, Clone, Copy)]
pub struct LeaderboardPositions;

impl PositionsTable for LeaderboardPositions {
    const NAME: &'static str = "leaderboard_positions";
}

#[cfg(test)]
mod tests {
    use pkg_log::Topic;
    use pkg_log::testing::positions_contract::verify;

    use super::SqlPositions;

    #[tokio::test]
    async fn the_contract_holds() {
        let database = pkg_db::testing::sqlite().await;
        verify(&SqlPositions::new(database.clone()), &Topic::ALL).await;
    }

    mod real_postgres {
        #[tokio::test]
        async fn the_contract_holds() {
            let database = pkg_db::testing::postgres().await;
            super::verify(&super::SqlPositions::new(database.clone()), &super::Topic::ALL).await;
        }
    }
}
