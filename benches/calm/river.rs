//! river's detectors on the same streams, in Python.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// What one detector said of one column.
#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct Heard {
    pub(crate) detector: String,
    /// Rows it saw before the change.
    pub(crate) rows: usize,
    /// Alarms before the change.
    pub(crate) early: usize,
    /// Rows after the change at its first alarm then.
    pub(crate) delay: Option<usize>,
}

/// Runs the detectors over columns of equal length, which change at row `change` (their length, if
/// never). KSWIN, far slower, sees the first `kswin` rows.
pub(crate) fn detect(
    python: &Path,
    folder: &Path,
    columns: &[Vec<f64>],
    change: usize,
    kswin: usize,
) -> Result<Vec<Heard>, String> {
    let file = folder.join("columns.f64");
    let bytes: Vec<u8> = (columns.iter().flatten())
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let written = fs::File::create(&file).and_then(|mut file| file.write_all(&bytes));
    written.map_err(|error| format!("{}: {error}", file.display()))?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/calm.py");
    let rows = columns.first().map_or(0, Vec::len);
    let output = Command::new(python)
        .arg(script)
        .arg(&file)
        .args([rows, change, kswin].map(|n| n.to_string()))
        .output()
        .map_err(|error| format!("{}: {error}; name one by --python", python.display()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    (output.stdout.split(|byte| *byte == b'\n'))
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).map_err(|error| error.to_string()))
        .collect()
}
