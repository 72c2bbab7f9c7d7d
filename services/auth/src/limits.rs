//! How often one address and one account may try to sign in. Counted per replica.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use pkg_middleware::{KeyedLimiter, Quota, address_key};
use uuid::Uuid;

use crate::account::Identifier;
use crate::secret::SecretHash;

/// The limits of everything that asks for a credential.
pub struct SignInLimits {
    addresses: KeyedLimiter<IpAddr>,
    creations: KeyedLimiter<IpAddr>,
    /// By a hash of what stands for the account: its name as it was typed, so that an unknown one has the same limit, its
    /// id, or its device. What clients type is not kept.
    accounts: KeyedLimiter<u64>,
    hasher: RandomState,
}

/// How much one address and one account may do.
#[derive(Debug, Clone, Copy)]
pub struct SignInQuotas {
    /// Sign-ins and refreshes of one address.
    pub per_address: Quota,
    /// New accounts of one address, guests too.
    pub creations: Quota,
    /// Tries of one account.
    pub per_account: Quota,
}

/// Too many tries.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("too many tries")]
pub struct Limited {
    pub retry_after: Duration,
}

impl SignInLimits {
    pub fn new(quotas: SignInQuotas) -> Self {
        Self {
            addresses: KeyedLimiter::new(quotas.per_address),
            creations: KeyedLimiter::new(quotas.creations),
            accounts: KeyedLimiter::new(quotas.per_account),
            hasher: RandomState::new(),
        }
    }

    /// Counts a try from an address. A call made in process has none, and no limit.
    pub fn check_address(&self, address: Option<IpAddr>) -> Result<(), Limited> {
        check_address(&self.addresses, address)
    }

    /// Counts a new account from an address.
    pub fn check_creation(&self, address: Option<IpAddr>) -> Result<(), Limited> {
        check_address(&self.creations, address)
    }

    /// Counts a try to sign in by name.
    pub fn check_identifier(&self, identifier: &Identifier) -> Result<(), Limited> {
        self.check_account(identifier)
    }

    /// Counts a try to sign in by device.
    pub fn check_device(&self, device: &SecretHash) -> Result<(), Limited> {
        self.check_account(device)
    }

    /// Counts a try to confirm the credential of a signed-in account.
    pub fn check_id(&self, id: Uuid) -> Result<(), Limited> {
        self.check_account(id)
    }

    fn check_account(&self, account: impl Hash) -> Result<(), Limited> {
        let key = self.hasher.hash_one(account);
        self.accounts.check(&key).map_err(|retry_after| Limited { retry_after })
    }
}

fn check_address(limiter: &KeyedLimiter<IpAddr>, address: Option<IpAddr>) -> Result<(), Limited> {
    let Some(address) = address else { return Ok(()) };
    limiter.check(&address_key(address)).map_err(|retry_after| Limited { retry_after })
}
