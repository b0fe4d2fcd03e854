//! gantry-escrow
