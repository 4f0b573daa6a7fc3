//! What it costs to count a request, and to show what was counted.

use std::fmt::Write as _;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use driftd::drift::report::{
    CheckReport, FeatureReport, Level, ModelReport, QuantilePair, Quantiles, ReferenceInfo, Report,
    SpanName, State, Test,
};
use driftd::feature::{Kind, Role};
use driftd::metrics::tap::TapCounters;
use driftd::metrics::traffic::{Observation, Shard, Traffic};
use driftd::metrics::{Gauges, Metrics, ModelGauges, Sources};
use driftd::model::ModelName;
use driftd::timestamp::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::Findings;
use crate::median::Median;
use crate::settings::Settings;

/// Requests recorded in a round.
const REQUESTS: u32 = 1_000_000;

/// Series a scrape has at least.
const SERIES: usize = 2_000;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) fn measure(settings: &Settings) -> Findings {
    let mut found = Findings {
        text: "| | |\n|---|---|\n".to_owned(),
        missed: Vec::new(),
    };
    let traffic = Traffic::new(vec![name()]);
    let mut each = [Vec::new(), Vec::new()];
    for _ in 0..settings.rounds {
        for (threads, rounds) in (1..).zip(&mut each) {
            rounds.push(record(&traffic, threads));
        }
    }
    for (words, rounds) in ["one thread", "two threads at once"].iter().zip(each) {
        let median = Median::of(rounds);
        let _ = writeln!(
            found.text,
            "| recording a request, {words} | {median:.0} ns |"
        );
        found.demand(
            &format!("ns to record a request, {words}"),
            median,
            100.0,
            false,
        );
    }
    let metrics = metrics(traffic);
    let mut times = Vec::new();
    let (mut series, mut bytes) = (0, 0);
    for _ in 0..20 * settings.rounds {
        let before = on_core();
        let Ok(text) = metrics.render() else {
            found
                .missed
                .push("the metrics cannot be rendered".to_owned());
            return found;
        };
        times.push(on_core().saturating_sub(before).as_secs_f64() * 1e3);
        series = text.lines().filter(|line| !line.starts_with('#')).count();
        bytes = text.len();
    }
    let median = Median::of(times);
    let _ = writeln!(
        found.text,
        "| a scrape of {series} series, {} kB | {median:.2} ms |",
        bytes / 1000
    );
    found.demand("ms for a scrape", median, 5.0, false);
    if series < SERIES {
        found
            .missed
            .push(format!("the scrape had {series} series, not {SERIES}"));
    }
    found
}

/// Nanoseconds a request, of the slowest thread; each has a shard of its own, as
/// serving threads have.
fn record(traffic: &Arc<Traffic>, threads: usize) -> f64 {
    let shards: Vec<_> = (0..threads).map(|_| traffic.shard()).collect();
    let start = Barrier::new(threads);
    let slowest = std::thread::scope(|scope| {
        let running: Vec<_> = shards
            .iter()
            .map(|shard| {
                scope.spawn(|| {
                    start.wait();
                    recorded(shard)
                })
            })
            .collect();
        let times = running.into_iter().filter_map(|thread| thread.join().ok());
        times.max().unwrap_or_default()
    });
    slowest.as_nanos() as f64 / f64::from(REQUESTS)
}

/// Processor time this thread takes for them all: others may be given the core in between.
fn recorded(shard: &Shard) -> Duration {
    // The proxy knows when a response ended: it has just measured how long it took.
    let begun = Instant::now();
    let before = on_core();
    for number in 0..REQUESTS {
        // From .2 ms to 13 ms, so that the histograms' buckets vary.
        let upstream = Duration::from_micros(200 + u64::from(number.wrapping_mul(40_503) % 12_800));
        shard.started(Some(0));
        shard.finished(&Observation {
            model: Some(0),
            route: "/predict",
            method: "POST",
            status: 200,
            error: None,
            ended: begun + Duration::from_micros(u64::from(number)),
            total: upstream + Duration::from_micros(30),
            upstream: Some(upstream),
        });
    }
    on_core().saturating_sub(before)
}

/// The processor time this thread has had, up to now: `/proc` knows it up to the last tick.
fn on_core() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// A process with a model of so many columns that a scrape has [`SERIES`].
fn metrics(traffic: Arc<Traffic>) -> Metrics {
    let features = (0..SERIES / 30).map(|index| feature(&format!("f{index}")));
    let report = Report {
        models: vec![model(features.collect())],
    };
    let gauges = Gauges {
        tap_queue_bytes: 7,
        window_bytes: Some(4096),
        recording: true,
        recording_restarts: 0,
        check_defects: 0,
        check_interval: Duration::from_secs(60),
        false_alarms_per_day: Some(0.1),
        page: "http://127.0.0.1:9464".to_owned(),
        webhooks: Vec::new(),
        models: vec![ModelGauges {
            window_rows: Some(42),
            window_newest_row: Some(NOW),
            upstream_up: Some(true),
            check_duration: Some(Duration::from_millis(250)),
            reload_failures: 0,
            process: None,
        }],
    };
    let metrics = Metrics::new(Sources {
        traffic,
        tap: Arc::new(TapCounters::new(1)),
        report: Arc::new(ArcSwap::from_pointee(report)),
        lives: Arc::default(),
        models: vec![name()],
        gauges: Arc::new(move || gauges.clone()),
    });
    metrics.expect("the catalogue does not contradict itself")
}

fn name() -> ModelName {
    ModelName::parse("bench").expect("letters only")
}

fn model(features: Vec<FeatureReport>) -> ModelReport {
    ModelReport {
        model: name(),
        version: "2026-11".to_owned(),
        reference: Some(ReferenceInfo {
            hash: "00ff".to_owned(),
            rows: 10_000,
            loaded_at: NOW,
        }),
        rows: 10_000,
        spans: vec![(SpanName::Main, 10_000), (SpanName::Fast, 1_000)],
        checked_at: Some(NOW),
        evaluated_at: Some(NOW),
        coverage: Some(1.0),
        calibrated: true,
        state: State::Ok,
        drifted: Some(false),
        level: Level::Ok,
        sentence: String::new(),
        detectable: None,
        groups: Vec::new(),
        budget: None,
        checks: Vec::new(),
        accepted: Vec::new(),
        features,
    }
}

fn feature(name: &str) -> FeatureReport {
    let side = |p50| Quantiles {
        p05: 3.355_146,
        p25: 4.325_510,
        p50,
        p75: 5.674_490,
        p95: 6.644_854,
    };
    FeatureReport {
        name: name.into(),
        role: Role::Feature,
        kind: Some(Kind::Numeric),
        state: State::Ok,
        drifted: Some(false),
        level: Level::Ok,
        since: None,
        severity: Some(0.5),
        obstacle: None,
        detectable: None,
        missing_reference: None,
        mistyped: None,
        missing: Some(0.0),
        unseen: Some(0.0),
        shift: None,
        calibrated: true,
        quantiles: Some(QuantilePair {
            reference: side(5.0),
            current: side(5.012_345),
        }),
        sentence: String::new(),
        checks: vec![check(SpanName::Main), check(SpanName::Fast)],
        picture: None,
    }
}

fn check(span: SpanName) -> CheckReport {
    CheckReport {
        test: Test::Ks,
        span,
        state: State::Ok,
        drifted: Some(false),
        level: Level::Ok,
        statistic: Some(0.012_345_678),
        p_value: Some(0.523_456_789),
        log10_p: Some(-0.281),
        decision_p: Some(0.523_456_789),
        threshold: Some(0.101_234_567),
        n_reference: 10_000,
        n_current: 10_000,
        n_effective: 10_000.0,
        location: Some(5.4),
        sign: Some(1),
        effect: Some(0.012_345_678),
        lower_bound: None,
        error_bound: None,
        adjusted_p: None,
    }
}
