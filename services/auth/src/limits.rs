//! How often one address and one account may try to sign in. Counted per replica.

use std::net::IpAddr;
use std::time::Duration;

use pkg_middleware::{KeyedLimiter, Quota, address_key};
use uuid::Uuid;

use crate::account::Identifier;

/// The limits of everything that asks for a credential.
pub struct SignInLimits {
    addresses: KeyedLimiter<IpAddr>,
    accounts: KeyedLimiter<AccountKey>,
}

/// What stands for an account: known by what was typed, so that an unknown one has the same limit, or by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum AccountKey {
    Identifier(Identifier),
    Id(Uuid),
}

/// Too many tries.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("too many tries")]
pub struct Limited {
    pub retry_after: Duration,
}

impl SignInLimits {
    pub fn new(per_address: Quota, per_account: Quota) -> Self {
        Self { addresses: KeyedLimiter::new(per_address), accounts: KeyedLimiter::new(per_account) }
    }

    /// Counts a try from an address. A call made in process has none, and no limit.
    pub fn check_address(&self, address: Option<IpAddr>) -> Result<(), Limited> {
        let Some(address) = address else { return Ok(()) };
        self.addresses.check(&address_key(address)).map_err(|retry_after| Limited { retry_after })
    }

    /// Counts a try to sign in by name.
    pub fn check_identifier(&self, identifier: &Identifier) -> Result<(), Limited> {
        self.check_account(&AccountKey::Identifier(identifier.clone()))
    }

    /// Counts a try to confirm the credential of a signed-in account.
    pub fn check_id(&self, id: Uuid) -> Result<(), Limited> {
        self.check_account(&AccountKey::Id(id))
    }

    fn check_account(&self, key: &AccountKey) -> Result<(), Limited> {
        self.accounts.check(key).map_err(|retry_after| Limited { retry_after })
    }
}
