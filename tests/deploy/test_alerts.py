"""The alerts of deploy/docker: promtool runs them, and they ask for what a server gives."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from framestate.server.deliveries import Deliveries, Untaken
from framestate.server.event_log import EventLog
from framestate.server.live import LiveReader, parse_source
from framestate.server.metrics import Metrics, Reading
from framestate.server.source_readings import readings
from framestate.server.watch import Watch
from framestate.wire import Timings


@pytest.fixture
def folder(checkout: Path) -> Path:
    return checkout / "deploy" / "docker"


def test_promtool_runs_every_alert(folder: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("there is no promtool here: apt-get install prometheus")
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]):
        done = subprocess.run(
            [program, *command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_proven_both_ways_and_explained(folder: Path, checkout: Path) -> None:
    (group,) = yaml.safe_load((folder / "alerts.yml").read_text("utf-8"))["groups"]
    quiet, loud = yaml.safe_load((folder / "alerts.test.yml").read_text("utf-8"))["tests"]
    names = [rule["alert"] for rule in group["rules"]]
    assert [one["alertname"] for one in quiet["alert_rule_test"]] == names
    assert [one["alertname"] for one in loud["alert_rule_test"]] == names
    assert not any("exp_alerts" in one for one in quiet["alert_rule_test"])
    assert all(one["exp_alerts"] for one in loud["alert_rule_test"])
    page = (checkout / "docs" / "operations.md").read_text("utf-8")
    assert all(f"`{name}`" in page for name in names)


def test_the_alerts_ask_for_metrics_that_there_are(folder: Path, tmp_path: Path) -> None:
    (group,) = yaml.safe_load((folder / "alerts.yml").read_text("utf-8"))["groups"]
    asked = {name for rule in group["rules"] for name in re.findall(r"\b(framestate_\w+)", rule["expr"])}
    metrics = Metrics()
    metrics.read_from(
        lambda: [Reading(f"framestate_{name}", "", 1.0, {"model": "m"}) for name in ("slots", "slots_used")]
    )
    (tmp_path / "film").touch()
    reader = LiveReader(parse_source(f"door={tmp_path / 'film'}"), lambda frame: None, 10**6)
    metrics.read_from(lambda: readings([Named(reader)]))
    log = EventLog(None, 10).open()
    metrics.read_from(Watch(log).readings)
    metrics.read_from(Deliveries(log, [Deaf()]).readings)
    metrics.frame("m", Timings())
    metrics.evicted("m", "idle")
    metrics.answered("GET", 200)
    metrics.refused("http", "AccessError")
    given = set(re.findall(r"^(\w+)[{ ]", metrics.render().decode(), re.MULTILINE))
    assert asked
    assert asked - given == set()
    log.close()


class Deaf:
    """Who is told of events, and takes none."""

    name, kind = "deaf", "webhook"

    async def send(self, seq: int, body: str) -> None:
        raise Untaken("no")

    async def close(self) -> None: ...


class Named:
    """A source, as far as its numbers go."""

    name = "door"

    def __init__(self, reader: LiveReader) -> None:
        self.reader, self.targets = reader, Nobody()


class Nobody:
    """No targets."""

    def all(self) -> tuple[Any, ...]:
        """None."""
        return ()
