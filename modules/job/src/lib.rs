//! gantry-job
