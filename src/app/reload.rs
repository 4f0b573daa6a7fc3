//! Reload: reads the references of all models again while traffic runs, on SIGHUP, on request, and
//! when a file has been replaced.
//!
//! Invariant: a reference that cannot be read, or has other columns than the model, changes nothing:
//! the one in force stays. While one is read there are two of that model in memory, of which each
//! may take half of what references may; models are read one after the other.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde::Serialize;
use tokio::sync::oneshot;

use super::certificates::CertificateFiles;
use super::models::{self, Prepared};
use super::monitoring::Commands;
use crate::admin::{Token, TokenSource};
use crate::config::Model;
use crate::feature::Store;
use crate::model::Schema;
use crate::monitor::{Command, Refused};
use crate::timestamp::Timestamp;

/// Between looks at the files. A file must be the same at two looks before it is read.
const POLL: Duration = Duration::from_secs(5);

/// Reloads that may wait; one more would find the same files.
pub(super) const MOST_WAITING: usize = 4;

/// Asks a running driftd to read its references again.
#[derive(Debug, Clone)]
pub struct Reload {
    requests: SyncSender<Request>,
    /// Whether driftd is ending.
    ending: Arc<AtomicBool>,
}

/// What the reloading thread is asked.
#[derive(Debug)]
pub(super) enum Request {
    /// Read everything again; say what came of it, where somebody waits.
    Reload(Option<oneshot::Sender<Outcome>>),
    /// Look whether driftd is ending.
    Wake,
}

/// What came of a reload.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcome {
    /// Models that are compared with another reference from now on.
    pub(super) reloaded: Vec<String>,
    /// Models whose file holds the reference in force.
    pub(super) unchanged: Vec<String>,
    /// What could not be read, and why.
    #[serde(skip)]
    pub(super) problems: Vec<Problem>,
}

/// Something that was left as it was.
#[derive(Debug)]
pub(super) struct Problem {
    /// The setting it is about.
    pub(super) setting: String,
    /// What is wrong and what would be right.
    pub(super) message: String,
    /// Whether the same may work later with nothing changed.
    pub(super) transient: bool,
}

/// The thread's own.
#[derive(Debug)]
pub(super) struct Reloader {
    pub(super) reload: Reload,
    pub(super) sources: Vec<Source>,
    pub(super) commands: Commands,
    pub(super) failures: Arc<Failures>,
    pub(super) token_source: TokenSource,
    pub(super) token: Arc<ArcSwapOption<Token>>,
    pub(super) certificates: Option<CertificateFiles>,
}

/// Reloads that failed, by the model's index.
#[derive(Debug)]
pub(super) struct Failures(Box<[AtomicU64]>);

/// The reference file of one model.
#[derive(Debug)]
pub(super) struct Source {
    /// Index of the model.
    pub(super) index: usize,
    pub(super) model: Model,
    pub(super) schema: Arc<Schema>,
    pub(super) stores: Vec<Store>,
    /// Identity of the reference in force.
    pub(super) hash: String,
    /// The file that was read last, whatever came of it.
    pub(super) read: Option<Stamp>,
    /// Another one, seen once.
    pub(super) pending: Option<Stamp>,
}

/// What tells one file from the one that took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    size: u64,
}

// === impl Reload ===

impl Reload {
    pub(super) fn new(requests: SyncSender<Request>) -> Self {
        Self {
            requests,
            ending: Arc::default(),
        }
    }

    /// Asks for it and waits for its end; what came of it is in the log. Where several wait already,
    /// they will do, and it is not waited for them.
    pub async fn ask_and_wait(&self) {
        if let Some(outcome) = self.ask_and_tell() {
            // An error means that driftd is ending.
            drop(outcome.await);
        }
    }

    /// Asks for it with a reply; `None` where too many wait already, or driftd is ending.
    pub(super) fn ask_and_tell(&self) -> Option<oneshot::Receiver<Outcome>> {
        let (reply, outcome) = oneshot::channel();
        let asked = self.requests.try_send(Request::Reload(Some(reply)));
        asked.is_ok().then_some(outcome)
    }

    /// Ends the thread, at the latest after the file it is reading.
    pub(super) fn stop(&self) {
        self.ending.store(true, Ordering::Relaxed);
        // Where it is full, what wakes the thread is there already.
        drop(self.requests.try_send(Request::Wake));
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }
}

// === impl Failures ===

impl Failures {
    /// None yet, for so many models.
    pub(super) fn new(models: usize) -> Self {
        Self((0..models).map(|_| AtomicU64::new(0)).collect())
    }

    /// Of the model at `index`.
    pub(super) fn of(&self, index: usize) -> u64 {
        let count = self.0.get(index);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn note(&self, index: usize) {
        if let Some(count) = self.0.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// === impl Stamp ===

impl Stamp {
    /// Of the file at `path`, through links; `None` where there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            modified: (file.mtime(), file.mtime_nsec()),
            size: file.size(),
        })
    }
}

// === impl Reloader ===

impl Reloader {
    /// Waits for requests and looks at the files until told to stop. Blocks: give it a thread.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        // Reading a reference takes a core for a while: traffic goes first.
        if let Err(error) = rustix::process::setpriority_process(None, 19) {
            tracing::debug!(%error, "Reloading keeps its priority");
        }
        loop {
            match requests.recv_timeout(POLL) {
                Err(RecvTimeoutError::Timeout) => self.poll(),
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(_) if self.reload.is_ending() => return,
                Ok(Request::Wake) => {}
                Ok(Request::Reload(reply)) => {
                    tracing::info!(
                        "Reloading references, certificates and the admin token's file; every other setting is read at the start alone"
                    );
                    let outcome = self.read_all();
                    if let Some(reply) = reply {
                        // Whoever asked may have gone.
                        drop(reply.send(outcome));
                    }
                }
            }
        }
    }

    fn read_all(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        self.reload_token(&mut outcome);
        if let Some(files) = &mut self.certificates {
            files.reload(&mut outcome);
        }
        for source in &mut self.sources {
            if self.reload.is_ending() {
                break;
            }
            if !source.reload(&self.commands, &mut outcome) {
                self.failures.note(source.index);
            }
        }
        outcome
    }

    fn reload_token(&self, outcome: &mut Outcome) {
        match self.token_source.read() {
            Ok(token) => self.token.store(token.map(Arc::new)),
            Err(message) => {
                tracing::error!(message, "Admin token not reloaded; the one in force stays");
                outcome.problems.push(Problem {
                    setting: "admin_token_file".to_owned(),
                    message,
                    transient: false,
                });
            }
        }
    }

    /// Reads the files that were replaced since they were read last, and have come to rest.
    fn poll(&mut self) {
        if let Some(files) = &mut self.certificates {
            files.poll();
        }
        for source in &mut self.sources {
            let found = source.stamp();
            if found.is_none() || found == source.read {
                source.pending = None;
            } else if found == source.pending {
                if !source.reload(&self.commands, &mut Outcome::default()) {
                    self.failures.note(source.index);
                }
            } else {
                source.pending = found;
            }
        }
    }
}

// === impl Source ===

impl Source {
    /// The file of a model; `None` where it has no reference.
    pub(super) fn new(index: usize, model: &Model, prepared: &Prepared) -> Option<Self> {
        model.reference.as_ref()?;
        let (schema, stores) = prepared.shared_columns();
        Some(Self {
            index,
            model: model.clone(),
            schema,
            stores,
            hash: prepared.hash()?.to_owned(),
            read: prepared.stamp(),
            pending: None,
        })
    }

    fn stamp(&self) -> Option<Stamp> {
        let reference = self.model.reference.as_ref()?;
        Stamp::of(&reference.path)
    }

    /// Reads the file and puts what it holds in force; whether that could be done.
    fn reload(&mut self, commands: &Commands, outcome: &mut Outcome) -> bool {
        // Taken before reading: a file replaced meanwhile is read again at the next looks.
        let stamp = self.stamp();
        let name = self.model.name.to_string();
        let problems = match self.change(commands) {
            Ok(true) => {
                outcome.reloaded.push(name);
                Vec::new()
            }
            Ok(false) => {
                tracing::info!(model = name, hash = self.hash, "Reference is the same");
                outcome.unchanged.push(name);
                Vec::new()
            }
            Err(problems) => problems,
        };
        if problems.iter().all(|problem| !problem.transient) {
            self.read = stamp;
            self.pending = None;
        }
        for problem in &problems {
            tracing::error!(
                model = self.model.name.as_str(),
                setting = problem.setting,
                problem = problem.message,
                "Reference not reloaded; the one in force stays"
            );
        }
        let done = problems.is_empty();
        outcome.problems.extend(problems);
        done
    }

    /// Whether another reference is in force now.
    fn change(&mut self, commands: &Commands) -> Result<bool, Vec<Problem>> {
        let setting = format!("model {}: reference", self.model.name);
        let problem = |message: String, transient| {
            let setting = setting.clone();
            vec![Problem {
                setting,
                message,
                transient,
            }]
        };
        let read = models::read_reference(&self.model, Timestamp::now());
        let read = read.map_err(|problems| {
            let told = problems.into_iter().map(|p| Problem {
                message: match p.value {
                    Some(value) => format!("{value}: {}", p.message),
                    None => p.message,
                },
                setting: p.key,
                transient: false,
            });
            told.collect::<Vec<_>>()
        })?;
        let Some(mut reference) = read.reference else {
            return Ok(false);
        };
        if let Some(difference) = difference(&self.schema, &read.schema) {
            return Err(problem(difference, false));
        }
        models::conceal(&mut reference, &self.stores, self.model.name.as_str());
        let (hash, rows) = (reference.hash.clone(), reference.rows);
        if hash == self.hash {
            return Ok(false);
        }
        let (reply, answer) = oneshot::channel();
        let command = Command::Reference {
            model: self.index,
            reference: Box::new(reference),
            reply,
        };
        let sent = commands.get().map(|commands| commands.send(command));
        if !matches!(sent, Some(Ok(()))) {
            return Err(problem(
                "the window is not open; reload again when it is".to_owned(),
                true,
            ));
        }
        match answer.blocking_recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let transient = matches!(error, Refused::Window(_));
                return Err(problem(super::chain(&error), transient));
            }
            Err(_) => return Err(problem("driftd is ending".to_owned(), true)),
        }
        tracing::info!(
            model = self.model.name.as_str(),
            rows,
            hash,
            before = self.hash,
            "Reference reloaded: rows from now on are compared with it"
        );
        for note in read.notes {
            tracing::info!(model = self.model.name.as_str(), "{note}");
        }
        self.hash = hash;
        Ok(true)
    }
}

/// In what the columns of a file differ from those of the model, if they do.
fn difference(ours: &Schema, theirs: &Schema) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let describe = |schema: &Schema| -> Vec<String> {
        let column = |c: &crate::feature::Column| {
            let kind = c.kind.map_or("uncompared", crate::feature::Kind::as_str);
            format!("{} ({kind} {})", c.name, c.role)
        };
        schema.columns().iter().map(column).collect()
    };
    let (ours, theirs) = (describe(ours), describe(theirs));
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter()
            .filter(|column| !b.contains(column))
            .cloned()
            .collect()
    };
    let (gone, new) = (only(&ours, &theirs), only(&theirs, &ours));
    let what = if gone.is_empty() && new.is_empty() {
        format!("its columns are in another order: {}", theirs.join(", "))
    } else {
        let list = |columns: Vec<String>| match columns.is_empty() {
            true => "nothing".to_owned(),
            false => columns.join(", "),
        };
        format!("it lacks {} and has {} instead", list(gone), list(new))
    };
    Some(format!(
        "the file has other columns than the model in force: {what}; write the same columns, or restart driftd to take these"
    ))
}
