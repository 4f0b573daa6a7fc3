"""A second Flask model server: will a flight arrive late? Strings, missing values, features by name.

It knows nothing of driftd. The tests run it under gunicorn:  FLIGHTS_CSV=flights.csv gunicorn table_app:app
"""

import csv
import os

import numpy as np
from flask import Flask, jsonify, request
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

CATEGORICAL = ["carrier", "origin", "destination", "engine"]
NUMERIC = [
    "departure_hour",
    "departure_delay",
    "distance",
    "aircraft_year",
    "seats",
    "temperature",
    "wind_speed",
    "wind_gust",
    "pressure",
]
# Of these, what holds a few integers that come again and again: categories in numbers.
CODED = ["departure_hour"]
TARGET = "arrival"


def read(path):
    """The file's rows as dictionaries of strings."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_features(path):
    """The features of every row as a client sends them: text, a number, or None."""
    return [features(row) for row in read(path)]


def features(row):
    """One row's 13 features, in the file's column order."""
    return {
        name: None if text == "" else float(text) if name in NUMERIC else text
        for name, text in row.items()
        if name in NUMERIC or name in CATEGORICAL
    }


class Model:
    """Trained on the rows whose target is known."""

    def __init__(self, path):
        known = [row for row in read(path) if row[TARGET]]
        columns = list(range(len(CATEGORICAL) + len(NUMERIC)))
        split = len(CATEGORICAL)
        numeric = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
        self.pipeline = make_pipeline(
            make_column_transformer(
                (OneHotEncoder(handle_unknown="ignore"), columns[:split]),
                (numeric, columns[split:]),
            ),
            LogisticRegression(max_iter=1000),
        )
        self.pipeline.fit(self.matrix([features(row) for row in known]), [r[TARGET] for r in known])

    def predict(self, rows):
        """`on_time` or `late` for each row."""
        return self.pipeline.predict(self.matrix(rows)).tolist()

    @staticmethod
    def matrix(rows):
        """The rows as scikit-learn takes them: an absent category is a category of its own."""
        matrix = np.empty((len(rows), len(CATEGORICAL) + len(NUMERIC)), dtype=object)
        for i, row in enumerate(rows):
            texts = [row.get(name) or "" for name in CATEGORICAL]
            numbers = [row.get(name) for name in NUMERIC]
            matrix[i, :] = texts + [np.nan if n is None else float(n) for n in numbers]
        return matrix


app = Flask(__name__)

# reference_data/make.py imports this module for its model alone, before there is a file to train on.
MODEL = Model(os.environ["FLIGHTS_CSV"]) if "FLIGHTS_CSV" in os.environ else None


@app.get("/health")
def health():
    return jsonify(status="ok")


@app.post("/predict")
def predict():
    """`{"features": {…}}` or a bare object is one flight; an array of objects is a batch."""
    body = request.get_json(force=True, silent=True)
    if isinstance(body, dict):
        body = body.get("features", body)
    rows = body if isinstance(body, list) else [body]
    if not rows or not all(isinstance(row, dict) for row in rows):
        return jsonify(error="the body must hold a JSON object of features"), 400
    try:
        answers = MODEL.predict(rows)
    except (TypeError, ValueError) as error:
        return jsonify(error=str(error).splitlines()[0]), 400
    if isinstance(body, list):
        return jsonify(predictions=answers)
    return jsonify(prediction=answers[0])
