//! gantry-event
