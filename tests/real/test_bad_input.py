"""Whatever is wrong: a clear error at the start, a counted exchange later, and traffic unharmed."""

import json
import random
import socket

import pytest
import requests

import rows
from driftd import IRIS, config_text, run_command
from processes import free_port, wait_until
from processes import iris_app as start_iris_app

FLOWER = [5.1, 3.5, 1.4, 0.2]
BAD_CONFIGURATION = 78
NOBODY = "http://127.0.0.1:9"


def refused(directory, config):
    """The error output of a `driftd run` that must end by itself, and with which exit code."""
    directory.mkdir(exist_ok=True)
    path = directory / "driftd.toml"
    path.write_text(config, encoding="utf-8")
    process = run_command(directory, "run", "--config", path, name="driftd", seconds=15)
    return process.stderr, process.popen.returncode


# --- at the start ---

BROKEN_REFERENCES = {
    "no such file": (None, r"no such file|not found"),
    "empty": (b"", "empty"),
    "a header without rows": (b"sepal_length,sepal_width\n", "row"),
    "ragged": (b"a,b,c\n1,2,3\n4,5\n6,7,8\n", "3"),
    "not text": (bytes(range(256)) * 8, ""),
}


@pytest.mark.parametrize("name", BROKEN_REFERENCES)
def test_a_broken_reference_is_named(name, tmp_path):
    content, hint = BROKEN_REFERENCES[name]
    path = tmp_path / "reference.csv"
    if content is not None:
        path.write_bytes(content)
    model = IRIS | {"reference": str(path)}
    stderr, code = refused(tmp_path, config_text(NOBODY, models=[model]))
    assert code == BAD_CONFIGURATION, stderr
    assert str(path) in stderr
    assert any(part in stderr.lower() for part in hint.split("|")), stderr
    assert "panicked" not in stderr


def test_a_directory_is_no_reference(tmp_path):
    model = IRIS | {"reference": str(tmp_path)}
    stderr, code = refused(tmp_path, config_text(NOBODY, models=[model]))
    assert code == BAD_CONFIGURATION and str(tmp_path) in stderr, stderr


def test_an_unknown_key_is_named_with_the_one_that_was_meant(tmp_path):
    config = config_text(NOBODY, tap={"max_boddy": "1MiB"})
    stderr, code = refused(tmp_path, config)
    assert code == BAD_CONFIGURATION, stderr
    assert "max_boddy" in stderr and "max_body" in stderr.replace("max_boddy", "")
    assert "driftd.toml" in stderr


def test_three_errors_are_reported_at_once(tmp_path):
    config = config_text(
        "ftp://127.0.0.1:5000",
        drift={"every": "soon"},
        window={"path": "window.db", "keep_rows": -5},
    )
    stderr, code = refused(tmp_path, config)
    assert code == BAD_CONFIGURATION, stderr
    for key, value in [("upstream", "ftp://"), ("every", "soon"), ("keep_rows", "-5")]:
        assert key in stderr and value in stderr, stderr


def test_errors_name_their_origin(tmp_path):
    """File, environment and flag, each with the value that is wrong."""
    process = run_command(
        tmp_path,
        "run",
        "--config",
        write(tmp_path / "driftd.toml", config_text(NOBODY, drift={"every": "soon"})),
        "--listen",
        "nowhere",
        env={"DRIFTD_WINDOW__MAX_BYTES": "plenty"},
    )
    assert process.popen.returncode == BAD_CONFIGURATION, process.describe()
    for part in [
        "driftd.toml",
        "soon",
        "--listen",
        "nowhere",
        "DRIFTD_WINDOW__MAX_BYTES",
        "plenty",
    ]:
        assert part in process.stderr, process.stderr


def test_features_that_the_reference_does_not_have_are_an_error(tmp_path):
    model = IRIS | {"features": ["sepal_length", "sepal_breadth"]}
    stderr, code = refused(tmp_path, config_text(NOBODY, models=[model]))
    assert code == BAD_CONFIGURATION and "sepal_breadth" in stderr, stderr


@pytest.mark.parametrize("listener", ["listen", "admin"])
def test_a_port_that_is_taken_is_named(listener, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        stderr, code = refused(tmp_path, config_text(NOBODY, **{listener: address}))
    assert code in (1, BAD_CONFIGURATION), stderr
    assert address in stderr and "in use" in stderr.lower(), stderr


def test_what_kubernetes_injects_is_ignored(iris_app_sync, start_driftd):
    """A Service named driftd gives every container of the namespace these variables."""
    env = {
        "DRIFTD_PORT": "tcp://10.96.7.7:8080",
        "DRIFTD_PORT_8080_TCP": "tcp://10.96.7.7:8080",
        "DRIFTD_PORT_8080_TCP_ADDR": "10.96.7.7",
        "DRIFTD_PORT_8080_TCP_PORT": "8080",
        "DRIFTD_PORT_8080_TCP_PROTO": "tcp",
        "DRIFTD_SERVICE_HOST": "10.96.7.7",
        "DRIFTD_SERVICE_PORT": "8080",
        "DRIFTD_SERVICE_PORT_PROXY": "8080",
        "DRIFTD_COLOUR": "blue",
    }
    driftd = start_driftd(config=config_text(iris_app_sync.url), env=env)
    assert driftd.post(json={"features": FLOWER}).status_code == 200
    said = driftd.stdout + driftd.stderr
    assert "10.96.7.7" not in said and "DRIFTD_SERVICE" not in said
    # A variable that nobody injects is likely a mistake, and worth a line.
    assert "DRIFTD_COLOUR" in said


def test_the_environment_alone_configures_one_default_model(iris_app_sync, start_driftd):
    env = {
        "DRIFTD_UPSTREAM": iris_app_sync.url,
        "DRIFTD_REFERENCE": IRIS["reference"],
        "DRIFTD_OUTPUTS": "prediction",
        "DRIFTD_LISTEN": "127.0.0.1:0",
        "DRIFTD_ADMIN": "127.0.0.1:0",
        "DRIFTD_WINDOW__PATH": "window.db",
        "DRIFTD_DRIFT__EVERY": "1s",
    }
    driftd = start_driftd(env=env)
    assert driftd.post(json={"features": FLOWER}).status_code == 200
    driftd.wait_for_outcomes(1)
    [row] = driftd.query("SELECT * FROM rows_default")
    assert [row[name] for name in rows.IRIS_FEATURES] == FLOWER


def test_a_file_that_never_was_a_window_is_refused_and_left_alone(iris_app_sync, tmp_path):
    """Most likely it is somebody's data, named by mistake."""
    content = b"Dear diary, this is not a database. " * 1000
    window = tmp_path / "window.db"
    window.write_bytes(content)
    stderr, code = refused(tmp_path, config_text(iris_app_sync.url))
    assert code in (1, BAD_CONFIGURATION), stderr
    assert "window.db" in stderr and "panicked" not in stderr
    assert window.read_bytes() == content


def test_a_damaged_window_is_moved_aside_whole(iris_app_sync, start_driftd, tmp_path):
    """Traffic matters more than the window: driftd starts with a fresh one and keeps the old."""
    content = b"This is not a database any more. " * 1000
    directory = tmp_path / "driftd"
    directory.mkdir()
    (directory / "window.db").write_bytes(content)
    # What every driftd leaves beside its window.
    (directory / "window.db.lock").touch()
    driftd = start_driftd(iris_app_sync.url)
    assert driftd.post(json={"features": FLOWER}).status_code == 200
    assert driftd.wait_for_outcomes(1)["captured"] == 1
    [aside] = directory.glob("window.db.corrupt-*")
    assert aside.read_bytes() == content
    assert str(aside) in driftd.stderr


# --- the upstream ---


def test_an_upstream_that_is_down_is_a_502_and_driftd_stays(started, start_driftd, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    driftd = start_driftd(f"http://{address}")

    def assert_down():
        answer = driftd.post(json={"features": FLOWER})
        assert answer.status_code == 502
        assert answer.headers["driftd-error"]
        assert isinstance(answer.json(), dict)
        assert driftd.admin("/livez").status_code == 200
        wait_until(lambda: driftd.metric("driftd_upstream_up") == 0, 10, "a metric that says down")

    assert_down()
    for _ in range(2):
        app = start_iris_app(tmp_path / "app", worker="gthread", bind=address)
        started.append(app)
        wait_until(
            lambda: driftd.post(json={"features": FLOWER}).status_code == 200, 10, "an answer"
        )
        assert "driftd-error" not in driftd.post(json={"features": FLOWER}).headers
        wait_until(lambda: driftd.metric("driftd_upstream_up") == 1, 10, "a metric that says up")
        app.stop()
        assert_down()
    # What never had an answer from the model is no row; each exchange is on record all the same.
    statuses = driftd.query("SELECT status, count(*) AS n FROM exchanges GROUP BY status")
    assert {row["status"] for row in statuses} == {200, 502}
    assert driftd.query("SELECT count(*) AS n FROM rows_iris WHERE status <> 200") == [{"n": 0}]


def test_an_upstream_on_a_unix_socket(started, start_driftd, tmp_path):
    path = tmp_path / "upstream.sock"
    driftd = start_driftd(f"unix:{path}")
    assert driftd.post(json={"features": FLOWER}).status_code == 502
    started.append(start_iris_app(tmp_path / "app", bind=f"unix:{path}"))
    wait_until(lambda: driftd.post(json={"features": FLOWER}).status_code == 200, 30, "an answer")


# --- bodies ---

# Each body, and what becomes of the exchange: a row, or a count with a reason. Where None stands,
# either is right: whoever decodes a string in a numeric column has a row to warn about.
BODIES = {
    "no JSON at all": (b"sepal_length=5.1", "undecodable"),
    "half of it": (b'{"features": [5.1, 3.5', "undecodable"),
    "not UTF-8": (b'{"features": ["\xff\xfe"]}', "undecodable"),
    "nothing": (b"", "undecodable"),
    "too few": (b'{"features": [5.1, 3.5, 1.4]}', "undecodable"),
    "too many": (b'{"features": [5.1, 3.5, 1.4, 0.2, 9.9]}', "undecodable"),
    "other shape": (b'{"inputs": {"deep": [1]}}', "undecodable"),
    "nested": (b"[" * 5000 + b"]" * 5000, "undecodable"),
    "strings": (b'{"features": ["a", "b", "c", "d"]}', None),
    "an object": (b'{"features": [{"a": 1}, 3.5, 1.4, 0.2]}', None),
    "a huge number": (b'{"features": [1e400, 3.5, 1.4, 0.2]}', None),
    "NaN": (b'{"features": [NaN, 3.5, 1.4, 0.2]}', "captured"),
    "null": (b'{"features": [null, 3.5, 1.4, 0.2]}', "captured"),
    "fine": (b'{"features": [5.1, 3.5, 1.4, 0.2]}', "captured"),
}


@pytest.mark.parametrize("route", ["/predict", "/lenient"])
def test_bad_bodies_pass_and_are_counted(route, iris_app, start_driftd):
    """To the strict route most are errors; the lenient one answers 200 to each."""
    model = IRIS | {"paths": ["/predict", "/lenient"]}
    driftd = start_driftd(iris_app.url, models=[model])
    headers = {"content-type": "application/json"}
    for number, (name, (body, outcome)) in enumerate(BODIES.items(), start=1):
        before = driftd.outcomes()
        sent = headers | {"x-request-id": str(number)}
        direct = requests.post(iris_app.url + route, data=body, headers=headers, timeout=30)
        proxied = driftd.post(route, data=body, headers=sent)
        assert proxied.status_code == direct.status_code, name
        assert proxied.content == direct.content, name
        assert "driftd-error" not in proxied.headers, name
        after = driftd.wait_for_outcomes(number)
        if route == "/lenient":
            assert proxied.status_code == 200
            [became] = [o for o in after if after[o] != before[o]]
            assert became in ([outcome] if outcome else ["captured", "undecodable"]), name
            [exchange] = driftd.query("SELECT * FROM exchanges WHERE request_id = ?", [str(number)])
            assert exchange["outcome"] == became, name
            assert bool(exchange["reason"]) == (became == "undecodable"), (name, exchange)
    if route == "/lenient":
        stored = driftd.query(
            "SELECT e.request_id, r.* FROM rows_iris AS r JOIN exchanges AS e ON e.id = r.exchange_id"
        )
        by_name = {list(BODIES)[int(row["request_id"]) - 1]: row for row in stored}
        for name in ["NaN", "null"]:
            assert by_name[name]["sepal_length"] is None, name
            assert by_name[name]["sepal_width"] == 3.5, name
    # Whatever that was, the next request is as good as the first.
    assert driftd.post(json={"features": FLOWER}).status_code == 200
    assert "panicked" not in driftd.stderr


def test_a_batch_with_one_bad_row(iris_app_sync, start_driftd):
    model = IRIS | {"paths": ["/predict", "/lenient"]}
    driftd = start_driftd(iris_app_sync.url, models=[model])
    assert driftd.post("/lenient", json={"features": [FLOWER, FLOWER[:2]]}).status_code == 200
    outcomes = driftd.wait_for_outcomes(1)
    assert outcomes["undecodable"] + outcomes["captured"] == 1
    assert driftd.post(json={"features": [FLOWER, FLOWER]}).status_code == 200
    assert driftd.wait_for_outcomes(2)["captured"] == outcomes["captured"] + 1


def test_twenty_megabytes_pass_both_ways(iris_app, start_driftd):
    model = IRIS | {"paths": ["/predict", "/bytes"]}
    driftd = start_driftd(iris_app.url, models=[model])
    body = random.Random(20).randbytes(20 * 1024 * 1024)
    answer = driftd.post("/bytes", data=body)
    assert answer.status_code == 200 and answer.content == body
    # The same, without a length in front.
    pieces = (body[i : i + 65536] for i in range(0, len(body), 65536))
    assert driftd.post("/bytes", data=pieces).content == body
    # JSON of that size, with one real row in it: the answer comes, the row is too large to look at.
    large = json.dumps({"features": FLOWER, "note": "x" * 20_000_000})
    answer = driftd.post(data=large, headers={"content-type": "application/json"})
    assert answer.status_code == 200 and answer.json() == {"prediction": 0}
    assert driftd.wait_for_outcomes(3)["captured"] == 0
    sizes = driftd.query("SELECT request_bytes, response_bytes, reason FROM exchanges ORDER BY id")
    assert [row["request_bytes"] for row in sizes] == [len(body), len(body), len(large)]
    assert [row["response_bytes"] for row in sizes[:2]] == [len(body), len(body)]
    assert all(row["reason"] for row in sizes)


def test_clients_that_go_away_are_counted(iris_app, start_driftd):
    """A client that hangs up in the middle of its body, and one that does not read its answer."""
    model = IRIS | {"paths": ["/predict", "/bytes"]}
    driftd = start_driftd(iris_app.url, models=[model])
    host, port = driftd.proxy.removeprefix("http://").split(":")
    head = b"POST /%s HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as half:
        half.sendall(head % (b"predict", 1000) + b'{"features": [5.1,')
    with socket.create_connection((host, int(port)), timeout=10) as deaf:
        deaf.sendall(head % (b"bytes", 4_000_000) + bytes(4_000_000))
        deaf.recv(1)
    driftd.wait_for_outcomes(2)
    gone = driftd.query("SELECT status, rows, reason FROM exchanges")
    assert len(gone) == 2 and all(row["reason"] and not row["rows"] for row in gone), gone
    assert driftd.post(json={"features": FLOWER}).status_code == 200
    driftd.wait_for_outcomes(3)
    assert len(driftd.query("SELECT id FROM rows_iris")) == 1


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path
