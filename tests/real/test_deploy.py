"""What is shipped for containers and Kubernetes: as far as it can be tried without either."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import gunicorn.config
import yaml

import rows
from driftd import Driftd, run_command
from processes import REFERENCE_DATA, Process, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
COMPOSE = DEPLOY / "compose"
KUBERNETES = DEPLOY / "kubernetes"
RULES = REPOSITORY / "dashboards" / "rules"


def one(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def lines(path):
    """The instructions of a Dockerfile, with continued lines joined."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] != "#"]


def same(path, text):
    """The file holds this text; with DRIFTD_WRITE=1 it is written."""
    if os.environ.get("DRIFTD_WRITE"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, f"write it by DRIFTD_WRITE=1: {path}"


def indented(text, by):
    return "".join(" " * by + line if line.strip() else line for line in text.splitlines(True))


# --- the image ---


def ignored(path, dockerfile=DEPLOY / "Dockerfile"):
    """Whether its .dockerignore keeps a path of the repository out of a build."""
    out = False
    listed = dockerfile.with_name(dockerfile.name + ".dockerignore")
    for line in listed.read_text(encoding="utf-8").splitlines():
        pattern = line.strip().removeprefix("!")
        if pattern and not line.startswith("#") and (
            fnmatch(path, pattern) or path.startswith(pattern + "/")
        ):
            out = not line.startswith("!")
    return out


def copied_into(dockerfile):
    """What of the repository an image is built from; all of it is there."""
    copied = [
        source
        for name, rest in lines(dockerfile)
        if name == "COPY" and "--from=" not in rest
        for source in rest.split()[:-1]
    ]
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        assert not ignored(source, dockerfile), source
    assert ignored("target", dockerfile) and ignored(".git", dockerfile)
    return copied


def test_what_the_image_is_built_from_is_there():
    copied = copied_into(DEPLOY / "Dockerfile")
    assert len(copied) > 5
    # rustup would heed it and fetch another toolchain than the image's, whose Rust is new enough.
    assert "rust-toolchain.toml" not in copied and ignored("rust-toolchain.toml")
    [oldest] = re.findall(r'^rust-version = "([\d.]+)"', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)
    assert lines(DEPLOY / "Dockerfile")[0] == ["FROM", f"rust:{oldest}-bookworm AS build"]
    # Everything Cargo.toml names, or `cargo build` refuses it.
    cargo = (REPOSITORY / "Cargo.toml").read_text(encoding="utf-8")
    for path in re.findall(r'^path = "([^"]+)"', cargo, re.MULTILINE):
        assert any(path == c or path.startswith(c + "/") for c in copied), path
    # And everything the sources take in as they are compiled.
    for source in (REPOSITORY / "src").rglob("*.rs"):
        for included in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', source.read_text()):
            path = (source.parent / included).resolve().relative_to(REPOSITORY)
            assert any(path.is_relative_to(c) for c in copied), f"{source}: {included}"


def image():
    """Environment, health check and user of the image."""
    instructions = lines(DEPLOY / "Dockerfile")
    env = {}
    for name, rest in instructions:
        if name == "ENV":
            env |= dict(pair.split("=", 1) for pair in shlex.split(rest))
    last = {name: rest for name, rest in instructions}
    return env, json.loads(last["HEALTHCHECK"].split("CMD", 1)[1]), last["USER"]


def test_the_image_serves_everybody_as_nobody(started, tmp_path, iris_app_sync):
    env, health, user = image()
    assert user.split(":")[0] not in ("0", "root")
    assert (env["DRIFTD_LISTEN"], env["DRIFTD_ADMIN"]) == ("0.0.0.0:8080", "0.0.0.0:9464")
    assert health[1:] == ["health"]
    env |= {
        "DRIFTD_LISTEN": "0.0.0.0:0",
        "DRIFTD_ADMIN": "0.0.0.0:0",
        "DRIFTD_WINDOW__PATH": str(tmp_path / "driftd.db"),
        "DRIFTD_UPSTREAM": iris_app_sync.url,
    }
    driftd = Driftd(tmp_path, env=env)
    started.append(driftd)
    assert driftd.proxy.startswith("http://0.0.0.0:")
    assert driftd.post(json={"features": rows.iris()[0]}).status_code == 200
    # The check of the image, with the port that was found.
    check = env | {"DRIFTD_ADMIN": driftd.page.removeprefix("http://")}
    process = run_command(tmp_path, *health[1:], env=check, name="health")
    assert process.popen.returncode == 0, process.describe()
    assert driftd.stop() == 0
    process = run_command(tmp_path, *health[1:], env=check, name="health")
    assert process.popen.returncode == 1, process.describe()


# --- compose ---


def test_every_path_of_the_compose_file_is_there():
    compose = one(COMPOSE / "compose.yml")
    services = compose["services"]
    assert set(services) == {"model", "driftd", "prometheus", "alertmanager", "grafana"}
    mounted = 0
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                mounted += 1
                assert (COMPOSE / source).exists(), f"{name}: {source}"
            else:
                assert source in compose["volumes"], f"{name}: {source}"
        build = service.get("build")
        if isinstance(build, str):
            assert (COMPOSE / build / "Dockerfile").is_file()
        elif build:
            assert (COMPOSE / build["context"] / build["dockerfile"]).is_file()
        else:
            assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), "images are pinned"
    assert mounted >= 8
    grace = re.search(r'grace\s+= "(\d+)s"', (COMPOSE / "driftd.toml").read_text()).group(1)
    assert int(services["driftd"]["stop_grace_period"].removesuffix("s")) > int(grace)
    for _, rest in lines(COMPOSE / "model" / "Dockerfile"):
        for source in re.findall(r"^(\S+) /app/$", rest):
            assert (COMPOSE / "model" / source).is_file()


def test_prometheus_and_grafana_find_each_other():
    services = one(COMPOSE / "compose.yml")["services"]
    promtool = ["promtool", "check", "config", "--syntax-only", COMPOSE / "prometheus.yml"]
    done = subprocess.run(promtool, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    config = one(COMPOSE / "prometheus.yml")
    [job] = config["scrape_configs"]
    [target] = job["static_configs"][0]["targets"]
    port = image()[0]["DRIFTD_ADMIN"].split(":")[1]
    assert (job["job_name"], target) == ("driftd", f"driftd:{port}")
    [alerting] = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    ours = one(COMPOSE / "grafana" / "datasources.yml")["datasources"][0]
    for address in [alerting, ours["url"].removeprefix("http://")]:
        host, port = address.split(":")
        assert any(f":{port}:{port}" in published for published in services[host]["ports"])
    theirs = one(REPOSITORY / "dashboards/grafana/datasources/driftd.yml")["datasources"][0]
    assert (ours["uid"], ours["type"]) == (theirs["uid"], theirs["type"])


def test_the_model_of_the_compose_file_behind_driftd(started, tmp_path):
    env = {"REFERENCE": str(REFERENCE_DATA / "iris.csv")}
    gunicorn = [sys.executable, "-m", "gunicorn", "--no-control-socket", "--bind", "127.0.0.1:0"]
    model = Process([*gunicorn, "--chdir", COMPOSE / "model", "app:app"], tmp_path, env, "model")
    started.append(model)
    upstream = model.wait_for_output(r"Listening at: (\S+)").group(1)
    config = (COMPOSE / "driftd.toml").read_text(encoding="utf-8")
    directory = tmp_path / "driftd"
    directory.mkdir()
    (directory / "iris.csv").symlink_to(REFERENCE_DATA / "iris.csv")
    driftd = Driftd(
        directory,
        config,
        env={
            "DRIFTD_LISTEN": "127.0.0.1:0",
            "DRIFTD_ADMIN": "127.0.0.1:0",
            "DRIFTD_WINDOW__PATH": "window.db",
            "DRIFTD_UPSTREAM": upstream,
        },
    )
    started.append(driftd)
    with (REFERENCE_DATA / "iris.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))[1:]
    flowers = [[float(measure) for measure in row[:4]] for row in table]
    answer = driftd.post(json={"features": flowers})
    assert answer.status_code == 200
    # The nearest mean is right for 139 of Fisher's 150 flowers:
    # (sklearn.neighbors.NearestCentroid().fit(X, y).predict(X) == y).sum() on reference_data/iris.csv
    kinds = sorted({row[4] for row in table})
    predicted = [kinds[index] for index in answer.json()["prediction"]]
    right = sum(kind == row[4] for kind, row in zip(predicted, table, strict=True))
    assert right == 139
    assert driftd.post(json={"features": [1.0]}).status_code == 400
    wait_until(lambda: driftd.metric("driftd_window_rows", model="iris") == 150, 20, "150 rows")


# --- Kubernetes ---


def validate(*paths):
    script = Path(sys.executable).with_name("kubernetes-validate")
    command = [script, "--strict", *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_manifests_are_what_kubernetes_expects(tmp_path):
    native = [KUBERNETES / name for name in ["configmap.yml", "deployment.yml", "service.yml"]]
    code, text = validate(*native)
    assert code == 0, text
    wrong = tmp_path / "deployment.yml"
    wrong.write_text(native[1].read_text().replace("startupProbe", "startProbe"))
    code, text = validate(wrong)
    assert code != 0 and "startProbe" in text
    listed = one(KUBERNETES / "kustomization.yml")["resources"]
    there = {path.name for path in KUBERNETES.glob("*.yml")}
    assert {*listed, "kustomization.yml"} == there


def test_the_sidecar_starts_without_the_model():
    pod = one(KUBERNETES / "deployment.yml")["spec"]["template"]
    spec = pod["spec"]
    [sidecar] = spec["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    # The model starts only after the startup probe: asking for the model would wait for ever.
    for probe in ["startupProbe", "livenessProbe"]:
        assert sidecar[probe]["httpGet"]["path"] == "/livez"
    assert sidecar["readinessProbe"]["httpGet"]["path"] == "/readyz"
    for container in [sidecar, *spec["containers"]]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] and security["capabilities"]["drop"] == ["ALL"]
        volumes = {volume["name"] for volume in spec["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    ports = {port["name"]: port["containerPort"] for port in sidecar["ports"]}
    assert ports.keys() == {"predict", "driftd"}
    env = image()[0]
    assert [str(port) for port in ports.values()] == [
        env[name].split(":")[1] for name in ["DRIFTD_LISTEN", "DRIFTD_ADMIN"]
    ]
    service = one(KUBERNETES / "service.yml")["spec"]
    monitor = one(KUBERNETES / "podmonitor.yml")["spec"]
    # The number: Kubernetes 1.29 to 1.32 look names up among the ports of containers alone.
    assert [port["targetPort"] for port in service["ports"]] == [ports["predict"]]
    assert {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} == {"driftd"}
    labels = pod["metadata"]["labels"].items()
    assert service["selector"].items() <= labels
    assert monitor["selector"]["matchLabels"].items() <= labels
    config = one(KUBERNETES / "configmap.yml")
    assert config["metadata"]["name"] == spec["volumes"][0]["configMap"]["name"]
    driftd = tomllib.loads(config["data"]["driftd.toml"])
    [model] = spec["containers"]
    [port] = model["ports"]
    assert driftd["upstream"] == f"http://127.0.0.1:{port['containerPort']}"


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text).group(1))


def test_the_model_outlives_the_last_request_and_driftd_the_model():
    """A native sidecar is asked to end when the containers have ended: the model must be the one that waits."""
    spec = one(KUBERNETES / "deployment.yml")["spec"]["template"]["spec"]
    driftd = tomllib.loads((KUBERNETES / "driftd.toml").read_text(encoding="utf-8"))
    [model] = spec["containers"]
    command, wait = model["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep" and int(wait) >= 5
    # Nobody is left to pass connections to.
    assert seconds(driftd["lame_duck"]) == 0
    # gunicorn's graceful_timeout, which app.py's image does not change: gunicorn.config.GracefulTimeout.default
    assert "graceful" not in (KUBERNETES / "model.Dockerfile").read_text(encoding="utf-8")
    model_stops = gunicorn.config.GracefulTimeout.default
    assert spec["terminationGracePeriodSeconds"] > int(wait) + model_stops + seconds(driftd["grace"])


SIZES = {"B": 1, "MiB": 2**20, "GiB": 2**30, "Mi": 2**20, "Gi": 2**30}


def size(text):
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]+)", text).groups()
    return int(number) * SIZES[unit]


def test_the_window_fits_into_its_volume(tmp_path):
    """A pod whose emptyDir outgrows its limit is evicted."""
    volumes = one(KUBERNETES / "deployment.yml")["spec"]["template"]["spec"]["volumes"]
    [limit] = [v["emptyDir"]["sizeLimit"] for v in volumes if v["name"] == "window"]
    for name, content in one(KUBERNETES / "configmap.yml")["data"].items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    shown = run_command(tmp_path, "config", "--config", tmp_path / "driftd.toml", env=image()[0])
    assert shown.popen.returncode == 0, shown.describe()
    most = tomllib.loads(shown.stdout)["window"]["max_bytes"]
    assert size(limit) >= 1.25 * size(most)


def test_the_models_image_has_what_the_manifest_asks_for():
    dockerfile = KUBERNETES / "model.Dockerfile"
    copied = copied_into(dockerfile)
    spec = one(KUBERNETES / "deployment.yml")["spec"]["template"]["spec"]
    [model] = spec["containers"]
    env = {each["name"]: each["value"] for each in model["env"]}
    [data] = [source for source in copied if source.endswith(".csv")]
    assert env["REFERENCE"] == f"/data/{Path(data).name}"
    assert ["COPY", f"{data} /data/"] in lines(dockerfile)
    [app] = [source for source in copied if source.endswith(".py")]
    assert REPOSITORY / app == COMPOSE / "model" / "app.py"
    command = {name: rest for name, rest in lines(dockerfile)}["CMD"]
    assert command == {name: rest for name, rest in lines(COMPOSE / "model" / "Dockerfile")}["CMD"]
    assert f"-f {dockerfile.relative_to(REPOSITORY)}" in (KUBERNETES / "deployment.yml").read_text()


def test_links_of_alerts_lead_to_the_pod():
    """Bound to all addresses, driftd cannot know by which it is reached."""
    [sidecar] = one(KUBERNETES / "deployment.yml")["spec"]["template"]["spec"]["initContainers"]
    names = [each["name"] for each in sidecar["env"]]
    # Only what stands before it is put in.
    assert names.index("POD_IP") < names.index("DRIFTD_EXTERNAL_URL")
    env = {each["name"]: each for each in sidecar["env"]}
    assert env["POD_IP"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    port = image()[0]["DRIFTD_ADMIN"].split(":")[1]
    assert env["DRIFTD_EXTERNAL_URL"]["value"] == f"http://$(POD_IP):{port}"


def test_the_config_map_holds_the_profile_of_the_reference(tmp_path):
    profile = tmp_path / "iris.profile.json"
    made = run_command(tmp_path, "profile", REFERENCE_DATA / "iris.csv", "-o", profile)
    assert made.popen.returncode == 0, made.describe()
    text = (
        "# Made by DRIFTD_WRITE=1 ./tests/run real test_deploy.py from driftd.toml beside this file and\n"
        "# `driftd profile reference_data/iris.csv`.\n"
        "apiVersion: v1\n"
        "kind: ConfigMap\n"
        "metadata:\n"
        "  name: driftd\n"
        "data:\n"
        "  driftd.toml: |\n"
        + indented((KUBERNETES / "driftd.toml").read_text(encoding="utf-8"), 4)
        + "  iris.profile.json: |\n"
        + indented(profile.read_text(encoding="utf-8").rstrip("\n") + "\n", 4)
    )
    same(KUBERNETES / "configmap.yml", text)
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    for name, content in one(KUBERNETES / "configmap.yml")["data"].items():
        (mounted / name).write_text(content, encoding="utf-8")
    shown = run_command(mounted, "config", "--config", mounted / "driftd.toml", env=image()[0])
    assert shown.popen.returncode == 0, shown.describe()
    for expected in ["petal_width", "0.0.0.0:8080", "/var/lib/driftd/driftd.db"]:
        assert expected in shown.stdout, expected


def test_the_prometheus_rule_is_the_rules():
    """As the operator takes them; kept equal to dashboards/rules."""
    files = [RULES / "driftd.rules.yml", RULES / "driftd.alerts.yml"]
    groups = [path.read_text(encoding="utf-8").split("\ngroups:\n")[1] for path in files]
    text = (
        "# Made by DRIFTD_WRITE=1 ./tests/run real test_deploy.py from dashboards/rules.\n"
        "apiVersion: monitoring.coreos.com/v1\n"
        "kind: PrometheusRule\n"
        "metadata:\n"
        "  name: driftd\n"
        "  labels: { app.kubernetes.io/name: driftd }\n"
        "spec:\n"
        "  groups:\n" + "".join(indented(group, 2) for group in groups)
    )
    same(KUBERNETES / "prometheusrule.yml", text)
    rule = one(KUBERNETES / "prometheusrule.yml")
    expected = [group for path in files for group in one(path)["groups"]]
    assert rule["spec"]["groups"] == expected
