"""What the dashboards are made of: Grafana panels in the way driftd's dashboards want them.

Colour says severity and nothing else: green, yellow, orange and red where a value is judged, shades of
one blue where it is not.
"""

SCHEMA_VERSION = 42
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24

LEVELS = {"0": ("ok", "green"), "1": ("warn", "yellow"), "2": ("alert", "red")}
STATES = {
    "ok": "green",
    "constant": "green",
    "accepted": "blue",
    "drifted": "red",
    "type_changed": "red",
    "mismatch": "orange",
    "low_coverage": "orange",
    "stale": "yellow",
    "no_reference": "yellow",
    "insufficient": "text",
    "warming": "text",
    "learning": "text",
}
YES_NO = {"0": ("no", "red"), "1": ("yes", "green")}

CALM = {"mode": "shades", "fixedColor": "blue"}
JUDGED = {"mode": "thresholds"}


def steps(*thresholds, base="green"):
    """Thresholds: the base colour, then (value, colour) from there on."""
    first = [{"value": None, "color": base}]
    return first + [{"value": value, "color": colour} for value, colour in thresholds]


def mapping(table):
    """A value mapping from {value: (text, colour)}."""
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(table.items())
    }
    return [{"type": "value", "options": options}]


def states_mapping():
    return mapping({state: (state, colour) for state, colour in STATES.items()})


def link(title, url):
    return {"title": title, "url": url, "targetBlank": url.startswith("${")}


def target(expr, legend="__auto", ref="A", instant=False, table=False):
    return {
        "refId": ref,
        "datasource": DATASOURCE,
        "expr": expr,
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
        "format": "table" if table else "time_series",
        "editorMode": "code",
    }


def targets(*pairs):
    """Range queries from (expression, legend) pairs."""
    return [target(expr, legend, chr(ord("A") + i)) for i, (expr, legend) in enumerate(pairs)]


def override(name, *properties, by="byName"):
    return {
        "matcher": {"id": by, "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties],
    }


def fixed(name, colour, by="byRegexp"):
    """Gives the series that match a colour of their own."""
    return override(name, ("color", {"mode": "fixed", "fixedColor": colour}), by=by)


def panel(kind, title, description, queries, width, height, defaults, overrides, options, **more):
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": height, "x": 0, "y": 0},
        "targets": queries,
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
    } | more


def stat(
    title, description, expr, unit="short", colours=None, values=None, links=(), width=4, legend=None, **more
):
    """One figure, judged by thresholds or a mapping, on a coloured ground; or a legend's names."""
    defaults = {
        "unit": unit,
        "noValue": "no data",
        "color": JUDGED,
        "thresholds": {"mode": "absolute", "steps": colours or steps(base="text")},
        "mappings": mapping(values) if values else [],
        "links": list(links),
    }
    judged = bool(colours or values)
    options = {
        "graphMode": "none" if values else "area",
        "colorMode": "background" if judged else "value",
        "justifyMode": "center",
        "textMode": "name" if legend else "value",
        "orientation": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel(
        "stat", title, description, targets((expr, legend or title)), width, 4, defaults | more, [], options
    )


def lines(title, description, queries, unit, width=8, height=8, overrides=(), log=False, limit=None, **more):
    """Lines over time. `limit` draws dashed lines where severity begins."""
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 5,
        "showPoints": "never",
        "spanNulls": False,
        "axisPlacement": "auto",
        "scaleDistribution": {"type": "log", "log": 10} if log else {"type": "linear"},
        "thresholdsStyle": {"mode": "dashed" if limit else "off"},
    }
    defaults = {
        "unit": unit,
        "noValue": "no data",
        "color": CALM,
        "thresholds": {"mode": "absolute", "steps": limit or steps()},
        "mappings": [],
        "links": [],
        "custom": custom,
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel(
        "timeseries",
        title,
        description,
        targets(*queries),
        width,
        height,
        defaults | more,
        overrides,
        options,
    )


def timeline(title, description, queries, values, width=24, height=6, links=()):
    """What held when."""
    defaults = {
        "unit": "none",
        "noValue": "no data",
        "color": JUDGED,
        "thresholds": {"mode": "absolute", "steps": steps(base="text")},
        "mappings": mapping(values),
        "links": list(links),
        "custom": {"fillOpacity": 80, "lineWidth": 0},
    }
    options = {
        "showValue": "never",
        "rowHeight": 0.9,
        "mergeValues": True,
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel(
        "state-timeline", title, description, targets(*queries), width, height, defaults, [], options
    )


def table(title, description, columns, keys, links, sort, height=9):
    """One line per combination of `keys`. Columns: (heading, expression, unit, colours or mapping)."""
    queries, names, overrides = [], {}, []
    hidden = {"Time": True, "__name__": True}
    for index, (heading, expr, unit, look) in enumerate(columns):
        ref = chr(ord("A") + index)
        queries.append(target(expr, ref=ref, instant=True, table=True))
        if heading is None:
            # Only its labels are wanted.
            hidden[f"Value #{ref}"] = True
            continue
        names[f"Value #{ref}"] = heading
        properties = [("unit", unit)]
        if isinstance(look, dict):
            properties += [("mappings", mapping(look))]
        elif look:
            properties += [("thresholds", {"mode": "absolute", "steps": look})]
        if look:
            properties += [("custom.cellOptions", {"type": "color-background", "mode": "basic"})]
        overrides.append(override(heading, *properties))
    overrides.append(
        override("state", ("mappings", states_mapping()), ("custom.cellOptions", {"type": "color-text"}))
    )
    overrides.append(override(keys[-1], ("links", links), ("custom.minWidth", 140)))
    overrides.append(override("url", ("custom.hidden", True)))
    order = {name: place for place, name in enumerate([*keys, "state", *names])}
    defaults = {
        "unit": "none",
        "noValue": "–",
        "color": JUDGED,
        "thresholds": {"mode": "absolute", "steps": steps(base="text")},
        "mappings": [],
        "links": [],
        "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
    }
    options = {
        "frameIndex": 0,
        "showHeader": True,
        "cellHeight": "sm",
        "sortBy": [{"displayName": sort, "desc": True}],
    }
    transformations = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {"excludeByName": hidden, "indexByName": order, "renameByName": names},
        },
    ]
    return panel(
        "table",
        title,
        description,
        queries,
        WIDTH,
        height,
        defaults,
        overrides,
        options,
        transformations=transformations,
    )


def row(title, panels, collapsed=False, repeat=None):
    """A row and what stands in it; a collapsed one asks nothing until it is opened."""
    head = {"type": "row", "title": title, "collapsed": collapsed}
    return head | ({"repeat": repeat} if repeat else {}) | {"panels": panels}


def laid_out(rows):
    """The panels of a dashboard with their ids and places: each row from left to right."""
    placed, identity, y = [], 0, 0
    for head in rows:
        inside, x, height = [], 0, 0
        identity += 1
        head = head | {"id": identity, "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y}}
        y += 1
        for each in head["panels"]:
            identity += 1
            place = each["gridPos"]
            if x + place["w"] > WIDTH:
                x, y, height = 0, y + height, 0
            inside.append(each | {"id": identity, "gridPos": place | {"x": x, "y": y}})
            x, height = x + place["w"], max(height, place["h"])
        y += height
        if head["collapsed"]:
            placed.append(head | {"panels": inside})
            y = head["gridPos"]["y"] + 1
        else:
            placed += [head | {"panels": []}, *inside]
    return placed


# --- what stands around the panels ---


def variable(name, label, query, multi=True, description="", hide=0, regex=""):
    """A variable filled from the labels of a series, or from a query's answer."""
    every = {"includeAll": True, "allValue": ".+"} if multi else {"includeAll": False}
    everything = {"selected": True, "text": "All", "value": "$__all"}
    return {
        "name": name,
        "label": label,
        "description": description,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": f"variable-{name}"},
        "regex": regex,
        "refresh": 2,
        "sort": 1,
        "hide": hide,
        "multi": multi,
        "current": everything if multi else {"selected": False, "text": "", "value": ""},
        "options": [],
    } | every


def datasource_variable():
    return {
        "name": "datasource",
        "label": "Data source",
        "description": "The Prometheus that scrapes driftd.",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "current": {"selected": False, "text": "", "value": ""},
        "options": [],
    }


def annotation(name, expr, colour, title, text, enable=True):
    """Marks the times that a series has as its values, in milliseconds."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": enable,
        "hide": False,
        "iconColor": colour,
        "expr": expr,
        # The Prometheus data source's own:
        "useValueForTime": True,
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "model,feature",
    }


def dashboard(uid, title, description, variables, annotations, rows):
    others = {
        "title": "driftd",
        "type": "dashboards",
        "tags": ["driftd"],
        "asDropdown": False,
        "icon": "external link",
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "tooltip": "The other dashboard of driftd, with the same variables",
        "url": "",
    }
    page = others | {
        "title": "driftd's page",
        "type": "link",
        "tags": [],
        "includeVars": False,
        "keepTime": False,
        "targetBlank": True,
        "tooltip": "The verdict in words, with both distributions of each column",
        "url": "${page}/" + ("?model=${model:percentencode}" if uid == "driftd-model" else ""),
    }
    return {
        "id": None,
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["driftd"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "weekStart": "",
        "links": [others, page],
        "annotations": {"list": annotations},
        "templating": {"list": [datasource_variable(), *variables]},
        "panels": laid_out(rows),
    }
