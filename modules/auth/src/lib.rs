//! gantry-auth
