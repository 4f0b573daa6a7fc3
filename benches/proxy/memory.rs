//! What driftd holds in memory: with many connections, with a disk that stalls, with clients that
//! go away.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Findings;
use crate::admin;
use crate::contestant::Driftd;
use crate::model::Wanted;
use crate::peers::upstream;
use crate::settings::Settings;
use crate::stall;
use crate::steady::{Client, requests};
use crate::wrk::Wrk;

/// Client connections, each with one to the upstream.
const CONNECTIONS: usize = 1000;

/// What may be resident then, in MB.
const MOST: f64 = 40.0;

/// Exchanges after which all has its full size: three times what the window keeps.
const ROWS: u64 = 300_000;

/// What leaving clients may add, in MB: an allocator's noise.
const GROWTH: f64 = 2.0;

/// Clients that go away each second. Each leaves a port unusable for a minute, and there are
/// 28,000 of them.
const LEAVING: f64 = 300.0;

pub(crate) fn measure(settings: &Settings) -> Result<Findings, String> {
    let mut found = Findings::default();
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let model = upstream(folder.path())?;
    let driftd = Driftd::start(settings, Wanted::SMALL, folder.path(), model.address)?;
    connections(&driftd, &mut found)?;
    fill(&driftd, folder.path(), &mut found)?;
    leaving(settings, &driftd, &mut found)?;
    stall::measure(
        settings,
        &driftd,
        &folder.path().join("window.db"),
        &mut found,
    )?;
    Ok(found)
}

/// Opens all connections, a request on each, and looks while they stay open.
fn connections(driftd: &Driftd, found: &mut Findings) -> Result<(), String> {
    let requests = requests(&Wanted::SMALL.bodies(|_| 0));
    let idle = driftd.server.resident();
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for request in requests.iter().cycle().take(CONNECTIONS) {
        let mut client = Client::connect(driftd.address)?;
        client.exchange(request)?;
        clients.push(client);
    }
    let resident = driftd.server.resident();
    admin::settled(driftd.admin)?;
    // Every connection is alive still: it answers again.
    for (client, request) in clients.iter_mut().zip(requests.iter().cycle()) {
        client.exchange(request)?;
    }
    let resident = resident.max(driftd.server.resident());
    let _ = writeln!(
        found.text,
        "{CONNECTIONS} connections, each with requests done: {resident:.1} MB resident (≤ {MOST}), \
         {idle:.1} MB before, {:.1} MB at most since the start.\n",
        driftd.server.peak()
    );
    if resident > MOST {
        found.missed.push(format!(
            "{resident:.1} MB at {CONNECTIONS} connections, not ≤ {MOST}"
        ));
    }
    Ok(())
}

/// Fills what the configuration bounds: the window, its cache, the rows under comparison. What grows
/// afterwards grows for another reason.
fn fill(driftd: &Driftd, folder: &Path, found: &mut Findings) -> Result<(), String> {
    let wrk = Wrk::new(folder, &Wanted::SMALL.bodies(|_| 0))?;
    let mut tap = admin::settled(driftd.admin)?;
    while tap.captured < ROWS {
        let before = tap.captured;
        wrk.load(driftd.address, 16, Duration::from_secs(1))?;
        tap = admin::settled(driftd.admin)?;
        if tap.captured == before {
            return Err(format!("nothing is captured: {tap:?}"));
        }
    }
    let _ = writeln!(
        found.text,
        "After {} exchanges, by which the window was full more than once: {:.1} MB resident.\n",
        tap.captured,
        driftd.server.resident()
    );
    Ok(())
}

/// Clients that connect, send a part and go: in the head, in the body, before the answer.
fn leaving(settings: &Settings, driftd: &Driftd, found: &mut Findings) -> Result<(), String> {
    let seconds = match (settings.options.quick, settings.long) {
        (true, _) => 5,
        (false, false) => 30,
        (false, true) => 600,
    };
    let body = "{\"f1\": 5.1, \"f2\": 4.9, \"f3\": 5.0, \"f4\": 5.2}";
    let request = &requests(&[body.to_owned()])[0];
    let parts = [30, request.len() - body.len() / 2, request.len()];
    let before = admin::settled(driftd.admin)?;
    let begun = Instant::now();
    let duration = Duration::from_secs(seconds);
    // The most in each sixth of the time.
    let mut sixths = [0.0_f64; 6];
    let mut clients = 0_u64;
    while begun.elapsed() < duration {
        let part = parts[(clients % 3) as usize];
        let sent = TcpStream::connect(driftd.address)
            .and_then(|mut stream| stream.write_all(&request[..part]));
        sent.map_err(|error| format!("a client that was to leave: {error}"))?;
        clients += 1;
        if clients.is_multiple_of(50) {
            let sixth = begun.elapsed().as_secs_f64() * 6.0 / duration.as_secs_f64();
            let size = &mut sixths[(sixth as usize).min(5)];
            *size = size.max(driftd.server.resident());
        }
        let due = begun + Duration::from_secs_f64(clients as f64 / LEAVING);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Client::connect(driftd.address)?.exchange(request)?;
    let tap = admin::settled(driftd.admin)?.since(before);
    let _ = writeln!(
        found.text,
        "{clients} clients that left in the head, in the body or before the answer, in {seconds} s: \
         {} MB at most in each sixth of it ({:+.1} MB). {} exchanges offered, {} captured, {} undecodable, \
         {} dropped.\n",
        sixths.map(|size| format!("{size:.1}")).join(", "),
        sixths[5] - sixths[0],
        tap.offered,
        tap.captured,
        tap.undecodable,
        tap.dropped,
    );
    if sixths[5] - sixths[0] > GROWTH {
        found.missed.push(format!(
            "leaving clients: {:.1} MB more in the last sixth than in the first, not ≤ {GROWTH}",
            sixths[5] - sixths[0]
        ));
    }
    if tap.offered != tap.captured + tap.undecodable + tap.dropped {
        found
            .missed
            .push(format!("exchanges are unaccounted for: {tap:?}"));
    }
    Ok(())
}
