//! The model behind everything: its reference, its bodies, its configuration, its server.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::streams::Random;

/// What the upstream answers to every post.
pub(crate) const ANSWER: &str = "{\"prediction\": 0.5}";

/// Rows of a reference.
const REFERENCE: usize = 10_000;

/// Different bodies, taken in turn.
const BODIES: usize = 512;

/// driftd's configuration, in part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) features: usize,
    /// The `[drift]` table's lines.
    pub(crate) drift: &'static str,
}

// === impl Wanted ===

impl Wanted {
    /// Four features and the defaults.
    pub(crate) const SMALL: Self = Self {
        features: 4,
        drift: "",
    };

    /// Writes reference and configuration into `folder`.
    pub(crate) fn write(self, folder: &Path, upstream: SocketAddr) -> Result<PathBuf, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        let mut random = Random::new(1);
        let names = (1..=self.features).map(|index| format!("f{index}"));
        let mut csv = names.collect::<Vec<_>>().join(",") + ",prediction\n";
        for _ in 0..REFERENCE {
            for _ in 0..self.features {
                let _ = write!(csv, "{:.3},", value(&mut random));
            }
            csv += "0.5\n";
        }
        fs::write(folder.join("reference.csv"), csv).map_err(failed)?;
        let path = folder.join("driftd.toml");
        let text = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nupstream = \"http://{upstream}\"\n\
             [window]\npath = \"window.db\"\n[drift]\n{}\n[[model]]\nname = \"bench\"\n\
             paths = [\"/predict\"]\nreference = \"reference.csv\"\noutputs = [\"prediction\"]\n",
            self.drift
        );
        fs::write(&path, text).map_err(failed)?;
        Ok(path)
    }

    /// Bodies like the reference's rows, of about `bytes` each where that is longer: then with a
    /// note that is no feature, as requests have them.
    pub(crate) fn bodies(self, bytes: impl Fn(usize) -> usize) -> Vec<String> {
        let mut random = Random::new(2);
        let body = |index| {
            let values =
                (1..=self.features).map(|i| format!("\"f{i}\": {:.3}", value(&mut random)));
            let mut body = values.collect::<Vec<_>>().join(", ");
            let missing = bytes(index).saturating_sub(body.len() + 14);
            if missing > 0 {
                let _ = write!(body, ", \"note\": \"{}\"", "x".repeat(missing));
            }
            format!("{{{body}}}")
        };
        (0..BODIES).map(body).collect()
    }
}

fn value(random: &mut Random) -> f64 {
    5.0 + random.normal()
}
