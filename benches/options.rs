//! What a benchmark is asked for.

use std::path::PathBuf;

/// The options of a benchmark.
#[derive(Debug)]
pub(crate) struct Options {
    /// A smoke run.
    pub(crate) quick: bool,
    /// Where its table goes besides the screen.
    pub(crate) output: Option<PathBuf>,
    /// The interpreter of the peers.
    pub(crate) python: PathBuf,
    /// What else it was given.
    #[allow(dead_code, reason = "not every benchmark takes more")]
    pub(crate) rest: Vec<String>,
}

// === impl Options ===

impl Options {
    /// Reads the arguments.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let python = std::env::var_os("DRIFTD_BENCH_PYTHON");
        let mut options = Self {
            quick: false,
            output: None,
            python: python.map_or_else(|| "python3".into(), PathBuf::from),
            rest: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| format!("{argument} takes a value, such as {argument} FILE"))
            };
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--output" => options.output = Some(value()?.into()),
                "--python" => options.python = value()?.into(),
                // What cargo passes to every benchmark.
                "--bench" => {}
                _ => options.rest.push(argument),
            }
        }
        Ok(options)
    }

    /// Prints the table and stores it where that was asked for.
    pub(crate) fn write(&self, text: &str) -> std::io::Result<()> {
        println!("{text}");
        let Some(path) = &self.output else {
            return Ok(());
        };
        std::fs::write(path, text).inspect_err(|error| eprintln!("{}: {error}", path.display()))
    }
}
