//! gantry-worker
