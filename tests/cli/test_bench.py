"""``framestate bench``: what ``--json`` prints, tables and plots, and what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle

Call = Callable[..., Any]
SMALL = ("--size", "96x72")


def write_fader(folder: Path) -> Bundle:
    """Somebody's own model of the task stream, with no PyTorch form: each picture fades into the next."""
    from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec, write_bundle
    from onnx import TensorProto, helper, numpy_helper

    shape = ("batch", 3, 24, 32)
    image, faded, mean = (TensorSpec(name, "float32", shape) for name in ("image", "faded", "mean"))
    functions = {"step": FunctionSpec((image,), (faded,), ("mean",), ("mean",))}
    spec = ModelSpec("fader", "stream", "fader", {}, {}, functions, (mean,))
    names = ["image", "past_state.mean"], ["faded", "present_state.mean"]
    taken, given = (
        [helper.make_tensor_value_info(one, TensorProto.FLOAT, shape) for one in side] for side in names
    )
    nodes = [
        helper.make_node("Add", names[0], ["sum"]),
        helper.make_node("Mul", ["sum", "half"], ["faded"]),
        helper.make_node("Identity", ["faded"], ["present_state.mean"]),
    ]
    half = numpy_helper.from_array(np.array(0.5, np.float32), "half")
    graph = helper.make_graph(nodes, "step", taken, given, [half])
    opset = [helper.make_opsetid("", 20)]
    file = helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()
    return write_bundle(folder, spec, {"step.onnx": file}, provenance={}, metrics={}, parity={})


@pytest.fixture(params=["tiny_bundle", "tiny_interpolator", "tiny_classifier", "fader"])
def any_bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Bundle:
    """A bundle of each task in turn."""
    if request.param == "fader":
        return write_fader(tmp_path / "fader")
    found: Bundle = request.getfixturevalue(request.param)
    return found


def test_every_task_is_measured(report: Call, any_bundle: Bundle) -> None:
    model = ("--model", any_bundle.path, *SMALL, "--runtime", "onnx")
    (one,) = report("bench", "latency", *model, "--frames", 6, "--warm-up", 2)["results"]
    assert 0 < one["model_ms"] < one["p99_ms"]
    assert one["stages"]["model"] > 0
    assert one["stages"]["normalise"] > 0
    few = ("--sessions", "1,2", "--frames", 4, "--repetitions", 1)
    points = report("bench", "throughput", *model, *few)["points"]
    assert [point["sessions"] for point in points] == [1, 2]
    assert all(point["batch_mean"] == 1 for point in points)  # on a CPU each frame flies alone
    live = ("--rate", 5, "--slo", 60_000, "--seconds", 0.4, "--most", 2)
    assert report("bench", "capacity", *model, *live)["max_sessions"] == 2


def test_a_model_without_a_pytorch_form_is_measured_unverified(
    invoke: Call, siamese_pair: Call, tmp_path: Path
) -> None:
    """An adopted tracker, and a model of one's own: neither's architecture is known here."""
    backbone, head = siamese_pair()
    sizes = ("--template-size", 32, "--search-size", 64)
    adopted = invoke("adopt", "--backbone", backbone, "--head", head, "--name", "a", "--out", "a", *sizes)
    assert adopted.exit_code == 0, adopted.stderr
    for model in ("./a", write_fader(tmp_path / "fader").path):
        for arguments in (
            ("latency", "--frames", 3, "--warm-up", 1),
            ("throughput", "--sessions", 1, "--frames", 2, "--repetitions", 1),
            ("capacity", "--rate", 5, "--slo", 60_000, "--seconds", 0.2, "--most", 1),
        ):
            result = invoke("bench", *arguments, "--model", model, *SMALL, "--json")
            assert result.exit_code == 0, result.stderr
            assert "was not verified" in result.stderr
            found = json.loads(result.stdout)
            (one,) = found["results"] if arguments[0] == "latency" else (found,)
            assert one["max_abs_vs_eager"] is None


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
        ("scene", "--rate", "0.1", "--seconds", "2"),
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
