"""Load and attack tools, and varnishtest's scripted client and server, against driftd.

What waits in driftd's place for a slow client must not be one of few threads: these upstreams are
uvicorn. The scripts are vtc/*.vtc.
"""

import re
import statistics
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests

from driftd import config_text
from processes import HERE, Process, Uvicorn, free_port, wait_until

MODELS = [{"name": "echo", "paths": ["/predict"]}]
SCRIPTS = sorted((HERE / "vtc").glob("*.vtc"))


@pytest.fixture
def start_echo(started, tmp_path):
    """Starts echo_app.py under uvicorn."""

    def start():
        env = {"ECHO_LOG": str(tmp_path / "echo.log")}
        options = ["--timeout-keep-alive", "75", "--lifespan", "off", "--no-access-log"]
        started.append(Uvicorn("echo_app:asgi", tmp_path, env, options))
        return started[-1]

    return start


# --- h2load ---


PROTOCOLS = {"h1": ["--h1"], "h2c": ["--no-tls-proto=h2c", "--max-concurrent-streams=20"]}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_h2load_sees_no_failure(start_echo, start_driftd, started, tmp_path, protocol):
    driftd = start_driftd(config=config_text(start_echo().url, models=MODELS))
    (tmp_path / "body.json").write_text('{"instances": [[5.1, 3.5, 1.4, 0.2]]}', encoding="utf-8")
    load = Process(["h2load", *PROTOCOLS[protocol], "--duration=5", "--clients=20",
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
        self.url = f"{driftd.proxy}/ordinary"
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


def sockets(url):
    """The states of the connections to this address which the kernel still has, but for TIME_WAIT."""
    port = f":{int(url.rsplit(':', 1)[1]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("utf-8").splitlines()[1:]]
    listening, over = "0A", "06"
    return [row[3] for row in rows if row[1].endswith(port) and row[3] not in (listening, over)]


# Seconds that driftd gives slow clients here.
LIMIT = 3

ATTACKS = {
    # Headers that never end.
    "header_timeout": ["-H", "-i", "5", "-x", "24"],
    # Bodies that come a few bytes every five seconds.
    "body_timeout": ["-B", "-i", "5", "-s", "8192", "-x", "10", "-t", "POST"],
    # Answers that are read a few bytes every five seconds, through a narrow window.
    "write_timeout": ["-X", "-n", "5", "-z", "32", "-w", "512", "-y", "1024"],
}


@pytest.mark.parametrize("limit", ATTACKS)
def test_slow_clients_are_let_go_and_hold_up_nobody(
    start_echo, start_driftd, started, tmp_path, limit
):
    limits = {name: f"{LIMIT}s" for name in ATTACKS}
    # A model server of its own, for it is driftd that must not be held up.
    ordinary = {"name": "ordinary", "paths": ["/ordinary"], "upstream": start_echo().url}
    models = [*MODELS, ordinary]
    driftd = start_driftd(config=config_text(start_echo().url, models=models, proxy=limits))
    path = "/large" if limit == "write_timeout" else "/predict"
    command = ["slowhttptest", *ATTACKS[limit], "-c", "200", "-r", "100", "-l", "40", "-p", "3",
               "-u", driftd.proxy + path]
    with Bystander(driftd) as bystander:
        attack = Process(command, tmp_path)
        started.append(attack)
        count = "driftd_proxy_limit_total"
        wait_until(lambda: driftd.metric(count, limit=limit) >= 200, 30, f"200 times {limit}")
        # The kernel holds nothing for them either, while they would go on. The bystander's and the
        # attacker's own probe come and go.
        wait_until(lambda: len(sockets(driftd.proxy)) <= 3, 12, "the connections gone")
        # Whoever reads 32 bytes in five seconds does not get to see the end.
        if limit != "write_timeout":
            attack.exit_code(30)
            # It colours what it says.
            said = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", attack.stdout)
            assert "No open connections left" in said, said[-3000:]
    assert not bystander.failures
    assert len(bystander.times) > 10
    assert statistics.median(bystander.times) < 0.5
    # Nobody was waited for.
    assert max(bystander.times) < LIMIT


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
