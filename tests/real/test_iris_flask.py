"""The mission itself: a plain Flask model server under gunicorn, unchanged, with driftd before it."""

import base64
import gzip
import json
import random
import threading

import pytest
import requests

import rows
from driftd import IRIS, IRIS_DRIFT, check, drifted_features, feature
from expected import assert_equals_scipy, ks
from processes import iris_app as start_iris_app

FLOWER = [5.1, 3.5, 1.4, 0.2]

# Headers that differ between any two answers, or belong to one connection and not to the message.
OF_THE_CONNECTION = {"date", "connection", "keep-alive", "transfer-encoding"}
# What a proxy adds; nothing else may.
ADDED_TO_REQUESTS = {
    "x-request-id",
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
}
ADDED_TO_ANSWERS = {"x-request-id", "via"}

REQUESTS = {
    "one row": ("POST", "/predict", {"json": {"features": FLOWER}}),
    "a batch": ("POST", "/predict", {"json": {"features": [FLOWER, [6.7, 3.0, 5.2, 2.3]]}}),
    "health": ("GET", "/health", {}),
    "health, head": ("HEAD", "/health", {}),
    "too few features": ("POST", "/predict", {"json": {"features": FLOWER[:3]}}),
    "a string": ("POST", "/predict", {"json": {"features": ["a", 1, 2, 3]}}),
    "no JSON": ("POST", "/predict", {"data": b"\xff\xfe not json"}),
    "no body": ("POST", "/predict", {}),
    "an empty batch": ("POST", "/predict", {"json": {"features": []}}),
    "wrong method": ("GET", "/predict", {}),
    "no such path": ("GET", "/no/such/path?a=1&b=%2F%20", {}),
    "chunked": ("POST", "/predict", {"data": iter([b'{"features":', b"[5.1,3.5,1.4,0.2]}"])}),
    "every byte": ("POST", "/bytes", {"data": bytes(range(256)) * 300}),
    "nothing in it": ("POST", "/bytes", {"data": b""}),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_answers_are_identical_with_and_without_driftd(name, iris_app, start_driftd):
    driftd = start_driftd(iris_app.url)
    method, path, body = REQUESTS[name]
    if name == "chunked":
        pieces = list(body["data"])
        bodies = [{"data": iter(pieces)}, {"data": iter(pieces)}]
    else:
        bodies = [body, body]
    direct = requests.request(method, iris_app.url + path, timeout=30, **bodies[0])
    proxied = requests.request(method, driftd.proxy + path, timeout=30, **bodies[1])
    assert proxied.status_code == direct.status_code
    assert proxied.reason == direct.reason
    assert proxied.content == direct.content
    assert headers(proxied) == headers(direct)


def headers(answer):
    """An answer's headers as far as they must be the same."""
    ignored = OF_THE_CONNECTION | ADDED_TO_ANSWERS
    return {n.lower(): v for n, v in answer.headers.items() if n.lower() not in ignored}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_requests_arrive_as_they_were_sent(method, iris_app, start_driftd):
    driftd = start_driftd(iris_app.url)
    body = b"" if method == "GET" else random.Random(1).randbytes(100_000)
    sent = {
        "content-type": "application/x-whatever; a=b",
        "authorization": "Bearer s3cret",
        "cookie": "a=1; b=2",
        "x-custom": "kept as it is",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "accept-encoding": "gzip, br",
    }
    target = "/echo?q=%2Fa%20b&q=2&empty="
    direct = requests.request(
        method, iris_app.url + target, data=body, headers=sent, timeout=30
    ).json()
    proxied = requests.request(
        method, driftd.proxy + target, data=body, headers=sent, timeout=30
    ).json()
    assert proxied["method"] == method
    assert proxied["target"] == direct["target"]
    assert base64.b64decode(proxied["body"]) == body
    ignored = OF_THE_CONNECTION | {"host"}
    here = {n: v for n, v in direct["headers"] if n not in ignored}
    there = {n: v for n, v in proxied["headers"] if n not in ignored}
    assert {n: there.get(n) for n in here} == here
    assert there.keys() - here.keys() <= ADDED_TO_REQUESTS


def test_a_request_id_is_kept_or_made_and_echoed(iris_app, start_driftd):
    driftd = start_driftd(iris_app.url)
    trace = "0af7651916cd43dd8448eb211c80319c"
    given = {"x-request-id": "order-17", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    assert (
        driftd.post(json={"features": FLOWER}, headers=given).headers["x-request-id"] == "order-17"
    )
    event = driftd.post(json={"features": FLOWER}, headers={"ce-id": "event-9"})
    assert event.headers["x-request-id"] == "event-9"
    made = driftd.post(json={"features": FLOWER}).headers["x-request-id"]
    assert made and made not in ("order-17", "event-9")
    driftd.wait_for_outcomes(3)
    stored = driftd.query("SELECT request_id, trace_id FROM exchanges ORDER BY id")
    assert [row["request_id"] for row in stored] == ["order-17", "event-9", made]
    assert [row["trace_id"] or None for row in stored] == [trace, None, None]


def test_the_window_holds_exactly_the_rows_sent(iris_app, start_driftd):
    driftd = start_driftd(iris_app.url)
    sent = rows.iris() + rows.shifted(rows.iris(), "sepal_width", 1.5)
    predictions, exchanges = rows.send_iris(driftd.post, sent)
    # None of these is a prediction: they pass, and leave no row.
    assert driftd.client.get(driftd.proxy + "/health", timeout=30).status_code == 200
    assert driftd.post("/bytes", data=b"[[1,2,3,4]]").status_code == 200
    assert driftd.post(json={"features": [1, 2, 3]}).status_code == 400
    driftd.wait_for_outcomes(exchanges + 1)

    stored = driftd.query("SELECT * FROM rows_iris WHERE status = 200 ORDER BY id")
    assert [[row[name] for name in rows.IRIS_FEATURES] for row in stored] == sent
    assert [float(row["prediction"]) for row in stored] == predictions
    assert len({row["id"] for row in stored}) == len(sent)
    # Rows of one batch share its exchange.
    exchange_of = [row["exchange_id"] for row in stored]
    assert exchange_of == sorted(exchange_of) and len(set(exchange_of)) == exchanges
    counted = driftd.query("SELECT sum(rows) AS n FROM exchanges WHERE status = 200")
    assert counted == [{"n": len(sent)}]
    assert driftd.metric("driftd_window_rows", model="iris") == len(sent)


@pytest.mark.parametrize("name, by", [("sepal_width", 1.5), ("petal_length", -1.0)])
def test_drift_is_flagged_on_exactly_the_shifted_feature(name, by, iris_app, start_driftd):
    driftd = start_driftd(iris_app.url)
    calm = rows.iris() * 2
    _, sent = rows.send_iris(driftd.post, calm)
    model = driftd.settled_model(exchanges=sent)
    assert drifted_features(model) == set()
    assert model["drifted"] is False
    for measure in rows.IRIS_FEATURES:
        assert feature(model, measure)["state"] == "ok"
        # The window is two copies of the reference: no gap at all.
        assert check(model, measure, "ks")["statistic"] == 0
        assert check(model, measure, "ks")["p_value"] == 1
    # The species is the target, and no column of the file holds predictions.
    assert feature(model, "prediction")["state"] == "no_reference"
    assert feature(model, "prediction")["drifted"] is None

    moved = rows.shifted(calm, name, by)
    sent += rows.send_iris(driftd.post, moved)[1]
    model = driftd.settled_model(exchanges=sent)
    assert drifted_features(model) == {name}
    assert model["drifted"] is True
    assert feature(model, name)["state"] == "drifted"
    assert feature(model, name)["since"]
    assert check(model, name, "ks")["sign"] == (1 if by > 0 else -1)
    assert {f["name"] for f in model["features"]} == {*rows.IRIS_FEATURES, "prediction"}


def test_p_and_d_equal_scipys_on_the_rows_in_the_window(iris_app_sync, start_driftd):
    """Real rows drawn with replacement, one column moved a little: p is neither 0 nor 1."""
    drift = IRIS_DRIFT | {"current": "237 rows", "min_rows": 100}
    driftd = start_driftd(iris_app_sync.url, drift=drift)
    sent = random.Random(7).choices(rows.iris(), k=311)
    sent = rows.shifted(sent, "sepal_length", 0.17)
    _, exchanges = rows.send_iris(driftd.post, sent)
    model = driftd.settled_model(exchanges=exchanges)
    current = driftd.query("SELECT * FROM rows_iris ORDER BY id DESC LIMIT 237")
    assert [[row[n] for n in rows.IRIS_FEATURES] for row in reversed(current)] == sent[-237:]
    for i, name in enumerate(rows.IRIS_FEATURES):
        expected = ks([row[i] for row in rows.iris()], [row[name] for row in current])
        assert_equals_scipy(check(model, name, "ks"), expected, name)
        drifted = feature(model, name)["drifted"]
        assert drifted == (expected[1] < 0.05), f"{name}: p = {expected[1]}"


def test_the_budget_flags_the_shift_and_keeps_scipys_numbers(iris_app_sync, start_driftd):
    """The default decision, which the user asked for by saying nothing."""
    drift = {k: v for k, v in IRIS_DRIFT.items() if k != "decision"}
    driftd = start_driftd(iris_app_sync.url, drift=drift)
    calm = rows.iris() * 2
    _, exchanges = rows.send_iris(driftd.post, calm)
    assert drifted_features(driftd.settled_model(exchanges=exchanges)) == set()
    exchanges += rows.send_iris(driftd.post, rows.shifted(calm, "sepal_width", 1.5))[1]
    model = driftd.settled_model(exchanges=exchanges)
    assert drifted_features(model) == {"sepal_width"}
    current = driftd.query("SELECT * FROM rows_iris ORDER BY id DESC LIMIT 300")
    for i, name in enumerate(rows.IRIS_FEATURES):
        expected = ks([row[i] for row in rows.iris()], [row[name] for row in current])
        assert_equals_scipy(check(model, name, "ks"), expected, name)


def test_a_compressed_request_is_read_by_the_tap_alone(iris_app_sync, start_driftd):
    model = IRIS | {"paths": ["/predict", "/lenient"]}
    driftd = start_driftd(iris_app_sync.url, models=[model])
    body = gzip.compress(json.dumps({"features": FLOWER}).encode())
    compressed = {"content-encoding": "gzip"}
    assert driftd.post("/bytes", data=body, headers=compressed).content == body
    # Flask does not inflate: one route refuses, the other answers for the mean flower.
    assert driftd.post("/predict", data=body, headers=compressed).status_code == 400
    assert driftd.post("/lenient", data=body, headers=compressed).status_code == 200
    driftd.wait_for_outcomes(2)
    [row] = driftd.query("SELECT * FROM rows_iris WHERE status = 200")
    assert [row[name] for name in rows.IRIS_FEATURES] == FLOWER


def test_connections_that_gunicorn_closes_while_idle_do_no_harm(started, start_driftd, tmp_path):
    """gthread closes a connection after 2 idle seconds; a request may arrive in that very moment."""
    app = start_iris_app(tmp_path / "app", worker="gthread")
    started.append(app)
    driftd = start_driftd(app.url)
    statuses, pause = [], threading.Event()

    def client(idle):
        with requests.Session() as session:
            for _ in range(4):
                answer = session.post(
                    driftd.proxy + "/predict", json={"features": FLOWER}, timeout=30
                )
                statuses.append(answer.status_code)
                # The idle time is what is tested; nobody waits for anything here.
                pause.wait(idle)

    clients = [threading.Thread(target=client, args=[1.96 + 0.01 * i]) for i in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert statuses == [200] * 32
