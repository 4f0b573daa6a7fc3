//! The model servers' own resources, looked at every few seconds on a thread of their own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{Error, spawn};
use crate::config::Config;
use crate::metrics::process::{ProcessSnapshot, Visibility};
use crate::process::{Source, Table, Watch};

/// Between two looks: shorter than Prometheus' usual interval.
const EVERY: Duration = Duration::from_secs(5);

/// What was seen last, by model.
#[derive(Debug, Clone)]
pub(super) struct Processes(Arc<[Arc<ArcSwap<Option<ProcessSnapshot>>>]>);

/// The thread, and what ends it.
#[derive(Debug)]
pub(super) struct Watching {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

/// One server, and where what is seen of it goes.
struct Server {
    watch: Watch,
    seen: Arc<ArcSwap<Option<ProcessSnapshot>>>,
    /// Said last.
    visible: Option<Visibility>,
}

// === impl Processes ===

impl Processes {
    /// Of the model at `index`; `None` where its server is not looked at, or was not yet.
    pub(super) fn of(&self, index: usize) -> Option<ProcessSnapshot> {
        (**self.0.get(index)?.load()).clone()
    }
}

// === impl Watching ===

impl Watching {
    /// Ends it; the thread ends after the look it is at.
    pub(super) fn end(self) -> JoinHandle<()> {
        // Fails only where it has ended already.
        let _ = self.stop.send(());
        self.thread
    }
}

/// Begins to look, where there is anything to look at. Models behind one server share what is seen.
pub(super) fn watch(config: &Config) -> Result<(Processes, Option<Watching>), Error> {
    let mut servers: BTreeMap<Source, Server> = BTreeMap::new();
    let slots: Vec<_> = (config.models.iter())
        .map(|model| match &model.process {
            None => Arc::default(),
            Some(source) => {
                let server = servers.entry(source.clone()).or_insert_with(|| Server {
                    watch: Watch::new(source.clone()),
                    seen: Arc::default(),
                    visible: None,
                });
                Arc::clone(&server.seen)
            }
        })
        .collect();
    let processes = Processes(slots.into());
    if servers.is_empty() {
        return Ok((processes, None));
    }
    let mut servers: Vec<Server> = servers.into_values().collect();
    let (stop, stopped) = mpsc::sync_channel(1);
    let thread = spawn("driftd-process", move || {
        // Every other thread of the machine goes first.
        if let Err(error) = rustix::process::setpriority_process(None, 19) {
            tracing::debug!(%error, "The look at the model servers keeps its priority");
        }
        loop {
            look(&mut servers);
            match stopped.recv_timeout(EVERY) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    })?;
    Ok((processes, Some(Watching { stop, thread })))
}

/// Looks at every server; the processes of the machine are read once for all of them.
fn look(servers: &mut [Server]) {
    let table = Table::read();
    for server in servers {
        server.look(&table);
    }
}

// === impl Server ===

impl Server {
    fn look(&mut self, table: &Table) {
        let snapshot = self.watch.look(table);
        let visible = snapshot.visible;
        if self.visible.replace(visible) != Some(visible) {
            let source = self.watch.source();
            match visible {
                Visibility::Ok => {
                    tracing::info!(?source, "The model server's own resources are seen");
                }
                reason => tracing::info!(
                    ?source,
                    reason = reason.as_str(),
                    "The model server's own resources are not seen"
                ),
            }
        }
        self.seen.store(Arc::new(Some(snapshot)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::READS;

    #[test]
    fn the_processes_are_read_once_for_all_servers() {
        let server = |port| Server {
            watch: Watch::new(Source::Port(port)),
            seen: Arc::default(),
            visible: None,
        };
        let mut servers = [server(1), server(2), server(3)];
        look(&mut servers);
        assert_eq!(READS.get(), 1);
        look(&mut servers);
        assert_eq!(READS.get(), 2);
        for server in servers {
            assert!(server.seen.load().is_some());
        }
    }
}
