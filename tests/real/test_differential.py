"""The same bytes through driftd, nginx, HAProxy and Envoy into gunicorn and uvicorn.

What came of each row of raw_requests.py stands in differences.md, and has to be what comes of it
now. Where driftd does otherwise than most of the others, or lets more requests through than nginx,
the last column there says why. To write
the outcomes anew, with the reasons as they are: WRITE_DIFFERENCES=1 ./tests/run real
test_differential.py; read what has changed before it is committed.
"""

import json
import os
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from driftd import Driftd, config_text
from processes import HERE, Gunicorn, Uvicorn, wait_until
from proxies import Envoy, Haproxy, Nginx
from raw_requests import ROWS

TABLE = HERE / "differences.md"
PROXIES = ["driftd", "nginx", "HAProxy", "Envoy"]
APPS = ["gunicorn", "uvicorn"]

# How long an answer that may never come is waited for; and for what may follow the last one.
PATIENCE = 2
QUIET = 0.1

# Upstream connections that a server closes while a request is on its way are another test's matter.
GUNICORN = "--keep-alive 75 --limit-request-line 8190 --limit-request-fields 400"
UVICORN = ["--timeout-keep-alive", "75", "--no-proxy-headers", "--lifespan", "off"]


# --- one connection ---


def final_statuses(data, head_only):
    """The statuses of the final answers that are complete in these bytes."""
    found = []
    while b"\r\n\r\n" in data:
        head, data = data.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {name.lower(): value.strip() for name, _, value in
                   (line.partition(":") for line in lines[1:])}
        if status < 200 and status != 101:
            continue
        found.append(status)
        if head_only:
            continue
        if headers.get("transfer-encoding") == "chunked":
            data = data.partition(b"0\r\n\r\n")[2]
        else:
            data = data[int(headers.get("content-length", 0)):]
    return found


def answers(address, row):
    """The classes of the answers, or what came in their place."""
    data, ended = b"", False
    with socket.create_connection(address, timeout=PATIENCE) as client:
        try:
            client.sendall(row.sent)
        except ConnectionError:
            pass
        deadline = time.monotonic() + PATIENCE
        while True:
            statuses = final_statuses(data, row.sent.startswith(b"HEAD"))
            wait = QUIET if len(statuses) >= row.answers else deadline - time.monotonic()
            if wait <= 0:
                break
            client.settimeout(wait)
            try:
                piece = client.recv(65536)
            except TimeoutError:
                break
            except ConnectionError:
                piece = b""
            if not piece:
                ended = True
                break
            data += piece
    if statuses:
        return " ".join(f"{status // 100}xx" for status in statuses)
    return "closed" if ended else "waits"


class Route:
    """One proxy before one application, and what reaches it."""

    def __init__(self, address, log):
        self.address = address
        self.log = log
        self.read = log.stat().st_size if log.exists() else 0

    def news(self):
        """What the application has noted since the last row, once no request is under way."""
        deadline = time.monotonic() + PATIENCE
        size, since = -1, 0

        def settled():
            nonlocal size, since
            data = self.log.read_bytes()[self.read:] if self.log.exists() else b""
            notes = [json.loads(line) for line in data.decode().splitlines()]
            if len(data) != size:
                size, since = len(data), time.monotonic()
            under_way = {note["begin"] for note in notes if "begin" in note}
            under_way -= {note["end"] for note in notes if "end" in note}
            quiet = time.monotonic() - since > QUIET
            if quiet and (not under_way or time.monotonic() > deadline):
                self.read += len(data)
                return (notes,)
            return None

        return wait_until(settled, what="that the application is quiet")[0]

    def outcome(self, row):
        """What came of a row, as it stands in the table."""
        said = answers(self.address, row)
        notes = self.news()
        ends = {note["end"]: note for note in notes if "end" in note}
        requests = [describe(note, ends.get(note["begin"]), row) for note in notes
                    if "begin" in note]
        return said + ": " + ("; ".join(requests) or "–")


def describe(begin, end, row):
    """One request as the application saw it."""
    target = begin["target"]
    if len(target) > 40:
        target = f"{target[:12]}… ({len(target)})"
    parts = [begin["method"], target]
    if end is None or not end["whole"]:
        parts.append("cut")
    elif end["length"]:
        parts.append(f"{end['length']} B {end['sha256'][:4]}")
    seen = {name: begin["headers"][name] for name in row.watch if name in begin["headers"]}
    if row.watch:
        parts.append("{" + ", ".join(f"{name}={value!a}" for name, value in seen.items()) + "}")
    return " ".join(parts)


# --- the table ---


def written_table():
    """{row: ({proxy: cell}, reason)} as it stands in the repository."""
    found = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("| request |"):
            name, *cells, reason = (cell.strip() for cell in line.strip("|").split(" | "))
            found[name] = dict(zip(PROXIES, cells, strict=True)), reason
    return found


def cell(outcomes):
    """One proxy's outcomes of a row, told once where both applications saw the same."""
    if len(set(outcomes.values())) == 1:
        text = outcomes[APPS[0]]
    else:
        text = "<br>".join(f"{app}: {outcomes[app]}" for app in APPS)
    assert " | " not in text
    return text


def requests(outcome):
    """How many requests reached the application."""
    seen = outcome.partition(": ")[2]
    return 0 if seen == "–" else seen.count("; ") + 1


def needs_reason(row):
    """Whether, before either application, driftd does otherwise than most of the others do, or lets
    more requests through than nginx."""
    for app in APPS:
        others = Counter(row[proxy][app] for proxy in PROXIES[1:])
        most, count = others.most_common(1)[0]
        if row["driftd"][app] != most or count == 1:
            return True
        if requests(row["driftd"][app]) > requests(row["nginx"][app]):
            return True
    return False


def rewrite(outcomes):
    """Puts these outcomes in the place of those in the table."""
    reasons = {name: reason for name, (_, reason) in written_table().items()}
    head = TABLE.read_text(encoding="utf-8").partition("| request |")[0]
    lines = [" | ".join(["| request", *PROXIES, "why driftd differs |"]), "|" + "---|" * 6]
    for name, row in outcomes.items():
        reason = reasons.get(name, "") if needs_reason(row) else ""
        lines.append(" | ".join(["| " + name, *(cell(row[proxy]) for proxy in PROXIES),
                                 reason + " |"]))
    TABLE.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


# --- all of them ---


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """{row: {proxy: {application: outcome}}}, all found anew."""
    directory = tmp_path_factory.mktemp("differential")
    processes, routes = [], {}
    try:
        for name, kind in zip(PROXIES, [None, Nginx, Haproxy, Envoy], strict=True):
            logs = {app: directory / f"{name}.{app}.log" for app in APPS}
            urls = {}
            for app, log in logs.items():
                place, env = directory / f"{name}.{app}", {"ECHO_LOG": str(log)}
                if app == "gunicorn":
                    env["GUNICORN_CMD_ARGS"] = GUNICORN
                    processes.append(Gunicorn("echo_app", place, "gthread", env=env))
                else:
                    processes.append(Uvicorn("echo_app:asgi", place, env, UVICORN))
                urls[app] = processes[-1].url
            if kind is None:
                addresses = {}
                for app, url in urls.items():
                    config = config_text(url, models=[{"name": "echo", "paths": ["/predict"]}])
                    processes.append(Driftd(directory / f"driftd.{app}.d", config))
                    proxy = urlsplit(processes[-1].proxy)
                    addresses[app] = proxy.hostname, proxy.port
            else:
                processes.append(kind(directory / name, urls))
                addresses = {app: processes[-1].address(app) for app in APPS}
            for app in APPS:
                routes[name, app] = Route(addresses[app], logs[app])
        with ThreadPoolExecutor(len(routes)) as pool:
            runs = {key: pool.submit(lambda route=route: [route.outcome(row) for row in ROWS])
                    for key, route in routes.items()}
        found = {key: run.result() for key, run in runs.items()}
        yield {row.name: {proxy: {app: found[proxy, app][number] for app in APPS}
                          for proxy in PROXIES} for number, row in enumerate(ROWS)}
    finally:
        for process in reversed(processes):
            process.close()


def test_what_comes_of_each_request_is_what_the_table_says(outcomes):
    if os.environ.get("WRITE_DIFFERENCES"):
        rewrite(outcomes)
    table = written_table()
    assert list(table) == [row.name for row in ROWS]
    changed = [f"{name}: {proxy}: {cell(row[proxy])} and not {table[name][0][proxy]}"
               for name, row in outcomes.items() for proxy in PROXIES
               if cell(row[proxy]) != table[name][0][proxy]]
    assert not changed, "\n".join(changed)


def test_every_difference_has_its_reason_and_every_reason_its_difference(outcomes):
    table = written_table()
    unexplained = [name for name, row in outcomes.items() if needs_reason(row) and not table[name][1]]
    assert not unexplained, unexplained
    idle = [name for name, row in outcomes.items() if table[name][1] and not needs_reason(row)]
    assert not idle, idle


def test_nothing_hostile_gets_further_through_driftd(outcomes):
    assert any(b"/hidden" in row.sent for row in ROWS)
    for row in ROWS:
        for app in APPS:
            through = {proxy: outcomes[row.name][proxy][app] for proxy in PROXIES}
            # What one reading makes a body is nobody's request.
            assert "/hidden" not in through["driftd"], f"{row.name}: {through}"
            # More than through nginx takes a reason; more than through any is never right.
            more = requests(through["driftd"]) > max(
                requests(through[proxy]) for proxy in PROXIES[1:])
            assert not more, f"{row.name}: {through}"


def test_what_is_well_formed_passes(outcomes):
    for row in ROWS:
        for app in APPS:
            if not row.hostile:
                assert outcomes[row.name]["driftd"][app].startswith("2xx"), row.name
