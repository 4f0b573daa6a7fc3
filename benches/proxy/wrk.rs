//! Closed-loop load by wrk.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The script wrk runs: the bodies in turn, and at the end the figures in one line.
const SCRIPT: &str = r#"
local ready, turn = {}, 0
function init(arguments)
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
  for index, body in ipairs(bodies) do ready[index] = wrk.format(nil, "/predict", nil, body) end
end
function request()
  turn = turn % #ready + 1
  return ready[turn]
end
function done(summary)
  local e = summary.errors
  io.write(string.format("FIGURES %d %d %d\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// wrk with the bodies it posts.
#[derive(Debug)]
pub(crate) struct Wrk {
    script: PathBuf,
}

/// What wrk saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Requests answered.
    pub(crate) requests: f64,
    /// Seconds it took.
    pub(crate) seconds: f64,
    /// Answers other than 2xx and 3xx, connections that failed, and requests that timed out.
    pub(crate) errors: u64,
}

// === impl Wrk ===

impl Wrk {
    /// Writes the script into `folder`.
    pub(crate) fn new(folder: &Path, bodies: &[String]) -> Result<Self, String> {
        let mut script = "bodies = {\n".to_owned();
        for body in bodies {
            // JSON of numbers and plain names has nothing that Lua's long strings would end at.
            let _ = writeln!(script, "[==[{body}]==],");
        }
        script += "}\n";
        script += SCRIPT;
        let path = folder.join("post.lua");
        std::fs::write(&path, script).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { script: path })
    }

    /// Loads a server for as long as said, in whole seconds and at least one: wrk knows no less.
    pub(crate) fn load(
        &self,
        address: SocketAddr,
        connections: usize,
        duration: Duration,
    ) -> Result<Load, String> {
        let threads = connections.min(2);
        let seconds = duration.as_secs().max(1);
        let output = Command::new("wrk")
            .arg("-s")
            .arg(&self.script)
            .args([
                format!("-t{threads}"),
                format!("-c{connections}"),
                format!("-d{seconds}s"),
            ])
            .arg(format!("http://{address}/predict"))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("wrk: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let figures = text.lines().find_map(|line| line.strip_prefix("FIGURES "));
        let figures: Option<Vec<u64>> =
            figures.and_then(|line| line.split(' ').map(|word| word.parse().ok()).collect());
        let Some([requests, micros, errors]) = figures.as_deref() else {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("wrk on {address}: {text}{said}"));
        };
        Ok(Load {
            requests: *requests as f64,
            seconds: *micros as f64 / 1e6,
            errors: *errors,
        })
    }
}
