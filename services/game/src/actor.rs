//! Who asks for something.

use uuid::Uuid;

/// Who asks, as their access token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A player.
    Player(Uuid),
    /// A game server.
    Server(Uuid),
    /// An admin, who may play as well.
    Admin(Uuid),
}

impl Actor {
    /// The user or the credential.
    #[must_use]
    pub fn id(self) -> Uuid {
        match self {
            Self::Player(id) | Self::Server(id) | Self::Admin(id) => id,
        }
    }

    /// Whether it is a game server.
    #[must_use]
    pub fn is_server(self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// Whether it is an admin.
    #[must_use]
    pub fn is_admin(self) -> bool {
        matches!(self, Self::Admin(_))
    }

    /// The person, who may own a session and have a seat; `None` for a game server.
    #[must_use]
    pub fn person(self) -> Option<Uuid> {
        match self {
            Self::Player(id) | Self::Admin(id) => Some(id),
            Self::Server(_) => None,
        }
    }
}
