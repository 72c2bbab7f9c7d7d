//! Who may call what: deny by default, in one table per service.

use std::collections::BTreeSet;

use pkg_auth::Role;
use prost_reflect::ServiceDescriptor;

/// Who may call one RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody. A token that is sent along is not looked at, and the handler has no caller.
    Public,
    /// Holders of a valid token with one of these roles.
    Roles(&'static [Role]),
}

impl Access {
    /// Whether a caller with this role may come in.
    #[must_use]
    pub fn admits(self, role: Role) -> bool {
        match self {
            Self::Public => true,
            Self::Roles(roles) => roles.contains(&role),
        }
    }
}

/// The access of every RPC of one gRPC service, by the RPC's name in the proto (`"RefreshToken"`).
pub type AccessTable = &'static [(&'static str, Access)];

/// Why a service cannot be served: its table does not fit its proto.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccessError {
    /// The descriptor pool does not know the service.
    #[error("{0} is not in the descriptor pool")]
    UnknownService(String),
    /// The table and the proto name different RPCs, or the table names one twice.
    #[error(
        "the access table of {service} does not fit its proto: missing {missing:?}, not in the proto {unknown:?}, twice {repeated:?}"
    )]
    Mismatch {
        /// The gRPC service.
        service: String,
        /// RPCs without access.
        missing: Vec<String>,
        /// Access for RPCs that do not exist.
        unknown: Vec<String>,
        /// RPCs that stand in the table more than once.
        repeated: Vec<String>,
    },
}

/// Checks that a table names every RPC of a service, nothing else, and nothing twice.
pub(crate) fn verify(service: &ServiceDescriptor, table: AccessTable) -> Result<(), AccessError> {
    let described: BTreeSet<String> = service.methods().map(|method| method.name().to_owned()).collect();
    let mut named = BTreeSet::new();
    let repeated: Vec<String> =
        table.iter().filter(|(rpc, _)| !named.insert((*rpc).to_owned())).map(|(rpc, _)| (*rpc).to_owned()).collect();
    let missing: Vec<String> = described.difference(&named).cloned().collect();
    let unknown: Vec<String> = named.difference(&described).cloned().collect();
    if missing.is_empty() && unknown.is_empty() && repeated.is_empty() {
        return Ok(());
    }
    Err(AccessError::Mismatch { service: service.full_name().to_owned(), missing, unknown, repeated })
}
