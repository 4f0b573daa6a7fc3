use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::drift::accept::{Acceptance, Terms};
use crate::drift::report::{
    CheckReport, FeatureReport, Level, ModelReport, QuantilePair, Quantiles, ReferenceInfo,
    SpanName, State, Test,
};
use crate::exchange::{DropReason, Outcome};
use crate::feature::{Kind, Role};
use crate::timestamp::Timestamp;

use super::catalogue::SeriesKind;
use super::connection::{Direction, Limit};
use super::process::{ProcessSnapshot, Visibility};
use super::traffic::Observation;
use super::webhook::WebhookSnapshot;
use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn check(span: SpanName) -> CheckReport {
    CheckReport {
        test: Test::Ks,
        span,
        state: State::Drifted,
        drifted: Some(true),
        level: Level::Alert,
        statistic: Some(0.25),
        p_value: Some(0.001),
        log10_p: Some(-3.0),
        decision_p: Some(0.001),
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
    }
}

fn feature(name: &str) -> FeatureReport {
    let side = |p50| Quantiles {
        p05: 1.0,
        p25: 2.0,
        p50,
        p75: 6.0,
        p95: 7.0,
    };
    FeatureReport {
        name: name.into(),
        role: Role::Feature,
        kind: Some(Kind::Numeric),
        state: State::Drifted,
        drifted: Some(true),
        level: Level::Alert,
        obstacle: None,
        since: Some(NOW),
        severity: Some(2.5),
        detectable: None,
        missing_reference: None,
        mistyped: None,
        missing: Some(0.0),
        unseen: Some(0.125),
        shift: None,
        calibrated: true,
        quantiles: Some(QuantilePair {
            reference: side(4.0),
            current: side(5.0),
        }),
        sentence: String::new(),
        checks: vec![check(SpanName::Main), check(SpanName::Fast)],
        picture: None,
    }
}

fn unknown(name: &str) -> FeatureReport {
    FeatureReport {
        state: State::Insufficient,
        level: Level::Ok,
        drifted: None,
        obstacle: None,
        since: None,
        mistyped: None,
        missing: None,
        unseen: Some(f64::NAN),
        shift: None,
        calibrated: true,
        quantiles: None,
        checks: vec![CheckReport {
            drifted: None,
            statistic: Some(f64::NAN),
            p_value: None,
            threshold: Some(f64::INFINITY),
            effect: None,
            ..check(SpanName::Main)
        }],
        ..feature(name)
    }
}

fn acceptance(feature: &str) -> Acceptance {
    let terms = Terms {
        by: String::new(),
        reason: String::new(),
        length: Duration::from_secs(60),
    };
    Acceptance::new(feature.to_owned(), Test::Ks, 0.25, &terms, NOW)
}

pub(super) fn model(features: Vec<FeatureReport>) -> ModelReport {
    ModelReport {
        model: ModelName::parse("iris").unwrap(),
        version: "2026-11".into(),
        reference: Some(ReferenceInfo {
            hash: "00ff".into(),
            rows: 150,
            loaded_at: NOW,
        }),
        rows: 100,
        spans: vec![
            (crate::drift::report::SpanName::Main, 100),
            (crate::drift::report::SpanName::Fast, 90),
        ],
        checked_at: Some(NOW),
        evaluated_at: Some(NOW),
        coverage: Some(0.5),
        calibrated: true,
        state: State::Drifted,
        drifted: Some(true),
        level: Level::Alert,
        sentence: String::new(),
        detectable: None,
        groups: Vec::new(),
        budget: None,
        checks: Vec::new(),
        accepted: vec![acceptance("sepal")],
        features,
    }
}

/// A process that has seen everything, or one that has just started.
fn metrics(report: Report, busy: bool) -> Metrics {
    let models = vec![ModelName::parse("iris").unwrap()];
    let traffic = Traffic::new(models.clone());
    let tap = Arc::new(TapCounters::new(1));
    let mut gauges = Gauges {
        models: vec![ModelGauges::default()],
        ..Gauges::default()
    };
    if busy {
        let observation = Observation {
            model: Some(0),
            route: "/predict",
            method: "POST",
            status: 503,
            error: None,
            ended: Instant::now(),
            total: Duration::from_millis(20),
            upstream: Some(Duration::from_millis(16)),
        };
        for shard in [traffic.shard(), traffic.shard()] {
            shard.started(Some(0));
            shard.finished(&observation);
            let connections = shard.connections();
            connections.limited(Limit::MaxHead);
            connections.malformed();
            connections.tls_failed();
            connections.tunnel_opened();
            connections.tunnelled(Direction::Request, 10);
        }
        // On another thread than it opened on.
        traffic.shard().connections().tunnel_closed();
        tap.offered(0);
        tap.offered(0);
        tap.outcome(0, Outcome::Captured, 1);
        tap.dropped(0, DropReason::QueueFull, 1);
        gauges = Gauges {
            tap_queue_bytes: 7,
            recording: true,
            recording_restarts: 0,
            check_defects: 3,
            check_interval: Duration::from_secs(60),
            false_alarms_per_day: Some(0.5),
            page: "https://driftd.example".to_owned(),
            webhooks: vec![WebhookSnapshot {
                receiver: "slack".to_owned(),
                outcomes: [3, 0, 0, 1, 0],
                retries: 12,
                waiting: 2,
            }],
            window_bytes: Some(4096),
            models: vec![ModelGauges {
                window_rows: Some(42),
                window_newest_row: Some(NOW),
                upstream_up: Some(false),
                reload_failures: 3,
                check_duration: Some(Duration::from_millis(250)),
                process: Some(ProcessSnapshot {
                    visible: Visibility::Ok,
                    count: Some(3),
                    cpu_seconds: Some(12.25),
                    resident_bytes: Some(1 << 30),
                    open_fds: Some(40),
                    max_fds: Some(1024),
                    start_time: Some(1_700_000_000.5),
                    restarts: 1,
                    worker_restarts: 4,
                }),
            }],
        };
    }
    let report = Arc::new(ArcSwap::from_pointee(report));
    let lives = OnceLock::new();
    if busy {
        lives.set(super::values::tests::lives()).unwrap();
    }
    let lives = Arc::new(lives);
    let gauges = Arc::new(move || gauges.clone());
    Metrics::new(Sources {
        traffic,
        tap,
        report,
        lives,
        models,
        gauges,
    })
    .unwrap()
}

#[test]
fn what_befalls_connections_is_summed_over_threads() {
    let text = busy();
    for line in [
        "driftd_proxy_limit_total{limit=\"max_head\"} 2",
        "driftd_proxy_limit_total{limit=\"write_timeout\"} 0",
        "driftd_proxy_limit_total{limit=\"tunnel_timeout\"} 0",
        "driftd_proxy_malformed_total 2",
        "driftd_proxy_tls_handshake_failures_total 2",
        "driftd_proxy_tunnels 1",
        "driftd_proxy_tunnel_bytes_total{direction=\"request\"} 20",
        "driftd_proxy_tunnel_bytes_total{direction=\"response\"} 0",
    ] {
        assert_line(&text, line);
    }
}

fn busy() -> String {
    let report = Report {
        models: vec![model(vec![feature("sepal"), unknown("petal")])],
    };
    metrics(report, true).render().unwrap()
}

#[track_caller]
fn assert_line(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "no {line}\nin\n{text}");
}

#[test]
fn the_catalogue_is_what_is_exposed() {
    let text = busy();
    let typed: BTreeSet<&str> = (text.lines())
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let listed: BTreeSet<&str> = catalogue::ALL.iter().map(|series| series.name).collect();
    assert_eq!(typed, listed);
    assert_eq!(listed.len(), catalogue::ALL.len(), "a name stands twice");
    for series in catalogue::ALL {
        assert_line(&text, &format!("# HELP {} {}", series.name, series.help));
        assert_eq!(
            series.kind == SeriesKind::Counter,
            series.name.ends_with("_total")
        );
        let samples = (text.lines()).filter(|line| line.starts_with(series.name));
        for sample in samples
            .filter(|line| !line[series.name.len()..].starts_with(|c: char| c.is_alphanumeric()))
        {
            for label in series.labels {
                assert!(
                    sample.contains(&format!("{label}=\"")),
                    "{label} in {sample}"
                );
            }
        }
    }
}

#[test]
fn exposes_the_figures() {
    let text = busy();
    for line in [
        r#"http_server_request_duration_seconds_bucket{model="iris",http_route="/predict",http_request_method="POST",http_response_status_code="503",error_type="503",le="0.025"} 2"#,
        r#"http_server_request_duration_seconds_sum{model="iris",http_route="/predict",http_request_method="POST",http_response_status_code="503",error_type="503"} 0.04"#,
        r#"http_client_request_duration_seconds_count{model="iris",http_route="/predict",http_request_method="POST",http_response_status_code="503",error_type="503"} 2"#,
        r#"http_server_active_requests{model="iris"} 0"#,
        r#"driftd_request_latency_seconds_count{model="iris",leg="overhead"} 2"#,
        r#"driftd_upstream_up{model="iris"} 0"#,
        r#"driftd_tap_offered_total{model="iris"} 2"#,
        r#"driftd_tap_exchanges_total{model="iris",outcome="captured"} 1"#,
        r#"driftd_tap_exchanges_total{model="iris",outcome="excluded"} 0"#,
        r#"driftd_tap_dropped_total{model="iris",reason="queue_full"} 1"#,
        r#"driftd_tap_in_flight{model="iris"} 0"#,
        "driftd_tap_queue_bytes 7",
        "driftd_tap_recording 1",
        "driftd_tap_restarts_total 0",
        "driftd_drift_check_defects_total 3",
        "driftd_window_bytes 4096",
        r#"driftd_window_rows{model="iris"} 42"#,
        r#"driftd_window_newest_row_timestamp_seconds{model="iris"} 1700000000"#,
        r#"driftd_model_info{model="iris",reference_hash="00ff",version="2026-11"} 1"#,
        r#"driftd_model_drift_level{model="iris"} 2"#,
        r#"driftd_coverage_ratio{model="iris"} 0.5"#,
        r#"driftd_current_rows{model="iris",span="main"} 100"#,
        r#"driftd_current_rows{model="iris",span="fast"} 90"#,
        r#"driftd_drift_check_duration_seconds{model="iris"} 0.25"#,
        "driftd_drift_check_interval_seconds 60",
        "driftd_drift_false_alarms_per_day 0.5",
        r#"driftd_page_info{url="https://driftd.example"} 1"#,
        r#"driftd_reference_reload_failures_total{model="iris"} 3"#,
        r#"driftd_drift_statistic{model="iris",version="2026-11",feature="sepal",role="feature",test="ks",span="main"} 0.25"#,
        r#"driftd_drift_effect{model="iris",version="2026-11",feature="sepal",role="feature",test="ks",span="main"} 0.25"#,
        r#"driftd_drift_detected{model="iris",version="2026-11",feature="sepal",role="feature",test="ks",span="fast"} 1"#,
        r#"driftd_drift_since_timestamp_seconds{model="iris",version="2026-11",feature="sepal",role="feature"} 1700000000"#,
        r#"driftd_feature_quantile{model="iris",version="2026-11",feature="sepal",role="feature",side="current",quantile="0.5"} 5"#,
        r#"driftd_drift_accepted{model="iris",version="2026-11",feature="sepal",role="feature"} 1"#,
        r#"driftd_drift_level{model="iris",version="2026-11",feature="sepal",role="feature"} 2"#,
        r#"driftd_drift_level{model="iris",version="2026-11",feature="petal",role="feature"} 0"#,
        r#"driftd_webhook_deliveries_total{outcome="delivered",receiver="slack"} 3"#,
        r#"driftd_webhook_deliveries_total{outcome="expired",receiver="slack"} 1"#,
        r#"driftd_webhook_deliveries_total{outcome="gone",receiver="slack"} 0"#,
        r#"driftd_webhook_retries_total{receiver="slack"} 12"#,
        r#"driftd_webhook_queue{receiver="slack"} 2"#,
        r#"driftd_upstream_process_visible{model="iris",reason="ok"} 1"#,
        r#"driftd_upstream_process_cpu_seconds_total{model="iris"} 12.25"#,
        r#"driftd_upstream_process_resident_memory_bytes{model="iris"} 1073741824"#,
        r#"driftd_upstream_process_start_time_seconds{model="iris"} 1700000000.5"#,
        r#"driftd_upstream_process_restarts_total{model="iris",process="worker"} 4"#,
        r#"driftd_drift_accepted{model="iris",version="2026-11",feature="petal",role="feature"} 0"#,
        r#"target_info{service_name="driftd",service_version="0.1.0"} 1"#,
    ] {
        assert_line(&text, line);
    }
}

#[test]
fn what_does_not_exist_is_absent() {
    let text = busy();
    let petal: Vec<&str> = text.lines().filter(|line| line.contains("petal")).collect();
    // Its twelve states, its level, that nothing of it is accepted, and nothing else.
    assert_eq!(petal.len(), State::ALL.len() + 2, "{petal:#?}");
    let always = [
        "driftd_drift_state{",
        "driftd_drift_level{",
        "driftd_drift_accepted{",
    ];
    assert!(
        petal
            .iter()
            .all(|line| always.iter().any(|name| line.starts_with(name)))
    );
    let ones: Vec<_> = petal.iter().filter(|line| line.ends_with(" 1")).collect();
    assert_eq!(ones.len(), 1);
    assert!(ones[0].contains(r#"state="insufficient""#));

    let fresh = metrics(Report::default(), false).render().unwrap();
    assert_line(&fresh, r#"driftd_tap_offered_total{model="iris"} 0"#);
    for absent in [
        "driftd_upstream_up",
        "driftd_upstream_process",
        "driftd_webhook",
        "driftd_window_rows",
        "driftd_drift_state",
        "driftd_drift_level",
        "driftd_drift_last",
        "driftd_drift_check_duration",
        "driftd_model_",
        "http_server_request",
    ] {
        assert!(!fresh.contains(absent), "{absent} in\n{fresh}");
    }
    for text in [text, fresh] {
        assert!(
            text.lines()
                .all(|line| !line.ends_with("NaN") && !line.ends_with("inf"))
        );
    }
}

#[test]
fn a_series_goes_with_its_feature() {
    let with = |names: &[&str]| {
        let features = names.iter().map(|name| feature(name)).collect();
        Report {
            models: vec![model(features)],
        }
    };
    let metrics = metrics(with(&["a", "b"]), true);
    assert!(metrics.render().unwrap().contains(r#"feature="b""#));
    metrics.sources.report.store(Arc::new(with(&["a"])));
    assert!(!metrics.render().unwrap().contains(r#"feature="b""#));
}

#[test]
fn strange_names_are_escaped() {
    let mut report = model(vec![feature("a\"b\\c\nd 😀{}")]);
    report.version = "v\"1\n".into();
    let text = metrics(
        Report {
            models: vec![report],
        },
        true,
    )
    .render()
    .unwrap();
    let name = r#"feature="a\"b\\c\nd 😀{}""#;
    assert_line(
        &text,
        &format!(
            r#"driftd_drift_p_value{{model="iris",version="v\"1\n",{name},role="feature",test="ks",span="main"}} 0.001"#
        ),
    );
    assert!(
        text.contains(
            r#"driftd_model_info{model="iris",reference_hash="00ff",version="v\"1\n"} 1"#
        )
    );
    lint(&text);
}

#[test]
fn promtool_has_nothing_to_say() {
    lint(&busy());
}

/// Runs `promtool check metrics`, where it is installed.
#[track_caller]
fn lint(text: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("promtool is not installed: exposition not linted");
        return;
    };
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{text}");
    assert_eq!(said, "");
}
