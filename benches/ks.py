"""The peers of benches/ks.rs: scipy and Evidently on the same data, one order a line on stdin.

    ks.py FILE FEATURES REFERENCE_ROWS CURRENT_ROWS

Answers each order with a line of JSON; times are seconds of one
processor.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import json
import sys
import time
import warnings

try:
    import evidently
    import numpy
    import pandas
    import scipy
    from evidently import Report
    from evidently.presets import DataDriftPreset
    from scipy.stats import ks_2samp
except ImportError as error:
    sys.exit(
        f"{error}. Install what the benchmark compares with:"
        " python3 -m venv .venv && .venv/bin/pip install -r benches/requirements.txt,"
        " then pass --python .venv/bin/python"
    )

warnings.simplefilter("ignore")


def main():
    features, n, w = map(int, sys.argv[2:5])
    data = numpy.fromfile(sys.argv[1])
    reference = data[: features * n].reshape(features, n)
    current = data[features * n :].reshape(features, w)
    frames = [
        pandas.DataFrame({f"x{i}": column for i, column in enumerate(side)})
        for side in (reference, current)
    ]

    def scipy_loop():
        return [ks_2samp(a, b, method="asymp") for a, b in zip(reference, current)]

    def evidently_preset():
        Report([DataDriftPreset(method="ks")]).run(frames[1], frames[0]).dict()

    # D = .3 at 10,000 against 9,999.
    grids = numpy.arange(10_000) / 10_000, numpy.arange(9_999) / 9_999 + 0.3

    def exact():
        return ks_2samp(*grids, method="exact")

    print(json.dumps({"scipy": scipy.__version__, "evidently": evidently.__version__}), flush=True)
    for order in sys.stdin:
        work = {"scipy": scipy_loop, "evidently": evidently_preset, "exact": exact}[order.strip()]
        began = time.process_time()
        found = work()
        answer = {"seconds": time.process_time() - began}
        if order.strip() == "scipy":
            answer["results"] = [
                [float(r.statistic), float(r.pvalue), float(r.statistic_location), int(r.statistic_sign)]
                for r in found
            ]
        elif order.strip() == "exact":
            answer["results"] = [[float(found.statistic), float(found.pvalue), 0.0, 0]]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
