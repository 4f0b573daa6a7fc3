//! `driftd config`: validates the configuration and prints what is in effect, as a file that says
//! the same, and what is stored.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::toml::{line, list, quoted, string};
use super::{Failure, RunArgs, output};
use crate::admin::TokenSource;
use crate::app::App;
use crate::config::{Config, Model, Serving};
use crate::drift::current::{Span, SpanLength};
use crate::drift::histogram::Selection;
use crate::feature::{Kind, Store};
use crate::model::Schema;
use crate::monitor;
use crate::proxy::Limits;
use crate::timestamp::compact as duration;

pub(super) fn show(args: RunArgs) -> Result<ExitCode, Failure> {
    let config = args.load()?;
    for warning in &config.warnings {
        eprintln!("driftd: {warning}");
    }
    let app = App::prepare(config)?;
    for (model, note) in app.notes() {
        eprintln!("driftd: {}: {note}", model.name);
    }
    let mut text = effective(app.config());
    for (settings, schema, stores) in app.models() {
        text += &model(app.config(), settings, schema, stores);
    }
    text += &format!(
        "\n# Stored, in {}: of every exchange its time, ids, route, status, latencies and sizes, and of\n\
         # each prediction the features and outputs above. Nothing else of a body is, and no header but {}.\n",
        absolute(&app.config().window.path).display(),
        match app.config().headers.names().count() {
            0 => "the ids",
            _ => "those of tap.headers",
        }
    );
    output::say(&text);
    Ok(ExitCode::SUCCESS)
}

/// Everything but the models.
pub(super) fn effective(config: &Config) -> String {
    let bytes = |b: u64| format!("\"{b}B\"");
    let Config {
        listen,
        serving,
        admin,
        admin_token,
        metrics,
        external_url,
        json_log,
        log_exchanges,
        window,
        upstream,
        upstream_timeout,
        limits,
        max_connections,
        tap,
        exclude,
        headers,
        sample,
        drift,
        reference_max_bytes,
        webhooks,
        otlp,
        models: _,
        warnings: _,
    } = config;
    let mut text = string("listen", &listen.to_string());
    text += &serving_keys(serving);
    text += &string("admin", &admin.to_string());
    match admin_token {
        TokenSource::None => {}
        TokenSource::Given(_) => text += "# admin_token    = (configured; not shown)\n",
        TokenSource::File(path) => {
            let path = absolute(path);
            text += &string("admin_token_file", &path.display().to_string());
        }
    }
    text += &string("upstream", &upstream.to_string());
    let timeout = upstream_timeout.map_or_else(|| "off".to_owned(), duration);
    text += &string("upstream_timeout", &timeout);
    if let Some(url) = external_url {
        text += &string("external_url", url);
    }
    if let Some(json) = json_log {
        text += &string("log", if *json { "json" } else { "human" });
    }
    text += &line("log_exchanges", log_exchanges);
    if let Some(otlp) = otlp {
        text += &super::attached::otlp(otlp);
    }
    if let Some(tls) = &serving.tls {
        text += "\n[tls]\n";
        text += &string("certificate", &tls.certificate.display().to_string());
        text += &string("key", &tls.key.display().to_string());
        if let Some(path) = &tls.client_ca {
            text += &string("client_ca", &path.display().to_string());
        }
    }
    text += &metrics_table(*metrics, drift.histograms);
    text += "\n[window]\n";
    let path = absolute(&window.path);
    text += &string("path", &path.display().to_string());
    text += &line("keep_rows", window.keep_rows);
    text += &string("keep_for", &duration(window.keep_for));
    text += &line("max_bytes", bytes(window.max_bytes));
    text += &limits_table(limits, *max_connections);
    text += "\n[tap]\n";
    text += &line("max_body", bytes(tap.max_body as u64));
    text += &line("queue", bytes(tap.queue as u64));
    text += &string("sample", &sample.to_string());
    let exclude: Vec<String> = exclude.iter().map(ToString::to_string).collect();
    text += &line("exclude", format!("[{}]", exclude.join(", ")));
    text += &line("headers", list(headers.names()));
    text += &drift_table(drift);
    text += &line("reference_max_bytes", bytes(*reference_max_bytes));
    webhooks.iter().fold(text, |text, webhook| {
        text + &super::attached::table(webhook)
    })
}

fn metrics_table(listen: Option<SocketAddr>, features: Selection) -> String {
    let mut text = String::from("\n[metrics]\n");
    if let Some(listen) = listen {
        text += &string("listen", &listen.to_string());
    }
    let features = match features {
        Selection::Off => "off".to_owned(),
        Selection::Top(most) => format!("top {most}"),
        Selection::All => "all".to_owned(),
    };
    text + &string("features", &features)
}

/// How traffic is taken and let go; TLS has a table of its own.
fn serving_keys(serving: &Serving) -> String {
    let Serving {
        listen_mode,
        tls: _,
        upstream_ca,
        upstream_http2,
        lame_duck,
        grace,
        ready_needs_upstream,
    } = serving;
    let mut text = string("listen_mode", &format!("{listen_mode:04o}"));
    text += &string("lame_duck", &duration(*lame_duck));
    text += &string("grace", &duration(*grace));
    text += &line("ready_needs_upstream", ready_needs_upstream);
    text += &line("upstream_http2", upstream_http2);
    if let Some(path) = upstream_ca {
        text += &string("upstream_ca", &path.display().to_string());
    }
    text
}

fn limits_table(limits: &Limits, max_connections: Option<NonZeroUsize>) -> String {
    let Limits {
        max_in_flight,
        max_head,
        max_headers,
        header_timeout,
        idle_timeout,
        body_timeout,
        write_timeout,
        tunnel_timeout,
        upstream_keepalive,
        forwarded,
    } = limits;
    let mut text = String::from("\n[proxy]\n");
    if let Some(places) = max_connections {
        text += &line("max_connections", places);
    }
    text += &line("max_in_flight", max_in_flight);
    text += &line("max_head", format!("\"{max_head}B\""));
    text += &line("max_headers", max_headers);
    text += &string("header_timeout", &duration(*header_timeout));
    text += &string("idle_timeout", &duration(*idle_timeout));
    text += &string("body_timeout", &duration(*body_timeout));
    text += &string("write_timeout", &duration(*write_timeout));
    let tunnel_timeout = tunnel_timeout.map_or_else(|| "off".to_owned(), duration);
    text += &string("tunnel_timeout", &tunnel_timeout);
    text += &line("upstream_keepalive", upstream_keepalive);
    text + &string("forwarded", forwarded.as_str())
}

fn drift_table(drift: &monitor::Config) -> String {
    let length = |span: &Span| match span.length {
        SpanLength::Time(time) => duration(time),
        SpanLength::Rows(rows) => format!("{rows} rows"),
    };
    let monitor::Config {
        every,
        main,
        fast,
        allowance,
        season,
        policy,
        min_coverage,
        histograms: _,
    } = drift;
    let fast = fast.as_ref().map_or_else(|| "off".to_owned(), length);
    let allowed = format!("{} per {}", allowance.alarms, duration(allowance.per));
    let mut text = String::from("\n[drift]\n");
    text += &string("every", &duration(*every));
    text += &string("current", &length(main));
    text += &string("fast", &fast);
    text += &line("min_rows", main.min_rows);
    text += &line("max_rows", main.max_rows);
    text += &string("max_age", &duration(main.max_age));
    text += &string("false_alarms", &allowed);
    text += &line("replicas", allowance.replicas);
    text += &string("season", &season.map_or_else(|| "off".to_owned(), duration));
    text += &string("decision", policy.rule.as_str());
    text += &line("min_effect", policy.min_effect);
    text + &line("min_coverage", min_coverage)
}

/// One model, with what was found in its reference.
pub(super) fn model(
    config: &Config,
    settings: &Model,
    schema: &Schema,
    stores: &[Store],
) -> String {
    let names =
        |columns: &[crate::feature::Column]| list(columns.iter().map(|column| &*column.name));
    let mut text = String::from("\n[[model]]\n");
    text += &string("name", settings.name.as_str());
    text += &line("paths", list(settings.paths.iter().map(String::as_str)));
    text += &string("upstream", &settings.upstream.to_string());
    text += &match &settings.process {
        None => string("process", "off"),
        Some(source) => line("process", super::attached::process(source)),
    };
    text += &string("version", &settings.version);
    if !schema.columns().is_empty() {
        text += &line("features", names(schema.features()));
        text += &line("outputs", names(schema.outputs()));
    }
    match &settings.reference {
        Some(reference) => {
            let path = absolute(&reference.path);
            text += &string("reference", &path.display().to_string());
            text += &line(
                "missing",
                list(reference.missing.iter().map(String::as_str)),
            );
            let columns: Vec<String> = (reference.columns.iter())
                .map(|(name, role)| format!("{} = {}", quoted(name), quoted(role)))
                .collect();
            text += &line("ordered", reference.ordered);
            text += &line("columns", format!("{{ {} }}", columns.join(", ")));
        }
        None if settings.learn_rows.is_some() => {
            let rows = settings.learn_rows.unwrap_or_default();
            text += &line("reference", format!("{{ learn_rows = {rows} }}"));
        }
        None => text += "# reference      = no drift is measured without one\n",
    }
    for (column, store) in schema.columns().iter().zip(stores) {
        let own = settings.overrides.iter().find(|o| *o.name == *column.name);
        let policy = own.map_or(config.drift.policy, |own| own.policy);
        text += "\n[[model.feature]]\n";
        text += &string("name", &column.name);
        match column.kind {
            Some(kind) => text += &string("kind", Kind::as_str(kind)),
            None => text += "# kind           = not compared: the reference does not hold it\n",
        }
        text += &string("store", store.as_str());
        text += &string("decision", policy.rule.as_str());
        text += &line("min_effect", policy.min_effect);
    }
    text
}

/// The same place from any working directory: what is printed may be read from another one.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
