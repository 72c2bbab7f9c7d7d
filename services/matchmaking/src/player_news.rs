//! What players are told on their own topics.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use pkg_api::events::v1::Event;
use pkg_api::events::v1::event::Payload;
use pkg_bus::{Bus, NewEvent, PublishError, Topic};
use pkg_envelope::Audience;
use uuid::Uuid;

/// How many are told at once.
const AT_ONCE: usize = 128;

/// Something to tell a player.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// Whom.
    pub player: Uuid,
    /// What is told under one id is told once.
    pub id: Uuid,
    /// What.
    pub payload: Payload,
}

/// Tells players; says for each, in their order, whether they were told. Others are told even if one cannot be.
pub async fn tell(bus: &Arc<dyn Bus>, news: Vec<News>) -> Vec<bool> {
    let tell = |news: News| async move {
        let told = tell_one(&**bus, news).await;
        if let Err(error) = &told {
            let error: &dyn std::error::Error = error;
            tracing::debug!(error, "a player is not told");
        }
        told.is_ok()
    };
    futures::stream::iter(news).map(tell).buffered(AT_ONCE).collect().await
}

async fn tell_one(bus: &dyn Bus, news: News) -> Result<(), PublishError> {
    let topic = Topic::new(&format!("player/{}", news.player)).map_err(|error| PublishError::Broken(error.into()))?;
    let event = NewEvent { id: Some(news.id), payload: encode(news.id, news.payload) };
    bus.publish(&topic, &[event], None).await.map(drop)
}

fn encode(id: Uuid, payload: Payload) -> Bytes {
    let event = Event { event_id: id.to_string(), payload: Some(payload), ..Event::default() };
    pkg_envelope::encode(&Audience::Everyone, &event)
}
