"""Real processes: started, waited for within a bound, and stopped by their own id."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

HERE = Path(__file__).resolve().parent
REFERENCE_DATA = HERE.parent.parent / "reference_data"


def wait_until(condition, seconds=20, what="the condition"):
    """The condition's first truthy value; fails with what was last seen once the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s; last: {value!r}"
        time.sleep(0.02)


def holds_for(seconds, condition):
    """Whether the condition is true for all of this time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            return False
        time.sleep(0.02)
    return True


def free_port():
    """A port nobody listens on, only for what cannot be given port 0 and asked afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A child whose output goes to files, so that no pipe ever fills and a failure can show them."""

    def __init__(self, command, directory, env=None, name=None):
        self.command = [str(part) for part in command]
        self.name = name or Path(self.command[0]).name
        directory.mkdir(parents=True, exist_ok=True)
        number = len(list(directory.glob(f"{self.name}.*.stdout")))
        self.stdout_path = directory / f"{self.name}.{number}.stdout"
        self.stderr_path = directory / f"{self.name}.{number}.stderr"
        with self.stdout_path.open("wb") as out, self.stderr_path.open("wb") as err:
            self.popen = subprocess.Popen(
                self.command,
                cwd=directory,
                env=clean_environment() | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                # A group of its own, so that gunicorn's workers end with a killed master.
                process_group=0,
            )

    @property
    def stdout(self):
        return self.stdout_path.read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self):
        return self.stderr_path.read_text(encoding="utf-8", errors="replace")

    def running(self):
        return self.popen.poll() is None

    def wait_for_output(self, pattern, seconds=30):
        """The first match of a pattern in what the process has written so far."""

        def found():
            match = re.search(pattern, self.stdout + "\n" + self.stderr, re.MULTILINE)
            assert match or self.running(), f"{self.describe()}\nended before writing {pattern!r}"
            return match

        return wait_until(found, seconds, f"{self.name} writing {pattern!r}")

    def exit_code(self, seconds=30):
        """Waits for the process to end by itself."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.describe()}\nstill runs after {seconds} s") from None

    def stop(self, seconds=30):
        """SIGTERM, and the exit code."""
        if self.running():
            self.popen.send_signal(signal.SIGTERM)
        return self.exit_code(seconds)

    def kill(self):
        """SIGKILL: no chance to say goodbye."""
        if self.running():
            os.killpg(self.popen.pid, signal.SIGKILL)
        return self.popen.wait(10)

    def close(self):
        """However a test ended, nothing it started goes on."""
        try:
            self.stop(10)
        except AssertionError:
            self.kill()

    def describe(self):
        """The command and the end of what it wrote, for a failure's message."""
        state = "running" if self.running() else f"exit code {self.popen.returncode}"
        return (
            f"{' '.join(self.command)} ({state})\n"
            f"--- stdout ---\n{self.stdout[-4000:]}\n--- stderr ---\n{self.stderr[-4000:]}"
        )


class Gunicorn(Process):
    """A Flask app under gunicorn, on an address of the kernel's choice unless one is given."""

    WORKERS = {
        "sync": ["--worker-class", "sync", "--workers", "2"],
        "gthread": ["--worker-class", "gthread", "--workers", "1", "--threads", "4"],
    }

    def __init__(self, app, directory, worker="sync", bind="127.0.0.1:0", env=None):
        gunicorn = [sys.executable, "-m", "gunicorn", "--chdir", HERE, "--bind", bind]
        # One thread of linear algebra in each worker: the machine is shared with what is tested.
        env = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | (env or {})
        options = ["--no-control-socket", *self.WORKERS[worker]]
        super().__init__([*gunicorn, *options, f"{app}:app"], directory, env, name="gunicorn")
        self.url = self.wait_for_output(r"Listening at: (\S+)").group(1)
        if self.url.startswith("http"):
            # The master listens before its workers have trained their model.
            self.get("/health")

    def get(self, path):
        answer = requests.get(self.url + path, timeout=30)
        answer.raise_for_status()
        return answer


class Uvicorn(Process):
    """An ASGI app under uvicorn, on a port of the kernel's choice."""

    def __init__(self, app, directory, env=None, options=()):
        uvicorn = [sys.executable, "-m", "uvicorn", "--app-dir", HERE, "--port", "0"]
        super().__init__([*uvicorn, *options, app], directory, env, name="uvicorn")
        self.url = self.wait_for_output(r"Uvicorn running on (http://[\d.:]+)").group(1)


def iris_app(directory, **options):
    """The mission's model server."""
    env = {"IRIS_CSV": str(REFERENCE_DATA / "iris.csv")}
    return Gunicorn("iris_app", directory, env=env, **options)


def table_app(directory, **options):
    """The model server with strings and missing values."""
    env = {"FLIGHTS_CSV": str(REFERENCE_DATA / "flights.csv")}
    return Gunicorn("table_app", directory, env=env, **options)


def clean_environment():
    """This process's environment without what would configure driftd or send a request elsewhere."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DRIFTD_") and not name.lower().endswith("_proxy")
    }
