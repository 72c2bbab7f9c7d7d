//! Tokens that no sign-in was needed for.

use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_auth::{Claims, Issuer, Role, SigningKey};
use uuid::Uuid;

/// What tokens of the deployments say.
const NAME: &str = "muster";
const LIFETIME: Duration = Duration::from_mins(15);

/// Signs tokens with a key.
#[derive(Debug)]
pub struct Signer(Issuer);

/// Somebody with a token.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who: a user id, or that of a game server.
    pub id: String,
    /// The access token.
    pub token: String,
}

impl Signer {
    /// With a key of the deployment, or with one that nobody knows.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self(Issuer::new(key, NAME, NAME))
    }

    /// Somebody new, with a token that has just begun.
    #[must_use]
    pub fn sign_in(&self, role: Role) -> SignedIn {
        self.sign_in_at(Duration::ZERO, role)
    }

    /// The same one with another token, which has just begun.
    #[must_use]
    pub fn sign_in_again(&self, who: &SignedIn, role: Role) -> SignedIn {
        let subject = who.id.parse().expect("an id is a UUID");
        self.sign(subject, Duration::ZERO, role)
    }

    /// Somebody new, with a token that began so long ago.
    #[must_use]
    pub fn sign_in_at(&self, ago: Duration, role: Role) -> SignedIn {
        self.sign(Ambient::system().id(), ago, role)
    }

    fn sign(&self, subject: Uuid, ago: Duration, role: Role) -> SignedIn {
        let ambient = Ambient::system();
        let issued_at = ambient.now() - ago;
        let claims = Claims {
            subject,
            session: ambient.id(),
            role,
            token_id: ambient.id(),
            issued_at,
            expires_at: issued_at + LIFETIME,
        };
        SignedIn { id: subject.to_string(), token: self.0.issue(&claims) }
    }
}
