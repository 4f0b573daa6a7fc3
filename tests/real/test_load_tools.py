"""Load and attack tools, and varnishtest's scripted client and server, against driftd.

What waits in driftd's place for a slow client must not be one of few threads: these upstreams are
uvicorn. The scripts are vtc/*.vtc.
"""

import re
import subprocess
import threading
import time

import pytest
import requests

from driftd import config_text
from processes import HERE, Process, Uvicorn, free_port

MODELS = [{"name": "echo", "paths": ["/predict"]}]
SCRIPTS = sorted((HERE / "vtc").glob("*.vtc"))


@pytest.fixture
def echo(started, tmp_path):
    """echo_app.py under uvicorn."""
    env = {"ECHO_LOG": str(tmp_path / "echo.log")}
    options = ["--timeout-keep-alive", "75", "--lifespan", "off", "--no-access-log"]
    app = Uvicorn("echo_app:asgi", tmp_path, env, options)
    started.append(app)
    return app


# --- h2load ---


@pytest.mark.parametrize("protocol", [["--h1"], ["--no-tls-proto=h2c", "--max-concurrent-streams=20"]])
def test_h2load_sees_no_failure(echo, start_driftd, started, tmp_path, protocol):
    driftd = start_driftd(config=config_text(echo.url, models=MODELS))
    (tmp_path / "body.json").write_text('{"instances": [[5.1, 3.5, 1.4, 0.2]]}', encoding="utf-8")
    load = Process(["h2load", *protocol, "--duration=5", "--clients=20",
                    "--header=content-type: application/json",
                    f"--data={tmp_path}/body.json", f"{driftd.proxy}/predict"], tmp_path)
    started.append(load)
    assert load.exit_code(60) == 0, load.describe()
    counts = {name: int(number) for number, name in re.findall(
        r"(\d+) (total|done|succeeded|failed|errored|timeout|2xx|3xx|4xx|5xx)", load.stdout)}
    bad = {name: counts[name] for name in
           ["failed", "errored", "timeout", "3xx", "4xx", "5xx"]}
    assert not any(bad.values()), load.stdout
    assert counts["succeeded"] == counts["done"] > 500, load.stdout
    # Each answer that h2load took was counted; a few more were under way when its time was over.
    count = "http_server_request_duration_seconds_count"
    answered = driftd.metric(count, http_response_status_code="200")
    assert counts["2xx"] <= answered, load.stdout


# --- slowhttptest ---


class Bystander:
    """An ordinary client beside the attack."""

    def __init__(self, driftd):
        self.url = f"{driftd.proxy}/predict"
        self.times = []
        self.failures = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.over.wait(0.1):
            begun = time.monotonic()
            try:
                # A connection of its own each time: the new ones are those that an attack keeps out.
                answer = requests.post(self.url, json={"a": 1}, timeout=20)
                answer.raise_for_status()
            except requests.RequestException as failure:
                self.failures.append(failure)
            self.times.append(time.monotonic() - begun)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(30)


ATTACKS = {
    # Headers that never end.
    "header_timeout": ["-H", "-i", "5", "-x", "24"],
    # Bodies that come a few bytes every five seconds.
    "body_timeout": ["-B", "-i", "5", "-s", "8192", "-x", "10", "-t", "POST"],
    # Answers that are read a few bytes every five seconds, through a narrow window.
    "write_timeout": ["-X", "-n", "5", "-z", "32", "-w", "512", "-y", "1024"],
}


@pytest.mark.parametrize("limit", ATTACKS)
def test_slow_clients_are_let_go_and_hold_up_nobody(echo, start_driftd, started, tmp_path, limit):
    limits = {"header_timeout": "3s", "body_timeout": "3s", "write_timeout": "3s"}
    driftd = start_driftd(config=config_text(echo.url, models=MODELS, proxy=limits))
    path = "/large" if limit == "write_timeout" else "/predict"
    command = ["slowhttptest", *ATTACKS[limit], "-c", "200", "-r", "200", "-l", "15", "-p", "3",
               "-u", driftd.proxy + path]
    with Bystander(driftd) as bystander:
        attack = Process(command, tmp_path)
        started.append(attack)
        attack.exit_code(60)
    # It colours what it says.
    said = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", attack.stdout)
    assert "No open connections left" in said, said[-3000:]
    assert driftd.metric("driftd_proxy_limit_total", limit=limit) == 200
    assert not bystander.failures
    assert len(bystander.times) > 10
    # Long before the first of the slow ones was let go.
    assert max(bystander.times) < 1.5


# --- varnishtest ---


def test_there_are_scripts():
    assert len(SCRIPTS) >= 5


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_script(script, start_driftd):
    upstream = f"127.0.0.1:{free_port()}"
    driftd = start_driftd(config=config_text(f"http://{upstream}", models=MODELS))
    command = ["varnishtest", "-v", "-t", "30", "-D", f"upstream={upstream}",
               "-D", f"driftd={driftd.proxy.removeprefix('http://')}", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
