#!/usr/bin/env python3
"""Writes the two Grafana dashboards.

    dashboards/make.py          writes grafana/dashboards/driftd/*.json
    dashboards/make.py --check  says which of them is not what this program writes
"""

import json
import sys
from pathlib import Path

from panels import (
    LEVELS, YES_NO, annotation, dashboard, fixed, lines, link, row, stat, steps, table, timeline,
    variable,
)

FOLDER = Path(__file__).resolve().parent / "grafana" / "dashboards" / "driftd"

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

TO_MODEL = link(
    "Model ${__data.fields.model}",
    "/d/driftd-model?var-datasource=${datasource}&var-job=${__data.fields.job:percentencode}"
    "&var-instance=${__data.fields.instance:percentencode}"
    "&var-model=${__data.fields.model:percentencode}&${__url_time_range}",
)
FLEET_PAGE = link(
    "driftd's page", "${__data.fields.url}/?model=${__data.fields.model:percentencode}"
)
FEATURE_PAGE = link(
    "${__data.fields.feature} on driftd's page",
    "${page}/?model=${model:percentencode}&feature=${__data.fields.feature:percentencode}",
)
FEATURE_HERE = link(
    "${__data.fields.feature} below",
    "/d/driftd-model?${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
    "&${model:queryparam}&var-feature=${__data.fields.feature:percentencode}&${__url_time_range}",
)


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
            "percentunit", max=1, limit=steps((0.9, "text"), base="red"),
        ),
        lines(
            "Exchanges by outcome",
            "Exchanges a second by what became of them: offered is the sum of the others and of those in "
            "flight. captured ones are in the window.",
            [
                (total("driftd_tap_exchanges_total", "outcome"), "{{outcome}}"),
                (total("driftd_tap_offered_total", "job"), "offered"),
            ],
            "reqps", overrides=lost,
        ),
        lines(
            "Lost, by reason",
            "Exchanges a second that were dropped, and those of which a body was longer than tap.max_body. "
            "Predictions are not concerned.",
            [
                (total("driftd_tap_dropped_total", "reason"), "{{reason}}"),
                (total("driftd_tap_truncated_total", "job"), "truncated"),
            ],
            "reqps", overrides=[fixed(".*", "red"), fixed("truncated", "orange")],
        ),
        lines(
            "In flight",
            "Exchanges offered to the tap whose outcome is still open.",
            [(f"driftd_tap_in_flight{{{labels}}}", "{{model}} {{instance}}")],
            "short", width=6,
        ),
        lines(
            "Rows in the window",
            "Rows held per model. Older ones are thinned to an even sample.",
            [(f"driftd_window_rows{{{labels}}}", "{{model}} {{instance}}")],
            "short", width=6,
        ),
        lines(
            "Age of the newest row",
            "Grows while nothing comes, or while nothing can be stored.",
            [(f"time() - driftd_window_newest_row_timestamp_seconds{{{labels}}}", "{{model}} {{instance}}")],
            "s", width=6,
        ),
        lines(
            "Age of the last check",
            "Since when figures, and verdicts, are what they are. A verdict is decided anew when a tenth of "
            "the span is new. The interval is drift.every.",
            [
                (f"time() - driftd_drift_last_check_timestamp_seconds{{{labels}}}", "measured {{model}} {{instance}}"),
                (f"time() - driftd_drift_last_evaluation_timestamp_seconds{{{labels}}}", "decided {{model}} {{instance}}"),
                (f"max(driftd_drift_check_interval_seconds{{{INSTANCE}}})", "interval"),
            ],
            "s", width=6,
        ),
    ]


def process():
    """What concerns the whole process."""
    return [
        stat(
            "Recording", "Whether what is tapped reaches the window. Traffic does not depend on it.",
            f"min(driftd_tap_recording{{{INSTANCE}}})", values=YES_NO,
        ),
        stat(
            "Tunnels open", "Connections switched to another protocol (WebSocket).",
            f"sum(driftd_proxy_tunnels{{{INSTANCE}}})",
        ),
        stat(
            "Version", "The versions of driftd that run.",
            f"count by (version) (driftd_build_info{{{INSTANCE}}})", legend="{{version}}",
        ),
        lines(
            "What went wrong",
            "How often recording was begun anew after a defect, a new reference file could not be used, and a "
            "connection brought what was no HTTP request.",
            [
                (f"sum(increase(driftd_tap_restarts_total{{{INSTANCE}}}{RATE}))", "recording restarted"),
                (f"sum(increase(driftd_reference_reload_failures_total{{{INSTANCE}}}{RATE}))", "reload failed"),
                (f"sum(increase(driftd_proxy_malformed_total{{{INSTANCE}}}{RATE}))", "no HTTP"),
            ],
            "short", width=12, height=4, decimals=0, overrides=[fixed("rec.*|rel.*", "red")],
        ),
        lines(
            "Queue of the tap",
            "Bytes between the proxy and the window, at most tap.queue.",
            [(f"driftd_tap_queue_bytes{{{INSTANCE}}}", "{{instance}}")],
            "bytes", width=6,
        ),
        lines(
            "Window on disk",
            "Database, write-ahead log and shared memory, at most window.max_bytes.",
            [(f"driftd_window_bytes{{{INSTANCE}}}", "{{instance}}")],
            "bytes", width=6,
        ),
        lines(
            "Limits that acted",
            "How often a second a limit of [proxy] acted.",
            [(f"sum by (limit) (rate(driftd_proxy_limit_total{{{INSTANCE}}}{RATE}))", "{{limit}}")],
            "ops", width=6,
        ),
        lines(
            "Bytes through tunnels",
            "Bytes a second on connections switched to another protocol.",
            [(f"sum by (direction) (rate(driftd_proxy_tunnel_bytes_total{{{INSTANCE}}}{RATE}))", "{{direction}}")],
            "Bps", width=6,
        ),
    ]


def annotations(labels):
    return [
        annotation(
            "References", f"driftd_reference_loaded_timestamp_seconds{{{labels}}} * 1000", "blue",
            "Reference of {{model}}", "came into force",
        ),
        annotation(
            "Drift begins", f"driftd_drift_since_timestamp_seconds{{{labels}}} * 1000", "red",
            "{{feature}} of {{model}}", "drifted since",
        ),
        annotation(
            "Verdicts", f"driftd_drift_last_evaluation_timestamp_seconds{{{labels}}} * 1000", "text",
            "{{model}}", "verdict decided", enable=False,
        ),
    ]


def around(model):
    """The variables; `model` is the dashboard's own."""
    return [
        variable("job", "Job", "label_values(driftd_build_info, job)"),
        variable("instance", "Instance", 'label_values(driftd_build_info{job=~"$job"}, instance)'),
        model,
        variable(
            "page", "Page", f"label_values(driftd_page_info{{{INSTANCE}}}, url)", multi=False,
            description="Where driftd's page is: external_url, where it is configured.", hide=2,
        ),
    ]


# --- all models ---


def fleet():
    by = "job, instance, model"
    level = f"driftd_model_drift_level{{{FLEET}}}"
    page = f"on (job, instance) group_left (url) driftd_page_info{{{INSTANCE}}}"
    worst = (
        f"topk by ({by}) (1, {times_threshold(FLEET, by + ', feature')})"
    )
    models = [
        ("Verdict", f"max by ({by}, url) ({level} * {page})", "none", LEVELS),
        ("Statistic / threshold", worst, "none", TIMES_THRESHOLD),
        ("Drifted columns", f'sum by ({by}) (driftd_drift_state{{{FLEET}, state="drifted"}})', "none", NONE_IS_WELL),
        ("Requests", requests(FLEET, by), "reqps", None),
        ("Errors", errors(FLEET, by), "percentunit", ERRORS),
        ("p99", slowest(FLEET, by), "s", SECONDS),
        ("Coverage", f"max by ({by}) (driftd_coverage_ratio{{{FLEET}}})", "percentunit", COVERAGE),
        ("Rows compared", f'max by ({by}) (driftd_current_rows{{{FLEET}, span="main"}})', "short", None),
        ("Upstream", f"max by ({by}) (driftd_upstream_up{{{FLEET}}})", "none", {"0": ("down", "red"), "1": ("up", "green")}),
    ]
    glance = [
        stat("Worst verdict", "The loudest level of any model: alert keeps its false-alarm budget, warn promises nothing.", f"max({level})", values=LEVELS),
        stat("Models at alert", "Models whose drift is within what the false-alarm budget pays for.", f"count(max by (job, model) ({level}) == 2) or vector(0)", colours=NONE_IS_WELL),
        stat("Models without a verdict", "Too few rows, too low a coverage, no reference, or wrong wiring: the table and the page say why.", f"count(driftd_model_info{{{FLEET}}} unless on (job, instance, model) driftd_model_drift_detected{{{FLEET}}}) or vector(0)", colours=steps((1, "yellow"))),
        stat("driftd down", "Instances that Prometheus cannot scrape.", f"count(up{{{INSTANCE}}} == 0) or vector(0)", colours=NONE_IS_WELL),
        stat("Upstreams down", "Models whose server could not be reached when last tried.", f"count(driftd_upstream_up{{{FLEET}}} == 0) or vector(0)", colours=NONE_IS_WELL),
        stat("Lowest coverage", "The smallest share of exchanges worth checking that reached the window.", f"min(driftd_coverage_ratio{{{FLEET}}})", unit="percentunit", colours=COVERAGE),
    ]
    rows = [
        row("At a glance", glance),
        row("Models", [
            table(
                "Models", "One line per model and instance, worst first. The feature is the one whose statistic is farthest beyond its threshold. Click a model for its dashboard or its page.",
                models, ["job", "instance", "feature", "model"], [TO_MODEL, FLEET_PAGE], "Verdict",
            ),
            timeline("Verdicts", "The level of each model over time.", [(level, "{{model}} {{instance}}")], LEVELS),
        ]),
        row("Traffic", [
            lines("Requests", "Requests a second.", [(requests(FLEET, "model"), "{{model}}")], "reqps"),
            lines("Errors", "Share of requests answered with 5xx. The dashed line is where DriftdModelErrors begins.", [(errors(FLEET, "model"), "{{model}}")], "percentunit", limit=steps((0.05, "red"))),
            lines("Latency, p99", "99 % of requests took no longer, from the histograms: right over several instances. The dashed line is where DriftdModelLatency begins.", [(slowest(FLEET, "model"), "{{model}}")], "s", limit=steps((1, "red"))),
        ]),
        row("Tap and window", tap(FLEET)),
        row("Processes", process()),
    ]
    model = variable("model", "Model", f"label_values(driftd_model_info{{{INSTANCE}}}, model)")
    return dashboard(
        "driftd-fleet", "driftd: all models",
        "Every model behind every driftd: verdict, worst feature, traffic, errors, latency, coverage.",
        around(model), annotations(FLEET), rows,
    )


# --- one model ---


def columns_table():
    """Which column, since when, how far."""
    by = "feature, role"
    main = f"{FEATURE}, {MAIN}"
    return table(
        "Columns", "One line per feature and output, farthest beyond its threshold first. Statistic and p are scipy's (ks_2samp, chi2_contingency) over the main span; effect is D, or total variation. Click a feature for its place on driftd's page.",
        [
            ("Statistic / threshold", times_threshold(FEATURE, by), "none", TIMES_THRESHOLD),
            ("Statistic", f"max by ({by}) (driftd_drift_statistic{{{main}}})", "none", None),
            ("Threshold", f"max by ({by}) (driftd_drift_threshold{{{main}}})", "none", None),
            ("p", f"min by ({by}) (driftd_drift_p_value{{{main}}})", "sci", None),
            ("Effect", f"max by ({by}) (driftd_drift_effect{{{main}}})", "percentunit", None),
            ("Drifted since", f"min by ({by}) (driftd_drift_since_timestamp_seconds{{{FEATURE}}}) * 1000", "dateTimeFromNow", None),
            ("Missing", f"max by ({by}) (driftd_feature_missing_ratio{{{FEATURE}}})", "percentunit", None),
            ("Unseen", f"max by ({by}) (driftd_feature_unseen_ratio{{{FEATURE}}})", "percentunit", None),
            ("Accepted", f"max by ({by}) (driftd_drift_accepted{{{FEATURE}}})", "none", {"0": ("no", "text"), "1": ("yes", "blue")}),
            (None, f"max by ({by}, state) (driftd_drift_state{{{FEATURE}}} == 1)", "none", None),
        ],
        ["role", "feature"], [FEATURE_PAGE, FEATURE_HERE], "Statistic / threshold",
    )


def each_feature():
    """What is shown of one column; its row is repeated for each."""
    def of(name, more):
        return f"{name}{{{FEATURE}, {more}}}"

    both = 'test=~"ks|chi2"'
    return [
        lines(
            "Statistic and threshold",
            "D of the Kolmogorov-Smirnov test, or chi-squared, with the smallest value that would be drift (red).",
            [
                (of("driftd_drift_statistic", both), "{{test}} {{span}}"),
                (of("driftd_drift_threshold", MAIN), "threshold"),
            ],
            "none", overrides=[fixed("threshold", "red")], min=0,
        ),
        lines(
            "p",
            "scipy's p-value of the same rows, on a logarithmic scale. What decides is the threshold, not a "
            "fixed p: with many rows p is tiny for differences that do not matter.",
            [(of("driftd_drift_p_value", both), "{{test}} {{span}}")],
            "sci", log=True,
        ),
        lines(
            "Quantiles",
            "5, 25, 50, 75 and 95 % of the values: blue the rows under comparison, grey the reference. Of numbers only.",
            [
                (of("driftd_feature_quantile", 'side="current"'), "{{quantile}}"),
                (of("driftd_feature_quantile", 'side="reference"'), "reference {{quantile}}"),
            ],
            "none", overrides=[fixed("reference.*", "text")],
        ),
        lines(
            "Missing and unseen",
            "Share of current rows without a value, and of values whose category the reference does not hold.",
            [
                (f"driftd_feature_missing_ratio{{{FEATURE}}}", "missing {{feature}}"),
                (f"driftd_feature_unseen_ratio{{{FEATURE}}}", "unseen {{feature}}"),
            ],
            "percentunit", width=12, min=0,
        ),
        lines(
            "Sizes of the change",
            "Effect sizes over the main span: PSI, Jensen-Shannon and Hellinger distance, total variation, "
            "Wasserstein distance in standard deviations. They decide nothing.",
            [(of("driftd_drift_statistic", 'span="main", test=~"psi|js|hellinger|tv|wasserstein"'), "{{test}}")],
            "none", width=12, min=0,
        ),
    ]


def model():
    level = f"driftd_model_drift_level{{{MODEL}}}"
    output = f'{MODEL}, role="output"'
    leg = f'driftd_request_latency_seconds{{{MODEL}, quantile="0.99"}}'
    glance = [
        stat("Verdict", "alert keeps the false-alarm budget; warn is the early span, or drift of which nothing is promised yet.", f"max({level})", values=LEVELS),
        stat("Drifted columns", "Features and outputs that have drifted over the main span.", f'sum(driftd_drift_state{{{MODEL}, state="drifted"}})', colours=NONE_IS_WELL),
        stat("Predictions", "Whether what the model answers has drifted.", f'max(driftd_drift_state{{{output}, state=~"drifted|type_changed"}})', values={"0": ("not drifted", "green"), "1": ("drifted", "red")}),
        stat("Coverage", "Share of the exchanges worth checking whose rows reached the window.", f"min(driftd_coverage_ratio{{{MODEL}}})", unit="percentunit", colours=COVERAGE),
        stat("Calibrated", "Whether it is known how rows depend on each other. Until then levels stop at warn.", f"min(driftd_drift_calibrated{{{MODEL}}})", values={"0": ("not yet", "yellow"), "1": ("yes", "green")}),
        stat("Upstream", "Whether the model server answered when last tried.", f"min(driftd_upstream_up{{{MODEL}}})", values={"0": ("down", "red"), "1": ("up", "green")}),
    ]
    rows = [
        row("At a glance", glance),
        row("Which, since when, how far", [
            columns_table(),
            timeline("Drifted columns over time", "Which column drifted when.", [(f'max by (feature) (driftd_drift_state{{{FEATURE}, state="drifted"}})', "{{feature}}")], {"0": ("not drifted", "green"), "1": ("drifted", "red")}, height=7),
            lines("Statistic / threshold", "All columns on one scale: beyond the dashed line is drift over the main span.", [(times_threshold(FEATURE, "feature"), "{{feature}}")], "none", width=12, limit=steps((1, "red")), min=0),
            lines("Slow drift", "D over all rows since the reference, with the band it may not leave (red).", [
                (f'driftd_drift_statistic{{{FEATURE}, test="slow"}}', "{{feature}}"),
                (f'min by (test) (driftd_drift_threshold{{{FEATURE}, test="slow"}})', "band"),
            ], "none", width=12, overrides=[fixed("band", "red")], min=0),
        ]),
        row("Predictions", [
            lines("Prediction drift", "Statistic of each output over its threshold; beyond the dashed line is drift.", [(times_threshold(output, "feature"), "{{feature}}")], "none", limit=steps((1, "red")), min=0),
            lines("Missing and unseen predictions", "Share of answers without a value, and of classes the reference does not hold.", [
                (f"driftd_feature_missing_ratio{{{output}}}", "missing {{feature}}"),
                (f'driftd_drift_effect{{{output}, {MAIN}}}', "effect {{feature}}"),
            ], "percentunit", min=0),
            lines("Checks that say drifted", "Number of tests of any column, by span, that say drifted.", [(f"sum by (span) (driftd_drift_detected{{{MODEL}}})", "{{span}}")], "none", min=0, decimals=0),
        ]),
        row("Column $feature", each_feature(), collapsed=True, repeat="feature"),
        row("Traffic", [
            lines("Latency by leg, p99", "Over the last minute, of each instance: total as the client saw it, upstream the model server's share, overhead what driftd adds.", [(leg, "{{leg}} {{instance}}")], "s"),
            lines("Latency of all instances, p99", "From the histograms: right over several instances, to the width of a bucket.", [
                (slowest(MODEL, "model"), "total"),
                (slowest(MODEL, "model", leg="client"), "upstream"),
            ], "s", limit=steps((1, "red"))),
            lines("Requests by status", "Requests a second.", [(requests(MODEL, "http_response_status_code"), "{{http_response_status_code}}")], "reqps", overrides=[fixed("2..", "green"), fixed("4..", "yellow"), fixed("5..", "red")]),
            lines("Errors", "Share of requests answered with 5xx. The dashed line is where DriftdModelErrors begins.", [(errors(MODEL, "model"), "5xx")], "percentunit", limit=steps((0.05, "red"))),
            lines("Requests under way", "Requests that wait for their answer.", [(f"http_server_active_requests{{{MODEL}}}", "{{instance}}")], "short"),
            lines("Rows compared", "Rows of each span, and of the reference.", [
                (f"driftd_current_rows{{{MODEL}}}", "{{span}} {{instance}}"),
                (f"driftd_reference_rows{{{MODEL}}}", "reference"),
            ], "short", overrides=[fixed("reference", "text")]),
        ]),
        row("Tap and window", [
            *tap(MODEL),
            lines("Duration of a check", "Checks run at the lowest priority, and take at most a tenth of the processor.", [(f"driftd_drift_check_duration_seconds{{{MODEL}}}", "{{instance}}")], "s", width=24, height=6),
        ]),
    ]
    name = variable("model", "Model", f"label_values(driftd_model_info{{{INSTANCE}}}, model)", multi=False)
    feature = variable("feature", "Feature", f"label_values(driftd_drift_state{{{MODEL}}}, feature)")
    return dashboard(
        "driftd-model", "driftd: one model",
        "One model: the verdict, which column has drifted since when and how far, predictions, latency, errors, tap and window.",
        [*around(name), feature], annotations(MODEL), rows,
    )


def main():
    stale = []
    for name, made in [("fleet.json", fleet()), ("model.json", model())]:
        text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
        path = FOLDER / name
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path))
    if stale:
        sys.exit(f"not what dashboards/make.py writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()
