"""A real gunicorn's own resources, against what the kernel says of it."""

import os
import signal
from pathlib import Path

import pytest

import processes
from driftd import IRIS
from processes import holds_for, wait_until

TICKS = os.sysconf("SC_CLK_TCK")
# Between two looks of driftd's.
LOOK = 5


def stat(pid):
    """proc_pid_stat(5), from the third field on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(pid):
    """A process and its descendants."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int(stat(path.name)[1])
        except OSError:
            continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def cpu_seconds(pids):
    """Of them and of the children they have waited for."""
    return sum(sum(map(int, stat(pid)[11:15])) for pid in pids) / TICKS


def resident_bytes(pids):
    return sum(int(stat(pid)[21]) for pid in pids) * os.sysconf("SC_PAGE_SIZE")


def open_files(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def process_metric(driftd, name, **labels):
    return driftd.metric(f"driftd_upstream_process{name}", model="iris", **labels)


@pytest.fixture
def app(tmp_path, started):
    """A gunicorn with two workers that a test may kill."""
    app = processes.iris_app(tmp_path / "app")
    started.append(app)
    wait_until(lambda: idle(tree(app.popen.pid), 3), 60, "both workers loaded")
    return app


def idle(pids, count):
    """Whether there are so many, of which none computes: one worker answers before the other has
    loaded its model."""
    before = cpu_seconds(pids)
    return len(pids) == count and holds_for(1, lambda: cpu_seconds(pids) == before)


def whole(driftd, count):
    def seen():
        return process_metric(driftd, "es") == count

    wait_until(seen, 3 * LOOK, f"{count} processes")


def agrees(driftd, name, kernel, **tolerance):
    """Waits for a look that saw what the kernel says."""

    def agreed():
        nonlocal seen
        seen = process_metric(driftd, name), kernel()
        return seen[0] == pytest.approx(seen[1], **tolerance)

    seen = None
    try:
        wait_until(agreed, 3 * LOOK)
    except AssertionError:
        pytest.fail(f"{name}: driftd and kernel say {seen}")


def test_the_figures_are_the_kernels_and_restarts_are_counted(app, start_driftd, started, tmp_path):
    earlier = cpu_seconds(tree(app.popen.pid))
    driftd = start_driftd(app.url)
    whole(driftd, 3)
    pids = tree(app.popen.pid)
    assert len(pids) == 3
    assert process_metric(driftd, "_visible", reason="ok") == 1
    for _ in range(300):
        driftd.post(json={"features": [5.1, 3.5, 1.4, 0.2]}).raise_for_status()
    # What the server used before driftd began is not counted.
    agrees(driftd, "_cpu_seconds_total", lambda: cpu_seconds(pids) - earlier, abs=0.05)
    agrees(driftd, "_resident_memory_bytes", lambda: resident_bytes(pids), rel=0.05)
    # One process's: of those with one limit the one closest to it.
    agrees(driftd, "_open_fds", lambda: max(map(open_files, pids)), abs=0)
    limit = Path(f"/proc/{app.popen.pid}/limits").read_text()
    [soft] = [line.split()[3] for line in limit.splitlines() if line.startswith("Max open files")]
    assert process_metric(driftd, "_max_fds") == int(soft)
    began = process_metric(driftd, "_start_time_seconds")
    assert began == pytest.approx(Path(f"/proc/{app.popen.pid}").stat().st_mtime, abs=60)

    before = process_metric(driftd, "_cpu_seconds_total")
    # A child that was there at one look only would pass for a tool that a worker ran.
    assert holds_for(2 * LOOK, lambda: not process_metric(driftd, "_restarts_total", process="worker"))
    os.kill(pids[1], signal.SIGKILL)
    wait_until(
        lambda: process_metric(driftd, "_restarts_total", process="worker") == 1,
        4 * LOOK,
        "a replaced worker",
    )
    assert process_metric(driftd, "_restarts_total", process="main") == 0
    # Its successor has loaded the model once more.
    whole(driftd, 3)
    assert process_metric(driftd, "_cpu_seconds_total") >= before

    port = int(app.url.rpartition(":")[2])
    app.kill()
    wait_until(
        lambda: process_metric(driftd, "_visible", reason="not_listening") == 0,
        4 * LOOK,
        "the server's end",
    )
    assert process_metric(driftd, "es") is None
    counted = process_metric(driftd, "_cpu_seconds_total")
    started.append(processes.iris_app(tmp_path / "again", bind=f"127.0.0.1:{port}"))
    wait_until(
        lambda: process_metric(driftd, "_restarts_total", process="main") == 1,
        4 * LOOK,
        "a new server",
    )
    assert process_metric(driftd, "_cpu_seconds_total") > counted


def test_a_pid_file_that_comes_late_and_one_that_is_stale(app, start_driftd, tmp_path):
    path = tmp_path / "model.pid"
    iris = IRIS | {"process": {"pid_file": str(path)}}
    driftd = start_driftd(app.url, models=[iris])
    wait_until(
        lambda: process_metric(driftd, "_visible", reason="no_pid_file") == 0,
        3 * LOOK,
        "a look",
    )
    path.write_text(f"{app.popen.pid}\n")
    whole(driftd, 3)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    wait_until(
        lambda: process_metric(driftd, "_visible", reason="stale_pid_file") == 0,
        3 * LOOK,
        "the stale file",
    )
