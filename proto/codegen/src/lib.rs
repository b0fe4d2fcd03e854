//! gantry-codegen
