//! The program of a target; see gantry_fuzz::targets.
#![no_main]
gantry_fuzz::program!(gantry_fuzz::targets::tx::TARGET);
