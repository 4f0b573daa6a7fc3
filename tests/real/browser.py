"""Debian's chromium with the page in it: driven, photographed, and asked for the rules it breaks."""

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver

from processes import HERE, clean_environment

# ./tests/run installs it from package.json beside this file.
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"

# Everything WCAG 2.2 asks for up to AA, and what its makers hold to be good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# Kept by whoever runs the tests: pictures of every view, in light and dark, wide and narrow.
SCREENSHOTS = Path(os.environ.get("DRIFTD_SCREENSHOTS") or HERE.parent.parent / "target/screenshots")

# --no-sandbox: containers and CI run as root. The others keep the browser from calling its maker.
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def browser(profile, width=1280, height=1600):
    """Debian's chromium, driven by its own driver on a port of the kernel's choice."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or pytest.fail("chromium is not installed")
    for argument in [*ARGUMENTS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = shutil.which("chromedriver") or pytest.fail("chromedriver is not installed")
    service = webdriver.ChromeService(driver, env=clean_environment())
    with webdriver.Chrome(options, service) as chromium:
        yield chromium


def requested(chromium):
    """Every address the browser asked for since the last call."""
    messages = [
        json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")
    ]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def errors(chromium):
    """What the browser complains of: a policy that was broken, a script that failed."""
    return [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"]


def look(chromium, scheme="light", width=1280, height=1600):
    """Shows pages as a screen of this width does, in this colour scheme."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def save(chromium, name):
    """A picture for whoever wants to look."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    assert chromium.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


def violations(chromium):
    """The rules that the page breaks, each with where; and the names of those it keeps."""
    if not AXE.exists():
        pytest.fail(f"{AXE} is missing; use ./tests/run real")
    # The page's policy lets no script in; the driver's own are none of the page's.
    chromium.execute_script(AXE.read_text(encoding="utf-8"))
    found = chromium.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {runOnly: arguments[0]}).then(done, (error) => done({error: `${error}`}));",
        RULES,
    )
    assert "error" not in found, found["error"]
    broken = [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
    return broken, {rule["id"] for rule in found["passes"]}
