//! gantry-matching
