"""Fixtures: the model servers once for the session, driftd anew for each test."""

import pytest

import processes
from driftd import Driftd, binary, config_text


@pytest.fixture(scope="session", autouse=True)
def program():
    """Ends the run at once when there is nothing to test."""
    return binary()


@pytest.fixture(scope="session", params=["sync", "gthread"])
def iris_app(request, tmp_path_factory):
    """The iris app under gunicorn, once for each kind of worker."""
    app = processes.iris_app(tmp_path_factory.mktemp("iris_app"), worker=request.param)
    yield app
    app.close()


@pytest.fixture(scope="session")
def iris_app_sync(tmp_path_factory):
    """The iris app where the kind of worker does not matter."""
    app = processes.iris_app(tmp_path_factory.mktemp("iris_app_sync"))
    yield app
    app.close()


@pytest.fixture(scope="session")
def table_app(tmp_path_factory):
    """The second app."""
    app = processes.table_app(tmp_path_factory.mktemp("table_app"), worker="gthread")
    yield app
    app.close()


@pytest.fixture
def started():
    """Whatever a test adds is closed when it ends, newest first."""
    everything = []
    yield everything
    for process in reversed(everything):
        process.close()


@pytest.fixture
def start_driftd(started, tmp_path):
    """Starts driftd before an upstream; each start shares the test's directory and so its window."""

    def start(upstream=None, config=None, **options):
        if config is None and upstream is not None:
            config = config_text(upstream, **options)
            options = {}
        driftd = Driftd(tmp_path / "driftd", config, **options)
        started.append(driftd)
        return driftd

    return start


def pytest_exception_interact(node, call, report):
    """A failure shows what the processes of the test wrote."""
    for process in getattr(node, "funcargs", {}).get("started", []):
        if isinstance(process, processes.Process):
            report.sections.append((process.name, process.describe()))
