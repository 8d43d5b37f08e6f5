"""``framestate bench``: what ``--json`` prints, tables and plots, and what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.bundles import Bundle

Call = Callable[..., Any]
SMALL = ("--size", "96x72")


def test_latency(report: Call, invoke: Call, tiny_bundle: Bundle, work: Path) -> None:
    few = ("--model", tiny_bundle.path, *SMALL, "--frames", 6, "--warm-up", 1)
    found = report("bench", "latency", *few, "--plot", "it.png")
    assert [one["runtime"] for one in found["results"]] == ["onnx", "eager"]
    keys = {"runtime", "device", "fps", "p50_ms", "p90_ms", "p99_ms", "model_ms", "overhead_ms"}
    for one in found["results"]:
        assert keys | {"max_abs_vs_eager"} <= set(one)
        assert one["max_abs_vs_eager"] < 1e-2
    assert found["results"][1]["max_abs_vs_eager"] == 0
    assert found["outputs"] == ["it.png"]
    assert (work / "it.png").stat().st_size > 1000
    shown = invoke("bench", "latency", *few, "--runtime", "onnx")
    assert shown.exit_code == 0
    assert "normalise" in shown.stdout
    assert "agrees with eager" in shown.stderr


def test_throughput(report: Call, tiny_bundle: Bundle) -> None:
    few = ("--sessions", "1,2", "--frames", 4, "--repetitions", 2)
    found = report("bench", "throughput", "--model", tiny_bundle.path, *SMALL, *few)
    assert [point["sessions"] for point in found["points"]] == [1, 2]
    keys = {"sessions", "fps_total", "fps_per_session", "p50_ms", "p99_ms", "batch_mean"}
    assert set(found["points"][0]) == keys
    assert {"model", "runtime"} <= set(found)


def test_pair(report: Call, invoke: Call, tiny_interpolator: Bundle) -> None:
    few = ("--model", tiny_interpolator.path, *SMALL, "--repetitions", 3)
    found = report("bench", "pair", *few)
    assert {"encode_ms", "motion_ms", "interpolate_ms", "once_ms", "twice_ms", "gain"} <= set(found)
    assert (found["width"], found["height"]) == (96, 72)
    assert all(found[name] > 0 for name in found if name.endswith("_ms"))
    assert "encoding each frame once gains" in invoke("bench", "pair", *few).stdout


def test_capacity(report: Call, tiny_bundle: Bundle) -> None:
    few = ("--rate", 5, "--slo", 60_000, "--seconds", 0.4, "--most", 2)
    found = report("bench", "capacity", "--model", tiny_bundle.path, *SMALL, *few)
    assert {"model", "runtime", "rate_fps", "slo_ms", "max_sessions", "p99_ms", "dropped"} <= set(found)
    assert found["max_sessions"] == 2
    assert [trial["sessions"] for trial in found["trials"]] == [1, 2]


def test_history(report: Call, invoke: Call, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("--model", tiny_bundle.path, "--templates", "1,2", "--repetitions", 2, "--frames", 4)
    found = report("bench", "history", *few, "--runtime", "eager", "--plot", "it.svg")
    assert [point["history"] for point in found["points"]] == [1, 2]
    assert {"history", "stateless_ms", "stateful_ms", "speedup"} <= set(found["points"][0])
    assert {"frames", "first_ms", "last_ms", "rss_growth_mb"} <= set(found["flatness"])
    assert found["outputs"] == ["it.svg"]
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name, *rest)
    )
    without = invoke("bench", "history", *few, "--runtime", "onnx", "--json")
    assert without.exit_code == 0
    assert json.loads(without.stdout)["points"] == []
    assert "was not run: it needs torch" in without.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("latency", "--size", "640"),
        ("latency", "--size", "1x1"),
        ("latency", "--device", "tpu"),
        ("latency", "--runtime", "nobody"),
        ("latency", "--plot", "no/where.png"),
        ("throughput", "--sessions", "1,x"),
        ("throughput", "--plot", "it.txt"),
        ("history", "--templates", "0"),
        ("history", "--ops", "plugin"),
        ("capacity", "--model", "nobody"),
    ],
)
def test_what_cannot_be_measured_is_refused(refused: Call, arguments: tuple[str, ...]) -> None:
    refused("bench", *arguments)


def test_a_plot_without_matplotlib_is_refused_before_any_work(
    refused: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "matplotlib" else find(name, *rest)
    )
    assert "pip install" in refused("bench", "latency", "--plot", "it.png")
