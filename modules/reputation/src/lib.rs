//! gantry-reputation
