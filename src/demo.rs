//! `driftd demo`: the main job end to end on real data, in one process. An embedded model server (a
//! Gaussian naive Bayes classifier trained on Fisher's iris data), clients that send real flowers in
//! singles and batches, a sensor that slips, and driftd in front of it all, exactly as `run` runs it.
//!
//! The demo's clock starts with the first exchange in its window, so a demo resumed on a window goes
//! on where it was: before the slip or after it.

mod classifier;
mod clients;
mod model_server;
mod story;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::app::{App, Bound, Error};
use crate::config::{self, Given};
use crate::proxy::Address;
use classifier::Classifier;
use story::{Clock, Story};

/// Fisher's iris data, as shipped in `reference_data`.
const IRIS: &str = include_str!("../reference_data/iris.csv");

/// The page's usual address, tried first so that a bookmark works.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// The proxy's usual address.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// How the demo is run.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// End after this long, with a summary; `None`: go on until interrupted.
    pub duration: Option<Duration>,
    /// The window to use, and to go on with where it exists; `None`: a fresh one in a temporary
    /// directory.
    pub window: Option<PathBuf>,
}

/// Runs the demo and tells its story through `say`, a line at a time. Returns whether drift was
/// found on the slipped sensor and on no other feature.
///
/// # Errors
/// driftd could not start, as for `run`.
pub async fn run(
    settings: Settings,
    interrupted: impl Future<Output = ()>,
    say: &mut dyn FnMut(&str),
) -> Result<bool, Error> {
    let io = |what: &'static str| move |source| Error::Demo { what, source };
    let classifier = Classifier::train(IRIS);
    let window = match settings.window {
        Some(path) => path,
        None => fresh_window().map_err(io("a directory for the window"))?,
    };
    let reference = window.with_extension("reference.csv");
    std::fs::write(&reference, classifier.reference()).map_err(io("the reference file"))?;

    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(io("a port for the model server"))?;
    let upstream_address = upstream
        .local_addr()
        .map_err(io("the model server's port"))?;
    let bound = bind(&window, &reference, upstream_address).await?;
    let addresses = bound.addresses();
    let Address::Tcp(proxy) = addresses.proxy else {
        return Err(io("a TCP address")(std::io::ErrorKind::Unsupported.into()));
    };
    let clock = Clock::of(&window);
    let mut story = Story::new(addresses, &window, bound.report(), say);
    story.introduce(clock, classifier.accuracy());

    let server = tokio::task::spawn(model_server::serve(upstream, classifier));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let clients = tokio::task::spawn(clients::send(proxy, IRIS, clock));
    let driftd = bound.serve(async {
        // An error means the sender is gone: stop as well.
        stopped.await.unwrap_or(());
    });
    let tell = async {
        let found = story.follow(clock, settings.duration, interrupted).await;
        clients.abort();
        drop(stop);
        found
    };
    let mut driftd = pin!(driftd);
    let ended = tokio::select! {
        served = driftd.as_mut() => served.map(|()| false),
        found = tell => driftd.await.map(|()| found),
    };
    server.abort();
    ended
}

/// driftd as `run` configures it, with spans short enough to watch.
async fn bind(window: &Path, reference: &Path, upstream: SocketAddr) -> Result<Bound, Error> {
    for (listen, admin) in [(LISTEN, ADMIN), (any(LISTEN), any(ADMIN))] {
        let mut given = Given::default();
        let mut set = |key: &str, value: String| given.set(key, value, "the demo".to_owned());
        set("listen", listen.to_string());
        set("admin", admin.to_string());
        set("upstream", format!("http://{upstream}"));
        set("window.path", window.display().to_string());
        set("reference", reference.display().to_string());
        set("paths", "/predict".to_owned());
        set("drift.every", "1s".to_owned());
        set("drift.current", "1000 rows".to_owned());
        set("drift.fast", "200 rows".to_owned());
        let config = config::from_given(given)?;
        match App::prepare(config)?.bind().await {
            // Somebody else has the usual ports: any will do.
            Err(Error::Bind { .. }) if listen.port() != 0 => {}
            bound => return bound,
        }
    }
    unreachable!("binding to port 0 either succeeds or is returned as an error")
}

const fn any(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), 0)
}

/// A window of its own for each demo, left behind so that it can be looked at and resumed.
fn fresh_window() -> std::io::Result<PathBuf> {
    let directory = std::env::temp_dir().join(format!("driftd-demo-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    Ok(directory.join("driftd.db"))
}
