//! The generated messages, clients and servers of Muster's API, and its descriptor set.
//!
//! The protos in `proto/muster` are the documentation of what is here.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// The API as an encoded `google.protobuf.FileDescriptorSet`, imports and comments included.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/muster.binpb"));

/// The API, described: methods, messages, `google.api.http` routes.
///
/// # Panics
/// Never: the build wrote the set.
#[must_use]
pub fn descriptors() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> =
        LazyLock::new(|| DescriptorPool::decode(DESCRIPTOR_SET).expect("the build wrote a valid descriptor set"));
    &POOL
}

#[expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::disallowed_methods,
    clippy::large_enum_variant,
    clippy::pedantic,
    reason = "generated; the comments in the protos are the documentation"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/muster.rs"));
}

pub use generated::muster::*;
