//! gantry-tests
