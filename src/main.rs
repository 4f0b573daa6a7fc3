//! The `driftd` binary: maps outcomes to exit codes.

use std::process::ExitCode;

fn main() -> ExitCode {
    driftd::cli::main()
}
