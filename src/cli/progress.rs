//! A line on stderr that says how far long work has come. It is there only while stderr is a
//! terminal, only after a moment, and gone at the end.

use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Work that ends sooner shows no line.
const PATIENCE: Duration = Duration::from_millis(300);

/// Between two states of the line.
const PACE: Duration = Duration::from_millis(100);

/// Back to the first column, and the line erased.
const ERASE: &str = "\r\x1b[2K";

/// Characters of a file's name shown, so that the line fits a terminal of 80.
const NAME: usize = 30;

/// What is being done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// Reading a file: bytes read by now, and in all (0 where that is not known).
    Reading {
        /// The file.
        path: PathBuf,
        /// Bytes read by now.
        bytes: u64,
        /// Bytes in all; 0 where that is not known.
        total: u64,
    },
    /// Working through so many things of a sort, such as columns.
    Counting {
        /// What they are, in the plural.
        what: &'static str,
        /// Done by now.
        done: u64,
        /// All of them; `None` where that is not known.
        total: Option<u64>,
    },
}

/// The line; it vanishes when this is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    stage: Arc<Mutex<Option<Stage>>>,
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

// === impl Progress ===

impl Progress {
    /// Begins to show progress where stderr is a terminal; elsewhere does nothing, ever.
    pub(super) fn start() -> Self {
        let stage = Arc::new(Mutex::new(None));
        let shown = Arc::clone(&stage);
        let (stop, stopped) = channel::<()>();
        let draw = move || {
            let mut stderr = std::io::stderr();
            let mut wait = PATIENCE;
            let mut drawn = false;
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = PACE;
                let now = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(stage) = now {
                    // A terminal that has gone away needs no line.
                    let _ = write!(stderr, "{ERASE}driftd: {}", line(&stage));
                    let _ = stderr.flush();
                    drawn = true;
                }
            }
            if drawn {
                let _ = write!(stderr, "{ERASE}");
                let _ = stderr.flush();
            }
        };
        let terminal = std::io::stderr().is_terminal();
        // Without a thread there is no line, and nothing worse.
        let thread = terminal
            .then(|| std::thread::Builder::new().spawn(draw).ok())
            .flatten();
        Self {
            stage,
            thread: thread.map(|thread| (stop, thread)),
        }
    }

    /// What is done now.
    pub(super) fn at(&self, stage: Stage) {
        if self.thread.is_some() {
            *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            // It has nothing to panic over, and no result.
            let _ = thread.join();
        }
    }
}

/// A stage in words.
fn line(stage: &Stage) -> String {
    match stage {
        Stage::Reading { path, bytes, total } => {
            let name = path.file_name().unwrap_or(path.as_os_str());
            let name: String = (name.to_string_lossy().chars())
                .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                .take(NAME)
                .collect();
            let size = |bytes: u64| bytesize::ByteSize::b(bytes).display().iec().to_string();
            match total {
                0 => format!("reading {name}, {}", size(*bytes)),
                total => format!("reading {name}, {} of {}", size(*bytes), size(*total)),
            }
        }
        Stage::Counting { what, done, total } => match total {
            Some(total) => format!("{done} of {total} {what}"),
            None => format!("{done} {what}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_counted() {
        let stage = |total| Stage::Counting {
            what: "columns",
            done: 3,
            total,
        };
        assert_eq!(line(&stage(Some(800))), "3 of 800 columns");
        assert_eq!(line(&stage(None)), "3 columns");
    }

    #[test]
    fn a_file_is_followed_as_far_as_it_is_read() {
        let stage = |total| Stage::Reading {
            path: "folder/long\u{1b}name.csv".into(),
            bytes: 1024,
            total,
        };
        assert_eq!(
            line(&stage(4096)),
            "reading long\u{fffd}name.csv, 1.0 KiB of 4.0 KiB"
        );
        assert_eq!(line(&stage(0)), "reading long\u{fffd}name.csv, 1.0 KiB");
    }

    /// Tests run without a terminal on stderr, or with one that is captured: the work goes on either way.
    #[test]
    fn it_ends_when_dropped() {
        let progress = Progress::start();
        progress.at(Stage::Counting {
            what: "columns",
            done: 1,
            total: None,
        });
        drop(progress);
    }
}
