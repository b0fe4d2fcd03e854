//! gantry-tx
