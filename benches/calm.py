"""river's ADWIN and KSWIN, with their default parameters, over columns of 64-bit floats.

    calm.py FILE ROWS CHANGE KSWIN_ROWS

prints one line of JSON for each column and detector.
"""

import json
import sys

try:
    import numpy
    from river import drift
except ImportError as error:
    sys.exit(
        f"{error}. Install what the benchmark compares with:"
        " python3 -m venv .venv && .venv/bin/pip install -r benches/requirements.txt,"
        " then pass --python .venv/bin/python"
    )


def heard(name, detector, values, change):
    early, delay = 0, None
    for row, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            if row < change:
                early += 1
            elif delay is None:
                delay = row - change + 1
    rows = min(change, len(values))
    print(json.dumps({"detector": name, "rows": rows, "early": early, "delay": delay}))


def main():
    path, rows, change, kswin_rows = sys.argv[1], *map(int, sys.argv[2:5])
    for column in numpy.fromfile(path).reshape(-1, rows):
        values = column.tolist()
        heard("ADWIN", drift.ADWIN(), values, change)
        heard("KSWIN", drift.KSWIN(seed=1), values[:kswin_rows], change)


if __name__ == "__main__":
    main()
