//! `driftd run` and `driftd demo`: the long-running commands.

use std::process::ExitCode;

use anyhow::Context;

use super::supervised;
use super::{DemoArgs, Failure, RunArgs, output};
use crate::app::App;
use crate::demo;
use crate::log;
use crate::memory;
use crate::proxy::Address;
use crate::service::Notifier;
use crate::shutdown::{Hangups, Signals};

pub(super) fn run(args: RunArgs) -> Result<ExitCode, Failure> {
    let config = args.load()?;
    let wasted = memory::be_frugal();
    let _log = log::start(config.json_log);
    for reason in wasted {
        tracing::debug!(reason, "Takes more memory than it would");
    }
    let app = App::prepare(config)?;
    let scheme = app
        .config()
        .serving
        .tls
        .as_ref()
        .map_or("http", |_| "https");
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let mut hangups = Hangups::listen().context("cannot listen for SIGHUP")?;
        let bound = app.bind().await?;
        let reload = bound.reload();
        let notifier = &Notifier::from_env();
        let telling = supervised::tell(notifier, bound.vitals());
        let addresses = bound.addresses();
        match &addresses.proxy {
            Address::Tcp(address) => output::say(&format!("proxy  {scheme}://{address}\n")),
            socket @ Address::Unix(_) => output::say(&format!("proxy  {socket}\n")),
        }
        output::say(&format!("page   http://{}/\n", addresses.admin));
        let (first, second) = tokio::sync::oneshot::channel();
        let watch = async move {
            let name = signals.next().await;
            tracing::info!(signal = name, "Draining; a second signal ends it at once");
            notifier.stopping();
            drop(first);
            signals.next().await;
        };
        let serve = bound.serve(async {
            second.await.unwrap_or(());
        });
        let reloading = async move {
            loop {
                hangups.next().await;
                notifier.reloading();
                reload.ask_and_wait().await;
                notifier.ready();
            }
        };
        tokio::select! {
            served = serve => served.map(|()| ExitCode::SUCCESS).map_err(Failure::from),
            () = reloading => unreachable!("it waits for signals without end"),
            never = telling => match never {},
            () = watch => {
                tracing::warn!("Second signal: ended without draining");
                Ok(ExitCode::FAILURE)
            }
        }
    })
}

pub(super) fn demo(args: &DemoArgs) -> Result<ExitCode, Failure> {
    // Without a log, there is nobody to tell.
    drop(memory::be_frugal());
    let runtime = runtime()?;
    let settings = demo::Settings {
        duration: args.duration,
        window: args.window.clone(),
    };
    let found = runtime.block_on(async {
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let interrupted = async move {
            signals.next().await;
        };
        let mut say = |line: &str| output::say(&format!("{line}\n"));
        demo::run(settings, interrupted, &mut say)
            .await
            .map_err(Failure::from)
    })?;
    Ok(if found {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    Ok(runtime.context("cannot start the runtime")?)
}
