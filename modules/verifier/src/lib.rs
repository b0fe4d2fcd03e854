//! gantry-verifier
