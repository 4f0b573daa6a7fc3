//! The peers: one Python process that answers orders.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::data::{CURRENT, Data, REFERENCE};

/// Statistic, p, location, sign.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(crate) struct Found(
    pub(crate) f64,
    pub(crate) f64,
    pub(crate) f64,
    pub(crate) f64,
);

/// An answer.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Answer {
    pub(crate) seconds: f64,
    #[serde(default)]
    pub(crate) results: Vec<Found>,
}

/// The process.
pub(crate) struct Peers {
    pub(crate) versions: String,
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

// === impl Peers ===

impl Peers {
    /// Hands over the data.
    pub(crate) fn start(python: &Path, data: &Data) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let file = folder.path().join("data.f64");
        let mut bytes = Vec::with_capacity(8 * data.features * (REFERENCE + CURRENT));
        for value in data.reference.iter().chain(&data.current).flatten() {
            bytes.extend(value.to_le_bytes());
        }
        std::fs::write(&file, bytes).map_err(|error| format!("{}: {error}", file.display()))?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/ks.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(&file)
            .args([data.features, REFERENCE, CURRENT].map(|n| n.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}; name one by --python", python.display()))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the peers have no pipes".to_owned());
        };
        let mut peers = Self {
            versions: String::new(),
            child,
            orders,
            answers: BufReader::new(answers),
            _folder: folder,
        };
        let versions: std::collections::BTreeMap<String, String> = peers.answer()?;
        let named = versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"));
        peers.versions = named.collect::<Vec<_>>().join(", ");
        Ok(peers)
    }

    /// Has something done.
    pub(crate) fn order(&mut self, order: &str) -> Result<Answer, String> {
        let sent = writeln!(self.orders, "{order}").and_then(|()| self.orders.flush());
        sent.map_err(|error| format!("{order}: {error}"))?;
        self.answer()
    }

    fn answer<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        match read {
            Ok(0) | Err(_) => Err("the peers ended; their message stands above".to_owned()),
            Ok(_) => serde_json::from_str(&line).map_err(|error| format!("{error}: {line}")),
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
