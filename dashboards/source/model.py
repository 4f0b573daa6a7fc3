"""The dashboard of one model."""

from source.panels import LEVELS, YES_NO, dashboard, fixed, lines, link, row, stat, steps, table, timeline, variable
from source.rows import (
    COVERAGE,
    FEATURE,
    INSTANCE,
    MAIN,
    MODEL,
    NONE_IS_WELL,
    RATE,
    TIMES_THRESHOLD,
    annotations,
    around,
    errors,
    requests,
    slowest,
    tap,
    times_threshold,
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


def columns_table():
    """Which column, since when, how far."""
    by = "feature, role"
    main = f"{FEATURE}, {MAIN}"
    return table(
        "Columns",
        "One line per feature and output, farthest beyond its threshold first. Statistic and p are "
        "scipy's (ks_2samp, chi2_contingency) over the main span; effect is D, or total variation. Click "
        "a feature for its place on driftd's page.",
        [
            ("Statistic / threshold", times_threshold(FEATURE, by), "none", TIMES_THRESHOLD),
            ("Statistic", f"max by ({by}) (driftd_drift_statistic{{{main}}})", "none", None),
            ("Threshold", f"max by ({by}) (driftd_drift_threshold{{{main}}})", "none", None),
            ("p", f"min by ({by}) (driftd_drift_p_value{{{main}}})", "sci", None),
            ("Effect", f"max by ({by}) (driftd_drift_effect{{{main}}})", "percentunit", None),
            (
                "Drifted since",
                f"min by ({by}) (driftd_drift_since_timestamp_seconds{{{FEATURE}}}) * 1000",
                "dateTimeFromNow",
                None,
            ),
            ("Missing", f"max by ({by}) (driftd_feature_missing_ratio{{{FEATURE}}})", "percentunit", None),
            ("Unseen", f"max by ({by}) (driftd_feature_unseen_ratio{{{FEATURE}}})", "percentunit", None),
            (
                "Accepted",
                f"max by ({by}) (driftd_drift_accepted{{{FEATURE}}})",
                "none",
                {"0": ("no", "text"), "1": ("yes", "blue")},
            ),
            (None, f"max by ({by}, state) (driftd_drift_state{{{FEATURE}}} == 1)", "none", None),
        ],
        ["role", "feature"],
        [FEATURE_PAGE, FEATURE_HERE],
        "Statistic / threshold",
    )


def each_feature():
    """What is shown of one column; its row is repeated for each."""

    def of(name, more):
        return f"{name}{{{FEATURE}, {more}}}"

    both = 'test=~"ks|chi2"'
    return [
        lines(
            "Statistic and threshold",
            "D of the Kolmogorov-Smirnov test, or chi-squared, with the smallest value that would be "
            "drift (red).",
            [
                (of("driftd_drift_statistic", both), "{{test}} {{span}}"),
                (of("driftd_drift_threshold", MAIN), "threshold"),
            ],
            "none",
            overrides=[fixed("threshold", "red")],
            min=0,
        ),
        lines(
            "p",
            "scipy's p-value of the same rows, on a logarithmic scale. What decides is the threshold, "
            "not a "
            "fixed p: with many rows p is tiny for differences that do not matter.",
            [(of("driftd_drift_p_value", both), "{{test}} {{span}}")],
            "sci",
            log=True,
        ),
        lines(
            "Quantiles",
            "5, 25, 50, 75 and 95 % of the values: blue the rows under comparison, grey the reference. "
            "Of numbers only.",
            [
                (of("driftd_feature_quantile", 'side="current"'), "{{quantile}}"),
                (of("driftd_feature_quantile", 'side="reference"'), "reference {{quantile}}"),
            ],
            "none",
            overrides=[fixed("reference.*", "text")],
        ),
        lines(
            "Missing and unseen",
            "Share of current rows without a value, and of values whose category the reference does not "
            "hold.",
            [
                (f"driftd_feature_missing_ratio{{{FEATURE}}}", "missing {{feature}}"),
                (f"driftd_feature_unseen_ratio{{{FEATURE}}}", "unseen {{feature}}"),
            ],
            "percentunit",
            width=12,
            min=0,
        ),
        lines(
            "Sizes of the change",
            "Effect sizes over the main span: PSI, Jensen-Shannon and Hellinger distance, total variation, "
            "Wasserstein distance in standard deviations. They decide nothing.",
            [
                (
                    of("driftd_drift_statistic", 'span="main", test=~"psi|js|hellinger|tv|wasserstein"'),
                    "{{test}}",
                )
            ],
            "none",
            width=12,
            min=0,
        ),
    ]


def server():
    """What the model server itself takes."""

    def of(name):
        return f"driftd_upstream_process{name}{{{MODEL}}}"

    def rate(name, by):
        return f"sum by ({by}) (rate({of(name)}{RATE}))"

    return [
        stat(
            "Server seen",
            "Whether the model server's processes can be seen from where driftd runs; if not, why.",
            f"min by (reason) ({of('_visible')})",
            values=YES_NO,
            legend="{{reason}}",
        ),
        stat(
            "Server up since",
            "When the model server's first process began.",
            f"min({of('_start_time_seconds')}) * 1000",
            unit="dateTimeFromNow",
        ),
        stat(
            "Processes",
            "Processes of the model server, its workers included.",
            f"sum({of('es')})",
        ),
        lines(
            "Restarts",
            "How often the model server began anew (main), or one of its workers was replaced.",
            [(f"sum by (process) (increase({of('_restarts_total')}{RATE}))", "{{process}}")],
            "short",
            width=12,
            height=4,
            decimals=0,
            overrides=[fixed("main", "red")],
        ),
        lines(
            "Processor time",
            "Processors the model server keeps busy, of each instance.",
            [(rate("_cpu_seconds_total", "instance"), "{{instance}}")],
            "short",
        ),
        lines(
            "Memory",
            "In RAM, of all its processes; what they share counts in each, but for a control group.",
            [(of("_resident_memory_bytes"), "{{instance}}")],
            "bytes",
        ),
        lines(
            "Open files",
            "Of the process that is closest to its limit (red).",
            [(of("_open_fds"), "{{instance}}"), (f"min({of('_max_fds')})", "limit")],
            "short",
            overrides=[fixed("limit", "red")],
        ),
    ]


def model():
    level = f"driftd_model_drift_level{{{MODEL}}}"
    output = f'{MODEL}, role="output"'
    leg = f'driftd_request_latency_seconds{{{MODEL}, quantile="0.99"}}'
    glance = [
        stat(
            "Verdict",
            "alert keeps the false-alarm budget; warn is the early span, or drift of which nothing is "
            "promised yet.",
            f"max({level})",
            values=LEVELS,
        ),
        stat(
            "Drifted columns",
            "Features and outputs that have drifted over the main span.",
            f'sum(driftd_drift_state{{{MODEL}, state="drifted"}})',
            colours=NONE_IS_WELL,
        ),
        stat(
            "Predictions",
            "Whether what the model answers has drifted.",
            f'max(driftd_drift_state{{{output}, state=~"drifted|type_changed"}})',
            values={"0": ("not drifted", "green"), "1": ("drifted", "red")},
        ),
        stat(
            "Coverage",
            "Share of the exchanges worth checking whose rows reached the window.",
            f"min(driftd_coverage_ratio{{{MODEL}}})",
            unit="percentunit",
            colours=COVERAGE,
        ),
        stat(
            "Calibrated",
            "Whether it is known how rows depend on each other. Until then levels stop at warn.",
            f"min(driftd_drift_calibrated{{{MODEL}}})",
            values={"0": ("not yet", "yellow"), "1": ("yes", "green")},
        ),
        stat(
            "Upstream",
            "Whether the model server answered when last tried.",
            f"min(driftd_upstream_up{{{MODEL}}})",
            values={"0": ("down", "red"), "1": ("up", "green")},
        ),
    ]
    rows = [
        row("At a glance", glance),
        row(
            "Which, since when, how far",
            [
                columns_table(),
                timeline(
                    "Drifted columns over time",
                    "Which column drifted when.",
                    [(f'max by (feature) (driftd_drift_state{{{FEATURE}, state="drifted"}})', "{{feature}}")],
                    {"0": ("not drifted", "green"), "1": ("drifted", "red")},
                    height=7,
                ),
                lines(
                    "Statistic / threshold",
                    "All columns on one scale: beyond the dashed line is drift over the main span.",
                    [(times_threshold(FEATURE, "feature"), "{{feature}}")],
                    "none",
                    width=12,
                    limit=steps((1, "red")),
                    min=0,
                ),
                lines(
                    "Slow drift",
                    "D over all rows since the reference, with the band it may not leave (red).",
                    [
                        (f'driftd_drift_statistic{{{FEATURE}, test="slow"}}', "{{feature}}"),
                        (f'min by (test) (driftd_drift_threshold{{{FEATURE}, test="slow"}})', "band"),
                    ],
                    "none",
                    width=12,
                    overrides=[fixed("band", "red")],
                    min=0,
                ),
            ],
        ),
        row(
            "Predictions",
            [
                lines(
                    "Prediction drift",
                    "Statistic of each output over its threshold; beyond the dashed line is drift.",
                    [(times_threshold(output, "feature"), "{{feature}}")],
                    "none",
                    limit=steps((1, "red")),
                    min=0,
                ),
                lines(
                    "Missing and unseen predictions",
                    "Share of answers without a value, and of classes the reference does not hold.",
                    [
                        (f"driftd_feature_missing_ratio{{{output}}}", "missing {{feature}}"),
                        (f"driftd_drift_effect{{{output}, {MAIN}}}", "effect {{feature}}"),
                    ],
                    "percentunit",
                    min=0,
                ),
                lines(
                    "Checks that say drifted",
                    "Number of tests of any column, by span, that say drifted.",
                    [(f"sum by (span) (driftd_drift_detected{{{MODEL}}})", "{{span}}")],
                    "none",
                    min=0,
                    decimals=0,
                ),
            ],
        ),
        row("Column $feature", each_feature(), collapsed=True, repeat="feature"),
        row(
            "Traffic",
            [
                lines(
                    "Latency by leg, p99",
                    "Over the last minute, of each instance: total as the client saw it, upstream the "
                    "model server's share, overhead what driftd adds.",
                    [(leg, "{{leg}} {{instance}}")],
                    "s",
                ),
                lines(
                    "Latency of all instances, p99",
                    "From the histograms: right over several instances, to the width of a bucket.",
                    [
                        (slowest(MODEL, "model"), "total"),
                        (slowest(MODEL, "model", leg="client"), "upstream"),
                    ],
                    "s",
                    limit=steps((1, "red")),
                ),
                lines(
                    "Requests by status",
                    "Requests a second.",
                    [(requests(MODEL, "http_response_status_code"), "{{http_response_status_code}}")],
                    "reqps",
                    overrides=[fixed("2..", "green"), fixed("4..", "yellow"), fixed("5..", "red")],
                ),
                lines(
                    "Errors",
                    "Share of requests answered with 5xx. The dashed line is where DriftdModelErrors begins.",
                    [(errors(MODEL, "model"), "5xx")],
                    "percentunit",
                    limit=steps((0.05, "red")),
                ),
                lines(
                    "Requests under way",
                    "Requests that wait for their answer.",
                    [(f"http_server_active_requests{{{MODEL}}}", "{{instance}}")],
                    "short",
                ),
                lines(
                    "Rows compared",
                    "Rows of each span, and of the reference.",
                    [
                        (f"driftd_current_rows{{{MODEL}}}", "{{span}} {{instance}}"),
                        (f"driftd_reference_rows{{{MODEL}}}", "reference"),
                    ],
                    "short",
                    overrides=[fixed("reference", "text")],
                ),
            ],
        ),
        row(
            "Model server",
            server(),
        ),
        row(
            "Tap and window",
            [
                *tap(MODEL),
                lines(
                    "Duration of a check",
                    "Checks run at the lowest priority, and take at most a tenth of the processor.",
                    [(f"driftd_drift_check_duration_seconds{{{MODEL}}}", "{{instance}}")],
                    "s",
                    width=24,
                    height=6,
                ),
            ],
        ),
    ]
    name = variable("model", "Model", f"label_values(driftd_model_info{{{INSTANCE}}}, model)", multi=False)
    feature = variable("feature", "Feature", f"label_values(driftd_drift_state{{{MODEL}}}, feature)")
    return dashboard(
        "driftd-model",
        "driftd: one model",
        "One model: the verdict, which column has drifted since when and how far, predictions, latency, "
        "errors, tap and window.",
        [*around(name, MODEL), feature],
        annotations(MODEL),
        rows,
    )
