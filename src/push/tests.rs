use super::event::{Change, MOST_FEATURES, TYPE, body};
use super::*;

use serde_json::{Value, json};

use crate::drift::report::{CheckReport, FeatureReport, ModelReport, SpanName, State, Test};
use crate::feature::{Kind, Role};
use crate::model::ModelName;
use crate::timestamp::Timestamp;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn feature(name: &str, level: Level) -> FeatureReport {
    let check = CheckReport {
        test: Test::Ks,
        span: SpanName::Main,
        state: State::Drifted,
        drifted: Some(level > Level::Ok),
        level,
        statistic: Some(0.25),
        p_value: Some(0.001),
        log10_p: Some(-3.0),
        decision_p: Some(f64::NAN),
        threshold: Some(0.1),
        n_reference: 150,
        n_current: 90,
        n_effective: 90.0,
        location: Some(5.4),
        sign: Some(1),
        effect: Some(0.25),
        lower_bound: None,
        error_bound: None,
        adjusted_p: None,
    };
    FeatureReport {
        name: name.into(),
        role: Role::Feature,
        kind: Some(Kind::Numeric),
        state: State::Drifted,
        drifted: Some(level > Level::Ok),
        level,
        obstacle: None,
        since: Some(NOW),
        severity: Some(2.5),
        detectable: None,
        mistyped: None,
        missing: Some(0.0),
        missing_reference: None,
        unseen: None,
        shift: None,
        calibrated: true,
        quantiles: None,
        sentence: format!("{name} has moved."),
        checks: vec![check],
        picture: None,
    }
}

pub(crate) fn report(features: Vec<FeatureReport>) -> ModelReport {
    ModelReport {
        model: ModelName::parse("iris").unwrap(),
        version: "v2".into(),
        reference: None,
        rows: 100,
        spans: Vec::new(),
        checked_at: Some(NOW),
        evaluated_at: Some(NOW),
        coverage: Some(1.0),
        calibrated: true,
        state: State::Drifted,
        drifted: Some(true),
        level: Level::Alert,
        sentence: "1 of 2 columns has <drifted> & more.".into(),
        detectable: None,
        groups: Vec::new(),
        budget: None,
        checks: Vec::new(),
        accepted: Vec::new(),
        features,
    }
}

fn said(report: &ModelReport, format: Format) -> Value {
    let change = Change {
        id: "0199",
        time: NOW,
        page: "https://driftd.example",
        from: Level::Ok,
        to: report.level,
        report,
    };
    serde_json::from_str(&body(change, format)).unwrap()
}

pub(crate) fn config(levels: &[Level]) -> Config {
    Config {
        name: "default".into(),
        endpoint: Endpoint::parse("http://localhost/").unwrap(),
        url_file: None,
        secret: SecretSource::None,
        format: Format::CloudEvents,
        levels: levels.to_vec(),
        timeout: DEFAULT_TIMEOUT,
        retry_for: DEFAULT_RETRY_FOR,
        queue: DEFAULT_QUEUE,
        ca: None,
    }
}

#[test]
fn a_change_is_a_cloud_event_with_what_drifted() {
    let report = report(vec![
        feature("petal width", Level::Alert),
        feature("calm", Level::Ok),
    ]);
    let event = said(&report, Format::CloudEvents);
    let text =
        "Model iris version v2: ok → alert (petal width). 1 of 2 columns has <drifted> & more.";
    for (pointer, value) in [
        ("/specversion", json!("1.0")),
        ("/id", json!("0199")),
        ("/source", json!("https://driftd.example")),
        ("/type", json!(TYPE)),
        ("/subject", json!("iris")),
        ("/time", json!("2023-11-14T22:13:20.000Z")),
        ("/datacontenttype", json!("application/json")),
        ("/data/from", json!("ok")),
        ("/data/to", json!("alert")),
        ("/data/state", json!("drifted")),
        ("/data/text", json!(text)),
        ("/data/url", json!("https://driftd.example/?model=iris")),
        ("/data/features_total", json!(1)),
        ("/data/features/0/name", json!("petal width")),
        ("/data/features/0/sentence", json!("petal width has moved.")),
        (
            "/data/features/0/url",
            json!("https://driftd.example/?model=iris&feature=petal%20width"),
        ),
        ("/data/features/0/checks/0/statistic", json!(0.25)),
        // What is no number is null.
        ("/data/features/0/checks/0/decision_p", json!(null)),
    ] {
        assert_eq!(event.pointer(pointer), Some(&value), "{pointer}");
    }
    assert_eq!(event.pointer("/data/features/1"), None);
}

#[test]
fn an_event_is_bounded_and_says_what_it_leaves_out() {
    let many = (0..MOST_FEATURES + 9).map(|i| feature(&format!("f{i}"), Level::Warn));
    let event = said(&report(many.collect()), Format::CloudEvents);
    assert_eq!(event["data"]["features"].as_array().unwrap().len(), 50);
    assert_eq!(event["data"]["features_total"], json!(59));
    assert!(
        event["data"]["text"]
            .as_str()
            .unwrap()
            .contains("(f0, f1, f2, f3, f4)")
    );
}

#[test]
fn slack_gets_one_line_with_a_link_and_its_signs_escaped() {
    let report = report(vec![feature("a<b", Level::Alert)]);
    let text = "Model iris version v2: ok → alert (a&lt;b). 1 of 2 columns has &lt;drifted&gt; &amp; more. \
                <https://driftd.example/?model=iris|Open in driftd>";
    assert_eq!(said(&report, Format::Slack), json!({ "text": text }));
}

#[test]
fn a_level_nobody_asked_for_counts_as_the_next_lower_one() {
    use Level::{Alert, Ok, Warn};
    let all = [Ok, Warn, Alert];
    for (levels, heard) in [
        (&[Ok, Warn, Alert][..], [Some(Ok), Some(Warn), Some(Alert)]),
        (&[Ok, Alert], [Some(Ok), Some(Ok), Some(Alert)]),
        (&[Alert], [None, None, Some(Alert)]),
        (&[Warn], [None, Some(Warn), Some(Warn)]),
    ] {
        assert_eq!(
            all.map(|level| config(levels).heard(level)),
            heard,
            "{levels:?}"
        );
    }
}

/// With the keys of RFC 4231's test cases 1 and 6, and a plain one; the content has the form the
/// specification gives it, so that the expected values are Python's.
#[test]
fn a_signature_is_hmac_sha256_of_id_time_and_body() {
    // python3: import hmac, hashlib, base64
    // base64.b64encode(hmac.new(b"\x0b" * 20, b"Hi.1700000000.There", hashlib.sha256).digest())
    let coded = "whsec_CwsLCwsLCwsLCwsLCwsLCwsLCws=";
    let signature = Secret::parse(coded)
        .unwrap()
        .sign("Hi", 1_700_000_000, b"There");
    assert_eq!(signature, "v1,SujHr0UPvl1zTU4MQOL11fp6NlQHwYoybewH34LsqPA=");
    // hmac.new(b"a secret of twenty-four!", b"0199.1.{}", hashlib.sha256), likewise
    let signature = Secret::parse(" a secret of twenty-four!\n")
        .unwrap()
        .sign("0199", 1, b"{}");
    assert_eq!(signature, "v1,7ptA9rLwQPHChftDFbYVRAidNKumu14xj0ADdJy/fnU=");
    // hmac.new(b"\xaa" * 131, b"i.0.", hashlib.sha256): a key longer than a block, as in RFC 4231's case 6
    let coded = format!("whsec_{}", "qqqq".repeat(43) + "qqo=");
    let signature = Secret::parse(&coded).unwrap().sign("i", 0, b"");
    assert_eq!(signature, "v1,jfRhRv7Gmku4l0gxG5BOx121ozT/xgM7TMQboUCAaq8=");
}

#[test]
fn what_is_no_secret_is_refused_without_being_repeated() {
    for bad in [
        "",
        "short",
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_not base64 at all!!",
        &"x".repeat(2000),
    ] {
        let said = Secret::parse(bad).unwrap_err();
        assert!(bad.len() < 8 || !said.contains(bad), "{said}");
    }
    let source = SecretSource::Given(Secret::parse("0123456789abcdef").unwrap());
    assert_eq!(format!("{source:?}"), "Given(Secret(***))");
}

#[test]
fn an_address_is_shown_without_what_may_be_secret_in_it() {
    let endpoint =
        Endpoint::parse("https://hooks.example:8443/T000/B000/s3cret?key=s3cret\n").unwrap();
    assert_eq!(endpoint.to_string(), "https://hooks.example:8443/***");
    assert_eq!(endpoint.path(), "/T000/B000/s3cret?key=s3cret");
    assert!(!format!("{:?}", config(&[Level::Alert])).contains("s3cret"));
    assert!(endpoint.has_tls());
    assert_eq!(Endpoint::parse("http://[::1]:80").unwrap().path(), "/");
    for bad in [
        "",
        "hooks.example/x",
        "ftp://hooks.example/x",
        "https://u:s3cret@h/",
        "http://",
    ] {
        let said = Endpoint::parse(bad).unwrap_err();
        assert!(!said.contains("s3cret"), "{said}");
    }
}
