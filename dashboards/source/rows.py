"""What both dashboards have: the figures they ask for, and the rows of the tap and the process."""

from source.panels import YES_NO, annotation, fixed, lines, stat, steps, variable

INSTANCE = 'job=~"$job", instance=~"$instance"'
FLEET = INSTANCE + ', model=~"$model"'
MODEL = INSTANCE + ', model="$model"'
FEATURE = MODEL + ', feature=~"$feature"'
# The tests that compare a column's distribution over the main span: one of them per column.
MAIN = 'span="main", test=~"ks|chi2"'
RATE = "[$__rate_interval]"

COVERAGE = steps((0.9, "yellow"), (0.98, "green"), base="red")
ERRORS = steps((0.01, "yellow"), (0.05, "red"))
SECONDS = steps((0.5, "yellow"), (1, "red"))
TIMES_THRESHOLD = steps((0.8, "yellow"), (1, "red"))
NONE_IS_WELL = steps((1, "red"))


def errors(labels, by):
    """Share of requests answered with 5xx; 0, not nothing, where there was none."""
    count = f"http_server_request_duration_seconds_count{{{labels}}}{RATE}"
    bad = f'http_server_request_duration_seconds_count{{{labels}, http_response_status_code=~"5.."}}{RATE}'
    every = f"sum by ({by}) (rate({count}))"
    return f"(sum by ({by}) (rate({bad})) / {every}) or {every} * 0"


def requests(labels, by):
    return f"sum by ({by}) (rate(http_server_request_duration_seconds_count{{{labels}}}{RATE}))"


def slowest(labels, by, leg="server"):
    """99 % of requests took no longer."""
    bucket = f"http_{leg}_request_duration_seconds_bucket{{{labels}}}{RATE}"
    return f"histogram_quantile(0.99, sum by ({by}, le) (rate({bucket})))"


def times_threshold(labels, by):
    """How many times its threshold a statistic is: 1 is where drift begins."""
    return (
        f"max by ({by}) (driftd_drift_statistic{{{labels}, {MAIN}}}"
        f" / driftd_drift_threshold{{{labels}, {MAIN}}})"
    )


def page_info():
    """Where each instance's page is, one address of each: two scrapes apart there may be two."""
    return (
        "max by (cluster, namespace, job, instance, url) (topk by (cluster, namespace, job, instance) "
        f"(1, driftd_page_info{{{INSTANCE}}}))"
    )


# --- the rows both dashboards have ---


def tap(labels):
    """What became of the exchanges, and how the window fares."""

    def total(name, by, extra=""):
        return f"sum by ({by}) (rate({name}{{{labels}{extra}}}{RATE}))"

    lost = [fixed("captured.*", "green"), fixed("dropped.*", "red"), fixed("undecodable.*", "orange")]
    return [
        lines(
            "Coverage",
            "Share of the exchanges worth checking whose rows reached the window. Below the dashed line "
            "(drift.min_coverage, 0.9 by default) no verdict is given.",
            [(f"driftd_coverage_ratio{{{labels}}}", "{{model}} {{instance}}")],
            "percentunit",
            max=1,
            limit=steps((0.9, "text"), base="red"),
        ),
        lines(
            "Exchanges by outcome",
            "Exchanges a second by what became of them: offered is the sum of the others and of those in "
            "flight. captured ones are in the window.",
            [
                (total("driftd_tap_exchanges_total", "outcome"), "{{outcome}}"),
                (total("driftd_tap_offered_total", "job"), "offered"),
            ],
            "reqps",
            overrides=lost,
        ),
        lines(
            "Lost, by reason",
            "Exchanges a second that were dropped, and those of which a body was longer than tap.max_body. "
            "Predictions are not concerned.",
            [
                (total("driftd_tap_dropped_total", "reason"), "{{reason}}"),
                (total("driftd_tap_truncated_total", "job"), "truncated"),
            ],
            "reqps",
            overrides=[fixed(".*", "red"), fixed("truncated", "orange")],
        ),
        lines(
            "In flight",
            "Exchanges offered to the tap whose outcome is still open.",
            [(f"driftd_tap_in_flight{{{labels}}}", "{{model}} {{instance}}")],
            "short",
            width=6,
        ),
        lines(
            "Rows in the window",
            "Rows held per model. Older ones are thinned to an even sample.",
            [(f"driftd_window_rows{{{labels}}}", "{{model}} {{instance}}")],
            "short",
            width=6,
        ),
        lines(
            "Age of the newest row",
            "Grows while nothing comes, or while nothing can be stored.",
            [(f"time() - driftd_window_newest_row_timestamp_seconds{{{labels}}}", "{{model}} {{instance}}")],
            "s",
            width=6,
        ),
        lines(
            "Age of the last check",
            "Since when figures, and verdicts, are what they are. A verdict is decided anew when a tenth "
            "of "
            "the span is new. The interval is drift.every.",
            [
                (
                    f"time() - driftd_drift_last_check_timestamp_seconds{{{labels}}}",
                    "measured {{model}} {{instance}}",
                ),
                (
                    f"time() - driftd_drift_last_evaluation_timestamp_seconds{{{labels}}}",
                    "decided {{model}} {{instance}}",
                ),
                (f"max(driftd_drift_check_interval_seconds{{{INSTANCE}}})", "interval"),
            ],
            "s",
            width=6,
        ),
    ]


def process():
    """What concerns the whole process."""
    return [
        stat(
            "Recording",
            "Whether what is tapped reaches the window. Traffic does not depend on it.",
            f"min(driftd_tap_recording{{{INSTANCE}}})",
            values=YES_NO,
        ),
        stat(
            "Tunnels open",
            "Connections switched to another protocol (WebSocket).",
            f"sum(driftd_proxy_tunnels{{{INSTANCE}}})",
        ),
        stat(
            "Version",
            "The versions of driftd that run.",
            f"count by (version) (driftd_build_info{{{INSTANCE}}})",
            legend="{{version}}",
        ),
        lines(
            "What went wrong",
            "How often recording was begun anew after a defect, a new reference file could not be used, "
            "and a "
            "connection brought what was no HTTP request, or failed at TLS; how often a defect ended a check.",
            [
                (f"sum(increase(driftd_tap_restarts_total{{{INSTANCE}}}{RATE}))", "recording restarted"),
                (f"sum(increase(driftd_drift_check_defects_total{{{INSTANCE}}}{RATE}))", "check ended by a defect"),
                (
                    f"sum(increase(driftd_reference_reload_failures_total{{{INSTANCE}}}{RATE}))",
                    "reload failed",
                ),
                (f"sum(increase(driftd_proxy_malformed_total{{{INSTANCE}}}{RATE}))", "no HTTP"),
                (
                    f"sum(increase(driftd_proxy_tls_handshake_failures_total{{{INSTANCE}}}{RATE}))",
                    "TLS failed",
                ),
            ],
            "short",
            width=12,
            height=4,
            decimals=0,
            overrides=[fixed("rec.*|rel.*|che.*", "red")],
        ),
        lines(
            "Queue of the tap",
            "Bytes between the proxy and the window, at most tap.queue.",
            [(f"driftd_tap_queue_bytes{{{INSTANCE}}}", "{{instance}}")],
            "bytes",
            width=6,
        ),
        lines(
            "Window on disk",
            "Database, write-ahead log and shared memory, at most window.max_bytes.",
            [(f"driftd_window_bytes{{{INSTANCE}}}", "{{instance}}")],
            "bytes",
            width=6,
        ),
        lines(
            "Webhooks",
            "Changes announced a second, by what became of them; those that wait, and tries that failed.",
            [
                (
                    f"sum by (receiver, outcome) (rate(driftd_webhook_deliveries_total{{{INSTANCE}}}{RATE}))",
                    "{{receiver}} {{outcome}}",
                ),
                (f"sum by (receiver) (driftd_webhook_queue{{{INSTANCE}}})", "{{receiver}} waiting"),
                (f"sum by (receiver) (rate(driftd_webhook_retries_total{{{INSTANCE}}}{RATE}))", "{{receiver}} tried again"),
            ],
            "short",
            width=24,
            height=6,
            overrides=[fixed(".*(rejected|gone|expired|dropped)", "red"), fixed(".*(waiting|again)", "orange")],
        ),
        lines(
            "Limits that acted",
            "How often a second a limit of [proxy] acted.",
            [(f"sum by (limit) (rate(driftd_proxy_limit_total{{{INSTANCE}}}{RATE}))", "{{limit}}")],
            "ops",
            width=6,
        ),
        lines(
            "Bytes through tunnels",
            "Bytes a second on connections switched to another protocol.",
            [
                (
                    f"sum by (direction) (rate(driftd_proxy_tunnel_bytes_total{{{INSTANCE}}}{RATE}))",
                    "{{direction}}",
                )
            ],
            "Bps",
            width=6,
        ),
    ]


def annotations(labels):
    return [
        annotation(
            "References",
            f"driftd_reference_loaded_timestamp_seconds{{{labels}}} * 1000",
            "blue",
            "Reference of {{model}}",
            "came into force",
        ),
        annotation(
            "Drift begins",
            f"driftd_drift_since_timestamp_seconds{{{labels}}} * 1000",
            "red",
            "{{feature}} of {{model}}",
            "drifted since",
        ),
        annotation(
            "Verdicts",
            f"driftd_drift_last_evaluation_timestamp_seconds{{{labels}}} * 1000",
            "text",
            "{{model}}",
            "verdict decided",
            enable=False,
        ),
    ]


def around(model, labels):
    """The variables; `model` is the dashboard's own, and the page that of the loudest instance."""
    loudest = (
        f"topk(1, max by (cluster, namespace, job, instance) (driftd_model_drift_level{{{labels}}})"
        f" * on (cluster, namespace, job, instance) group_left (url) {page_info()})"
    )
    return [
        variable("job", "Job", "label_values(driftd_build_info, job)"),
        variable("instance", "Instance", 'label_values(driftd_build_info{job=~"$job"}, instance)'),
        model,
        variable(
            "page",
            "Page",
            f"query_result({loudest})",
            multi=False,
            description="Where driftd's page is, of the instance with the highest level: external_url, where it is "
            "configured.",
            hide=2,
            # The answer is written as a series: {…, url="http://…"} 2 1700000000000.
            regex='/url="([^"]+)"/',
        ),
    ]
