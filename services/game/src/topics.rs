//! The kinds of topics, and who may follow them.

use pkg_bus::{InvalidTopic, Topic};
use pkg_definition::Key;
use pkg_middleware::Actor;
use uuid::Uuid;

use crate::rules::Games;
use crate::store::StoreError;

/// The topic of what everybody should know.
const ANNOUNCEMENTS: &str = "announcements";

/// A topic that clients follow. What kinds there are is part of the API: see `muster.events.v1.Subscription`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicKind {
    /// A player's own.
    Player(Uuid),
    Session(Uuid),
    Board {
        game: Uuid,
        key: Key,
    },
    /// To everyone, or about one game.
    Announcements(Option<Uuid>),
}

/// The text names no kind of topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is player/…, session/…, board/…/…, announcements or announcements/…, with ids in lower case")]
pub struct UnknownTopic;

/// Why a topic is not followed.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error("the caller may not follow the topic")]
    NotAllowed,
    #[error("there is no such topic")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TopicKind {
    /// Reads a name as clients write it. Every topic has one name only.
    pub fn parse(text: &str) -> Result<Self, UnknownTopic> {
        let (class, rest) = text.split_once('/').map_or((text, None), |(class, rest)| (class, Some(rest)));
        match (class, rest) {
            ("player", Some(player)) => Ok(Self::Player(id(player)?)),
            ("session", Some(session)) => Ok(Self::Session(id(session)?)),
            ("board", Some(rest)) => {
                let (game, key) = rest.split_once('/').ok_or(UnknownTopic)?;
                Ok(Self::Board { game: id(game)?, key: Key::parse(key).ok_or(UnknownTopic)? })
            }
            (ANNOUNCEMENTS, None) => Ok(Self::Announcements(None)),
            (ANNOUNCEMENTS, Some(game)) => Ok(Self::Announcements(Some(id(game)?))),
            _ => Err(UnknownTopic),
        }
    }

    /// The topic on the bus.
    pub fn topic(&self) -> Result<Topic, InvalidTopic> {
        match self {
            Self::Player(player) => Topic::new(&format!("player/{player}")),
            Self::Session(session) => Topic::new(&format!("session/{session}")),
            Self::Board { game, key } => Topic::new(&format!("board/{game}/{key}")),
            Self::Announcements(None) => Topic::new(ANNOUNCEMENTS),
            Self::Announcements(Some(game)) => Topic::new(&format!("{ANNOUNCEMENTS}/{game}")),
        }
    }

    /// Whether a caller may follow it, if it is not a session's: those are asked about themselves.
    pub async fn check(&self, who: Actor, games: &dyn Games) -> Result<(), TopicError> {
        let exists = match self {
            Self::Player(player) => {
                let own = !who.is_server() && who.id() == *player;
                return if own { Ok(()) } else { Err(TopicError::NotAllowed) };
            }
            Self::Session(_) | Self::Announcements(None) => true,
            Self::Board { game, key } => {
                let game = games.newest(*game).await?;
                game.is_some_and(|game| game.definition.leaderboard(key.as_str()).is_some())
            }
            Self::Announcements(Some(game)) => games.newest(*game).await?.is_some(),
        };
        if exists { Ok(()) } else { Err(TopicError::NotFound) }
    }

    /// What to call for the state, when events of it are missing; a session's state comes by itself.
    pub fn state_methods(&self) -> &'static [&'static str] {
        match self {
            Self::Player(_) => &[
                "muster.matchmaking.v1.MatchmakingService/GetActiveMatch",
                "muster.matchmaking.v1.MatchmakingService/GetTicket",
                "muster.game.v1.SessionService/ListMySessions",
            ],
            Self::Session(_) => &[],
            Self::Board { .. } => &["muster.leaderboard.v1.LeaderboardService/ListEntries"],
            Self::Announcements(_) => &["muster.events.v1.EventService/ListAnnouncements"],
        }
    }
}

/// Ids are written in one way only, or a topic would have several names.
fn id(text: &str) -> Result<Uuid, UnknownTopic> {
    let id = Uuid::try_parse(text).map_err(|_| UnknownTopic)?;
    let written = id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
    if written { Ok(id) } else { Err(UnknownTopic) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use pkg_api::game::v1 as api;
    use pkg_definition::Definition;

    use super::*;
    use crate::rules::GameRules;

    const ID: &str = "0198c0de-0000-7000-8000-0000000000aa";

    struct OneGame;

    #[async_trait]
    impl Games for OneGame {
        async fn newest(&self, game: Uuid) -> Result<Option<GameRules>, StoreError> {
            let leaderboard = api::LeaderboardDefinition { key: "kills".to_owned(), ..Default::default() };
            let definition = api::GameDefinition { leaderboards: vec![leaderboard], ..Default::default() };
            let definition = Arc::new(Definition::parse(&definition).unwrap());
            Ok((game.to_string() == ID).then_some(GameRules { revision: 1, definition, archived: false }))
        }

        async fn revision(&self, _: Uuid, _: i64) -> Result<Option<Arc<Definition>>, StoreError> {
            unreachable!("topics ask for the newest")
        }

        fn count_session(&self, _: Uuid) {}
    }

    #[test]
    fn a_topic_is_written_as_it_is_read() {
        let names = ["player/ID", "session/ID", "board/ID/weekly-kills_1", "announcements", "announcements/ID"];
        for name in names.map(|name| name.replace("ID", ID)) {
            assert_eq!(TopicKind::parse(&name).unwrap().topic().unwrap().as_str(), name);
        }
    }

    #[test]
    fn other_names_are_refused() {
        let upper = format!("session/{}", ID.to_uppercase());
        let bare = format!("session/{}", ID.replace('-', ""));
        let names =
            ["", "player", "player/", "session/7", &upper, &bare, "board/ID", "board/ID/", "board/ID/A", "rumours"];
        for name in names.map(|name| name.replace("ID", ID)) {
            assert_eq!(TopicKind::parse(&name), Err(UnknownTopic), "{name}");
        }
    }

    #[test]
    fn the_methods_are_in_the_api() {
        let kinds = ["player/ID", "board/ID/kills", "announcements"].map(|name| name.replace("ID", ID));
        for kind in kinds {
            for method in TopicKind::parse(&kind).unwrap().state_methods() {
                let (service, rpc) = method.split_once('/').unwrap();
                let service = pkg_api::descriptors().get_service_by_name(service).expect("the API has the service");
                assert!(service.methods().any(|described| described.name() == rpc), "{method}");
            }
        }
    }

    #[tokio::test]
    async fn who_may_follow_is_told_by_the_kind() {
        let id = Uuid::try_parse(ID).unwrap();
        let other = Uuid::from_u128(1);
        let check = async |kind: &TopicKind, who| kind.check(who, &OneGame).await;

        let own = TopicKind::Player(id);
        assert!(check(&own, Actor::Player(id)).await.is_ok());
        for who in [Actor::Player(other), Actor::Server(id), Actor::Admin(other)] {
            assert!(matches!(check(&own, who).await, Err(TopicError::NotAllowed)));
        }
        let board = |key: &str| TopicKind::Board { game: id, key: Key::parse(key).unwrap() };
        assert!(check(&board("kills"), Actor::Player(other)).await.is_ok());
        assert!(matches!(check(&board("deaths"), Actor::Player(other)).await, Err(TopicError::NotFound)));
        assert!(check(&TopicKind::Announcements(None), Actor::Player(other)).await.is_ok());
        assert!(check(&TopicKind::Announcements(Some(id)), Actor::Player(other)).await.is_ok());
        let unknown = TopicKind::Announcements(Some(other));
        assert!(matches!(check(&unknown, Actor::Player(other)).await, Err(TopicError::NotFound)));
    }
}
