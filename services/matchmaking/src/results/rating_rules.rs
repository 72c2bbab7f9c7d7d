//! How ratings change: by the rules of the revision that a session followed.

use std::sync::Arc;
use std::time::Duration;

use pkg_api::game::v1::GetDefinitionRequest;
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_definition::{Definition, RatingRule};
use pkg_middleware::{AnyChannel, CallRefused};
use quick_cache::sync::Cache;
use tokio::time::timeout;
use uuid::Uuid;

use crate::store::QueueId;

/// How long the game service may take.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// How many revisions are remembered.
const REVISIONS: usize = 256;

/// The rules of ratings. Cloning shares them.
#[derive(Clone)]
pub struct RatingRules {
    game: AnyChannel,
    revisions: Arc<Cache<(Uuid, i64), Found>>,
}

/// None if there is no such revision, or it is not understood.
type Found = Option<Arc<Definition>>;

/// The rules are not known now.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    #[error("the revision of a game cannot be read now")]
    Refused(#[from] CallRefused),
    #[error("the revision of a game was not read in time")]
    InTime(#[from] tokio::time::error::Elapsed),
}

impl RatingRules {
    #[must_use]
    pub fn new(game: AnyChannel) -> Self {
        Self { game, revisions: Arc::new(Cache::new(REVISIONS)) }
    }

    /// How ratings of a queue change by a revision; `None` if they do not.
    pub async fn find(&self, queue: &QueueId, revision: i64) -> Result<Option<RatingRule>, RulesError> {
        let definition = self.definition(queue.game, revision).await?;
        Ok(definition.as_ref().and_then(|definition| definition.queue(queue.key.as_str())?.rating))
    }

    async fn definition(&self, game: Uuid, revision: i64) -> Result<Found, RulesError> {
        if let Some(known) = self.revisions.get(&(game, revision)) {
            return Ok(known);
        }
        let mut client = CatalogServiceClient::new(self.game.clone());
        let request = GetDefinitionRequest { game_id: game.to_string(), revision };
        let definition = match timeout(ASK_WITHIN, client.get_definition(request)).await? {
            Ok(answer) => answer.into_inner().revision.and_then(|revision| revision.definition),
            Err(status) => match CallRefused::from(status) {
                refused if refused.code == "NOT_FOUND" => None,
                refused => return Err(refused.into()),
            },
        };
        let definition = definition.and_then(|message| Definition::parse(&message).ok()).map(Arc::new);
        self.revisions.insert((game, revision), definition.clone());
        Ok(definition)
    }
}
