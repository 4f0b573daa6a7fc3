//! The scalars: OpenTelemetry observable instruments over one snapshot per scrape, so that figures
//! of one scrape agree with each other.
//!
//! Invariant: callbacks only read the snapshot. One that panicked would poison OpenTelemetry's
//! pipeline and leave every later scrape empty.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use crate::drift::Report;
use crate::drift::report::ModelReport;
use crate::exchange::{DropReason, Outcome};
use crate::model::ModelName;
use crate::timestamp::Timestamp;

use super::catalogue::{self, Series, SeriesKind};
use super::connection::{ConnectionTotals, Direction, Limit};
use super::process::{ProcessSnapshot, Visibility};
use super::tap::TapSnapshot;
use super::webhook::{Delivery, WebhookSnapshot};

/// Figures the application gathers from the modules that own them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gauges {
    /// Bytes waiting between the proxy and the window.
    pub tap_queue_bytes: u64,
    /// Size of the window on disk; `None` where it cannot be told.
    pub window_bytes: Option<u64>,
    /// Whether what is tapped reaches the window.
    pub recording: bool,
    /// How often recording was begun anew after a defect.
    pub recording_restarts: u64,
    /// How often a check, or a command to the monitor, was ended by a defect.
    pub check_defects: u64,
    /// Time between two checks.
    pub check_interval: Duration,
    /// False alarms this process allows itself a day; `None` where nothing is checked.
    pub false_alarms_per_day: Option<f64>,
    /// Where people reach the page.
    pub page: String,
    /// One entry per receiver of webhooks.
    pub webhooks: Vec<WebhookSnapshot>,
    /// One entry per model, in the configuration's order.
    pub models: Vec<ModelGauges>,
}

/// Figures of one model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelGauges {
    /// Rows the window holds; `None` where it cannot be told.
    pub window_rows: Option<u64>,
    /// When the newest row was served; `None` while there is none.
    pub window_newest_row: Option<Timestamp>,
    /// Whether the upstream answered when last tried; `None` before the first try.
    pub upstream_up: Option<bool>,
    /// How long the last check took; `None` before the first.
    pub check_duration: Option<Duration>,
    /// Reloads of the reference that failed.
    pub reload_failures: u64,
    /// The model server's own resources; `None` where it is not looked at.
    pub process: Option<ProcessSnapshot>,
}

/// Everything the scalars are read from, as it was when the scrape began.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) gauges: Gauges,
    /// One entry per model: its tap counters.
    pub(super) tap: Vec<TapSnapshot>,
    /// Requests under way, with the model's name (empty: of no model).
    pub(super) active: Vec<(String, u64)>,
    pub(super) connections: ConnectionTotals,
    pub(super) report: Arc<Report>,
}

/// Takes a sample: its labels and its value.
type Observer<'a> = &'a dyn Fn(&[KeyValue], f64);

/// Gives every sample of one series.
type Observe = fn(&Snapshot, &[ModelName], Observer<'_>);

/// Every scalar with the way it is read.
const SCALARS: &[(Series, Observe)] = &[
    (
        catalogue::HTTP_SERVER_ACTIVE_REQUESTS,
        |snapshot, _, observe| {
            for (model, active) in &snapshot.active {
                observe(&[KeyValue::new("model", model.clone())], *active as f64);
            }
        },
    ),
    (catalogue::UPSTREAM_UP, |snapshot, models, observe| {
        per_model(snapshot, models, observe, |model| {
            model.upstream_up.map(flag)
        });
    }),
    (catalogue::PROCESS_VISIBLE, |snapshot, models, observe| {
        for (model, process) in processes(snapshot, models) {
            let reason = KeyValue::new("reason", process.visible.as_str());
            let visible = flag(process.visible == Visibility::Ok);
            observe(&[label(model), reason], visible);
        }
    }),
    (catalogue::PROCESS_COUNT, |snapshot, models, observe| {
        per_process(snapshot, models, observe, |process| whole(process.count));
    }),
    (
        catalogue::PROCESS_CPU_SECONDS,
        |snapshot, models, observe| {
            per_process(snapshot, models, observe, |process| process.cpu_seconds);
        },
    ),
    (
        catalogue::PROCESS_RESIDENT_MEMORY,
        |snapshot, models, observe| {
            per_process(snapshot, models, observe, |process| {
                whole(process.resident_bytes)
            });
        },
    ),
    (catalogue::PROCESS_OPEN_FDS, |snapshot, models, observe| {
        per_process(snapshot, models, observe, |process| whole(process.open_fds));
    }),
    (catalogue::PROCESS_MAX_FDS, |snapshot, models, observe| {
        per_process(snapshot, models, observe, |process| whole(process.max_fds));
    }),
    (
        catalogue::PROCESS_START_TIME,
        |snapshot, models, observe| {
            per_process(snapshot, models, observe, |process| process.start_time);
        },
    ),
    (catalogue::PROCESS_RESTARTS, |snapshot, models, observe| {
        for (model, process) in processes(snapshot, models) {
            let counts = [
                ("main", process.restarts),
                ("worker", process.worker_restarts),
            ];
            for (which, count) in counts {
                let labels = [label(model), KeyValue::new("process", which)];
                observe(&labels, count as f64);
            }
        }
    }),
    (catalogue::PROXY_LIMIT, |snapshot, _, observe| {
        for (limit, count) in Limit::ALL.iter().zip(snapshot.connections.limits) {
            observe(&[KeyValue::new("limit", limit.as_str())], count as f64);
        }
    }),
    (catalogue::PROXY_MALFORMED, |snapshot, _, observe| {
        observe(&[], snapshot.connections.malformed as f64);
    }),
    (catalogue::PROXY_TLS_FAILURES, |snapshot, _, observe| {
        observe(&[], snapshot.connections.tls_failed as f64);
    }),
    (catalogue::PROXY_TUNNELS, |snapshot, _, observe| {
        observe(&[], snapshot.connections.tunnels as f64);
    }),
    (catalogue::PROXY_TUNNEL_BYTES, |snapshot, _, observe| {
        let bytes = snapshot.connections.tunnel_bytes;
        for (direction, bytes) in Direction::ALL.iter().zip(bytes) {
            let labels = [KeyValue::new("direction", direction.as_str())];
            observe(&labels, bytes as f64);
        }
    }),
    (catalogue::TAP_OFFERED, |snapshot, models, observe| {
        per_tap(snapshot, models, observe, |tap| tap.offered);
    }),
    (catalogue::TAP_EXCHANGES, |snapshot, models, observe| {
        for (model, tap) in models.iter().zip(&snapshot.tap) {
            for outcome in Outcome::ALL {
                let labels = [label(model), KeyValue::new("outcome", outcome.as_str())];
                observe(&labels, tap.of(outcome) as f64);
            }
        }
    }),
    (catalogue::TAP_DROPPED, |snapshot, models, observe| {
        for (model, tap) in models.iter().zip(&snapshot.tap) {
            for reason in DropReason::ALL {
                let labels = [label(model), KeyValue::new("reason", reason.as_str())];
                observe(&labels, tap.lost_to(reason) as f64);
            }
        }
    }),
    (catalogue::TAP_TRUNCATED, |snapshot, models, observe| {
        per_tap(snapshot, models, observe, |tap| tap.truncated);
    }),
    (catalogue::TAP_IN_FLIGHT, |snapshot, models, observe| {
        per_tap(snapshot, models, observe, |tap| tap.in_flight);
    }),
    (catalogue::TAP_QUEUE_BYTES, |snapshot, _, observe| {
        observe(&[], snapshot.gauges.tap_queue_bytes as f64);
    }),
    (catalogue::TAP_RECORDING, |snapshot, _, observe| {
        observe(&[], flag(snapshot.gauges.recording));
    }),
    (catalogue::TAP_RESTARTS, |snapshot, _, observe| {
        observe(&[], snapshot.gauges.recording_restarts as f64);
    }),
    (catalogue::WINDOW_BYTES, |snapshot, _, observe| {
        if let Some(bytes) = snapshot.gauges.window_bytes {
            observe(&[], bytes as f64);
        }
    }),
    (catalogue::WINDOW_ROWS, |snapshot, models, observe| {
        per_model(snapshot, models, observe, |model| {
            model.window_rows.map(|rows| rows as f64)
        });
    }),
    (
        catalogue::WINDOW_NEWEST_ROW_TIMESTAMP,
        |snapshot, models, observe| {
            per_model(snapshot, models, observe, |model| {
                model.window_newest_row.map(seconds)
            });
        },
    ),
    (catalogue::WEBHOOK_DELIVERIES, |snapshot, _, observe| {
        for webhook in &snapshot.gauges.webhooks {
            for (delivery, count) in Delivery::ALL.iter().zip(webhook.outcomes) {
                let outcome = KeyValue::new("outcome", delivery.as_str());
                observe(&[receiver(webhook), outcome], count as f64);
            }
        }
    }),
    (catalogue::WEBHOOK_RETRIES, |snapshot, _, observe| {
        for webhook in &snapshot.gauges.webhooks {
            observe(&[receiver(webhook)], webhook.retries as f64);
        }
    }),
    (catalogue::WEBHOOK_QUEUE, |snapshot, _, observe| {
        for webhook in &snapshot.gauges.webhooks {
            observe(&[receiver(webhook)], webhook.waiting as f64);
        }
    }),
    (catalogue::MODEL_INFO, |snapshot, _, observe| {
        for model in &snapshot.report.models {
            let hash = model
                .reference
                .as_ref()
                .map_or("", |reference| &reference.hash);
            let labels = [
                label(&model.model),
                KeyValue::new("version", model.version.clone()),
                KeyValue::new("reference_hash", hash.to_owned()),
            ];
            observe(&labels, 1.0);
        }
    }),
    (catalogue::MODEL_DRIFT_DETECTED, |snapshot, _, observe| {
        per_report(snapshot, observe, |model| model.drifted.map(flag));
    }),
    (catalogue::MODEL_DRIFT_LEVEL, |snapshot, _, observe| {
        per_report(snapshot, observe, |model| {
            Some(f64::from(model.level.as_number()))
        });
    }),
    (
        catalogue::DRIFT_LAST_CHECK_TIMESTAMP,
        |snapshot, _, observe| {
            per_report(snapshot, observe, |model| model.checked_at.map(seconds));
        },
    ),
    (
        catalogue::DRIFT_LAST_EVALUATION_TIMESTAMP,
        |snapshot, _, observe| {
            per_report(snapshot, observe, |model| model.evaluated_at.map(seconds));
        },
    ),
    (
        catalogue::REFERENCE_RELOAD_FAILURES,
        |snapshot, models, observe| {
            per_model(snapshot, models, observe, |model| {
                Some(model.reload_failures as f64)
            });
        },
    ),
    (
        catalogue::DRIFT_CHECK_DURATION,
        |snapshot, models, observe| {
            per_model(snapshot, models, observe, |model| {
                model.check_duration.map(|duration| duration.as_secs_f64())
            });
        },
    ),
    (catalogue::DRIFT_CHECK_DEFECTS, |snapshot, _, observe| {
        observe(&[], snapshot.gauges.check_defects as f64);
    }),
    (catalogue::DRIFT_CHECK_INTERVAL, |snapshot, _, observe| {
        observe(&[], snapshot.gauges.check_interval.as_secs_f64());
    }),
    (catalogue::DRIFT_FALSE_ALARMS, |snapshot, _, observe| {
        if let Some(allowed) = snapshot.gauges.false_alarms_per_day {
            observe(&[], allowed);
        }
    }),
    (catalogue::DRIFT_CALIBRATED, |snapshot, _, observe| {
        per_report(snapshot, observe, |model| Some(flag(model.calibrated)));
    }),
    (catalogue::COVERAGE_RATIO, |snapshot, _, observe| {
        per_report(snapshot, observe, |model| model.coverage);
    }),
    (catalogue::CURRENT_ROWS, |snapshot, _, observe| {
        for model in &snapshot.report.models {
            for (span, rows) in &model.spans {
                let labels = [label(&model.model), KeyValue::new("span", span.as_str())];
                observe(&labels, *rows as f64);
            }
        }
    }),
    (catalogue::REFERENCE_ROWS, |snapshot, _, observe| {
        per_report(snapshot, observe, |model| {
            model
                .reference
                .as_ref()
                .map(|reference| reference.rows as f64)
        });
    }),
    (
        catalogue::REFERENCE_LOADED_TIMESTAMP,
        |snapshot, _, observe| {
            per_report(snapshot, observe, |model| {
                model
                    .reference
                    .as_ref()
                    .map(|reference| seconds(reference.loaded_at))
            });
        },
    ),
    (catalogue::BUILD_INFO, |_, _, observe| {
        observe(&[KeyValue::new("version", env!("CARGO_PKG_VERSION"))], 1.0);
    }),
    (catalogue::PAGE_INFO, |snapshot, _, observe| {
        observe(&[KeyValue::new("url", snapshot.gauges.page.clone())], 1.0);
    }),
];

/// Registers every scalar on `meter`. The instruments live as long as the meter's provider.
pub(super) fn register(
    meter: &Meter,
    snapshot: &Arc<ArcSwap<Snapshot>>,
    models: &Arc<[ModelName]>,
) {
    for (series, observe) in SCALARS {
        let (snapshot, models) = (Arc::clone(snapshot), Arc::clone(models));
        // No units: OpenTelemetry's exporter would append them to names that already hold them.
        if series.kind == SeriesKind::Counter {
            // The exporter appends `_total`.
            meter
                .f64_observable_counter(series.name.trim_end_matches("_total"))
                .with_description(series.help)
                .with_callback(move |observer| {
                    observe(&snapshot.load(), &models, &|labels, value| {
                        observer.observe(value, labels);
                    });
                })
                .build();
        } else {
            meter
                .f64_observable_gauge(series.name)
                .with_description(series.help)
                .with_callback(move |observer| {
                    observe(&snapshot.load(), &models, &|labels, value| {
                        observer.observe(value, labels);
                    });
                })
                .build();
        }
    }
}

fn per_model(
    snapshot: &Snapshot,
    models: &[ModelName],
    observe: Observer<'_>,
    value: impl Fn(&ModelGauges) -> Option<f64>,
) {
    for (model, gauges) in models.iter().zip(&snapshot.gauges.models) {
        if let Some(value) = value(gauges) {
            observe(&[label(model)], value);
        }
    }
}

/// The model servers that are looked at.
fn processes<'a>(
    snapshot: &'a Snapshot,
    models: &'a [ModelName],
) -> impl Iterator<Item = (&'a ModelName, &'a ProcessSnapshot)> {
    let all = models.iter().zip(&snapshot.gauges.models);
    all.filter_map(|(model, gauges)| Some((model, gauges.process.as_ref()?)))
}

fn per_process(
    snapshot: &Snapshot,
    models: &[ModelName],
    observe: Observer<'_>,
    value: impl Fn(&ProcessSnapshot) -> Option<f64>,
) {
    for (model, process) in processes(snapshot, models) {
        if let Some(value) = value(process) {
            observe(&[label(model)], value);
        }
    }
}

fn whole(count: Option<u64>) -> Option<f64> {
    count.map(|count| count as f64)
}

fn per_tap(
    snapshot: &Snapshot,
    models: &[ModelName],
    observe: Observer<'_>,
    value: impl Fn(&TapSnapshot) -> u64,
) {
    for (model, tap) in models.iter().zip(&snapshot.tap) {
        observe(&[label(model)], value(tap) as f64);
    }
}

fn per_report(
    snapshot: &Snapshot,
    observe: Observer<'_>,
    value: impl Fn(&ModelReport) -> Option<f64>,
) {
    for model in &snapshot.report.models {
        if let Some(value) = value(model) {
            observe(&[label(&model.model)], value);
        }
    }
}

fn label(model: &ModelName) -> KeyValue {
    KeyValue::new("model", model.as_str().to_owned())
}

fn receiver(webhook: &WebhookSnapshot) -> KeyValue {
    KeyValue::new("receiver", webhook.receiver.clone())
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn seconds(time: Timestamp) -> f64 {
    time.as_seconds()
}
