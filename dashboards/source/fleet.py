"""The dashboard of all models."""

from source.panels import LEVELS, dashboard, lines, link, row, stat, steps, table, timeline, variable
from source.rows import (
    COVERAGE,
    ERRORS,
    FLEET,
    INSTANCE,
    NONE_IS_WELL,
    SECONDS,
    TIMES_THRESHOLD,
    annotations,
    around,
    errors,
    page_info,
    process,
    requests,
    slowest,
    tap,
    times_threshold,
)

TO_MODEL = link(
    "Model ${__data.fields.model}",
    "/d/driftd-model?var-datasource=${datasource}&var-job=${__data.fields.job:percentencode}"
    "&var-instance=${__data.fields.instance:percentencode}"
    "&var-model=${__data.fields.model:percentencode}&${__url_time_range}",
)
FLEET_PAGE = link("driftd's page", "${__data.fields.url}/?model=${__data.fields.model:percentencode}")


def together():
    """Drift of the rows of all replicas, by the recording rules."""
    recorded = 'job=~"$job", model=~"$model"'
    day = f"driftd_fleet:drift_statistic:ks_1d{{{recorded}}}"
    references = f"count by (cluster, namespace, job, model, version, reference_hash) (driftd_model_info{{{FLEET}}})"
    return [
        lines(
            "D of all replicas, over an hour",
            "The Kolmogorov-Smirnov statistic of the rows of all replicas together, which is not the average of "
            "theirs. It is understated by the resolution of the buckets at most.",
            [
                (f"driftd_fleet:drift_statistic:ks_1h{{{recorded}}}", "{{model}} {{feature}}"),
                (f"max(driftd_reference_value_resolution{{{FLEET}}})", "resolution"),
            ],
            "none",
        ),
        lines(
            "D of all replicas, over a day",
            "The same over a day. DriftdFleetDrift begins at the threshold, which is 0.1 (dashed) or more where "
            "rows are few.",
            [(day, "{{model}} {{feature}}")],
            "none",
            limit=steps((0.1, "yellow")),
        ),
        lines(
            "Population stability index, over a day",
            "By deciles of the reference, or by categories. Above 0.25 (dashed) is customarily called much.",
            [(f"driftd_fleet:drift_statistic:psi_1d{{{recorded}}}", "{{model}} {{feature}}")],
            "none",
            limit=steps((0.25, "yellow")),
        ),
        stat(
            "References in force",
            "Of one model and version. Replicas with different ones are not put together.",
            f"max(count by (cluster, namespace, job, model, version) ({references}))",
            colours=steps((2, "yellow")),
        ),
        stat(
            "False alarms allowed a month",
            "What drift.false_alarms and drift.replicas allow all instances together in 30 days.",
            f"sum(driftd_drift_false_alarms_per_day{{{INSTANCE}}}) * 30",
        ),
    ]


def fleet():
    by = "cluster, namespace, job, instance, model"
    level = f"driftd_model_drift_level{{{FLEET}}}"
    page = f"on (cluster, namespace, job, instance) group_left (url) {page_info()}"
    worst = f"topk by ({by}) (1, {times_threshold(FLEET, by + ', feature')})"
    models = [
        ("Verdict", f"max by ({by}, url) ({level} * {page})", "none", LEVELS),
        ("Statistic / threshold", worst, "none", TIMES_THRESHOLD),
        (
            "Drifted columns",
            f'sum by ({by}) (driftd_drift_state{{{FLEET}, state="drifted"}})',
            "none",
            NONE_IS_WELL,
        ),
        ("Requests", requests(FLEET, by), "reqps", None),
        ("Errors", errors(FLEET, by), "percentunit", ERRORS),
        ("p99", slowest(FLEET, by), "s", SECONDS),
        ("Coverage", f"max by ({by}) (driftd_coverage_ratio{{{FLEET}}})", "percentunit", COVERAGE),
        ("Rows compared", f'max by ({by}) (driftd_current_rows{{{FLEET}, span="main"}})', "short", None),
        (
            "Upstream",
            f"max by ({by}) (driftd_upstream_up{{{FLEET}}})",
            "none",
            {"0": ("down", "red"), "1": ("up", "green")},
        ),
    ]
    glance = [
        stat(
            "Worst verdict",
            "The loudest level of any model: alert keeps its false-alarm budget, warn promises nothing.",
            f"max({level})",
            values=LEVELS,
        ),
        stat(
            "Models at alert",
            "Models whose drift is within what the false-alarm budget pays for.",
            f"count(max by (cluster, namespace, job, model) ({level}) == 2) or vector(0)",
            colours=NONE_IS_WELL,
        ),
        stat(
            "Models without a verdict",
            "Too few rows, too low a coverage, no reference, or wrong wiring: the table and the page say "
            "why.",
            f"count(driftd_model_info{{{FLEET}}} unless on (cluster, namespace, job, instance, model) "
            f"driftd_model_drift_detected{{{FLEET}}}) or vector(0)",
            colours=steps((1, "yellow")),
        ),
        stat(
            "driftd down",
            "Instances that Prometheus cannot scrape.",
            f"count(up{{{INSTANCE}}} == 0) or vector(0)",
            colours=NONE_IS_WELL,
        ),
        stat(
            "Upstreams down",
            "Models whose server could not be reached when last tried.",
            f"count(driftd_upstream_up{{{FLEET}}} == 0) or vector(0)",
            colours=NONE_IS_WELL,
        ),
        stat(
            "Lowest coverage",
            "The smallest share of exchanges worth checking that reached the window.",
            f"min(driftd_coverage_ratio{{{FLEET}}})",
            unit="percentunit",
            colours=COVERAGE,
        ),
    ]
    rows = [
        row("At a glance", glance),
        row(
            "Models",
            [
                table(
                    "Models",
                    "One line per model and instance, worst first. The feature is the one whose "
                    "statistic is farthest beyond its threshold. Click a model for its dashboard or its "
                    "page.",
                    models,
                    ["cluster", "namespace", "job", "instance", "feature", "model"],
                    [TO_MODEL, FLEET_PAGE],
                    "Verdict",
                ),
                timeline(
                    "Verdicts",
                    "The level of each model over time.",
                    [(level, "{{model}} {{instance}}")],
                    LEVELS,
                ),
            ],
        ),
        row(
            "Traffic",
            [
                lines("Requests", "Requests a second.", [(requests(FLEET, "model"), "{{model}}")], "reqps"),
                lines(
                    "Errors",
                    "Share of requests answered with 5xx. The dashed line is where DriftdModelErrors begins.",
                    [(errors(FLEET, "model"), "{{model}}")],
                    "percentunit",
                    limit=steps((0.05, "red")),
                ),
                lines(
                    "Latency, p99",
                    "99 % of requests took no longer, from the histograms: right over several instances. "
                    "The dashed line is where DriftdModelLatency begins.",
                    [(slowest(FLEET, "model"), "{{model}}")],
                    "s",
                    limit=steps((1, "red")),
                ),
            ],
        ),
        row("All replicas together", together()),
        row("Tap and window", tap(FLEET)),
        row("Processes", process()),
    ]
    model = variable("model", "Model", f"label_values(driftd_model_info{{{INSTANCE}}}, model)")
    return dashboard(
        "driftd-fleet",
        "driftd: all models",
        "Every model behind every driftd: verdict, worst feature, traffic, errors, latency, coverage.",
        around(model, FLEET),
        annotations(FLEET),
        rows,
    )
