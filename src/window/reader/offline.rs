//! Reading a window without a driftd: for `driftd report`, beside a live writer or after one.
//!
//! Nothing is created, locked against the writer, or checkpointed. While no write-ahead log stands
//! beside the file nobody has it open, and it is read as immutable: an ordinary connection, also a
//! read-only one, would leave a `-wal` and a `-shm` file behind. If a driftd starts meanwhile, what
//! was read does not count, and is read again as of a live window.

use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::drift::report::{SpanName, Test};

use super::super::opening::{BUSY, Fault};
use super::super::{Error, Window, beside, error, history, schema};

/// How SQLite files begin.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

// === impl Window ===

impl Window {
    /// Runs `read` on a read-only connection to the window file at `path`, which a live driftd may
    /// be writing. It may run twice, where a driftd starts at that moment. The views `exchanges`,
    /// `checks`, `alarms`, `gaps` and `"references"` are there to be read; transactions should be
    /// short, for they keep a live driftd's write-ahead log from shrinking.
    ///
    /// Not for a process that has the window open: it opens and closes the file, which drops the
    /// locks that SQLite holds on it in the same process.
    ///
    /// # Errors
    /// There is no such file, it is no window, a newer driftd wrote it, or SQLite refused.
    pub fn read_offline<T>(
        path: &Path,
        mut read: impl FnMut(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        probe(path)?;
        let live = || beside(path, "-wal").exists();
        if !live() {
            let before = stamp(path);
            let found = attempt(path, true, &mut read);
            if !live() && stamp(path) == before {
                return found;
            }
        }
        attempt(path, false, &mut read)
    }

    /// The test a word of the views `checks` and `alarms` stands for, if this driftd knows it.
    #[must_use]
    pub fn stored_test(word: &str) -> Option<Test> {
        history::test_named(word)
    }

    /// The span a word of these views stands for.
    #[must_use]
    pub fn stored_span(word: &str) -> Option<SpanName> {
        history::span_named(word)
    }
}

/// Whether there is a file to read that begins as SQLite's do; SQLite itself would say no more than
/// that it cannot open it.
fn probe(path: &Path) -> Result<(), Error> {
    let absent = |source| Error::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(absent)?;
    let mut head = Vec::with_capacity(MAGIC.len());
    file.take(MAGIC.len() as u64)
        .read_to_end(&mut head)
        .map_err(absent)?;
    if head == MAGIC {
        return Ok(());
    }
    Err(Error::NoWindow {
        path: path.to_owned(),
    })
}

/// What changes when a driftd opens or writes the file.
fn stamp(path: &Path) -> Option<(u64, SystemTime)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.len(), file.modified().ok()?))
}

fn attempt<T>(
    path: &Path,
    immutable: bool,
    read: &mut impl FnMut(&Connection) -> rusqlite::Result<T>,
) -> Result<T, Error> {
    let sqlite = |source| error::sqlite(path, source);
    let connection = connect(path, immutable).map_err(sqlite)?;
    schema::recognise(&connection).map_err(|fault| refused(path, fault))?;
    // What has no tables has passed as a window to be; there is nothing to read in it.
    let tables = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 = connection
        .query_row(tables, (), |row| row.get(0))
        .map_err(sqlite)?;
    if tables == 0 {
        return Err(Error::NoWindow {
            path: path.to_owned(),
        });
    }
    read(&connection).map_err(sqlite)
}

fn connect(path: &Path, immutable: bool) -> rusqlite::Result<Connection> {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                uri.push(char::from(*byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str(if immutable {
        "?mode=ro&immutable=1"
    } else {
        "?mode=ro"
    });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

fn refused(path: &Path, fault: Fault) -> Error {
    let path = path.to_owned();
    match fault {
        Fault::Newer { found } => Error::Newer { path, found },
        Fault::Foreign | Fault::Corrupt(_) => Error::NoWindow { path },
        Fault::Create(source) => Error::Unreadable { path, source },
        Fault::Sqlite(source) => error::sqlite(&path, source),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::super::super::Config;
    use super::*;
    use crate::timestamp::Timestamp;

    fn closed_window(directory: &Path) -> PathBuf {
        let path = directory.join("w %?#.db");
        let config = Config {
            path: path.clone(),
            keep_rows: 10,
            keep_for: Duration::from_secs(60),
            max_bytes: 1 << 30,
        };
        Window::open(&config, &[], Timestamp(0))
            .unwrap()
            .window
            .close();
        path
    }

    fn files(directory: &Path) -> usize {
        std::fs::read_dir(directory).unwrap().count()
    }

    /// Whether the connection refuses to write.
    fn look(connection: &Connection) -> rusqlite::Result<bool> {
        let written = connection.execute("DELETE FROM models", ());
        Ok(written.is_err())
    }

    #[test]
    fn nothing_is_written_and_nothing_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = closed_window(directory.path());
        let before = (files(directory.path()), stamp(&path));
        assert!(Window::read_offline(&path, look).unwrap());
        assert_eq!((files(directory.path()), stamp(&path)), before);
    }

    #[test]
    fn what_was_read_while_a_driftd_started_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = closed_window(directory.path());
        let mut models = Vec::new();
        let mut writer = None;
        let last = Window::read_offline(&path, |connection| {
            if writer.is_none() {
                let started = Connection::open(&path)?;
                started.execute("INSERT INTO models (name, \"view\") VALUES ('m', 'v')", ())?;
                writer = Some(started);
            }
            let count = "SELECT count(*) FROM models";
            let count: i64 = connection.query_row(count, (), |row| row.get(0))?;
            models.push(count);
            Ok(count)
        });
        assert_eq!(last.unwrap(), 1);
        assert_eq!(models.len(), 2);
    }

    #[test]
    fn what_is_no_window_is_named_and_never_made() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let newer = closed_window(directory.path());
        let execute = |path: &Path, sql: &str| {
            let connection = Connection::open(path).unwrap();
            connection.execute_batch(sql).unwrap();
        };
        execute(
            &newer,
            "PRAGMA journal_mode = DELETE; PRAGMA user_version = 99",
        );
        execute(&at("foreign.db"), "CREATE TABLE t (x)");
        std::fs::write(at("text.db"), "x,y\n1,2\n").unwrap();
        std::fs::write(at("empty.db"), "").unwrap();
        let before = files(directory.path());
        for (path, said) in [
            (newer, "has format 99, newer than this driftd knows"),
            (at("nowhere.db"), "cannot read "),
            (at("."), "cannot read "),
            (at("foreign.db"), "foreign.db is no window of driftd's"),
            (at("text.db"), "text.db is no window of driftd's"),
            (at("empty.db"), "empty.db is no window of driftd's"),
        ] {
            let error = Window::read_offline(&path, look).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(files(directory.path()), before);
    }
}
