"""A model server that knows nothing of driftd: the nearest of the mean flowers of three kinds of iris.

REFERENCE is a CSV file with four measurements and the kind in each line.
"""

import csv
import os
from collections import defaultdict

from flask import Flask, jsonify, request


def means(path):
    """The mean measurements of each kind, in the order of their names."""
    kinds = defaultdict(list)
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for *measures, kind in reader:
            kinds[kind].append([float(measure) for measure in measures])
    return [[sum(m) / len(m) for m in zip(*kinds[kind], strict=True)] for kind in sorted(kinds)]


MEANS = means(os.environ["REFERENCE"])

app = Flask(__name__)


def nearest(flower):
    """The index of the kind with the nearest mean."""
    if len(flower) != len(MEANS[0]):
        raise ValueError(f"a flower has {len(MEANS[0])} measurements, not {len(flower)}")
    distances = [sum((float(a) - b) ** 2 for a, b in zip(flower, m, strict=True)) for m in MEANS]
    return distances.index(min(distances))


@app.get("/health")
def health():
    return jsonify(status="ok")


@app.post("/predict")
def predict():
    """`{"features": [5.1, 3.5, 1.4, 0.2]}`, or a list of such lists."""
    body = request.get_json(force=True, silent=True)
    features = body.get("features") if isinstance(body, dict) else None
    try:
        if isinstance(features, list) and features and isinstance(features[0], list):
            return jsonify(prediction=[nearest(flower) for flower in features])
        return jsonify(prediction=nearest(features))
    except (TypeError, ValueError) as error:
        return jsonify(error=str(error)), 400
