"""The page for everybody: what it says against what driftd measured, and who can read it how.

One driftd for all tests: a model that was well, was deployed anew and then drifted; one with categories,
missing and unseen values; one without reference.
"""

import re

import numpy as np
import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import rows
from browser import browser, errors, look, requested, save, violations
from driftd import IRIS, Driftd, config_text, feature
from processes import REFERENCE_DATA, wait_until
from test_table_flask import FLIGHTS, reference

DRIFT = {"every": "1s", "current": "300 rows", "fast": "off", "min_rows": 300}
TOKEN = "a-token-of-the-tests-of-the-page"
BARE = {"name": "bare", "paths": ["/bare"], "features": ["x", "y"]}

VIEWS = {
    "overview": "",
    "drifted": "model=iris&feature=petal_length",
    "categorical": "model=flights&feature=carrier",
    "no-reference": "model=bare",
}
LOOKS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]


def unlike_flights(count):
    """Flights of a carrier nobody knew, every fifth without its weather."""
    sent = []
    for index, row in enumerate(rows.flights()[0][:count]):
        changed = dict(row)
        if index % 3 == 0:
            changed["carrier"] = "ZZ"
        if index % 5 == 0:
            changed["temperature"] = None
        sent.append(changed)
    return sent


@pytest.fixture(scope="module")
def watched(iris_app_sync, table_app, tmp_path_factory):
    """The driftd all tests look at; nothing is sent to it any more."""
    directory = tmp_path_factory.mktemp("page_access")

    def start(version):
        models = [
            IRIS | {"paths": ["/lenient"], "version": version, "upstream": iris_app_sync.url},
            FLIGHTS | {"upstream": table_app.url},
            BARE,
        ]
        return Driftd(directory, config_text(iris_app_sync.url, models, DRIFT, admin_token=TOKEN))

    def send_iris(driftd, sent):
        for row in sent:
            answer = driftd.post("/lenient", json={"features": row})
            assert answer.status_code == 200, answer.text
        return len(sent)

    before = start("2026-10")
    exchanges = send_iris(before, rows.iris() * 4)
    before.settled_model(exchanges=exchanges, seconds=120)
    assert before.stop() == 0, before.describe()
    driftd = start("2026-11")
    try:
        moved = rows.shifted(rows.iris() * 3, "petal_length", 1.2)
        exchanges = send_iris(driftd, moved)
        exchanges += rows.send_flights(driftd.post, unlike_flights(400))[1]
        # Checks of hundreds of rows in fourteen columns take a while where others use the processor.
        driftd.settled_model(exchanges=exchanges, seconds=120)
        driftd.settled_model("flights", seconds=120)
        yield driftd
    finally:
        driftd.close()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


def still(driftd, query=""):
    """The page's address, not to change while it is looked at."""
    return f"{driftd.page}/?updates=off&{query}"


def column(chromium, model, name):
    """A column's article, opened."""
    selector = f'section[data-model="{model}"] [data-feature="{name}"]'
    article = chromium.find_element(By.CSS_SELECTOR, selector)
    for details in article.find_elements(By.TAG_NAME, "details"):
        if details.get_attribute("open") is None:
            details.find_element(By.TAG_NAME, "summary").click()
    return article


def figures(text):
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\.?\d*", text)]


# --- what it says ---


def test_from_the_verdict_to_the_column_and_the_deploy_before_it(watched, chromium):
    look(chromium)
    chromium.get(still(watched))
    model = watched.model()
    section = chromium.find_element(By.CSS_SELECTOR, 'section[data-model="iris"]')
    text = section.text
    assert model["state"] == "drifted" and model["sentence"] in text
    # What to do comes before the columns, and these before what the verdict rests on.
    headings = [h.text for h in section.find_elements(By.CSS_SELECTOR, "h3")]
    wanted = ["What to do", "Time line", "Columns", "Comparison", "Traffic", "Tap", "Window"]
    assert [h for w in wanted for h in headings if h.startswith(w)] == headings[: len(wanted)]
    names = [a.get_attribute("data-feature") for a in section.find_elements(By.TAG_NAME, "article")]
    assert names == [f["name"] for f in model["features"]]
    todo = section.find_element(By.CLASS_NAME, "todo").text
    assert names[0] == "petal_length" and "petal_length drifted first at" in todo
    assert "version 2026-11 after version 2026-10" in todo
    assert "driftd accept --model iris --feature petal_length" in todo
    # The deploy and the drift stand in the time line, when the window says they were.
    [_, deploy] = watched.query('SELECT since FROM "references" WHERE model = ?', ["iris"])
    events = section.find_element(By.CLASS_NAME, "events").text
    assert f"{deploy['since'][:19].replace('T', ' ')}" in events
    since = feature(model, "petal_length")["since"]
    assert since[:19].replace("T", " ") in events
    budget = model["budget"]
    assert (budget["per"], budget["allowed"]) == ("30d", 1.0) and 0 < budget["spent"] < 0.01
    assert "1 false alarm per 30 days; used under 0.01" in text
    save(chromium, "access-verdict")


def test_the_line_over_time_is_what_the_window_holds(watched, chromium):
    look(chromium)
    chromium.get(still(watched, "model=iris&feature=petal_length"))
    checks = watched.query(
        "SELECT substr(replace(time, 'T', ' '), 1, 19) AS time, statistic, threshold, drifted FROM checks "
        "WHERE model = 'iris' AND \"column\" = 'petal_length' AND test = 'ks' AND span = 'main' "
        "ORDER BY id DESC"
    )
    # Both versions' decisions are there.
    assert len(checks) >= 2 and {c["drifted"] for c in checks} == {0, 1}
    article = column(chromium, "iris", "petal_length")
    table = article.find_element(By.CSS_SELECTOR, "table.course")
    shown = [
        [cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")]
        for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")
    ]
    # The first may be what was measured since the last decision.
    if shown[0][0] != checks[0]["time"]:
        shown = shown[1:]
    assert len(shown) >= min(len(checks), 7)
    for row, check in zip(shown, checks, strict=False):
        assert row[0] == check["time"]
        assert float(row[1]) == pytest.approx(check["statistic"], rel=1e-3)
        assert float(row[2]) == pytest.approx(check["threshold"], rel=1e-3)
        assert row[3] == ("drifted" if check["drifted"] else "no drift")
    times = watched.query(
        "SELECT count(DISTINCT time) AS n FROM checks WHERE model = 'iris' AND span = 'main'"
    )
    bars = chromium.find_elements(By.CSS_SELECTOR, 'section[data-model="iris"] .strip .check')
    assert len(bars) == times[0]["n"]
    drifted = watched.query(
        "SELECT count(DISTINCT time) AS n FROM checks WHERE model = 'iris' AND span = 'main' AND drifted"
    )
    assert len([b for b in bars if "drifted" in b.get_attribute("class")]) == drifted[0]["n"]


def test_numbers_are_those_of_numpy_on_both_sides(watched, chromium):
    look(chromium)
    chromium.get(still(watched, "model=iris&feature=petal_length"))
    index = rows.IRIS_FEATURES.index("petal_length")
    sides = {
        "reference": np.array([row[index] for row in rows.iris()]),
        "current": np.array(
            [
                row["petal_length"]
                for row in watched.query("SELECT * FROM rows_iris ORDER BY id DESC LIMIT 300")
            ]
        ),
    }
    article = column(chromium, "iris", "petal_length")
    quantiles = article.find_element(By.XPATH, './/table[caption="Quantiles"]')
    for row in quantiles.find_elements(By.CSS_SELECTOR, "tbody tr"):
        side = row.find_element(By.TAG_NAME, "th").text
        at = [0.05, 0.25, 0.5, 0.75, 0.95]
        expected = np.quantile(sides[side], at, method="inverted_cdf")
        shown = [float(cell.text) for cell in row.find_elements(By.TAG_NAME, "td")]
        assert shown == pytest.approx(expected, rel=1e-3)
    labels = [
        svg.get_attribute("aria-label")
        for svg in article.find_elements(By.CSS_SELECTOR, 'svg[role="img"]')
    ]
    [histogram] = [label for label in labels if label.startswith("Histograms")]
    for side, values in sides.items():
        # The first bin has no lower edge.
        bin_ = r"([\d.]+) %, (?:above ([\d.]+) )?up to ([\d.]*\d)"
        share, low, high = re.search(rf"of the {side}: {bin_}", histogram).groups("-inf")
        share, low, high = float(share), float(low), float(high)
        inside = np.mean((values > low + 1e-9) & (values <= high + 1e-9))
        assert share == pytest.approx(100 * inside, abs=0.006), histogram
    ecdf = next(label for label in labels if label.startswith("Cumulative"))
    d, at = map(float, re.search(r"Largest gap ([\d.]+) at ([\d.]+)", ecdf).groups())
    apart = [np.mean(values <= at) for values in sides.values()]
    assert d == pytest.approx(abs(apart[0] - apart[1]), rel=1e-3)


def test_categories_missing_and_unseen_values_are_those_stored(watched, chromium):
    look(chromium)
    chromium.get(still(watched, "model=flights&feature=carrier"))
    stored = watched.query("SELECT * FROM rows_flights ORDER BY id DESC LIMIT 300")
    article = column(chromium, "flights", "carrier")
    carriers = [row["carrier"] for row in stored]
    known = set(reference()["carrier"])
    label = article.find_element(By.CSS_SELECTOR, 'svg[aria-label^="Shares"]')
    label = label.get_attribute("aria-label")
    for name in sorted(known):
        found = re.search(rf" {name}: (<? ?[\d.]+) %, (<? ?[\d.]+) %\.", label)
        if not found:
            assert "others" in label, name
            continue
        before = 100 * np.mean([c == name for c in reference()["carrier"]])
        now = 100 * np.mean([c == name for c in carriers])
        assert [float(found[1]), float(found[2])] == pytest.approx([before, now], abs=0.006)
    unseen = 100 * np.mean([c not in known for c in carriers])
    assert 25 < unseen < 40
    facts = article.find_element(By.CLASS_NAME, "facts").text
    [shown] = re.findall(r"Unseen in the reference\s+([\d.]+) %", facts)
    assert float(shown) == pytest.approx(unseen, abs=0.006)
    article = column(chromium, "flights", "temperature")
    missing = 100 * np.mean([row["temperature"] is None for row in stored])
    before = 100 * np.mean([value is None for value in reference()["temperature"]])
    facts = article.find_element(By.CLASS_NAME, "facts").text
    [shown] = re.findall(r"Missing\s+([\d.]+) % reference ([\d.]+) %", facts)
    assert list(map(float, shown)) == pytest.approx([missing, before], abs=0.006)


# --- who can read it, and how ---


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
@pytest.mark.parametrize("view", VIEWS)
def test_no_rule_of_accessibility_is_broken(watched, chromium, view, scheme, width):
    look(chromium, scheme, width)
    chromium.get(still(watched, VIEWS[view]))
    dark = chromium.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches")
    assert dark == (scheme == "dark")
    save(chromium, f"access-{view}-{scheme}-{width}")
    # All there is to read, open.
    chromium.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    broken, kept = violations(chromium)
    assert broken == []
    # Of these at least the page has something to keep.
    assert {"color-contrast", "heading-order", "landmark-one-main", "region", "svg-img-alt"} <= kept
    wide = chromium.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 0, f"the page scrolls sideways by {wide} pixels"
    assert errors(chromium) == []
    asked = [url for url in requested(chromium) if url.startswith(("http", "ws"))]
    assert asked and all(url.startswith(watched.page + "/") for url in asked), asked


def test_the_keyboard_reaches_everything_in_order(watched, chromium):
    look(chromium)
    chromium.get(still(watched))
    stops = chromium.execute_script(
        "window.stops = [...document.querySelectorAll('a[href], summary, [tabindex]')]"
        ".filter((element) => element.checkVisibility()); return window.stops.length"
    )
    assert stops > 20
    body = chromium.find_element(By.TAG_NAME, "body")
    reached = []
    for _ in range(stops):
        chromium.switch_to.active_element.send_keys(Keys.TAB) if reached else body.send_keys(Keys.TAB)
        reached.append(
            chromium.execute_script(
                "const style = getComputedStyle(document.activeElement);"
                "return [window.stops.indexOf(document.activeElement),"
                " style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2]"
            )
        )
    assert [index for index, _ in reached] == list(range(stops))
    assert all(seen for _, seen in reached), "a focus that cannot be seen"
    summary = chromium.find_element(
        By.CSS_SELECTOR, 'section[data-model="iris"] article:last-of-type summary'
    )
    details = summary.find_element(By.XPATH, "..")
    before = details.get_attribute("open")
    summary.send_keys(Keys.ENTER)
    assert (details.get_attribute("open") is None) != (before is None)


@pytest.mark.parametrize("place", ['section[data-model="iris"] article .next a', "#foot a"])
def test_an_update_leaves_the_keyboard_where_it_is(watched, chromium, place):
    look(chromium)
    chromium.get(f"{watched.page}/")
    link = chromium.find_element(By.CSS_SELECTOR, place)
    href = link.get_attribute("href")
    chromium.execute_script(
        "window.old = document.getElementById('main'); arguments[0].focus()", link
    )

    def updated():
        return chromium.execute_script("return document.getElementById('main') !== window.old")

    wait_until(updated, 30, "an update")
    assert chromium.switch_to.active_element.get_attribute("href") == href
    assert errors(chromium) == []


def test_a_lost_driftd_is_announced_once(watched, chromium):
    look(chromium)
    chromium.get(f"{watched.page}/")
    chromium.execute_script(
        "window.said = [];"
        "const alert = document.querySelector('[role=alert]');"
        "new MutationObserver(() => window.said.push(alert.textContent))"
        ".observe(alert, { childList: true, characterData: true, subtree: true })"
    )

    def offline(lost):
        conditions = {"offline": lost, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        chromium.execute_cdp_cmd("Network.enable", {})
        chromium.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    def banner():
        return chromium.find_element(By.ID, "lost").text

    offline(True)
    try:
        wait_until(banner, 30, "the banner")
        first = banner()
        wait_until(lambda: banner() != first, 30, "an older page")
    finally:
        offline(False)
    said = chromium.execute_script("return window.said")
    assert len(said) == 1, said
    assert re.fullmatch(
        r"driftd does not answer\. What you see is of \d\d:\d\d:\d\d UTC\.", said[0]
    ), said
    assert banner().startswith(said[0]) and first.startswith(said[0])
    wait_until(lambda: not banner(), 30, "an answer")
    requested(chromium)
    errors(chromium)


def test_a_page_asked_to_stand_still_does(watched, chromium):
    chromium.get(still(watched))
    requested(chromium)
    loaded = watched.admin("/api/v1/status").json()["uptime_seconds"]

    def later():
        return watched.admin("/api/v1/status").json()["uptime_seconds"] > loaded + 7

    wait_until(later, 20, "seven seconds, of which an update takes five")
    assert requested(chromium) == []
    assert "http-equiv" not in requests.get(still(watched), timeout=10).text


def test_without_scripts_the_essentials_are_there(watched, chromium):
    look(chromium)
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chromium.get(f"{watched.page}/?model=iris&feature=petal_length")
        text = chromium.find_element(By.TAG_NAME, "main").text
        assert watched.model()["sentence"] in text and "What to do" in text
        pictures = chromium.find_elements(By.CSS_SELECTOR, 'article[data-selected] svg[role="img"]')
        assert len(pictures) >= 4 and all(p.is_displayed() for p in pictures)
        closed = chromium.find_element(
            By.CSS_SELECTOR, 'section[data-model="iris"] article:last-of-type details'
        )
        assert closed.get_attribute("open") is None
        closed.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
        assert closed.get_attribute("open") is not None
        save(chromium, "access-without-scripts")
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("width", [1280, 1000, 600, 390])
def test_what_is_accepted_covers_nothing(watched, chromium, width):
    """Last: it changes what the page shows."""
    if width == 1280:
        answer = requests.post(
            f"{watched.page}/api/v1/accept",
            headers={"authorization": f"Bearer {TOKEN}"},
            json={"model": "flights", "feature": "carrier", "reason": "a new carrier", "by": "mira"},
            timeout=40,
        )
        assert answer.status_code == 200, answer.text
    look(chromium, "light", width)
    chromium.get(still(watched))
    row = chromium.find_element(By.CSS_SELECTOR, '[data-feature="carrier"] .row')
    assert "accepted until" in row.text
    boxes = chromium.execute_script(
        "return [...arguments[0].children].map((child) => {"
        " const box = document.createRange(); box.selectNodeContents(child);"
        " const { left, right, top, bottom } = child instanceof SVGElement"
        "  ? child.getBoundingClientRect() : box.getBoundingClientRect();"
        " return [child.getAttribute('class') || child.tagName, left, right, top, bottom]; })"
        ".filter(([, left, right]) => right > left)",
        row,
    )
    assert len(boxes) >= 4
    for index, (name, left, right, top, bottom) in enumerate(boxes):
        assert 0 <= left and right <= width, name
        for other, left2, right2, top2, bottom2 in boxes[index + 1 :]:
            apart = right <= left2 + 0.5 or right2 <= left + 0.5
            apart = apart or bottom <= top2 + 0.5 or bottom2 <= top + 0.5
            assert apart, f"{name} and {other} lie upon each other"
    save(chromium, f"access-accepted-{width}")
