"""WebSocket and HTTP/2 through driftd, with clients and servers that others wrote."""

import hashlib
import json
import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

import h2.events
import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from driftd import config_text
from http2_client import GoAway, Http2Client
from processes import Gunicorn, wait_until
from raw_upstream import RawUpstream

MODELS = [{"name": "echo", "paths": ["/predict"]}]
MEGABYTE = 1 << 20


# --- WebSocket ---


class SocketServer:
    """Echoes; does what messages of text that it knows ask for; keeps the codes of what closed."""

    def __init__(self):
        self.closed = []
        self.server = serve(self.handle, "127.0.0.1", 0, subprotocols=["v2.model"],
                            max_size=8 * MEGABYTE)
        self.url = "http://127.0.0.1:%d" % self.server.socket.getsockname()[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def handle(self, connection):
        connection.send("welcome")
        try:
            for message in connection:
                if message == "close":
                    connection.close(4001, "the model is gone")
                elif message == "ping":
                    answered = connection.ping(b"from the server").wait(10)
                    connection.send("ponged" if answered else "no pong")
                else:
                    connection.send(message)
        except ConnectionClosed:
            pass
        self.closed.append((connection.close_code, connection.close_reason))

    def close(self):
        self.server.shutdown()


@pytest.fixture
def sockets(started):
    server = SocketServer()
    started.append(server)
    return server


@contextmanager
def opened(driftd):
    """A WebSocket through driftd, greeted by the server before anything was sent."""
    url = driftd.proxy.replace("http://", "ws://") + "/predict"
    options = {"max_size": 8 * MEGABYTE, "open_timeout": 20, "proxy": None}
    with connect(url, subprotocols=["v1.model", "v2.model"], **options) as socket:
        assert socket.recv(20) == "welcome"
        yield socket


def test_a_websocket_passes_both_ways(sockets, start_driftd):
    driftd = start_driftd(config=config_text(sockets.url, models=MODELS))
    with opened(driftd) as socket:
        assert socket.subprotocol == "v2.model"
        noise = os.urandom(MEGABYTE)
        for message in ["short", "", "ä" * MEGABYTE, b"\x00\xff", noise]:
            socket.send(message)
            assert socket.recv(20) == message
        for number in range(200):
            socket.send(str(number))
        assert [socket.recv(20) for _ in range(200)] == [str(number) for number in range(200)]
        assert socket.ping(b"from the client").wait(20)
        socket.send("ping")
        assert socket.recv(20) == "ponged"
    # It was measured and is not in the tap.
    count = "http_server_request_duration_seconds_count"
    wait_until(lambda: driftd.metric(count, http_response_status_code="101") == 1, 20, count)
    assert not driftd.metric("driftd_tap_exchanges_total", outcome="captured")


def test_close_codes_pass_both_ways(sockets, start_driftd):
    driftd = start_driftd(config=config_text(sockets.url, models=MODELS))
    with opened(driftd) as socket, pytest.raises(ConnectionClosed) as raised:
        socket.send("close")
        socket.recv(20)
    assert (raised.value.rcvd.code, raised.value.rcvd.reason) == (4001, "the model is gone")
    with opened(driftd) as socket:
        socket.close(4002, "enough")
    wait_until(lambda: len(sockets.closed) == 2, 20, "both connections closed")
    assert sockets.closed == [(4001, "the model is gone"), (4002, "enough")]


def test_an_open_websocket_outlives_the_beginning_of_the_drain(sockets, start_driftd):
    driftd = start_driftd(config=config_text(sockets.url, models=MODELS))
    with opened(driftd) as socket:
        driftd.popen.send_signal(signal.SIGTERM)
        wait_until(lambda: refused(driftd.proxy), 20, "the listener closing")
        socket.send("still here")
        assert socket.recv(20) == "still here"
        assert driftd.running()
    assert driftd.exit_code(20) == 0
    assert sockets.closed == [(1000, "")]


def test_the_end_of_the_drain_cuts_an_open_websocket(sockets, start_driftd):
    driftd = start_driftd(config=config_text(sockets.url, models=MODELS, grace="6s"))
    with opened(driftd) as socket, pytest.raises(ConnectionClosed):
        begun = time.monotonic()
        driftd.popen.send_signal(signal.SIGTERM)
        socket.recv(20)
    assert driftd.exit_code(20) == 0
    assert time.monotonic() - begun < 10
    wait_until(lambda: sockets.closed, 20, "the server noticing")


def refused(url):
    try:
        requests.get(url, timeout=5)
    except requests.ConnectionError:
        return True
    return False


# --- HTTP/2: curl ---


@pytest.fixture
def echo(started, tmp_path):
    """echo_app.py under gunicorn."""
    env = {"ECHO_LOG": str(tmp_path / "echo.log")}
    app = Gunicorn("echo_app", tmp_path, "gthread", env=env)
    started.append(app)
    return app


def curl(*arguments):
    """curl's output: what -w asked for, after the body."""
    command = ["curl", "-sS", "--noproxy", "*", "--max-time", "60", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_with_prior_knowledge(echo, start_driftd, tmp_path):
    driftd = start_driftd(config=config_text(echo.url, models=MODELS))
    body = os.urandom(MEGABYTE)
    (tmp_path / "body").write_bytes(body)
    version = ["-w", "\n%{http_version} %{response_code}"]
    output = curl("--http2-prior-knowledge", *version, "--data-binary", f"@{tmp_path}/body",
                  f"{driftd.proxy}/predict")
    answer, version_seen = output.split("\n")
    assert version_seen == "2 200"
    assert json.loads(answer)["sha256"] == hashlib.sha256(body).hexdigest()
    head = curl("--http2-prior-knowledge", "--head", f"{driftd.proxy}/predict")
    assert head.startswith("HTTP/2 200") and "content-length: " in head
    # Each on a connection of its own: Debian 12's curl 7.88 fails where it uses one of prior knowledge
    # again, before any server.
    urls = f"{driftd.proxy}/predict?[1-50]"
    output = curl("--http2-prior-knowledge", "--parallel", "--parallel-immediate", *version, urls)
    assert output.count("\n2 200") == 50
    # The switch from HTTP/1.1 is not offered; the request is answered as it is.
    output = curl("--http2", *version, f"{driftd.proxy}/predict")
    assert output.endswith("\n1.1 200")


# --- HTTP/2: frame by frame ---


def chunked_answer(chunks, trailer=b""):
    head = b"HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + body + b"0\r\n" + trailer + b"\r\n"


@pytest.fixture
def begin(started, start_driftd):
    """Starts a raw upstream, driftd before it, and an HTTP/2 client of driftd."""

    def start(serve):
        upstream = RawUpstream(serve)
        driftd = start_driftd(config=config_text(upstream.url, models=MODELS))
        client = Http2Client(driftd.proxy.removeprefix("http://"))
        started.extend([upstream, client])
        return upstream, driftd, client

    return start


def test_trailers_pass_both_ways(begin):
    def serve(visit):
        visit.until(b"0\r\nx-crc: 9\r\n\r\n")
        visit.send(chunked_answer([b"ab", b"c"], b"x-sum: 5\r\n"))
        visit.wait_for_end()

    upstream, _, client = begin(serve)
    stream = client.request(body=b"abc", trailers=[("x-crc", "9")],
                            headers=[("te", "trailers"), ("trailer", "x-crc")])
    assert client.body(stream) == b"abc"
    trailers = client.wait(h2.events.TrailersReceived, stream).headers
    assert [tuple(pair) for pair in trailers] == [("x-sum", "5")]
    assert b"3\r\nabc\r\n0\r\nx-crc: 9\r\n\r\n" in upstream.received[0]


def test_a_reset_stream_ends_its_request_alone(begin):
    gone = threading.Event()

    def serve(visit):
        while head := visit.until(b"\r\n\r\n"):
            if b"/slow" in head:
                visit.wait_for_end()
                gone.set()
                return
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    upstream, driftd, client = begin(serve)
    slow = client.request("GET", "/slow")
    quick = client.request("GET", "/quick")
    assert client.body(quick) == b"ok"
    wait_until(lambda: len(upstream.received) == 2, 20, "both requests at the upstream")
    client.reset(slow)
    assert gone.wait(20)
    assert client.body(client.request("GET", "/quick")) == b"ok"
    count = "http_server_request_duration_seconds_count"
    wait_until(lambda: driftd.metric(count, http_response_status_code="499") == 1, 20, count)


def test_an_answer_that_breaks_off_is_seen_to(begin):
    def serve(visit):
        visit.until(b"\r\n\r\n")
        visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        # The connection ends without a last chunk.

    _, _, client = begin(serve)
    stream = client.request("GET")
    assert client.status(stream) == "200"
    reset = client.wait(h2.events.StreamReset, stream)
    assert reset.remote_reset
    assert not any(isinstance(event, h2.events.StreamEnded) for event in client.events)


def test_a_drain_says_goaway_and_finishes_what_is_under_way(begin):
    go_on = threading.Event()

    def serve(visit):
        visit.until(b"\r\n\r\n")
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        go_on.wait(30)
        visit.send(b"cd")
        visit.wait_for_end()

    _, driftd, client = begin(serve)
    stream = client.request("GET")
    assert client.status(stream) == "200"
    driftd.popen.send_signal(signal.SIGTERM)
    assert client.wait(GoAway).error_code == 0
    assert driftd.running()
    go_on.set()
    assert client.body(stream) == b"abcd"
    while not client.ended:
        client.read()
    assert [event.last_stream_id for event in client.events if isinstance(event, GoAway)][-1] == 1
    client.close()
    assert driftd.exit_code(20) == 0
