//! A disk that stalls under load: another process holds the window's lock.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Findings;
use crate::admin;
use crate::contestant::Driftd;
use crate::model::Wanted;
use crate::process::Server;
use crate::settings::Settings;
use crate::wrk::Wrk;

/// What may come on top of what was resident under load before: the tap's queue of 32 MiB, and as
/// much again by half for what the allocator needs around it. MB.
const MORE: f64 = 1.5 * 33.6;

/// In a process of its own: holds the lock on the window at `path`, and says so on a line.
pub(crate) fn hold(path: &Path, seconds: &str) -> Result<(), String> {
    let failed = |error: rusqlite::Error| format!("{}: {error}", path.display());
    let seconds = seconds.parse().map_err(|_| format!("{seconds} seconds?"))?;
    let connection = rusqlite::Connection::open(path).map_err(failed)?;
    connection
        .busy_timeout(Duration::from_secs(30))
        .map_err(failed)?;
    connection
        .execute_batch("BEGIN EXCLUSIVE")
        .map_err(failed)?;
    println!("held");
    std::thread::sleep(Duration::from_secs(seconds));
    connection.execute_batch("ROLLBACK").map_err(failed)
}

pub(crate) fn measure(
    settings: &Settings,
    driftd: &Driftd,
    window: &Path,
    found: &mut Findings,
) -> Result<(), String> {
    let seconds = if settings.options.quick { 4 } else { 20 };
    let folder = window.parent().unwrap_or(window);
    let wrk = Wrk::new(folder, &Wanted::SMALL.bodies(|_| 0))?;
    let free = wrk.load(driftd.address, 16, Duration::from_secs(5))?;
    let before = driftd.server.resident();
    let counted = admin::settled(driftd.admin)?;
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    command.arg("--lock").arg(window).arg(seconds.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut holder = Server::spawn("the holder of the lock", command)?;
    holder.next_line()?;
    let duration = Duration::from_secs(seconds - 1);
    let (load, most) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| wrk.load(driftd.address, 16, duration));
        let mut most = before;
        while !loading.is_finished() {
            most = most.max(driftd.server.resident());
            std::thread::sleep(Duration::from_millis(50));
        }
        let load = loading.join();
        (
            load.unwrap_or_else(|_| Err("wrk panicked".to_owned())),
            most,
        )
    });
    let load = load?;
    let stalled = admin::tap(driftd.admin)?.since(counted);
    drop(holder);
    let tap = admin::settled(driftd.admin)?.since(counted);
    let after = driftd.server.resident();
    let bound = before + MORE;
    let _ = writeln!(
        found.text,
        "The window's lock held by another process for {seconds} s under load: {most:.1} MB at most (≤ {bound:.0}: \
         {before:.1} MB before, and one and a half times the tap's queue), {after:.1} MB after. {:.0} requests/s \
         while it was held, {:.0} before; {} failed. Of {} exchanges {} were captured while it was held, {} once \
         it was free, {} dropped.",
        load.requests / load.seconds,
        free.requests / free.seconds,
        load.errors,
        tap.offered,
        stalled.captured,
        tap.captured - stalled.captured,
        tap.dropped,
    );
    if most > bound {
        found.missed.push(format!(
            "{most:.1} MB while the disk stalled, not ≤ {bound:.1}"
        ));
    }
    if load.errors > 0 {
        found.missed.push(format!(
            "{} requests failed while the disk stalled",
            load.errors
        ));
    }
    if tap.offered != tap.captured + tap.undecodable + tap.dropped {
        found.missed.push(format!(
            "exchanges are unaccounted for after the stall: {tap:?}"
        ));
    }
    Ok(())
}
