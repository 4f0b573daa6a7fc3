//! Opening: lock, file, integrity, pragmas, migrations, models; and what follows from the last run.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicI64;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};
use rusqlite::{Transaction, TransactionBehavior};

use crate::drift::accept::End;
use crate::timestamp::Timestamp;

use super::clock::Clock;
use super::layout::{Layout, segments};
use super::reader::{Reader, Source};
use super::space::Limits;
use super::state::ModelState;
use super::writer::Writer;
use super::{Config, Error, Gap, ModelSpec, OpenedModel};
use super::{accepted, beside, error, exchanges, generations, history};
use super::{quarantine, schema, thinning};

/// The first SQLite without the WAL-reset bug (sqlite.org/wal.html#the_wal_reset_bug).
const OLDEST_SQLITE: i32 = 3_051_003;

/// What SQLite may keep of the window in memory: four times its default.
const CACHE_KIB: i64 = 8 * 1024;

/// How long the integrity check may hold up the start; what it has not found by then it lets pass.
const CHECK_TIME: Duration = Duration::from_secs(1);

/// How long a write waits for another program that holds the file's write lock.
pub(super) const BUSY: Duration = Duration::from_secs(2);

/// From this many columns on, 4 KiB pages waste space (half of it at 300 columns).
const WIDE: usize = 100;

/// What opening came to.
pub(super) struct Found {
    pub(super) writer: Writer,
    pub(super) reader: Reader,
    pub(super) models: Vec<OpenedModel>,
    pub(super) gap: Option<Gap>,
    pub(super) quarantined: Option<PathBuf>,
}

/// Why a file could not be opened, before it is known which file and what to do.
pub(super) enum Fault {
    /// Damaged, or no database at all.
    Corrupt(String),
    /// A newer driftd's.
    Newer { found: i64 },
    /// Another program's database.
    Foreign,
    /// Not there, or not for writing.
    Create(io::Error),
    /// Anything else SQLite says.
    Sqlite(rusqlite::Error),
}

#[cfg(test)]
thread_local! {
    /// Whether the bounded check ends before it finds anything, as in a large file.
    pub(super) static UNCHECKED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Opens the window of `config` for `models`.
pub(super) fn open(config: &Config, models: &[ModelSpec], now: Timestamp) -> Result<Found, Error> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(Error::OldSqlite {
            found: rusqlite::version(),
        });
    }
    let path = &config.path;
    if !quarantine::may_be_window(path) {
        return Err(Error::Foreign { path: path.clone() });
    }
    let lock = lock(path)?;
    let mut quarantined = None;
    let found = match attempt(config, models, now) {
        Err(Fault::Corrupt(what)) => {
            let source = |source| Error::Quarantine {
                path: path.clone(),
                source,
            };
            let aside = quarantine::set_aside(path).map_err(source)?;
            tracing::error!(
                path = %path.display(), aside = %aside.display(), what,
                "The window is damaged; it was set aside and a new one begun"
            );
            quarantine::absolve(path);
            quarantined = Some(aside);
            attempt(config, models, now)
        }
        other => other,
    };
    let (connection, prepared) = found.map_err(|fault| explain(path, fault))?;
    let writer = Writer::new(
        connection,
        lock,
        prepared.limits,
        prepared.states,
        prepared.next,
    );
    Ok(Found {
        writer: writer.map_err(|source| error::sqlite(path, source))?,
        reader: prepared.reader,
        models: prepared.models,
        gap: prepared.gap,
        quarantined,
    })
}

/// What the transaction at the start read and wrote.
struct Prepared {
    limits: Limits,
    reader: Reader,
    states: Vec<ModelState>,
    models: Vec<OpenedModel>,
    gap: Option<Gap>,
    next: Next,
}

/// Where the counters go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Next {
    /// The next row's id.
    pub(super) row: i64,
    /// The next exchange's id.
    pub(super) exchange: i64,
    /// What priorities depend on.
    pub(super) seed: u64,
    /// The latest time known.
    pub(super) clock: Clock,
}

fn attempt(
    config: &Config,
    models: &[ModelSpec],
    now: Timestamp,
) -> Result<(Connection, Prepared), Fault> {
    let path = &config.path;
    create(path).map_err(Fault::Create)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    if connection.is_readonly("main")? {
        return Err(Fault::Create(io::ErrorKind::PermissionDenied.into()));
    }
    schema::recognise(&connection)?;
    let widest = models
        .iter()
        .map(|model| model.schema.columns().len())
        .max();
    let page_size = if widest.unwrap_or(0) > WIDE {
        16384
    } else {
        4096
    };
    // The first two take effect in a new file only, and there only before everything else.
    connection.pragma_update(None, "page_size", page_size)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // In kibibytes. Thinning deletes rows all over the older half.
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(32 + 48 * models.len());
    if quarantine::is_suspect(path) {
        full_check(&connection)?;
        quarantine::absolve(path);
    } else {
        quick_check(&connection)?;
    }
    schema::migrate(&mut connection)?;
    let limits = Limits::new(config, &connection)?;
    let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
    let prepared = prepare(&transaction, limits, models, now)?;
    transaction.commit()?;
    // Not before: a file that is as large as it may be is opened, and upgraded, all the same.
    prepared.limits.apply(&connection)?;
    Ok((connection, prepared))
}

fn prepare(
    connection: &Connection,
    limits: Limits,
    models: &[ModelSpec],
    now: Timestamp,
) -> rusqlite::Result<Prepared> {
    let number = |name: &str| schema::meta(connection, name);
    let seed = match number("seed")? {
        Some(seed) => seed,
        None => RandomState::new().build_hasher().finish().cast_signed(),
    };
    let next = Next {
        row: number("next_row")?.unwrap_or(1),
        exchange: number("next_exchange")?.unwrap_or(1),
        seed: seed.cast_unsigned(),
        clock: Clock::open(connection, now)?,
    };
    let gap = gap(connection, now)?;
    for (name, value) in [
        ("seed", seed),
        ("next_row", next.row),
        ("next_exchange", next.exchange),
        ("clean", 0),
        ("opened_at", now.0),
        ("clock", next.clock.now().0),
    ] {
        schema::set_meta(connection, name, value)?;
    }
    let (mut states, mut opened, mut sources) = (Vec::new(), Vec::new(), Vec::new());
    for spec in models {
        let layout = Layout::prepare(connection, &spec.name, &spec.schema)?;
        let (model, reference) = reference(connection, layout.number, spec, next.row, now)?;
        sources.push(Source {
            layout: layout.clone(),
            first_row: AtomicI64::new(model.first_row),
        });
        states.push(ModelState::load(
            connection,
            layout.number,
            Some(layout),
            reference,
        )?);
        opened.push(model);
    }
    for number in others(connection, &states)? {
        generations::renew(connection, number)?;
        states.push(ModelState::load(connection, number, None, 0)?);
    }
    exchanges::make_view(connection)?;
    if let Some(gap) = &gap {
        history::save_gap(connection, gap, &states)?;
    }
    Ok(Prepared {
        reader: Reader {
            path: limits.path.clone(),
            seed: next.seed,
            sources,
        },
        limits,
        states,
        models: opened,
        gap,
        next,
    })
}

/// The latest time the file holds.
fn newest(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    // Exchanges are stored as they end; the latest start is among the last ones.
    let mut newest: Option<i64> = schema::meta(connection, "opened_at")?;
    for table in exchanges::tables(connection)? {
        let sql =
            format!("SELECT max(time) FROM (SELECT time FROM {table} ORDER BY id DESC LIMIT 1000)");
        newest = newest.max(connection.query_row(&sql, (), |row| row.get(0))?);
    }
    Ok(newest.map(Timestamp))
}

/// The gap a killed process left, if the last one was.
fn gap(connection: &Connection, now: Timestamp) -> rusqlite::Result<Option<Gap>> {
    if schema::meta(connection, "clean")? != Some(0) {
        return Ok(None);
    }
    let started = newest(connection)?.unwrap_or(now);
    Ok(Some(Gap {
        model: None,
        started_at: started.min(now),
        ended_at: now,
        reason: "killed".to_owned(),
        exchanges: None,
    }))
}

/// The reference row in force for a model: the newest one where it is the same, else a new one.
fn reference(
    connection: &Connection,
    number: i64,
    spec: &ModelSpec,
    next_row: i64,
    now: Timestamp,
) -> rusqlite::Result<(OpenedModel, i64)> {
    type Newest = (i64, String, Option<String>, i64, i64);
    let newest: Option<Newest> = connection
        .query_row(
            "SELECT id, version, hash, since, first_row FROM reference_data WHERE model = ?1 \
             ORDER BY id DESC LIMIT 1",
            [number],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            },
        )
        .optional()?;
    if let Some((id, version, hash, since, first_row)) = newest
        && (&version, &hash) == (&spec.version, &spec.reference_hash)
    {
        let segments = segments(connection, number)?;
        let model = OpenedModel {
            since: Timestamp(since),
            first_row,
            alarms: history::alarms(connection, number)?,
            accepted: accepted::in_force(connection, number)?,
            fresh: false,
            thinned: thinning::overall(&segments),
        };
        return Ok((model, id));
    }
    let began = begin(connection, number, spec.into(), next_row, now)?;
    let model = OpenedModel {
        since: now,
        first_row: next_row,
        alarms: Default::default(),
        accepted: Vec::new(),
        fresh: true,
        thinned: thinning::overall(&segments(connection, number)?),
    };
    Ok((model, began))
}

/// What the rows from now on belong to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) version: &'a str,
    pub(super) reference_hash: Option<&'a str>,
}

impl<'a> From<&'a ModelSpec> for Identity<'a> {
    fn from(spec: &'a ModelSpec) -> Self {
        Self {
            version: &spec.version,
            reference_hash: spec.reference_hash.as_deref(),
        }
    }
}

/// Begins another reference or version of a model: what stood was about the one before. Returns its
/// id.
pub(super) fn begin(
    connection: &Connection,
    number: i64,
    identity: Identity<'_>,
    next_row: i64,
    now: Timestamp,
) -> rusqlite::Result<i64> {
    let before: Option<Option<String>> = connection
        .query_row(
            "SELECT hash FROM reference_data WHERE model = ?1 ORDER BY id DESC LIMIT 1",
            [number],
            |row| row.get(0),
        )
        .optional()?;
    let Identity {
        version,
        reference_hash,
    } = identity;
    connection.execute(
        "INSERT INTO reference_data (model, version, hash, since, first_row) VALUES (?1, ?2, ?3, ?4, ?5)",
        (number, version, reference_hash, now.0, next_row),
    )?;
    let id = connection.last_insert_rowid();
    history::clear_alarms(connection, number)?;
    let why = match before {
        Some(hash) if hash.as_deref() == reference_hash => End::VersionChanged,
        _ => End::ReferenceChanged,
    };
    accepted::end_all(connection, number, why, now)?;
    Ok(id)
}

/// Models the file holds that are no longer configured: retention goes on for them.
fn others(connection: &Connection, states: &[ModelState]) -> rusqlite::Result<Vec<i64>> {
    let mut numbers: Vec<i64> = connection
        .prepare("SELECT id FROM models")?
        .query_map((), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    numbers.retain(|number| states.iter().all(|state| state.number != *number));
    Ok(numbers)
}

/// Takes the lock that keeps a second driftd out, for as long as the file returned lives.
fn lock(path: &Path) -> Result<File, Error> {
    let name = beside(path, ".lock");
    let create = |source| Error::Create {
        path: path.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&name)
        .map_err(create)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(create(source)),
    }
}

/// Makes the file, or makes an existing one private. No connection is open yet, so closing the
/// descriptor here drops no lock of SQLite's.
fn create(path: &Path) -> io::Result<()> {
    if let Ok(found) = path.metadata() {
        // A directory given by mistake stays as open as it was.
        if !found.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        return std::fs::set_permissions(path, Permissions::from_mode(0o600));
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map(drop)
}

/// Finds also what a quick check leaves out, however long it takes.
fn full_check(connection: &Connection) -> Result<(), Fault> {
    let pragma = "PRAGMA integrity_check(1)";
    let verdict: String = connection.query_row(pragma, (), |row| row.get(0))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => Err(Fault::Corrupt(verdict)),
    }
}

fn quick_check(connection: &Connection) -> Result<(), Fault> {
    #[cfg(test)]
    if UNCHECKED.get() {
        return Ok(());
    }
    let interrupt = connection.get_interrupt_handle();
    let (done, finished) = channel::<()>();
    let found = std::thread::scope(|scope| {
        scope.spawn(move || {
            if finished.recv_timeout(CHECK_TIME) == Err(RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        });
        let found = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0));
        drop(done);
        found
    });
    match found {
        Ok(verdict) => match verdict {
            verdict if verdict == "ok" => Ok(()),
            verdict => Err(Fault::Corrupt(verdict)),
        },
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            tracing::debug!(
                "The window is too large to check within a second; nothing found so far"
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn explain(path: &Path, fault: Fault) -> Error {
    let path = path.to_owned();
    match fault {
        Fault::Newer { found } => Error::Newer { path, found },
        Fault::Foreign => Error::Foreign { path },
        Fault::Create(source) => Error::Create { path, source },
        Fault::Corrupt(what) => Error::Quarantine {
            path,
            source: io::Error::other(what),
        },
        Fault::Sqlite(source) => Error::Sqlite { path, source },
    }
}

// === impl Fault ===

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt(error.to_string())
            }
            _ => Self::Sqlite(error),
        }
    }
}
