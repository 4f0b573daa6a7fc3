"""Real rows, and how a client sends them."""

import csv
import random
from itertools import cycle

import table_app
from processes import REFERENCE_DATA

IRIS_FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]

# Singles between batches, as traffic has them.
SIZES = [1, 10, 1, 1, 25, 7, 1, 50]


def iris():
    """The 150 flowers' measurements, shuffled once and for all: the file is sorted by species."""
    with (REFERENCE_DATA / "iris.csv").open(encoding="utf-8", newline="") as file:
        rows = [[float(row[name]) for name in IRIS_FEATURES] for row in csv.DictReader(file)]
    random.Random(1936).shuffle(rows)
    return rows


def shifted(rows, name, by):
    """The same flowers under a sensor that is off by a constant."""
    column = IRIS_FEATURES.index(name)
    return [[value + by if i == column else value for i, value in enumerate(row)] for row in rows]


def flights():
    """The flights' 13 features in the file's order, and the model's prediction of each."""
    path = REFERENCE_DATA / "flights.csv"
    predictions = [row["prediction"] for row in table_app.read(path)]
    return table_app.read_features(path), predictions


def chunks(rows, sizes=SIZES):
    """The rows in order, in pieces of these sizes over and over."""
    start, sizes = 0, cycle(sizes)
    while start < len(rows):
        size = next(sizes)
        yield rows[start : start + size]
        start += size


def send_iris(post, rows):
    """Sends rows as singles and batches; the predictions, and the number of exchanges."""
    predictions, exchanges = [], 0
    for chunk in chunks(rows):
        single = len(chunk) == 1
        answer = post(json={"features": chunk[0] if single else chunk})
        assert answer.status_code == 200, answer.text
        prediction = answer.json()["prediction"]
        predictions += [prediction] if single else prediction
        exchanges += 1
    assert len(predictions) == len(rows)
    return predictions, exchanges


def send_flights(post, rows):
    """Sends rows in the three shapes the second app takes: wrapped, bare, and arrays."""
    predictions, exchanges = [], 0
    for chunk in chunks(rows):
        if len(chunk) > 1:
            answer = post(json=chunk)
        else:
            answer = post(json=chunk[0] if exchanges % 2 else {"features": chunk[0]})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        predictions += body["predictions"] if len(chunk) > 1 else [body["prediction"]]
        exchanges += 1
    assert len(predictions) == len(rows)
    return predictions, exchanges
