//! What is connected to a model, as `driftd config` shows it: receivers of webhooks, the processes of
//! its server.

use super::show::absolute;
use super::toml::{line, list, quoted, string};
use crate::drift::report::Level;
use crate::exporter;
use crate::process::Source;
use crate::push::{Config, SecretSource};
use crate::timestamp::compact as duration;

/// Where metrics are pushed to: comments, since a file of settings says nothing of it.
pub(super) fn otlp(config: &exporter::Config) -> String {
    let (endpoint, interval) = (&config.endpoint, duration(config.interval));
    format!(
        "# metrics to {endpoint} every {interval} by OTLP (OTEL_…; what follows the host is not shown)\n"
    )
}

/// Its table, without what is secret.
pub(super) fn table(webhook: &Config) -> String {
    let Config {
        name,
        endpoint,
        url_file,
        secret,
        format,
        levels,
        timeout,
        retry_for,
        queue,
        ca,
    } = webhook;
    let mut text = String::from("\n[[webhook]]\n");
    text += &string("name", name);
    match url_file {
        Some(path) => text += &string("url_file", &absolute(path).display().to_string()),
        None => {
            text += &format!("# url            = {endpoint} (what follows the host is not shown)\n")
        }
    }
    match secret {
        SecretSource::None => {}
        SecretSource::Given(_) => text += "# secret         = (configured; not shown)\n",
        SecretSource::File(path) => {
            text += &string("secret_file", &absolute(path).display().to_string());
        }
    }
    text += &string("format", format.as_str());
    text += &line("on", list(levels.iter().copied().map(Level::as_str)));
    text += &string("timeout", &duration(*timeout));
    text += &string("retry_for", &duration(*retry_for));
    text += &line("queue", queue);
    if let Some(path) = ca {
        text += &string("ca", &absolute(path).display().to_string());
    }
    text
}

/// How the processes of a model's server are found.
pub(super) fn process(source: &Source) -> String {
    let quoted = |path: &std::path::Path| quoted(&absolute(path).display().to_string());
    match source {
        Source::PidFile(path) => format!("{{ pid_file = {} }}", quoted(path)),
        Source::Cgroup(path) => format!("{{ cgroup = {} }}", quoted(path)),
        Source::Port(port) => format!("{{ port = {port} }}"),
        // Found by the upstream's own address.
        Source::Socket(_) => "\"auto\"".to_owned(),
    }
}
