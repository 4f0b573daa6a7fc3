//! Every series driftd exposes: the one place where their names, labels and help texts stand.
//!
//! Dashboards, rules, runbooks and the README are compared with [`ALL`] both ways; a name is never
//! given another meaning.

/// How Prometheus reads a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesKind {
    /// Only grows, until a restart.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts per bucket.
    Histogram,
    /// Quantiles computed here.
    Summary,
}

/// One metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// The name as exposed, unit and `_total` included.
    pub name: &'static str,
    /// How Prometheus reads it.
    pub kind: SeriesKind,
    /// The `# HELP` text.
    pub help: &'static str,
    /// Its labels, apart from `le` and a summary's `quantile`.
    pub labels: &'static [&'static str],
}

macro_rules! catalogue {
    ($($id:ident: $kind:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Series = Series {
                name: $name,
                kind: SeriesKind::$kind,
                help: $help,
                labels: &[$($label),*],
            };
        )*

        /// Every series, in the order of this file.
        pub const ALL: &[Series] = &[$($id),*];
    };
}

catalogue! {
    // Traffic, named by OpenTelemetry's HTTP conventions.
    HTTP_SERVER_REQUEST_DURATION: Histogram "http_server_request_duration_seconds"
        ["model" "http_route" "http_request_method" "http_response_status_code" "error_type"]
        "Time from a client's request to the end of the response, as the client saw it.";
    HTTP_CLIENT_REQUEST_DURATION: Histogram "http_client_request_duration_seconds"
        ["model" "http_route" "http_request_method" "http_response_status_code" "error_type"]
        "Time the upstream took, of the same exchanges.";
    HTTP_SERVER_ACTIVE_REQUESTS: Gauge "http_server_active_requests" ["model"]
        "Requests under way.";
    REQUEST_LATENCY: Summary "driftd_request_latency_seconds" ["model" "leg"]
        "Latency over the last minute; overhead is what driftd itself adds. Sum and count are cumulative.";
    UPSTREAM_UP: Gauge "driftd_upstream_up" ["model"]
        "1 if the upstream answered when last tried, 0 if it could not be reached.";

    // The model server's own processes.
    PROCESS_VISIBLE: Gauge "driftd_upstream_process_visible" ["model" "reason"]
        "1 if the model server's processes are seen, 0 if not, for the reason given.";
    PROCESS_COUNT: Gauge "driftd_upstream_processes" ["model"]
        "Processes of the model server.";
    PROCESS_CPU_SECONDS: Counter "driftd_upstream_process_cpu_seconds_total" ["model"]
        "Processor time of the model server's processes, in seconds.";
    PROCESS_RESIDENT_MEMORY: Gauge "driftd_upstream_process_resident_memory_bytes" ["model"]
        "Memory of the model server's processes in RAM; what they share counts in each, but for a cgroup.";
    PROCESS_OPEN_FDS: Gauge "driftd_upstream_process_open_fds" ["model"]
        "Files open in that process of the model server which is closest to its limit.";
    PROCESS_MAX_FDS: Gauge "driftd_upstream_process_max_fds" ["model"]
        "The limit of that process.";
    PROCESS_START_TIME: Gauge "driftd_upstream_process_start_time_seconds" ["model"]
        "When the model server's first process began.";
    PROCESS_RESTARTS: Counter "driftd_upstream_process_restarts_total" ["model" "process"]
        "How often the model server began anew (main), or one of its workers was replaced (worker).";

    // Connections.
    PROXY_LIMIT: Counter "driftd_proxy_limit_total" ["limit"]
        "How often a limit of [proxy] acted.";
    PROXY_MALFORMED: Counter "driftd_proxy_malformed_total" []
        "Connections closed because what came on them was no HTTP request.";
    PROXY_TLS_FAILURES: Counter "driftd_proxy_tls_handshake_failures_total" []
        "TLS handshakes of clients that failed: no TLS, no certificate that counts, or ours refused.";
    PROXY_TUNNELS: Gauge "driftd_proxy_tunnels" []
        "Connections switched to another protocol (WebSocket) that are open.";
    PROXY_TUNNEL_BYTES: Counter "driftd_proxy_tunnel_bytes_total" ["direction"]
        "Bytes passed on such connections: request from the client, response to it.";

    // The tap: offered = outcomes + in flight.
    TAP_OFFERED: Counter "driftd_tap_offered_total" ["model"]
        "Exchanges offered to the tap.";
    TAP_EXCHANGES: Counter "driftd_tap_exchanges_total" ["model" "outcome"]
        "Exchanges by what became of them; captured ones are committed to the window.";
    TAP_DROPPED: Counter "driftd_tap_dropped_total" ["model" "reason"]
        "Exchanges lost, by reason.";
    TAP_TRUNCATED: Counter "driftd_tap_truncated_total" ["model"]
        "Exchanges of which a body exceeded the tap's cap.";
    TAP_IN_FLIGHT: Gauge "driftd_tap_in_flight" ["model"]
        "Exchanges offered whose outcome is still open.";
    TAP_QUEUE_BYTES: Gauge "driftd_tap_queue_bytes" []
        "Bytes waiting between the proxy and the window.";
    TAP_RECORDING: Gauge "driftd_tap_recording" []
        "1 while what is tapped reaches the window, 0 while it cannot: traffic does not depend on it.";
    TAP_RESTARTS: Counter "driftd_tap_restarts_total" []
        "Times recording was begun anew after a defect.";

    // The window.
    WINDOW_BYTES: Gauge "driftd_window_bytes" []
        "Size of the window on disk: database, write-ahead log and shared memory.";
    WINDOW_ROWS: Gauge "driftd_window_rows" ["model"]
        "Rows the window holds.";
    WINDOW_NEWEST_ROW_TIMESTAMP: Gauge "driftd_window_newest_row_timestamp_seconds" ["model"]
        "When the newest row of the window was served.";

    // Webhooks.
    WEBHOOK_DELIVERIES: Counter "driftd_webhook_deliveries_total" ["receiver" "outcome"]
        "Changes of a model's level announced to a webhook, by what became of them.";
    WEBHOOK_RETRIES: Counter "driftd_webhook_retries_total" ["receiver"]
        "Tries to deliver to a webhook that failed and are followed by another.";
    WEBHOOK_QUEUE: Gauge "driftd_webhook_queue" ["receiver"]
        "Changes a webhook's receiver does not have yet.";

    // One model.
    MODEL_INFO: Gauge "driftd_model_info" ["model" "version" "reference_hash"]
        "1 for the version and the reference in force.";
    MODEL_DRIFT_DETECTED: Gauge "driftd_model_drift_detected" ["model"]
        "1 if any column has drifted, 0 if none has; absent where no verdict can be given.";
    MODEL_DRIFT_LEVEL: Gauge "driftd_model_drift_level" ["model"]
        "How loud to be about it: 0 ok, 1 warn, 2 alert.";
    DRIFT_LAST_CHECK_TIMESTAMP: Gauge "driftd_drift_last_check_timestamp_seconds" ["model"]
        "When the model was last measured.";
    DRIFT_LAST_EVALUATION_TIMESTAMP: Gauge "driftd_drift_last_evaluation_timestamp_seconds" ["model"]
        "When the verdict was last decided.";
    DRIFT_CHECK_DURATION: Gauge "driftd_drift_check_duration_seconds" ["model"]
        "How long the last check took.";
    DRIFT_CHECK_INTERVAL: Gauge "driftd_drift_check_interval_seconds" []
        "Time between two checks, as configured.";
    DRIFT_CHECK_DEFECTS: Counter "driftd_drift_check_defects_total" []
        "Checks, and commands between them, that a defect in driftd ended; what stood before stands.";
    DRIFT_FALSE_ALARMS: Gauge "driftd_drift_false_alarms_per_day" []
        "False alarms this process allows itself a day: drift.false_alarms, divided by drift.replicas.";
    DRIFT_CALIBRATED: Gauge "driftd_drift_calibrated" ["model"]
        "1 once the dependence between rows has been measured.";
    COVERAGE_RATIO: Gauge "driftd_coverage_ratio" ["model"]
        "Share of the exchanges worth checking whose rows reached the window.";
    CURRENT_ROWS: Gauge "driftd_current_rows" ["model" "span"]
        "Rows compared with the reference.";
    REFERENCE_ROWS: Gauge "driftd_reference_rows" ["model"]
        "Rows of the reference.";
    REFERENCE_RELOAD_FAILURES: Counter "driftd_reference_reload_failures_total" ["model"]
        "Reloads that left the reference before them in force, because the file could not be used.";
    REFERENCE_LOADED_TIMESTAMP: Gauge "driftd_reference_loaded_timestamp_seconds" ["model"]
        "When the reference came into force.";

    // One column.
    DRIFT_STATE: Gauge "driftd_drift_state" ["model" "version" "feature" "role" "state"]
        "1 for the state the column is in, 0 for every other.";
    DRIFT_SINCE_TIMESTAMP: Gauge "driftd_drift_since_timestamp_seconds"
        ["model" "version" "feature" "role"]
        "Since when the column has been drifted; absent while it is not.";
    DRIFT_LEVEL: Gauge "driftd_drift_level" ["model" "version" "feature" "role"]
        "How loud to be about the column: 0 ok, 1 warn, 2 alert.";
    DRIFT_ACCEPTED: Gauge "driftd_drift_accepted" ["model" "version" "feature" "role"]
        "1 while drift of the column is accepted as the new normal, 0 while none is.";
    FEATURE_MISSING_RATIO: Gauge "driftd_feature_missing_ratio" ["model" "version" "feature" "role"]
        "Share of current rows in which the value is missing.";
    FEATURE_UNSEEN_RATIO: Gauge "driftd_feature_unseen_ratio" ["model" "version" "feature" "role"]
        "Share of current values whose category the reference does not hold.";
    FEATURE_QUANTILE: Gauge "driftd_feature_quantile"
        ["model" "version" "feature" "role" "side" "quantile"]
        "Quantiles of the values, of the reference and of the current rows.";

    // One column over many replicas: what has equal labels, reference included, can be added up.
    FEATURE_VALUE: Histogram "driftd_feature_value"
        ["model" "version" "feature" "role" "reference"]
        "Values since the process or the reference began, in buckets of the reference; of a category its rank there. The sum is that of the finite ones.";
    REFERENCE_VALUE: Histogram "driftd_reference_value"
        ["model" "version" "feature" "role" "reference"]
        "The reference's values in the same buckets.";
    REFERENCE_BIN_VALUES: Gauge "driftd_reference_bin_values"
        ["model" "version" "feature" "role" "reference" "after" "upto"]
        "The reference's values above after, up to and including upto: the bins of the population stability index.";
    REFERENCE_VALUE_RESOLUTION: Gauge "driftd_reference_value_resolution"
        ["model" "version" "feature" "role" "reference"]
        "By how much D from these buckets may fall short of D; it never exceeds D.";
    FEATURE_DEPENDENCE: Gauge "driftd_feature_dependence_rows"
        ["model" "version" "feature" "role" "reference"]
        "Consecutive rows that tell as much as one independent row; absent until measured.";

    // One test of one column over one span.
    DRIFT_STATISTIC: Gauge "driftd_drift_statistic"
        ["model" "version" "feature" "role" "test" "span"]
        "The test's statistic: D of the Kolmogorov-Smirnov test, or chi-squared.";
    DRIFT_EFFECT: Gauge "driftd_drift_effect"
        ["model" "version" "feature" "role" "test" "span"]
        "How large the change is, from 0 to 1: D, or total variation; of missing and type, by how much the share moved.";
    DRIFT_P_VALUE: Gauge "driftd_drift_p_value"
        ["model" "version" "feature" "role" "test" "span"]
        "The test's p-value, as scipy gives it for the same rows.";
    DRIFT_THRESHOLD: Gauge "driftd_drift_threshold"
        ["model" "version" "feature" "role" "test" "span"]
        "The smallest statistic that would be drift.";
    DRIFT_DETECTED: Gauge "driftd_drift_detected"
        ["model" "version" "feature" "role" "test" "span"]
        "1 if the check says drifted, 0 if not; absent where it cannot say.";

    // The process.
    BUILD_INFO: Gauge "driftd_build_info" ["version"]
        "1 for the version of driftd that runs.";
    PAGE_INFO: Gauge "driftd_page_info" ["url"]
        "1 for the address of driftd's page: external_url where configured.";
    TARGET_INFO: Gauge "target_info" ["service_name" "service_version"]
        "Target metadata";
}
