"""The smallest model server of the kind driftd stands beside: four numbers in, one out."""

from flask import Flask, jsonify, request

app = Flask(__name__)


@app.post("/predict")
def predict():
    row = request.get_json()
    total = sum(row[f"f{index}"] for index in range(1, 5))
    return jsonify(prediction=0.5 if total > 0 else -0.5)
