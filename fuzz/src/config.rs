//! `config`: the bytes of a `driftd.toml`. Whatever is accepted is printed by `driftd config` as a
//! file that says the same.

use driftd::cli::fuzzing::printed;
use driftd::config::{Config, Given, Problems, load};

use super::Scratch;

/// More problems than this in a row mean that one is told again and again.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// Loads `data` as a configuration file, and what is printed of it as another.
pub fn run(data: &[u8]) {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    SCRATCH.with(|scratch| {
        let config = match read(scratch, "driftd.toml", data) {
            Ok(config) => config,
            Err(problems) => {
                let text = problems.to_string();
                assert!(!text.is_empty(), "refused without a reason");
                let most = LONGEST_MESSAGE + 100 * data.len();
                assert!(text.len() <= most, "{} bytes of problems", text.len());
                return;
            }
        };
        let text = printed(&config);
        let again = match read(scratch, "printed.toml", text.as_bytes()) {
            Ok(again) => again,
            Err(problems) => panic!("what is printed is refused: {problems}\n{text}"),
        };
        assert_eq!(without_token(&text), without_token(&printed(&again)));
        let (mut one, mut other) = (config, again);
        for config in [&mut one, &mut other] {
            // Not printed: secrets, warnings, and what the models hold beside what was compared.
            config.admin_token = driftd::admin::TokenSource::None;
            config.warnings.clear();
            config.models.clear();
            // Printed as an absolute path, so that the output may be kept anywhere.
            let path = std::path::absolute(&config.window.path);
            config.window.path = path.expect("a path that is not empty");
        }
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
    });
}

fn read(scratch: &Scratch, name: &str, bytes: &[u8]) -> Result<Config, Problems> {
    let path = scratch.write(name, bytes);
    load(Some(&path), std::iter::empty(), Given::default())
}

/// The lines but the one that stands for a secret.
fn without_token(text: &str) -> Vec<&str> {
    let lines = text.lines();
    lines
        .filter(|line| !line.starts_with("# admin_token "))
        .collect()
}
