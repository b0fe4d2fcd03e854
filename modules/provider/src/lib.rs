//! gantry-provider
