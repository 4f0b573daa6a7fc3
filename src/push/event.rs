//! What a receiver is told: that the level of a model's verdict has changed, and why.
//!
//! The shape is CloudEvents 1.0 in structured content mode
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).

use std::fmt;

use serde::Serialize;

use crate::drift::report::{
    CheckReport, FeatureReport, Level, ModelReport, ReferenceInfo, SpanName, State, Test,
};
use crate::feature::Role;
use crate::timestamp::Timestamp;

use super::Format;

/// The `type` of every event.
pub const TYPE: &str = "io.driftd.verdict.changed";

/// Columns described in one event; `features_total` says how many there are.
pub const MOST_FEATURES: usize = 50;

/// Columns named in one line of text.
const MOST_NAMED: usize = 5;

/// A change of a model's level.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Unique for it, and the same however often it is sent.
    pub id: &'a str,
    /// When it was seen.
    pub time: Timestamp,
    /// Where people reach the page.
    pub page: &'a str,
    /// The level the receiver knows.
    pub from: Level,
    /// The level it knows from now on: the model's own, or the next lower one it is told of.
    pub to: Level,
    /// What holds now.
    pub report: &'a ModelReport,
}

#[derive(Serialize)]
struct Event<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    r#type: &'static str,
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    model: &'a str,
    version: &'a str,
    from: Level,
    to: Level,
    state: State,
    drifted: Option<bool>,
    text: String,
    sentence: &'a str,
    url: String,
    checked_at: Option<Timestamp>,
    evaluated_at: Option<Timestamp>,
    coverage: Option<f64>,
    rows: usize,
    reference: Option<&'a ReferenceInfo>,
    /// Tests over all columns together that say drifted.
    checks: Vec<&'a CheckReport>,
    features_total: usize,
    features: Vec<Feature<'a>>,
}

#[derive(Serialize)]
struct Feature<'a> {
    name: &'a str,
    role: Role,
    state: State,
    drifted: Option<bool>,
    level: Level,
    since: Option<Timestamp>,
    severity: Option<f64>,
    sentence: &'a str,
    url: String,
    checks: Vec<&'a CheckReport>,
}

#[derive(Serialize)]
struct Slack {
    text: String,
}

/// Text in a query: everything but unreserved characters is percent-encoded.
struct Encoded<'a>(&'a str);

/// The body of a delivery.
#[must_use]
pub fn body(change: Change<'_>, format: Format) -> String {
    let written = match format {
        Format::CloudEvents => serde_json::to_string(&event(change)),
        Format::Slack => {
            let link = link(change, None);
            let text = escaped(&text(change));
            serde_json::to_string(&Slack {
                text: format!("{text} <{link}|Open in driftd>"),
            })
        }
    };
    // Names and sentences are text, and figures that are no numbers become null.
    written.expect("strings and numbers can be written as JSON")
}

fn event(change: Change<'_>) -> Event<'_> {
    let report = change.report;
    let described = concerned(report);
    Event {
        specversion: "1.0",
        id: change.id,
        source: change.page,
        r#type: TYPE,
        subject: report.model.as_str(),
        time: change.time,
        datacontenttype: "application/json",
        data: Data {
            model: report.model.as_str(),
            version: &report.version,
            from: change.from,
            to: change.to,
            state: report.state,
            drifted: report.drifted,
            text: text(change),
            sentence: &report.sentence,
            url: link(change, None),
            checked_at: report.checked_at,
            evaluated_at: report.evaluated_at,
            coverage: report.coverage,
            rows: report.rows,
            reference: report.reference.as_ref(),
            checks: (report.checks.iter())
                .filter(|check| check.drifted == Some(true))
                .collect(),
            features_total: described.len(),
            features: (described.into_iter().take(MOST_FEATURES))
                .map(|feature| Feature::new(change, feature))
                .collect(),
        },
    }
}

/// The columns there is something to say of, most severe first.
fn concerned(report: &ModelReport) -> Vec<&FeatureReport> {
    let features = report.features.iter();
    features
        .filter(|feature| feature.drifted == Some(true) || feature.level > Level::Ok)
        .collect()
}

/// Whether it is the test of a column's distribution that decides.
fn is_main(check: &CheckReport) -> bool {
    check.span == SpanName::Main && matches!(check.test, Test::Ks | Test::Chi2)
}

/// The change in one line.
fn text(change: Change<'_>) -> String {
    let report = change.report;
    let model = report.model.as_str();
    let (from, to) = (change.from.as_str(), change.to.as_str());
    let named: Vec<&str> = (concerned(report).iter().take(MOST_NAMED))
        .map(|feature| &*feature.name)
        .collect();
    let columns = if named.is_empty() {
        String::new()
    } else {
        format!(" ({})", named.join(", "))
    };
    let version = match report.version.as_str() {
        "" => String::new(),
        version => format!(" version {version}"),
    };
    let sentence = &report.sentence;
    format!("Model {model}{version}: {from} → {to}{columns}. {sentence}")
}

/// The page's stable address of the model, or of one of its columns.
fn link(change: Change<'_>, feature: Option<&str>) -> String {
    let (page, model) = (change.page, Encoded(change.report.model.as_str()));
    match feature {
        Some(feature) => format!("{page}/?model={model}&feature={}", Encoded(feature)),
        None => format!("{page}/?model={model}"),
    }
}

/// Slack's three escapes (<https://api.slack.com/reference/surfaces/formatting#escaping>).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

// === impl Feature ===

impl<'a> Feature<'a> {
    fn new(change: Change<'_>, feature: &'a FeatureReport) -> Self {
        Self {
            name: &feature.name,
            role: feature.role,
            state: feature.state,
            drifted: feature.drifted,
            level: feature.level,
            since: feature.since,
            severity: feature.severity,
            sentence: &feature.sentence,
            url: link(change, Some(&feature.name)),
            checks: (feature.checks.iter())
                .filter(|check| check.drifted == Some(true) || is_main(check))
                .collect(),
        }
    }
}

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}
