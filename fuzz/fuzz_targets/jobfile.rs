#![no_main]
gantry_fuzz::program!(gantry_fuzz::targets::jobfile::TARGET);
