//! The `gantryd` binary.

use std::process::ExitCode;

/// A block is hundreds of thousands of small allocations on several threads; the C library's allocator would take a
/// quarter of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gantryd::cli::run()
}
