//! How far the service has followed the log of accounts, the only one that it does.

use pkg_log::{PositionsTable, Topic};

/// The positions in a database that has the newest migrations.
pub type SqlAccountPositions = pkg_log::SqlPositions<AccountPositions>;

/// The table.
#[derive(Debug, Clone, Copy)]
pub struct AccountPositions;

impl PositionsTable for AccountPositions {
    const NAME: &'static str = "game_account_positions";
    const ONLY: Option<Topic> = Some(Topic::Accounts);
}

#[cfg(test)]
mod tests {
    use pkg_log::Topic;
    use pkg_log::testing::positions_contract::verify;

    use super::SqlAccountPositions;

    #[tokio::test]
    async fn the_contract_holds() {
        let database = pkg_db::testing::sqlite().await;
        verify(&SqlAccountPositions::new(database.clone()), &[Topic::Accounts]).await;
    }

    mod real_postgres {
        #[tokio::test]
        async fn the_contract_holds() {
            let database = pkg_db::testing::postgres().await;
            super::verify(&super::SqlAccountPositions::new(database.clone()), &[super::Topic::Accounts]).await;
        }
    }
}
