"""CSV files of the shapes on which Evidently is reported to stall (evidently#763: 356,000 × 797,
#1526: 3,300,000 × 1,000), and how `driftd check` does on growing slices of them.

    stallers.py write FILE ROWS COLUMNS [--seed N]
    stallers.py check --driftd target/release/driftd --slices 2000x50,4000x50,4000x100

Equal arguments write equal bytes. `check` prints seconds and peak memory for each slice, and the
line time = a + b·cells fitted to them. Needs Python 3.9 and nothing else.
"""

import argparse
import os
import random
import sys
import tempfile
import time

# A row is put together from so many parts drawn before, each of CHUNK values, so that writing is
# as fast as the disk: the values of a column repeat, the pairs of columns do not line up.
PARTS = 4096
CHUNK = 25


def parts(seed):
    draw = random.Random(seed)

    def value(column):
        kind = column % 5
        if kind == 0:
            return f"{draw.gauss(0, 1):.6f}"
        if kind == 1:
            return f"{draw.lognormvariate(3, 1):.2f}"
        if kind == 2:
            return str(draw.randrange(100))
        if kind == 3:
            return f"{draw.random():.15f}"
        return "" if draw.random() < 0.03 else f"{draw.uniform(-1e6, 1e6):.3f}"

    return [",".join(value(column) for column in range(CHUNK)) for _ in range(PARTS)]


def write(path, rows, columns, seed):
    """Columns are rounded up to whole parts and cut off in the last one."""
    pool = parts(seed)
    whole, rest = divmod(columns, CHUNK)
    tails = [",".join(part.split(",")[:rest]) for part in pool] if rest else []
    draw = random.Random(seed + 1)
    with open(path, "w", buffering=1 << 20) as file:
        file.write(",".join(f"c{i}" for i in range(columns)) + "\n")
        for _ in range(rows):
            cells = draw.choices(pool, k=whole)
            if rest:
                cells.append(tails[int(draw.random() * PARTS)])
            file.write(",".join(cells))
            file.write("\n")


def run(driftd, reference, current):
    """Seconds, peak megabytes and the exit code of one check."""
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 1)
            arguments = [driftd, "check", "--reference", reference, "--current", current]
            os.execvp(driftd, arguments)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - began
    return seconds, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def fit(points):
    """Least squares of y = a + b·x."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    return mean_y - slope * mean_x, slope


def check(driftd, slices):
    print("| rows × columns | seconds | peak MB | exit | µs a cell |")
    print("|---|---|---|---|---|")
    times, peaks = [], []
    with tempfile.TemporaryDirectory() as folder:
        for rows, columns in slices:
            sides = [os.path.join(folder, f"{name}.csv") for name in ("reference", "current")]
            for seed, path in enumerate(sides):
                write(path, rows, columns, 10 * (seed + 1))
            seconds, peak, code = run(driftd, *sides)
            if code not in (0, 1):
                sys.exit(f"driftd check ended with {code} on {rows} × {columns}")
            # Both files are read.
            cells = 2 * rows * columns
            times.append((cells, seconds))
            peaks.append((cells, peak))
            each = seconds / cells * 1e6
            print(f"| {rows} × {columns} | {seconds:.2f} | {peak:.0f} | {code} | {each:.3f} |")
    if len(times) > 1:
        (a, b), (c, d) = fit(times), fit(peaks)
        print(f"\nseconds = {a:.3f} + {b * 1e6:.4f}e-6 · cells; MB = {c:.1f} + {d * 1e6:.2f}e-6 · cells")
        for rows, columns in ((356_000, 797), (3_300_000, 1_000)):
            cells = 2 * rows * columns
            print(f"{rows} × {columns} on that line: {a + b * cells:.0f} s, {c + d * cells:.0f} MB")


def slice_of(text):
    rows, columns = text.split("x")
    return int(rows), int(columns)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    orders = parser.add_subparsers(dest="order", required=True)
    writer = orders.add_parser("write")
    writer.add_argument("file")
    writer.add_argument("rows", type=int)
    writer.add_argument("columns", type=int)
    writer.add_argument("--seed", type=int, default=1)
    checker = orders.add_parser("check")
    checker.add_argument("--driftd", default="target/release/driftd")
    default = "2000x50,4000x50,8000x50,8000x100"
    checker.add_argument("--slices", default=default, help=f"default: {default}")
    arguments = parser.parse_args()
    if arguments.order == "write":
        write(arguments.file, arguments.rows, arguments.columns, arguments.seed)
    else:
        check(arguments.driftd, [slice_of(text) for text in arguments.slices.split(",")])


if __name__ == "__main__":
    main()
