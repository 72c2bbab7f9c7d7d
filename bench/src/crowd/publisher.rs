//! One who publishes in a session, and waits for what comes back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use pkg_ambient::Ambient;
use pkg_api::events::v1::connect_events_request::Message;
use pkg_api::events::v1::{ConnectEventsRequest, GameEvent, NewEvent, PublishRequest, StreamPublication};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::LAST_DELIVERIES;
use super::codec::{self, Told};
use super::heard::Heard;
use super::wire::Wire;
use crate::load::Window;

/// One who publishes, on a stream of both directions.
pub struct Publisher {
    pub says: Says,
    pub wire: Arc<Wire>,
    pub stream: usize,
    pub told: mpsc::UnboundedReceiver<Told>,
    /// How many get what is published.
    pub players: u64,
}

/// What a publisher says.
pub enum Says {
    /// To Muster: publications in this session.
    Publications { session: Uuid },
    /// To a server that passes on what it gets: what Muster would deliver, as published by this player.
    Deliveries { session: Uuid, player: Uuid },
}

impl Publisher {
    /// Each when the one before came back.
    pub async fn one_after_the_other(
        mut self,
        heard: &Heard,
        number: usize,
        window: Window,
        retained: bool,
    ) -> anyhow::Result<Self> {
        while Instant::now() < window.end {
            self.publish(heard, retained);
            let (mut accepted, mut came_back) = (!self.says.is_answered(), false);
            while !(accepted && came_back) {
                match self.told.recv().await.context("the stream ended")? {
                    Told::Event(published) => {
                        heard.hear(number, published);
                        came_back = true;
                    }
                    Told::Accepted => accepted = true,
                    Told::Refused => bail!("a publication was refused"),
                    Told::Other => {}
                }
            }
        }
        Ok(self)
    }

    /// So many a second, whether those before came back or not.
    pub async fn at_a_pace(
        mut self,
        heard: &Heard,
        number: usize,
        window: Window,
        pace: Duration,
        retained: bool,
    ) -> anyhow::Result<Self> {
        let mut clock = tokio::time::interval(pace);
        // The last events come back to who has published them, too.
        let end = tokio::time::sleep_until(window.end + LAST_DELIVERIES);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                _ = clock.tick(), if Instant::now() < window.end => self.publish(heard, retained),
                told = self.told.recv() => match told.context("the stream ended")? {
                    Told::Event(published) => heard.hear(number, published),
                    Told::Refused => bail!("a publication was refused"),
                    Told::Accepted | Told::Other => {}
                },
            }
        }
        Ok(self)
    }

    fn publish(&self, heard: &Heard, retained: bool) {
        let data = codec::data(heard.note_publication(self.players));
        let event = GameEvent { name: "move".to_owned(), data, ..GameEvent::default() };
        match &self.says {
            Says::Publications { session } => {
                let event_id = if retained { Ambient::system().id().to_string() } else { String::new() };
                let events = vec![NewEvent { event_id, unretained: !retained, event: Some(event) }];
                let publication = Some(PublishRequest { session_id: session.to_string(), events });
                let message = Message::Publish(StreamPublication { number: 1, publication });
                self.wire.say(self.stream, &ConnectEventsRequest { message: Some(message) });
            }
            Says::Deliveries { session, player } => {
                self.wire.say(self.stream, &codec::delivery(*session, *player, event));
            }
        }
    }
}

impl Says {
    /// Whether the server answers, besides delivering what was said.
    fn is_answered(&self) -> bool {
        matches!(self, Self::Publications { .. })
    }
}
