//! The `driftd` binary: maps outcomes to exit codes.

fn main() {}
