//! The `[metrics]` table: what `/metrics` shows, and where it is served a second time.

use std::net::SocketAddr;

use crate::drift::histogram::Selection;

use super::section::Section;

/// Fifty features are about six thousand series: what one Prometheus takes from a hundred replicas.
const DEFAULT_FEATURES: Selection = Selection::Top(50);

/// What the table says.
#[derive(Debug)]
pub(super) struct Metrics {
    /// Where `/metrics` and health alone are served as well.
    pub(super) listen: Option<SocketAddr>,
    /// Which features have histograms.
    pub(super) features: Selection,
}

/// Reads it. An address alone, `metrics = "0.0.0.0:9464"`, has become `listen` before.
pub(super) fn read(mut section: Section<'_>) -> Metrics {
    let listen = section.address("listen");
    let right =
        "\"top 50\" (outputs, then inputs, in the order of the columns), \"all\" or \"off\"";
    let features = section.parse("features", right, selection);
    section.finish();
    Metrics {
        listen,
        features: features.unwrap_or(DEFAULT_FEATURES),
    }
}

fn selection(text: &str) -> Result<Selection, String> {
    match text {
        "all" => Ok(Selection::All),
        "off" | "0" => Ok(Selection::Off),
        _ => {
            let most = text.strip_prefix("top ").ok_or_else(String::new)?;
            match most.trim().parse() {
                Ok(0) => Ok(Selection::Off),
                Ok(most) => Ok(Selection::Top(most)),
                Err(_) => Err(String::new()),
            }
        }
    }
}
