//! How far the service has followed the log: in the database of the matches and ratings.

use pkg_log::PositionsTable;

/// The positions in a database that has the newest migrations.
pub type SqlPositions = pkg_log::SqlPositions<MatchmakingPositions>;

/// The table.
#[derive(Debug, Clone, Copy)]
pub struct MatchmakingPositions;

impl PositionsTable for MatchmakingPositions {
    const NAME: &'static str = "matchmaking_positions";
}

#[cfg(test)]
mod tests {
    use pkg_log::Topic;
    use pkg_log::testing::positions_contract::verify;

    use super::SqlPositions;

    const TOPICS: [Topic; 2] = [Topic::Accounts, Topic::Matches];

    #[tokio::test]
    async fn the_contract_holds() {
        let database = pkg_db::testing::sqlite().await;
        verify(&SqlPositions::new(database.clone()), &TOPICS).await;
    }

    mod real_postgres {
        #[tokio::test]
        async fn the_contract_holds() {
            let database = pkg_db::testing::postgres().await;
            super::verify(&super::SqlPositions::new(database.clone()), &super::TOPICS).await;
        }
    }
}
