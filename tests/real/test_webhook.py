"""Webhooks to a receiver in Python: checked by the README's own words, and read by CloudEvents' SDK."""

import json
import re
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.formats.json import JSONFormat

import rows
from processes import wait_until

README = Path(__file__).resolve().parents[2] / "README.md"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def verify():
    """The README's way of checking a signature."""
    text = README.read_text(encoding="utf-8")
    found = re.search(
        r"<!-- webhook verification: begin -->\n```python\n(.*?)```\n<!-- webhook verification: end -->",
        text,
        re.DOTALL,
    )
    names = {}
    exec(compile(found.group(1), str(README), "exec"), names)  # noqa: S102
    return names["verify"]


class Receiver:
    """Keeps what comes; answers with the statuses it was given, then with 204."""

    def __init__(self, statuses=()):
        self.got = []
        self.statuses = list(statuses)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append((self.path, dict(self.headers.items()), body))
                status = outer.statuses.pop(0) if outer.statuses else 204
                self.send_response(status)
                if status == 503:
                    self.send_header("Retry-After", formatdate(usegmt=True))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/driftd?team=iris"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def drift(driftd):
    """Flowers as they were, then the same with a sensor that is off; the report after them."""
    _, calm = rows.send_iris(driftd.post, rows.iris() * 2)
    driftd.settled_model(exchanges=calm)
    moved = rows.shifted(rows.iris() * 2, "sepal_width", 0.8)
    _, shifted = rows.send_iris(driftd.post, moved)
    return driftd.settled_model(exchanges=calm + shifted)


def test_a_drifting_run_is_announced_signed_and_understood(
    iris_app_sync, start_driftd, started, verify
):
    receiver = Receiver([500, 503])
    started.append(receiver)
    webhook = {"url": receiver.url, "secret": SECRET}
    driftd = start_driftd(
        iris_app_sync.url, external_url="https://driftd.example", webhook=webhook
    )
    model = drift(driftd)
    wait_until(
        lambda: driftd.metric("driftd_webhook_deliveries_total", outcome="delivered"),
        20,
        "a delivery",
    )
    assert driftd.metric("driftd_webhook_retries_total", receiver="default") == 2
    assert driftd.metric("driftd_webhook_queue") == 0
    tries = receiver.got
    assert len({headers["webhook-id"] for _, headers, _ in tries[:3]}) == 1
    path, headers, body = tries[2]
    assert path == "/hooks/driftd?team=iris"
    for _, each, content in tries:
        verify(SECRET, each, content)
    with pytest.raises(ValueError, match="another signature"):
        verify(SECRET, headers, body + b" ")
    with pytest.raises(ValueError, match="another signature"):
        verify("whsec_" + "A" * 32, headers, body)
    with pytest.raises(ValueError, match="too old"):
        verify(SECRET, headers | {"webhook-timestamp": "1700000000"}, body)

    event = from_http(HTTPMessage(headers=headers, body=body), JSONFormat())
    assert event.get_specversion() == "1.0"
    assert event.get_type() == "io.driftd.verdict.changed"
    assert event.get_source() == "https://driftd.example"
    assert event.get_subject() == "iris"
    assert event.get_id() == headers["webhook-id"]
    assert event.get_time().tzinfo is not None
    data = event.get_data()
    assert (data["model"], data["from"]) == ("iris", "ok")
    assert data["to"] in {"warn", "alert"}
    assert data["url"] == "https://driftd.example/?model=iris"
    reported = {f["name"] for f in model["features"] if f["drifted"]}
    assert "sepal_width" in reported
    told = {f["name"]: f for f in data["features"]}
    assert told["sepal_width"]["checks"][0]["test"] == "ks"
    assert told["sepal_width"]["sentence"]

    [stored] = driftd.query("SELECT * FROM announcements WHERE outcome = 'delivered' LIMIT 1")
    assert stored["id"] == tries[0][1]["webhook-id"]
    shown = driftd.stdout + driftd.stderr
    assert SECRET not in shown and "/hooks/driftd" not in shown


def test_slack_gets_a_line(iris_app_sync, start_driftd, started):
    receiver = Receiver()
    started.append(receiver)
    webhook = {"url": receiver.url, "format": "slack", "on": ["warn", "alert"]}
    driftd = start_driftd(iris_app_sync.url, webhook=webhook)
    drift(driftd)
    wait_until(lambda: receiver.got, 20, "a delivery")
    _, headers, body = receiver.got[0]
    assert "webhook-signature" not in headers
    message = json.loads(body)
    assert message.keys() == {"text"}
    assert message["text"].startswith("Model iris: ok → ")
    assert f"<{driftd.page}/?model=iris|Open in driftd>" in message["text"]
