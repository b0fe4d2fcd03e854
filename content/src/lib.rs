//! gantry-content
