//! gantry-bank
