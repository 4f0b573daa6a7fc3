//! What is printed to a pipe that nobody reads any more.

use std::process::{Command, Stdio};

/// `driftd config … | head -0`: whoever reads has seen enough.
#[test]
fn a_configuration_nobody_reads_is_valid_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Command::new(env!("CARGO_BIN_EXE_driftd"));
    config.current_dir(directory.path());
    config.args(["config", "--upstream", "http://127.0.0.1:1"]);
    config.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut config = config.spawn().unwrap();
    drop(config.stdout.take());
    let output = config.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), said.contains("panicked")),
        (Some(0), false),
        "{said}"
    );
}
