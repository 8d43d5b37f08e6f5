"""The files for Docker, as far as they can be checked without it: they parse, and name what is there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from framestate.server import Settings
from framestate.server.metrics import Metrics, Reading
from framestate.wire import Timings

INSTRUCTIONS = {
    "FROM", "WORKDIR", "ENV", "RUN", "COPY", "LABEL", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL",
    "ENTRYPOINT", "CMD",
}  # fmt: skip


@pytest.fixture
def docker(checkout: Path) -> Path:
    return checkout / "deploy/docker"


def instructions(text: str) -> list[tuple[str, str]]:
    """Name and rest of each instruction of a Dockerfile; lines that go on are joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    pairs = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in pairs]


def values(found: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for one, rest in found if one == name]


def test_the_image_is_small_and_nobody_is_root(docker: Path, checkout: Path) -> None:
    found = instructions((docker / "Dockerfile").read_text("utf-8"))
    assert {name for name, _ in found} <= INSTRUCTIONS
    stages = values(found, "FROM")
    assert len(stages) == 2
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+( AS build)?", stage) for stage in stages)
    final = found[[name for name, _ in found].index("FROM", 1) :]
    assert "pip install" not in str(final)  # nothing is built in the image that is kept
    (user,) = values(final, "USER")
    assert int(user.split(":")[0]) > 0
    (command,), (entry,) = values(final, "CMD"), values(final, "ENTRYPOINT")
    assert (json.loads(entry), json.loads(command)) == (["framestate"], ["serve"])
    (health,) = values(final, "HEALTHCHECK")
    check = json.loads(health[health.index("[") :])
    compile(check[2], "healthcheck", "exec")
    assert "/v2/health/ready" in check[2]
    for rest in values(found, "RUN"):
        shlex.split(rest)  # every quote is closed
    (version,) = {stage.split(":")[1].split("-")[0] for stage in stages}
    assert f"Python :: {version}" in (checkout / "pyproject.toml").read_text("utf-8")


def test_the_image_gets_what_is_installed_and_no_more(docker: Path, checkout: Path) -> None:
    lines = (docker / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    taken = {line[1:] for line in lines if line.startswith("!")}
    assert lines[1] == "**"
    packages = {path.parent.name for path in checkout.glob("*/__init__.py")} - {"tests"}
    assert {name.rstrip("/") for name in taken if name.endswith("/")} == packages
    assert {name for name in taken if not name.endswith("/")} == {
        "pyproject.toml", "constraints.txt", "README.md", "LICENSE",
    }  # fmt: skip
    assert all((checkout / name).exists() for name in taken)


def test_every_setting_in_the_environment_is_one(docker: Path) -> None:
    text = (docker / "Dockerfile").read_text("utf-8") + (docker / "compose.yaml").read_text("utf-8")
    names = {name.lower() for name in re.findall(r"FRAMESTATE_SERVE_([A-Z_]+)", text)}
    assert len(names) >= 4
    assert names <= set(Settings.model_fields)


def test_the_compose_file_names_what_is_there(docker: Path) -> None:
    compose = yaml.safe_load((docker / "compose.yaml").read_text("utf-8"))
    services: dict[str, dict[str, Any]] = compose["services"]
    assert set(services) == {"framestate", "prometheus", "grafana"}
    assert (docker / services["framestate"]["build"]["context"] / "pyproject.toml").is_file()
    used = set()
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (docker / source).exists(), source
            else:
                used.add(source)
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        assert ":" in service.get("image", "") or "build" in service  # nobody is surprised by another version
    assert used == set(compose["volumes"])
    assert services["framestate"]["read_only"] is True
    ignored = (docker / ".gitignore").read_text("utf-8").split()
    assert Path(compose["secrets"]["api-keys"]["file"]).name in ignored


def test_prometheus_asks_the_server_where_it_is(docker: Path) -> None:
    compose = yaml.safe_load((docker / "compose.yaml").read_text("utf-8"))
    (job,) = yaml.safe_load((docker / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    assert target.split(":")[0] in compose["services"]
    assert job["metrics_path"] == "/metrics"
    (source,) = yaml.safe_load(
        (docker / "grafana/provisioning/datasources/prometheus.yaml").read_text("utf-8")
    )["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_the_dashboard_asks_for_metrics_that_there_are(docker: Path) -> None:
    board = json.loads((docker / "grafana/dashboards/framestate.json").read_text("utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    names = {name for text in asked for name in re.findall(r"\b((?:framestate|process)_\w+)", text)}
    metrics = Metrics()
    metrics.read_from(lambda: [Reading(f"framestate_{name}", "", 1.0, {"model": "m"}) for name in gauges()])
    metrics.frame("m", Timings())
    metrics.dropped("m", "WAIT")
    metrics.evicted("m", "idle")
    metrics.answered("GET", 200)
    given = set(re.findall(r"^(\w+)[{ ]", metrics.render().decode(), re.MULTILINE))
    assert names
    assert names - given == set()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in board["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert {one["datasource"]["uid"] for one in [panel, *panel["targets"]]} == {"prometheus"}


def gauges() -> list[str]:
    return ["sessions_active", "sessions_waiting", "slots_used", "slots"]
