//! Where metrics are pushed to: the environment variables of OpenTelemetry's specification
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/> and
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>). Those for metrics
//! alone come before those for every signal; one that is empty counts as not set.
//!
//! Without an endpoint nothing is exported, and the other variables are not looked at: they may be meant
//! for other programs. With one, what cannot be done as asked is a problem.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use opentelemetry::KeyValue;

use super::problem::Problem;
use super::section::Collector;
use super::webhooks;
use crate::exporter::{Config, DEFAULT_INTERVAL, DEFAULT_TIMEOUT, Header};
use crate::push::Endpoint;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";

/// What is added to the endpoint of all signals.
const METRICS_PATH: &str = "/v1/metrics";

/// What an address looks like.
const URL: &str = "write an address such as http://collector:4318";

/// Headers that every export has anyway, or that say how it is sent.
const OWN_HEADERS: [&str; 9] = [
    "host",
    "user-agent",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "te",
    "upgrade",
];

/// Range of intervals and timeouts, in milliseconds: up to a day.
const MILLISECONDS: std::ops::RangeInclusive<u64> = 100..=86_400_000;

/// The variables, and where their problems go.
struct Variables<'a> {
    set: BTreeMap<String, String>,
    problems: &'a Collector,
}

/// One that is set.
#[derive(Clone, Copy)]
struct Variable<'a> {
    name: &'static str,
    value: &'a str,
}

/// Whether an environment variable belongs to OpenTelemetry.
pub(super) fn is_of(name: &str) -> bool {
    name.starts_with("OTEL_")
}

/// Reads them. A build that exports nothing only warns where somebody asks it to.
pub(super) fn read(
    variables: Vec<(String, String)>,
    problems: &Collector,
    warnings: &mut Vec<String>,
) -> Option<Config> {
    let variables = Variables::new(variables, problems);
    if cfg!(feature = "otlp") {
        return variables.config();
    }
    let asked = variables.first([METRICS_ENDPOINT, ENDPOINT])?;
    // Where it is switched off nobody misses it; a bad switch is for a build that has one.
    let switches = Variables {
        set: variables.set.clone(),
        problems: &Collector::default(),
    };
    if switches.switched_on() {
        warnings.push(format!(
            "environment variable {}: this driftd was built without OTLP and exports nothing; build it \
             with the cargo feature \"otlp\"",
            asked.name
        ));
    }
    None
}

// === impl Variables ===

impl<'a> Variables<'a> {
    fn new(variables: Vec<(String, String)>, problems: &'a Collector) -> Self {
        let trimmed = variables
            .into_iter()
            .map(|(name, value)| (name, value.trim().to_owned()));
        Self {
            set: trimmed.filter(|(_, value)| !value.is_empty()).collect(),
            problems,
        }
    }

    fn config(&self) -> Option<Config> {
        let asked = self.first([METRICS_ENDPOINT, ENDPOINT])?;
        if !self.switched_on() {
            return None;
        }
        self.words();
        self.no_client_certificate();
        let headers = self.headers();
        let gzip = self.one_of(
            [
                "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
                "OTEL_EXPORTER_OTLP_COMPRESSION",
            ],
            &["none", "gzip"],
            "write gzip or none",
        );
        let ca = self.first([
            "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
        ]);
        let timeout = self.milliseconds([
            "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
        ]);
        let interval = self.milliseconds(["OTEL_METRIC_EXPORT_INTERVAL"]);
        let resource = self.resource();
        Some(Config {
            endpoint: self.endpoint(asked)?,
            headers,
            gzip: gzip == Some("gzip"),
            ca: ca.map(|variable| variable.value.into()),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            interval: interval.unwrap_or(DEFAULT_INTERVAL),
            resource,
        })
    }

    /// The first of them that is set.
    fn first<const N: usize>(&self, names: [&'static str; N]) -> Option<Variable<'_>> {
        names.into_iter().find_map(|name| {
            let value = self.set.get(name)?;
            Some(Variable { name, value })
        })
    }

    /// Notes what is wrong; `shown`: what may be shown of the value.
    fn problem(&self, name: &str, shown: Option<&str>, message: String) {
        self.problems.push(Problem {
            origin: "environment".to_owned(),
            key: name.to_owned(),
            value: shown.map(|value| format!("{value:?}")),
            message,
        });
    }

    /// Unless `OTEL_SDK_DISABLED` or `OTEL_METRICS_EXPORTER` say otherwise.
    fn switched_on(&self) -> bool {
        let names = ["OTEL_SDK_DISABLED"];
        let disabled = self.one_of(names, &["false", "true"], "write true or false");
        if disabled == Some("true") {
            return false;
        }
        let Some(Variable { name, value }) = self.first(["OTEL_METRICS_EXPORTER"]) else {
            return true;
        };
        let mut on = false;
        for word in value.split(',').map(str::trim) {
            match word {
                "otlp" => on = true,
                // The page is served in any case.
                "none" | "prometheus" => {}
                _ => {
                    let message = format!("no exporter {word:?}; write otlp, prometheus or none");
                    self.problem(name, Some(value), message);
                }
            }
        }
        on
    }

    /// Variables with only one value that can be done.
    fn words(&self) {
        self.one_of(
            ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
            &["http/protobuf"],
            "write http/protobuf, with the receiver's port for HTTP (4318 unless chosen otherwise), \
             or set OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf beside it",
        );
        self.one_of(
            ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"],
            &["cumulative"],
            "write cumulative, or leave it out: driftd's counters count from its start",
        );
    }

    /// What is not done: a receiver that asks for a certificate would refuse every export.
    fn no_client_certificate(&self) {
        for name in [
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        ] {
            if let Some(Variable { name, value }) = self.first([name]) {
                let message = "driftd shows no certificate of its own; leave it out, and let the \
                               receiver know driftd by a header (OTEL_EXPORTER_OTLP_METRICS_HEADERS)";
                self.problem(name, Some(value), message.to_owned());
            }
        }
    }

    /// The word given, in lower case, if it is one of these.
    fn one_of<const N: usize>(
        &self,
        names: [&'static str; N],
        words: &[&'static str],
        right: &str,
    ) -> Option<&'static str> {
        let Variable { name, value } = self.first(names)?;
        let found = words.iter().find(|word| value.eq_ignore_ascii_case(word));
        if found.is_none() {
            self.problem(name, Some(value), right.to_owned());
        }
        found.copied()
    }

    fn milliseconds<const N: usize>(&self, names: [&'static str; N]) -> Option<Duration> {
        let Variable { name, value } = self.first(names)?;
        match value.parse() {
            Ok(count) if MILLISECONDS.contains(&count) => Some(Duration::from_millis(count)),
            _ => {
                let (least, most) = (MILLISECONDS.start(), MILLISECONDS.end());
                let message = format!("write milliseconds, from {least} to {most}");
                self.problem(name, Some(value), message);
                None
            }
        }
    }

    /// No problem repeats the address: it may be all a receiver asks for.
    fn endpoint(&self, Variable { name, value }: Variable<'_>) -> Option<Endpoint> {
        let read = if name == METRICS_ENDPOINT {
            webhooks::endpoint(value)
        } else if value.contains(['?', '#']) {
            let message = format!("{METRICS_PATH} cannot be added behind a ? or #");
            Err(format!(
                "{message}; set {METRICS_ENDPOINT}, which is taken as it is"
            ))
        } else {
            webhooks::endpoint(&format!("{}{METRICS_PATH}", value.trim_end_matches('/')))
        };
        let refuse = |why| self.problem(name, None, format!("{why}; {URL}"));
        read.map_err(refuse).ok()
    }

    /// No problem repeats a value: it may be a secret.
    fn headers(&self) -> Vec<Header> {
        let names = [
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ];
        let Some(Variable { name, value }) = self.first(names) else {
            return Vec::new();
        };
        let header = |pair: Result<Header, String>| {
            let pair = pair?;
            let header: HeaderName = pair.name.parse().map_err(|_| {
                "its name is no header's; write letters, digits and - in front of =".to_owned()
            })?;
            if OWN_HEADERS.contains(&header.as_str()) {
                return Err(format!("{header} is set by driftd itself; leave it out"));
            }
            if HeaderValue::from_str(&pair.value).is_err() {
                return Err(format!(
                    "the value of {header} has characters no header may have"
                ));
            }
            Ok(pair)
        };
        let mut headers = Vec::new();
        for (number, pair) in (1..).zip(pairs(value)) {
            match header(pair) {
                Ok(pair) => headers.push(pair),
                Err(why) => self.problem(name, None, format!("entry {number}: {why}")),
            }
        }
        headers
    }

    /// What is given, and in any case a name and a version.
    fn resource(&self) -> Vec<KeyValue> {
        let mut resource = BTreeMap::from([
            ("service.name".to_owned(), "driftd".to_owned()),
            (
                "service.version".to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
        ]);
        if let Some(Variable { name, value }) = self.first(["OTEL_RESOURCE_ATTRIBUTES"]) {
            for (number, pair) in (1..).zip(pairs(value)) {
                match pair {
                    Ok(Header { name, value }) => {
                        resource.insert(name, value);
                    }
                    Err(why) => {
                        self.problem(name, Some(value), format!("entry {number}: {why}"));
                    }
                }
            }
        }
        if let Some(service) = self.first(["OTEL_SERVICE_NAME"]) {
            resource.insert("service.name".to_owned(), service.value.to_owned());
        }
        (resource.into_iter())
            .map(|(key, value)| KeyValue::new(key, value))
            .collect()
    }
}

/// The entries of `key=value,key=value`, percent-decoded; nothing between two commas is no entry.
fn pairs(text: &str) -> impl Iterator<Item = Result<Header, String>> {
    let entries = text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries.map(|entry| {
        let (name, value) = entry
            .split_once('=')
            .ok_or("it has no =; write key=value")?;
        let bad = || "a % without two hexadecimal digits, or no UTF-8; write % as %25".to_owned();
        let name = decoded(name.trim()).ok_or_else(bad)?;
        let value = decoded(value.trim()).ok_or_else(bad)?;
        if name.is_empty() {
            return Err("nothing stands in front of =; write key=value".to_owned());
        }
        Ok(Header { name, value })
    })
}

/// Percent-decoded text (RFC 3986, section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
