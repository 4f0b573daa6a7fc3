"""A plain Flask model server: a scikit-learn classifier on Fisher's iris, as a data scientist ships it.

It knows nothing of driftd. The tests run it under gunicorn:  IRIS_CSV=iris.csv gunicorn iris_app:app
"""

import base64
import csv
import math
import os

import numpy as np
from flask import Flask, Response, jsonify, request
from sklearn.linear_model import LogisticRegression


def load(path):
    """Measurements and species from a CSV file whose last column is the species."""
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        rows = list(reader)
    return np.array([row[:-1] for row in rows], dtype=float), [row[-1] for row in rows]


MEASURES, SPECIES = load(os.environ["IRIS_CSV"])
CLASSES = sorted(set(SPECIES))
MODEL = LogisticRegression(max_iter=1000).fit(MEASURES, [CLASSES.index(s) for s in SPECIES])
MEANS = MEASURES.mean(axis=0)

app = Flask(__name__)


@app.get("/health")
def health():
    return jsonify(status="ok", classes=CLASSES)


@app.post("/predict")
def predict():
    """`{"features": [5.1, …]}` is one flower; `{"features": [[5.1, …], …]}` is a batch."""
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict) or "features" not in body:
        return jsonify(error="the body must be a JSON object with features"), 400
    try:
        features = np.array(body["features"], dtype=float)
        single = features.ndim == 1
        answers = MODEL.predict(features.reshape(1, -1) if single else features).tolist()
    except (TypeError, ValueError) as error:
        return jsonify(error=str(error).splitlines()[0]), 400
    return jsonify(prediction=answers[0] if single else answers)


@app.post("/lenient")
def lenient():
    """The server that never says no: what it cannot use of one row, it replaces by the mean."""
    try:
        body = request.get_json(force=True, silent=True)
    except RecursionError:
        body = None
    features = body.get("features") if isinstance(body, dict) else None
    given = features if isinstance(features, list) else []
    filled = [*given, *MEANS][: len(MEANS)]
    row = [number(value, mean) for value, mean in zip(filled, MEANS, strict=True)]
    return jsonify(prediction=MODEL.predict([row]).tolist()[0])


def number(value, otherwise):
    """The value if it is a finite number, else the other."""
    try:
        value = float(value)
    except (TypeError, ValueError):
        return otherwise
    return value if math.isfinite(value) else otherwise


@app.route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def echo():
    """What arrived, byte for byte, for the comparison with what was sent."""
    return jsonify(
        method=request.method,
        target=request.full_path,
        headers=[[name.lower(), value] for name, value in request.headers],
        body=base64.b64encode(request.get_data()).decode("ascii"),
    )


@app.post("/bytes")
def raw():
    """The request's body as the answer's body."""
    return Response(request.get_data(), mimetype="application/octet-stream")
