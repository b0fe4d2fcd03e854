//! Measures the chain beside its peers: a load generator, networks of each system under equal settings, and the figures.

mod measurement;

pub use measurement::Measurement;
