//! Who asks, where clients call and other services do not.

use pkg_auth::Role;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::caller::Caller;
use crate::problem::Problem;

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
    /// Who makes a request. To ask where there is no caller, or where a service may call, is a mistake in the program, and
    /// answers `INTERNAL`.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        Ok(Caller::of(request)?.actor()?)
    }

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

    /// The person, who may play; `None` for a game server.
    #[must_use]
    pub fn person(self) -> Option<Uuid> {
        match self {
            Self::Player(id) | Self::Admin(id) => Some(id),
            Self::Server(_) => None,
        }
    }
}

impl Caller {
    /// The caller as one who asks for something, which no service does: `INTERNAL`.
    pub fn actor(&self) -> Result<Actor, Problem> {
        match self.role {
            Role::Player => Ok(Actor::Player(self.user_id)),
            Role::Server => Ok(Actor::Server(self.user_id)),
            Role::Admin => Ok(Actor::Admin(self.user_id)),
            Role::Service => Err(Problem::internal("a service was let in as somebody")),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    fn actor(role: Role) -> Result<Actor, Status> {
        let mut request = Request::new(());
        let (session_id, expires_at) = (Uuid::from_u128(8), OffsetDateTime::UNIX_EPOCH);
        request.extensions_mut().insert(Caller { user_id: ID, session_id, role, expires_at });
        Actor::of(&request)
    }

    #[test]
    fn who_asks_is_who_calls() {
        for (role, expected, person) in [
            (Role::Player, Actor::Player(ID), Some(ID)),
            (Role::Admin, Actor::Admin(ID), Some(ID)),
            (Role::Server, Actor::Server(ID), None),
        ] {
            let actor = actor(role).expect("it may ask");
            assert_eq!((actor, actor.id(), actor.person()), (expected, ID, person));
            assert_eq!((actor.is_server(), actor.is_admin()), (role == Role::Server, role == Role::Admin));
        }
    }

    #[test]
    fn a_service_is_nobody_who_asks() {
        assert_eq!(actor(Role::Service).unwrap_err().code(), tonic::Code::Internal);
        assert_eq!(Actor::of(&Request::new(())).unwrap_err().code(), tonic::Code::Internal);
    }
}
