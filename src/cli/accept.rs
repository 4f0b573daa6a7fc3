//! `driftd accept` and `driftd unaccept`: tell a running driftd what is the new normal.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::Failure;
use crate::admin::{Token, TokenSource};
use crate::config::{self, Access};

/// Longer than driftd lets such a request wait.
const TIMEOUT: Duration = Duration::from_secs(40);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// More than the acceptance of every column of the widest model.
const MAX_ANSWER: u64 = 16 << 20;

/// Which driftd is asked.
#[derive(Debug, Args)]
struct Asked {
    /// Configuration file with admin address and token [default: driftd.toml, where it exists]
    #[arg(long, value_name = "FILE", env = "DRIFTD_CONFIG")]
    config: Option<PathBuf>,
    /// The running driftd, such as http://127.0.0.1:9464 [default: admin, as configured]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Its token; DRIFTD_ADMIN_TOKEN does not show in the list of processes [default: as configured]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct AcceptArguments {
    /// The model
    #[arg(long)]
    model: String,
    /// The feature or output [default: every one that is drifted now]
    #[arg(long)]
    feature: Option<String>,
    /// For how long, such as 7d [default: 30d]
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<String>,
    /// Why this is the new normal
    #[arg(long)]
    reason: String,
    /// Who says so [default: the user's name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Args)]
pub(super) struct UnacceptArguments {
    /// The model
    #[arg(long)]
    model: String,
    /// The feature or output [default: every one that is accepted]
    #[arg(long)]
    feature: Option<String>,
    /// Who says so [default: the user's name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

pub(super) fn accept(args: AcceptArguments) -> Result<ExitCode, Failure> {
    let AcceptArguments {
        model,
        feature,
        length,
        reason,
        by,
        asked,
    } = args;
    let fields = [
        ("model", Some(model)),
        ("feature", feature),
        ("for", length),
        ("reason", Some(reason)),
        ("by", by.or_else(user)),
    ];
    let answer = asked.post("/api/v1/accept", fields)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| {
        value
            .as_f64()
            .map_or_else(String::new, crate::drift::explain::figure)
    };
    for entry in answer["accepted"].as_array().into_iter().flatten() {
        println!(
            "{}: {} accepted at {} until {}; it alerts again from {}",
            named(entry),
            text(&entry["test"]),
            number(&entry["effect"]),
            text(&entry["until"]),
            number(&entry["limit"]),
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn unaccept(args: UnacceptArguments) -> Result<ExitCode, Failure> {
    let UnacceptArguments {
        model,
        feature,
        by,
        asked,
    } = args;
    let fields = [
        ("model", Some(model)),
        ("feature", feature),
        ("by", by.or_else(user)),
    ];
    let answer = asked.post("/api/v1/unaccept", fields)?;
    for entry in answer["unaccepted"].as_array().into_iter().flatten() {
        let test = entry["test"].as_str().unwrap_or_default();
        println!("{}: {test} is no longer accepted", named(entry));
    }
    Ok(ExitCode::SUCCESS)
}

fn named(entry: &Value) -> String {
    match entry["feature"].as_str() {
        Some(feature) if !feature.is_empty() => feature.to_owned(),
        _ => "all columns together".to_owned(),
    }
}

/// The name of whoever runs the command.
fn user() -> Option<String> {
    let named = ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.trim().is_empty())
}

// === impl Asked ===

impl Asked {
    /// Posts the fields given; the answer where it is 200.
    fn post<const N: usize>(
        &self,
        path: &str,
        fields: [(&str, Option<String>); N],
    ) -> Result<Value, Failure> {
        let (address, token) = self.access()?;
        let body: Map<String, Value> = (fields.into_iter())
            .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
            .collect();
        let body = Value::Object(body).to_string();
        let asked = post(address, path, &token, &body);
        let answer = asked.with_context(|| format!("no answer from http://{address}{path}"))?;
        Ok(understood(&answer).with_context(|| format!("http://{address}{path}"))?)
    }

    /// Where to ask, and with which token.
    fn access(&self) -> Result<(SocketAddr, String), Failure> {
        let given = (&self.url, &self.token);
        let configured = match given {
            (Some(_), Some(_)) => None,
            _ => Some(config::admin_access(
                self.config.as_deref(),
                std::env::vars(),
            )?),
        };
        let address = match (&self.url, &configured) {
            (Some(url), _) => address(url).map_err(Failure::Input)?,
            (None, Some(Access { admin, .. })) => *admin,
            (None, None) => unreachable!("read wherever no URL is given"),
        };
        let configured = configured.map(|access| access.token).unwrap_or_default();
        let token = match (&self.token, configured) {
            (Some(token), _) => {
                Token::parse(token).map_err(|what| Failure::Input(anyhow!("--token: {what}")))?
            }
            (None, source) => read(&source)?,
        };
        Ok((address, token.reveal().to_owned()))
    }
}

fn read(source: &TokenSource) -> Result<Token, Failure> {
    let found = source
        .read()
        .map_err(|error| Failure::Input(anyhow!("admin_token_file: {error}")))?;
    found.ok_or_else(|| {
        Failure::Input(anyhow!(
            "no token: set DRIFTD_ADMIN_TOKEN, admin_token or admin_token_file as for the driftd that is asked, or give --token"
        ))
    })
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    if url.starts_with("https://") {
        bail!(
            "--url {url}: driftd's admin listener speaks plain HTTP; run this beside it, or through a tunnel"
        );
    }
    let host = url
        .strip_prefix("http://")
        .unwrap_or(url)
        .trim_end_matches('/');
    let found = host.to_socket_addrs();
    let right = || format!("--url {url} is no address such as http://127.0.0.1:9464");
    found.with_context(right)?.next().with_context(right)
}

/// One request by HTTP/1.0, so that the answer ends with the connection.
fn post(address: SocketAddr, path: &str, token: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.0\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The JSON of an answer, or what it says is wrong.
fn understood(answer: &str) -> anyhow::Result<Value> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("that is no answer of HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    let value: Value = serde_json::from_str(body)
        .with_context(|| format!("status {status}, and no JSON: is this a driftd?"))?;
    if status == "200" {
        return Ok(value);
    }
    let mut said = vec![value["error"].as_str().unwrap_or("refused").to_owned()];
    for problem in value["problems"].as_array().into_iter().flatten() {
        let message = problem["message"].as_str().unwrap_or_default();
        said.push(match problem["field"].as_str() {
            Some(field) => format!("{field}: {message}"),
            None => message.to_owned(),
        });
    }
    bail!("{status}: {}", said.join("\n  "))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::*;

    #[test]
    fn the_command_the_page_shows_is_understood_whatever_the_names() {
        let names = [
            ("iris", "petal_width"),
            ("-iris", "-dash"),
            ("--model", "--feature"),
            ("m", "-it's \"a\" $HOME `b` <c>"),
            ("m", "größe 😀"),
        ];
        for (model, feature) in names {
            let shown = crate::admin::accept_command(model, feature);
            let shown = [
                ("&quot;", "\""),
                ("&#39;", "'"),
                ("&lt;", "<"),
                ("&gt;", ">"),
            ]
            .iter()
            .fold(shown, |text, (from, to)| text.replace(from, to));
            let printed = std::process::Command::new("sh")
                .args([
                    "-c",
                    &format!("printf '%s\\0' {}", shown.replace("&amp;", "&")),
                ])
                .output()
                .unwrap();
            let words = String::from_utf8(printed.stdout).unwrap();
            let words = words.trim_end_matches('\0').split('\0');
            let Ok(Cli {
                command: Command::Accept(args),
            }) = Cli::try_parse_from(words)
            else {
                panic!("{shown}");
            };
            assert_eq!(
                (&*args.model, args.feature.as_deref()),
                (model, Some(feature))
            );
            assert_eq!(args.length.as_deref(), Some("7d"));
        }
    }

    #[test]
    fn a_refusal_is_told_whole() {
        let answer = "HTTP/1.0 404 Not Found\r\ncontent-type: application/json\r\n\r\n\
            {\"error\":\"no\",\"problems\":[{\"field\":\"model\",\"message\":\"no model x\"}]}";
        let said = understood(answer).unwrap_err().to_string();
        assert_eq!(said, "404: no\n  model: no model x");
        assert!(understood("HTTP/1.0 200 OK\r\n\r\n<html>").is_err());
        assert!(understood("SSH-2.0").is_err());
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for url in [
            "http://127.0.0.1:9464/",
            "127.0.0.1:9464",
            "http://localhost:9464",
        ] {
            assert_eq!(address(url).unwrap().port(), 9464, "{url}");
        }
        for url in ["https://127.0.0.1:9464", "http://127.0.0.1", "nonsense"] {
            assert!(address(url).is_err(), "{url}");
        }
    }
}
