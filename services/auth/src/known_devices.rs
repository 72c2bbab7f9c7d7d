//! Which user a device signs in to, remembered so that the account and its sessions are read at the same time.

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::secret::SecretHash;

/// How many devices are remembered; the least used ones are forgotten first. About 6 MiB when full.
const REMEMBERED: usize = 65_536;

/// The users of devices that have signed in here.
///
/// A device's user changes only when the account is deleted, so what is remembered is right as long as the account is
/// there, which its reader finds out. Nothing else about the account is remembered.
pub struct KnownDevices {
    users: Cache<SecretHash, Uuid>,
}

impl KnownDevices {
    pub fn new() -> Self {
        Self { users: Cache::new(REMEMBERED) }
    }

    pub fn user_of(&self, device: &SecretHash) -> Option<Uuid> {
        self.users.get(device)
    }

    pub fn remember(&self, device: &SecretHash, user: Uuid) {
        self.users.insert(*device, user);
    }

    /// To be called when the account turns out to be gone.
    pub fn forget(&self, device: &SecretHash) {
        self.users.remove(device);
    }
}
