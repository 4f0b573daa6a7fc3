//! The `driftd` binary: maps outcomes to exit codes.

use std::process::ExitCode;

/// Exchanges are made on the serving threads and freed on the recorder's: the system's allocator
/// takes a sixth of all processor time a request costs for that (benches/README.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    driftd::cli::main()
}
