//! How a model server's own processes are found: `process = "auto"`, `"off"`, or where they are.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::resolve;
use super::section::Section;
use crate::process::Source;
use crate::proxy::Upstream;

/// What the key may say.
const RIGHT: &str = "\"auto\", \"off\", { pid_file = \"/run/model.pid\" }, { cgroup = \"/sys/fs/cgroup/…\" } or { port = 5000 }";

/// Reads the key `process`; without it, or with `auto`, the upstream's own address says where.
pub(super) fn read(
    section: &mut Section<'_>,
    upstream: Option<&Upstream>,
    base: &Path,
) -> Option<Source> {
    let auto = || upstream.and_then(listens);
    if section.has_table("process") {
        return found(section.section("process"), base);
    }
    if !section.has("process") {
        // Asked for all the same, so that it is known as a key.
        section.take("process");
        return auto();
    }
    let word = section.parse("process", RIGHT, |word| match word {
        "auto" => Ok(true),
        "off" => Ok(false),
        _ => Err(String::new()),
    });
    word.filter(|auto| *auto).and_then(|_| auto())
}

fn found(mut table: Section<'_>, base: &Path) -> Option<Source> {
    let pid_file = path(&mut table, "pid_file", base).map(Source::PidFile);
    let cgroup = path(&mut table, "cgroup", base).map(Source::Cgroup);
    let port = table.parse("port", "a port from 1 to 65535", |text| {
        let port: u16 = text.parse().map_err(|_| String::new())?;
        (port > 0)
            .then_some(Source::Port(port))
            .ok_or_else(String::new)
    });
    let mut all: Vec<Source> = [pid_file, cgroup, port].into_iter().flatten().collect();
    if all.len() != 1 {
        let message = format!("write one of pid_file, cgroup and port: {RIGHT}");
        table.lacks("", message);
    }
    table.finish();
    all.pop()
}

fn path(table: &mut Section<'_>, key: &'static str, base: &Path) -> Option<PathBuf> {
    let value = table.take(key)?;
    Some(resolve(base, &value, &value.to_string()))
}

/// Where an upstream on this machine listens.
fn listens(upstream: &Upstream) -> Option<Source> {
    match upstream {
        Upstream::Unix { path } => Some(Source::Socket(path.clone())),
        Upstream::Http { host, port, .. } => {
            let address = host.parse::<IpAddr>();
            let here = address.map_or(&**host == "localhost", |address| address.is_loopback());
            here.then_some(Source::Port(*port))
        }
    }
}
