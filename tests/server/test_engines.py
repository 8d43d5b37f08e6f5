"""A server starts with models that answer frames, and with no other."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from framestate.bundles import Bundle, write_bundle
from framestate.errors import BundleError
from framestate.server import Settings
from framestate.server.engines import load_engines

SPOILT = {
    "a call that fails": "failed in step",
    "numbers that are not finite": "not finite in 'mean'",
}


def spoilt(good: Bundle, folder: Path, how: str) -> Bundle:
    """The tiny stream with a graph that fits its manifest, and answers nothing."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(good.path / "step.onnx")
    nodes, constants = model.graph.node, model.graph.initializer
    (state,) = (node for node in nodes if "present_state.mean" in node.output)
    state.output[0] = "sound"
    if how == "numbers that are not finite":
        constants.append(helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]))
        bad = [helper.make_node("Div", ["sound", "nothing"], ["present_state.mean"])]
    else:
        constants.append(helper.make_tensor("wrong", TensorProto.INT64, [2], [-1, 1000]))
        bad = [
            helper.make_node("Shape", ["sound"], ["as_before"]),
            helper.make_node("Reshape", ["sound", "wrong"], ["flat"]),
            helper.make_node("Abs", ["flat"], ["flat_too"]),
            helper.make_node("Reshape", ["flat_too", "as_before"], ["present_state.mean"]),
        ]
    at = list(nodes).index(state) + 1
    for offset, node in enumerate(bad):
        nodes.insert(at + offset, node)
    files: dict[str, Path | bytes] = {"step.onnx": model.SerializeToString()}
    return write_bundle(folder, good.spec, files, provenance={}, metrics={}, parity={})


def settings(*models: Bundle | str, **more: Any) -> Settings:
    names = tuple(one if isinstance(one, str) else str(one.path) for one in models)
    return Settings(models=names, runtime="onnx", device="cpu", **more)


@pytest.mark.parametrize("how", SPOILT)
def test_a_model_that_answers_no_frame_is_refused(tiny_stream: Bundle, tmp_path: Path, how: str) -> None:
    """Named with its task and the reason, also where others of the same server are sound."""
    bad = spoilt(tiny_stream, tmp_path / "spoilt", how)
    cases: list[tuple[Bundle | str, ...]] = [(bad,), ("tracker-nano", bad)]
    for models in cases:
        with ExitStack() as stack, pytest.raises(BundleError) as caught:
            load_engines(settings(*models), stack)
        assert "'tiny-stream' cannot be served: as a model of stream on onnx (cpu)" in caught.value.problem
        assert SPOILT[how] in caught.value.problem
        assert "export the model again" in caught.value.remedy


def test_sound_models_keep_every_slot_free(
    tiny_stream: Bundle, tiny_interpolator: Bundle, tiny_classifier: Bundle
) -> None:
    """One model a task: each was tried, in the only slot that there is, and has it back."""
    models = (tiny_stream, tiny_interpolator, tiny_classifier)
    with ExitStack() as stack:
        engines = load_engines(settings("tracker-nano", *models, max_sessions=1), stack)
        assert {one.task.name for one in engines.values()} == {
            "tracking", "stream", "interpolation", "classification"
        }  # fmt: skip
        for engine in engines.values():
            assert engine.slots.num_used == 0
            engine.slots.check()


def test_the_command_refuses_to_start(tiny_stream: Bundle, tmp_path: Path) -> None:
    bad = spoilt(tiny_stream, tmp_path / "spoilt", "numbers that are not finite")
    command = [sys.executable, "-m", "framestate.cli.main", "serve", "--port", "0", "--runtime", "onnx"]
    ended = subprocess.run([*command, "--model", bad.path], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "'tiny-stream' cannot be served" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "page: " not in ended.stderr
