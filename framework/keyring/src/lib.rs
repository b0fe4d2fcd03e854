//! gantry-keyring
