"""What Grafana makes of a dashboard: its published types, and its variables put into queries."""

import enum
import functools
import json
import pathlib
import re
import subprocess
import types
import typing

import jsonschema

from grafana_foundation_sdk.models import dashboard, prometheus, stat, statetimeline, table
from grafana_foundation_sdk.models import timeseries
from grafana_foundation_sdk.models.common import GraphFieldConfig, TableFieldOptions

# Fields that the published types leave open, or leave to the data source.
PANELS = {
    "timeseries": (timeseries.Options, GraphFieldConfig),
    "stat": (stat.Options, None),
    "table": (table.Options, TableFieldOptions),
    "state-timeline": (statetimeline.Options, statetimeline.FieldConfig),
}
# Of an annotation, by the Prometheus data source.
PROMETHEUS_ANNOTATION = {
    "useValueForTime": bool,
    "titleFormat": str,
    "textFormat": str,
    "tagKeys": str,
}

# The same types as Grafana's own front end has them, in the version whose schemaVersion is 42.
MODULES = pathlib.Path(__file__).parent / "node_modules"
RAW = MODULES / "@grafana" / "schema" / "dist" / "types" / "raw"


@functools.cache
def schema(part, kind):
    """The JSON schema of one published type, of `dashboard` or of a panel's plugin."""
    source = {"dashboard": "dashboard/x"}.get(part, f"composable/{part}/panelcfg/x")
    generator = MODULES / "ts-json-schema-generator" / "bin" / "ts-json-schema-generator"
    command = ["node", generator, "--path", RAW / source / "types.gen.d.ts", "--type", kind]
    made = subprocess.run(
        [*command, "--no-type-check"], capture_output=True, text=True, timeout=120
    )
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def schema_problems(board):
    """What Grafana's own schema says of a dashboard, of its panels' options and their fields."""
    own = {"expr": str, **PROMETHEUS_ANNOTATION}
    annotations = [
        {k: v for k, v in a.items() if k not in own} for a in board["annotations"]["list"]
    ]
    checked = [(board | {"annotations": {"list": annotations}}, "dashboard", "Dashboard")]
    for panel in panels(board):
        part = panel["type"].replace("-", "")
        checked.append((panel["options"], part, "Options"))
        custom = panel["fieldConfig"]["defaults"].get("custom")
        if custom is not None:
            checked.append((custom, part, "FieldConfig"))
    return [
        f"{part} {kind} {'/'.join(map(str, error.absolute_path))}: {error.message}"
        for value, part, kind in checked
        for error in jsonschema.Draft7Validator(schema(part, kind)).iter_errors(value)
    ]


class DataLink:
    """A link of a field, which the published types leave open."""

    title: str
    url: str
    targetBlank: bool


def problems(value, kind, path):
    """Where a JSON value is not of a published type: unknown keys, missing ones, wrong values."""
    if kind in (object, typing.Any):
        return []
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return [] if type(None) in arguments else [f"{path}: null"]
        tried = [problems(value, a, path) for a in arguments if a is not type(None)]
        return min(tried, key=len)
    if origin is typing.Literal:
        return [] if value in arguments else [f"{path}: {value!r} is none of {arguments}"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{path}: {value!r} is no list"]
        return [
            p for i, each in enumerate(value) for p in problems(each, arguments[0], f"{path}[{i}]")
        ]
    if origin is dict:
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is no object"]
        return [
            p for key, each in value.items() for p in problems(each, arguments[1], f"{path}.{key}")
        ]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return (
            []
            if value in [member.value for member in kind]
            else [f"{path}: {value!r} is no {kind.__name__}"]
        )
    if kind is float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        return [] if fits else [f"{path}: {value!r} is no number"]
    if kind in (str, int, bool):
        return [] if type(value) is kind else [f"{path}: {value!r} is no {kind.__name__}"]
    return object_problems(value, kind, path)


def object_problems(value, kind, path):
    """The same for what has fields of its own."""
    if kind.__name__ == "Dataquery":
        kind = prometheus.Dataquery
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is no {kind.__name__}"]
    fields = {json_name(name): hint for name, hint in typing.get_type_hints(kind).items()}
    if kind is dashboard.FieldConfig:
        fields["links"] = list[DataLink]
    if kind is dashboard.AnnotationQuery:
        fields |= PROMETHEUS_ANNOTATION
    found = [f"{path}.{key}: unknown" for key in value if key not in fields]
    for name, hint in fields.items():
        if name in value:
            found += problems(value[name], hint, f"{path}.{name}")
        elif type(None) not in typing.get_args(hint) and name not in OPTIONAL.get(
            kind.__name__, ()
        ):
            found.append(f"{path}.{name}: missing")
    if kind is dashboard.Panel:
        found += panel_problems(value, path)
    return found


# What the generated classes fill in by themselves, and Grafana does too.
OPTIONAL = {
    "AnnotationQuery": PROMETHEUS_ANNOTATION.keys(),
    "TableFieldOptions": {"inspect"},
    "Options": {"frameIndex", "rowHeight"},
}


def panel_problems(panel, path):
    """Options and custom fields of a panel, by its kind; properties of overrides likewise."""
    if panel["type"] not in PANELS:
        return [f"{path}: a panel of type {panel['type']!r}"]
    options, custom = PANELS[panel["type"]]
    config = panel["fieldConfig"]
    found = problems(panel["options"], options, f"{path}.options")
    if "custom" in config["defaults"]:
        defaults = dict(config["defaults"]["custom"])
        # Not of the published type, but of the panel: whether a column can be filtered.
        defaults.pop("filterable", None)
        found += [
            p for p in problems(defaults, custom, f"{path}.custom") if not p.endswith("missing")
        ]
    known = {json_name(name) for name in typing.get_type_hints(dashboard.FieldConfig)}
    own = {json_name(name) for name in typing.get_type_hints(custom)} if custom else set()
    for override in config["overrides"]:
        for each in override["properties"]:
            name = each["id"]
            good = (
                name.removeprefix("custom.") in own if name.startswith("custom.") else name in known
            )
            found += [] if good else [f"{path}: override of {name}"]
    return found


def json_name(name):
    """A field's name in JSON: type_val is type, grid_pos is gridPos."""
    head, *rest = name.removesuffix("_val").split("_")
    return head + "".join(part.capitalize() for part in rest)


def panels(board):
    """Every panel that shows something, also those in collapsed rows."""
    for each in board["panels"]:
        if each["type"] == "row":
            yield from each["panels"]
        else:
            yield each


def interpolated(text, values):
    """A text with its variables put in: `$name`, `${name}`, `${name:format}`; none is left."""

    def put(match):
        name = match.group(1) or match.group(2)
        assert name in values, f"no value for ${name} in {text}"
        return values[name]

    return re.sub(r"\$(\w+)|\$\{([\w.]+)(?::\w+)?\}", put, text)
