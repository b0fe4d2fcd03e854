//! Measures the chain beside its peers: a load generator, networks of each system under equal settings, and the figures.

pub mod load;
mod measurement;
pub mod net;
pub mod stats;

pub use measurement::Measurement;
