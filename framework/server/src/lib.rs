//! The front ends of a node: today gRPC with reflection and health.
//!
//! There is one query router in a node; this crate serves all of its routes without generated stubs. A request's bytes
//! go to the router as they came, the answer's bytes go back as they are. Queries run on blocking threads over
//! snapshots, never on the thread of consensus.

mod codec;
mod grpc;
mod queries;
mod reflection;

pub use grpc::{GrpcError, HEIGHT_HEADER, serve};
pub use queries::{Answer, Queries};
