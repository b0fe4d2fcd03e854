//! The `gantryd` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    gantryd::cli::run()
}
