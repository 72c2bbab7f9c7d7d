//! Tokens, keys and password hashing: pure, no I/O.
//!
//! Nothing here reads a clock or draws random numbers: times, salts, seeds and ids are arguments.
//!
//! - Access tokens: [`Issuer`] signs [`Claims`], [`Verifier`] checks them against a [`JwkSet`] without a round trip.
//! - Keys: [`SigningKey`], and its public half [`Jwk`].
//! - Refresh tokens: [`RefreshSecrets`] mints, parses and succeeds a [`RefreshToken`].
//! - Passwords: [`Argon2id`].
//! - Revocations: [`RevocationSet`], and the port [`Revocations`] to the store that the replicas share.

mod key;
mod password;
mod refresh;
mod revocation;
#[cfg(feature = "testing")]
pub mod revocation_contract;
mod token;

pub use key::{Jwk, JwkSet, KeyError, SigningKey};
pub use password::{Argon2id, MAX_ITERATIONS, MAX_MEMORY_KIB, MAX_PARALLELISM, Scratch, Verdict};
pub use refresh::{RefreshSecrets, RefreshSecretsError, RefreshToken, RefreshTokenError};
pub use revocation::{REVOCATION_RETENTION, Revocation, RevocationSet, Revocations, RevocationsUnavailable};
pub use token::{Claims, Issuer, LEEWAY, MAX_LIFETIME, MAX_TOKEN_BYTES, Role, TokenError, UnknownRole, Verifier};
