//! How often one address and one account may try to sign in. Counted per replica.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use pkg_middleware::{KeyedLimiter, Quota, address_key};
use uuid::Uuid;

use crate::account::Identifier;
use crate::secret::SecretHash;

/// How often one address, and one account, makes a record by trying too much.
const RECORD_EVERY: Duration = Duration::from_mins(1);

/// The limits of everything that asks for a credential.
pub struct SignInLimits {
    addresses: Limit<IpAddr>,
    creations: Limit<IpAddr>,
    /// By a hash of what stands for the account: its name as it was typed, so that an unknown one has the same limit, its
    /// id, or its device. What clients type is not kept.
    accounts: Limit<u64>,
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
    /// Whether this is worth a record: the first refusal of its address or account in [`RECORD_EVERY`]. A flood of them
    /// says no more than one does.
    pub to_be_recorded: bool,
}

impl SignInLimits {
    pub fn new(quotas: SignInQuotas) -> Self {
        Self {
            addresses: Limit::new(quotas.per_address),
            creations: Limit::new(quotas.creations),
            accounts: Limit::new(quotas.per_account),
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
        self.accounts.check(&self.hasher.hash_one(account))
    }
}

fn check_address(limit: &Limit<IpAddr>, address: Option<IpAddr>) -> Result<(), Limited> {
    let Some(address) = address else { return Ok(()) };
    limit.check(&address_key(address))
}

/// A limit for every key on its own.
struct Limit<K: Hash + Eq + Clone> {
    uses: KeyedLimiter<K>,
    records: KeyedLimiter<K>,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    fn new(quota: Quota) -> Self {
        let records = KeyedLimiter::new(Quota::every(RECORD_EVERY, NonZeroU32::MIN));
        Self { uses: KeyedLimiter::new(quota), records }
    }

    fn check(&self, key: &K) -> Result<(), Limited> {
        let limited = |retry_after| Limited { retry_after, to_be_recorded: self.records.check(key).is_ok() };
        self.uses.check(key).map_err(limited)
    }
}
