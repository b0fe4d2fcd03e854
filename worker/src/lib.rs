//! gantry-worker

pub mod executor;
pub mod result;
