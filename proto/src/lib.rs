//! Gantry's protobuf packages as Rust types, generated from `proto/gantry/**` by `./dev proto` and committed.
//!
//! Types of the Cosmos SDK come from [`cosmos_sdk_proto`]; [`DESCRIPTOR_SET`] describes both, for reflection, strict
//! decoding and JSON.

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]
#[path = "gen/mod.rs"]
mod generated;

pub mod digest;

pub use generated::gantry;

/// The encoded `FileDescriptorSet` of everything that a node serves.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptor.bin");
