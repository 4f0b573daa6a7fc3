//! `driftd health`: asks a running driftd whether it is ready; for container health checks, where
//! no curl is at hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::Failure;

/// Longer than any answer takes, shorter than a container's health check.
const TIMEOUT: Duration = Duration::from_secs(2);
/// More than the answer's head.
const MAX_ANSWER: u64 = 4096;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The admin address of the driftd to ask [default: as configured]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Configuration file [default: driftd.toml, where it exists]
    #[arg(long, value_name = "FILE", env = "DRIFTD_CONFIG")]
    config: Option<std::path::PathBuf>,
}

pub(super) fn health(args: &Arguments) -> Result<ExitCode, Failure> {
    let address = match &args.admin {
        Some(admin) => (admin.to_socket_addrs())
            .with_context(|| format!("--admin {admin} is no address such as 127.0.0.1:9464"))
            .map_err(Failure::Input)?
            .next()
            .with_context(|| format!("--admin {admin} has no address"))
            .map_err(Failure::Input)?,
        None => crate::config::admin_access(args.config.as_deref(), std::env::vars())?.admin,
    };
    let status = ask(address).with_context(|| format!("no answer from http://{address}/readyz"))?;
    println!("{status}");
    let ready = status.split(' ').nth(1) == Some("200");
    Ok(if ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The status line of `GET /readyz`.
fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
