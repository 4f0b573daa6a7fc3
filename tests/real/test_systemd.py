"""driftd under a service manager: what it says on a notify socket, sockets it inherits, units, package."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
import requests

import notified
import rows
from driftd import addresses, binary, config_text, run_command
from notified import Manager
from processes import Process, free_port, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
UNITS = REPOSITORY / "systemd"

# A thread may be silent for half of it.
WATCHDOG = 5


@pytest.fixture
def manager(tmp_path):
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


@pytest.fixture
def watched(manager, start_driftd, iris_app_sync):
    """driftd under a watchdog, ready."""
    env = manager.env | {"WATCHDOG_USEC": str(WATCHDOG * 1_000_000)}
    driftd = start_driftd(config=config_text(iris_app_sync.url), env=env)
    manager.until("READY")
    manager.until("STATUS", value="; recording")
    return driftd


def output(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    return done.returncode, done.stdout + done.stderr


# --- what it says ---


def test_life_from_ready_to_stopping(manager, start_driftd, iris_app_sync):
    driftd = start_driftd(config=config_text(iris_app_sync.url), env=manager.env)
    assert manager.until("READY")[-1] == {"READY": "1"}
    # Ready means that an exchange passes.
    assert driftd.post(json={"features": rows.iris()[0]}).status_code == 200
    status = manager.until("STATUS", value="; recording")[-1]["STATUS"]
    assert driftd.proxy.removeprefix("http://") in status
    assert driftd.page in status

    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    driftd.popen.send_signal(signal.SIGHUP)
    reloading = manager.until("RELOADING")[-1]
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert reloading["RELOADING"] == "1"
    assert before <= int(reloading["MONOTONIC_USEC"]) <= after
    manager.until("READY")
    driftd.wait_for_output("Reference is the same", 10)

    driftd.popen.send_signal(signal.SIGTERM)
    heard = manager.until("STOPPING")
    assert heard[-1]["STOPPING"] == "1"
    assert driftd.exit_code(30) == 0
    # Without WATCHDOG_USEC pings do no harm; READY after STOPPING would.
    assert not any("READY" in message for message in manager.during(0.2))


def test_an_abstract_socket_and_a_watchdog_of_another(start_driftd, iris_app_sync):
    manager = Manager(f"@driftd-test-{os.getpid()}")
    try:
        start_driftd(config=config_text(iris_app_sync.url), env=manager.env)
        manager.until("READY")
    finally:
        manager.close()


def test_a_manager_that_cannot_be_understood_or_is_gone_stops_nothing(
    start_driftd, iris_app_sync, tmp_path
):
    text = config_text(iris_app_sync.url)
    for name in ["vsock:2:1234", str(tmp_path / "nobody")]:
        driftd = start_driftd(config=text, env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "soon"})
        assert driftd.post(json={"features": rows.iris()[0]}).status_code == 200
        assert ("NOTIFY_SOCKET cannot be used" in driftd.stderr) == name.startswith("vsock")
        assert driftd.stop() == 0


# --- the watchdog: no proof, no ping ---


THREADS = ["proxy-0", "driftd-admin", "driftd-recorder", "driftd-monitor", "window"]


def test_no_ping_while_a_thread_stands_still(watched, manager):
    tasks = notified.threads(watched.popen.pid)
    for name in THREADS:
        manager.until("WATCHDOG", seconds=WATCHDOG)
        with notified.stopped(tasks[name]):
            heard = manager.until("STATUS", seconds=WATCHDOG, value="has shown no life")
            assert name in heard[-1]["STATUS"]
            # Pings come each quarter of the period.
            assert notified.pings(manager.during(0.3 * WATCHDOG)) == 0, name
        manager.until("STATUS", seconds=WATCHDOG, value="; recording")
    manager.until("WATCHDOG", seconds=WATCHDOG)
    assert watched.post(json={"features": rows.iris()[0]}).status_code == 200


def test_a_locked_window_is_no_dead_writer(watched, manager):
    """What a restart would not mend, and would lose the queue for, is told and does not stop the pings."""
    with sqlite3.connect(watched.window_path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert watched.post(json={"features": rows.iris()[0]}).status_code == 200
        heard = manager.during(1.2 * WATCHDOG)
        other.execute("ROLLBACK")
    other.close()
    # One each quarter of the period.
    assert notified.pings(heard) >= 3, heard
    assert any("not recording" in message.get("STATUS", "") for message in heard), heard
    manager.until("STATUS", value="; recording")


def test_the_watchdog_is_fed_while_connections_drain(watched, manager):
    address = watched.proxy.removeprefix("http://").split(":")
    with socket.create_connection(address) as client:
        body = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
        head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body[:-1])
        wait_until(lambda: watched.metric("http_server_active_requests"), 10, "the request")
        watched.popen.send_signal(signal.SIGTERM)
        manager.until("STOPPING")
        assert notified.pings(manager.during(0.7 * WATCHDOG)) >= 1
        client.sendall(body[-1:])
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    assert watched.exit_code(30) == 0


# --- sockets ---


def test_socket_activation(iris_app_sync, started, tmp_path):
    """The first connection starts driftd, on the socket that was there before it."""
    listen, admin = free_port(), free_port()
    config = tmp_path / "driftd.toml"
    config.write_text(config_text(iris_app_sync.url, admin=f"127.0.0.1:{admin}"))
    activate = ["systemd-socket-activate", f"--listen=127.0.0.1:{listen}", "--fdname=listen"]
    process = Process([*activate, binary(), "run", "--config", config], tmp_path, name="activate")
    started.append(process)
    process.wait_for_output("Listening on")
    assert addresses(process.stdout) is None, "driftd runs before anybody has come"
    url = f"http://127.0.0.1:{listen}/predict"
    answer = requests.post(url, json={"features": rows.iris()[0]}, timeout=30)
    assert answer.status_code == 200, process.describe()
    assert addresses(process.stdout)["proxy"] == f"http://127.0.0.1:{listen}"
    assert process.stop() == 0


# --- units ---


def unit_settings(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]


@pytest.fixture
def units(tmp_path):
    """The units as they are shipped, but for where the program is: nothing needs to be installed."""
    for path in [*UNITS.glob("*.service"), *UNITS.glob("*.socket")]:
        text = path.read_text(encoding="utf-8").replace("/usr/bin/driftd", binary())
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["driftd.service", "driftd.socket", "driftd@.service"]
    return tmp_path


def test_units_are_right(units):
    paths = [units / name for name in ["driftd.service", "driftd.socket", "driftd@.service"]]
    code, text = output(["systemd-analyze", "verify", "--man=no", *paths])
    assert (code, text) == (0, "")


@pytest.mark.parametrize("name", ["driftd.service", "driftd@.service"])
def test_units_expose_little(units, name):
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", units / name]
    code, text = output(command)
    assert code == 0, text
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", text).group(1))
    assert exposure <= 1.5


def test_the_template_is_the_service_for_each_instance():
    one = (UNITS / "driftd.service").read_text(encoding="utf-8")
    many = dict(unit_settings(UNITS / "driftd@.service"))
    differ = {key for key, value in unit_settings(UNITS / "driftd.service") if many[key] != value}
    several = {"SystemCallFilter", "IPAddressAllow"}
    own = {"Description", "ExecStart", "StateDirectory", "RuntimeDirectory", "WorkingDirectory"}
    assert differ - several == own
    keys = [key for key, _ in unit_settings(UNITS / "driftd.service")]
    assert keys == [key for key, _ in unit_settings(UNITS / "driftd@.service")]
    stop = int(re.search(r"^TimeoutStopSec=(\d+)s$", one, re.MULTILINE).group(1))
    grace = re.search(r'^grace\s+= "(\d+)s"', (UNITS / "driftd.toml").read_text(), re.MULTILINE)
    assert stop > int(grace.group(1))


def test_unix_sockets_have_a_place_that_outlives_each_service():
    """One service's end would otherwise remove what its instances listen on, which is within it."""
    for name, place in [("driftd.service", "driftd"), ("driftd@.service", "driftd/%i")]:
        settings = dict(unit_settings(UNITS / name))
        assert settings["ProtectSystem"] == "strict"
        assert settings["RuntimeDirectory"] == settings["StateDirectory"] == place
        assert settings["RuntimeDirectoryPreserve"] == "yes"


def test_the_readme_starts_the_socket_before_its_service():
    """systemd: `Socket service driftd.service already active, refusing.`"""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    [commands] = re.findall(r"```sh\n(dpkg -i .*?)```", readme, re.DOTALL)
    enabled = re.findall(r"^systemctl enable --now (\S+)", commands, re.MULTILINE)
    assert enabled == ["driftd.socket", "driftd"]
    where = (UNITS / "driftd.socket").read_text(encoding="utf-8")
    assert "systemctl stop driftd && systemctl enable --now driftd.socket && " in where
    assert "`systemctl stop driftd`" in readme.split(commands)[1].split("\n\n")[1]


def test_the_example_configuration_is_right(tmp_path):
    config = tmp_path / "driftd.toml"
    shutil.copy(UNITS / "driftd.toml", config)
    shown = run_command(tmp_path, "config", "--config", config)
    assert shown.popen.returncode == 0, shown.describe()
    assert "/var/lib/driftd/driftd.db" in shown.stdout


# --- the package ---


def dpkg(*arguments):
    root = [] if os.geteuid() == 0 else ["sudo"]
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "PATH": path}
    code, text = output([*root, "dpkg", *arguments], env=env)
    assert code == 0, text
    return text


def users():
    return {line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()}


def maintainer_script(tmp_path, name, *arguments):
    """Runs a script of the package where systemd seems to run, before a systemctl that always fails."""
    here = tmp_path / "machine"
    links = here / "multi-user.target.wants"
    (here / "bin").mkdir(parents=True, exist_ok=True)
    links.mkdir(exist_ok=True)
    for service in ["driftd@iris.service", "driftd@wine.service", "other.service"]:
        (links / service).unlink(missing_ok=True)
        (links / service).symlink_to("/nowhere")
    said = here / "said"
    said.write_text("")
    for command, code in [("systemctl", 1), ("userdel", 8), ("systemd-sysusers", 0), ("chgrp", 1), ("getent", 0)]:
        stub = here / "bin" / command
        stub.write_text(f'#!/bin/sh\necho {command} "$@" >> {said}\nexit {code}\n')
        stub.chmod(0o755)
    text = (REPOSITORY / "deploy" / "debian" / name).read_text(encoding="utf-8")
    assert text.startswith("#!/bin/sh\n") and "set -e\n" in text
    for real, ours in [
        ("/run/systemd/system", here),
        ("/etc/systemd/system", here),
        ("/var/lib/driftd", here / "state"),
        ("/run/driftd", here / "run"),
        ("/etc/driftd", here / "etc"),
    ]:
        text = text.replace(real, str(ours))
    script = here / name
    script.write_text(text, encoding="utf-8")
    env = os.environ | {"PATH": f"{here / 'bin'}:{os.environ['PATH']}"}
    code, text = output(["sh", script, *arguments], env=env)
    return code, text, said.read_text().splitlines()


def test_a_service_that_does_not_restart_fails_no_upgrade(tmp_path):
    code, text, said = maintainer_script(tmp_path, "postinst", "configure", "0.0.9")
    assert code == 0 and "did not restart" in text
    assert said[-1] == "systemctl try-restart driftd.service driftd@*.service"


def test_removal_disables_instances_by_their_links(tmp_path):
    code, text, said = maintainer_script(tmp_path, "prerm", "remove")
    assert code == 0 and "did not stop" in text
    assert said == [
        "systemctl stop driftd.socket driftd.service driftd@*.service",
        "systemctl disable --quiet driftd@iris.service",
        "systemctl disable --quiet driftd@wine.service",
        "systemctl disable --quiet driftd.socket driftd.service",
    ]
    assert maintainer_script(tmp_path, "prerm", "upgrade", "0.2.0") == (0, "", [])


def test_a_user_that_is_still_at_work_fails_no_purge(tmp_path):
    code, _, said = maintainer_script(tmp_path, "postrm", "purge")
    assert code == 0
    assert said == ["getent passwd driftd", "userdel driftd", "systemctl daemon-reload"]


def test_the_package_comes_and_goes(tmp_path):
    """Installed, run, removed with its configuration kept, purged with nothing left."""
    assert "driftd" not in users(), "a user driftd is there already: not a machine to test on"
    assert not Path("/etc/driftd").exists()
    code, text = output([REPOSITORY / "deploy/deb", binary(), tmp_path])
    assert code == 0, text
    [package] = tmp_path.glob("driftd_*.deb")
    assert str(package) in text.splitlines()
    try:
        dpkg("--install", package)
        files = dpkg("--listfiles", "driftd").splitlines()
        config = Path("/etc/driftd/driftd.toml")
        assert {str(config), "/lib/systemd/system/driftd@.service"} <= set(files)
        dashboards = REPOSITORY / "dashboards"
        for path in dashboards.rglob("*.json"):
            assert f"/usr/share/driftd/{path.relative_to(REPOSITORY)}" in files
        assert dpkg("--verify", "driftd") == ""
        assert "driftd" in users()
        assert (config.stat().st_mode & 0o777, config.group()) == (0o640, "driftd")
        shown = subprocess.run(
            ["/usr/bin/driftd", "config", "--config", config], capture_output=True, timeout=20
        )
        assert shown.returncode == 0, shown
        installed = ["driftd.service", "driftd.socket", "driftd@.service"]
        code, text = output(["systemd-analyze", "verify", "--man=no", *installed])
        assert (code, text) == (0, "")

        # The administrator's from now on: another group stays, and a file that was removed stays away.
        shutil.chown(config, group="adm")
        dpkg("--install", package)
        assert config.group() == "adm"
        config.unlink()
        dpkg("--install", package)
        assert not config.exists() and dpkg("--status", "driftd").splitlines()[1].endswith(" installed")
        dpkg("--force-confmiss", "--install", package)

        dpkg("--remove", "driftd")
        assert config.exists() and not Path("/usr/bin/driftd").exists()
        dpkg("--install", package)
    finally:
        dpkg("--purge", "driftd")
    left = [path for path in [*files, "/var/lib/driftd"] if "driftd" in path and Path(path).exists()]
    assert left == []
    assert "driftd" not in users()
