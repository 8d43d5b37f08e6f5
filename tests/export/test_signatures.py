"""A function that is not as its spec says is refused before its export, by name and axis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec
from framestate.errors import ExportError
from framestate.export.graphs import export_function
from framestate.export.rows_alone import check_rows
from torch import Tensor, nn
from torch.nn import functional

SPEC = ModelSpec(
    name="mine",
    task="tracking",
    architecture="mine",
    config={},
    preprocess={},
    functions={
        "step": FunctionSpec(
            (TensorSpec("frame", "float32", ("batch", 4)),),
            (TensorSpec("score", "float32", ("batch", 2)),),
            ("memory",),
            ("memory",),
        )
    },
    state=(TensorSpec("memory", "float32", ("batch", 4)),),
)


class Mine(nn.Module):
    """A model whose one function does what a test says."""

    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step = step

    def functions(self) -> dict[str, Any]:
        return {"step": self.step}


def sound(inputs: dict[str, Tensor], state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    memory = state["memory"] + inputs["frame"]
    return {"score": memory[:, :2]}, {"memory": memory}


def baked(inputs: dict[str, Tensor], state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A memory of two rows, whatever the batch is."""
    outputs, written = sound(inputs, state)
    return outputs, {"memory": written["memory"].mean(0) + torch.zeros(2, 4)}


def reshaped(inputs: dict[str, Tensor], state: dict[str, Tensor]) -> Any:
    outputs, written = sound(inputs, state)
    return {"score": outputs["score"].reshape(2, 2)}, written


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (baked, r"axis 0 of state 'memory' of function 'step' is 2, for a batch of 3; the spec says 'batch'"),
        (reshaped, r"'step' of 'mine' fails for a batch of 3 \(.*shape"),
        (lambda i, s: (sound(i, s)[0], {}), "no state 'memory' of function 'step'"),
        (lambda i, s: ({"points": s["memory"]}, s), r"no output 'score' of function 'step'.*gives points"),
        (lambda i, s: ({"score": s["memory"]}, s), r"axis 1 of output 'score' .* is 4.*the spec says 2"),
        (lambda i, s: ({"score": s["memory"][0]}, s), r"output 'score' .* has the shape \(4,\)"),
        (
            lambda i, s: ({"score": s["memory"][:, :2].double()}, s),
            "is torch.float64, and the spec says float32",
        ),
        (lambda i, s: ({"score": i["image"]}, s), r"'step' of 'mine' fails .*KeyError: 'image'"),
    ],
)
def test_what_is_not_as_the_spec_says(step: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=problem):
        export_function(Mine(step), SPEC, "step", tmp_path / "step.onnx")
    assert list(tmp_path.iterdir()) == []


def mixed(inputs: dict[str, Tensor], state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A norm over the batch."""
    outputs, written = sound(inputs, state)
    return {"score": outputs["score"] - outputs["score"].mean(0, keepdim=True)}, written


def dropped(inputs: dict[str, Tensor], state: dict[str, Tensor]) -> Any:
    """A dropout that evaluation mode does not turn off."""
    outputs, written = sound(inputs, state)
    return outputs, {"memory": functional.dropout(written["memory"], 0.5, training=True)}


def infinite(inputs: dict[str, Tensor], state: dict[str, Tensor]) -> Any:
    """Of numbers that are none nothing is said here: a closed loop finds them."""
    outputs, written = sound(inputs, state)
    return {"score": outputs["score"].log() / 0}, written


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (mixed, "output 'score' of function 'step' differs when another row is in the batch"),
        (dropped, "state 'memory' of function 'step' differs when the same rows are run twice"),
        (sound, None),
        (infinite, None),
    ],
)
def test_rows_of_a_batch_are_alone(step: Any, problem: str | None) -> None:
    if problem is None:
        check_rows(Mine(step), SPEC)
        return
    with pytest.raises(ExportError, match=problem):
        check_rows(Mine(step), SPEC)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (({"score": {"a": torch.zeros(2, 2)}}, {"memory": torch.zeros(2, 4)}), "outputs .* but dict 'score'"),
        ((torch.zeros(2, 2), {"memory": torch.zeros(2, 4)}), "the outputs .* but a Tensor"),
        (({"score": torch.zeros(2, 2)}, None), "the states .* but a NoneType"),
        (({"score": torch.zeros(2, 2)}, {"memory": 1.0}), "the states .* but float 'memory'"),
        (
            ({"score": torch.zeros(2, 2), "x": torch.zeros(2)}, {"memory": torch.zeros(2, 4)}),
            "gives output 'x', which the spec does not name",
        ),
    ],
)
def test_what_is_no_tensor_by_name(given: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=problem):
        export_function(Mine(lambda inputs, state: given), SPEC, "step", tmp_path / "step.onnx")


def test_what_the_exporter_has_no_operator_for(tmp_path: Path) -> None:
    """Its innermost reason is told, and no colours of a terminal."""

    def turned(inputs: dict[str, Tensor], state: dict[str, Tensor]) -> Any:
        pairs = torch.view_as_complex(state["memory"].unflatten(1, (2, 2)))
        memory = torch.view_as_real(torch.exp(pairs)).flatten(1)
        return {"score": inputs["frame"][:, :2]}, {"memory": memory}

    with pytest.raises(ExportError, match=r"cannot be exported \(\w+: .*complex") as caught:
        export_function(Mine(turned), SPEC, "step", tmp_path / "step.onnx")
    assert "\x1b" not in caught.value.problem


def test_a_function_that_there_is_not(tmp_path: Path) -> None:
    spec = replace(SPEC, functions={**SPEC.functions, "init": SPEC.function("step")})
    with pytest.raises(ExportError, match=r"'mine' has no function 'init'.*gives step"):
        export_function(Mine(sound), spec, "init", tmp_path / "init.onnx")


def test_an_axis_that_only_the_exporter_fixed(tmp_path: Path) -> None:
    """Eager calls give whatever size they are given; in a graph it is that of the example."""

    def step(inputs: dict[str, Tensor], state: dict[str, Tensor]) -> Any:
        outputs, written = sound(inputs, state)
        if torch.compiler.is_exporting():
            written = {"memory": written["memory"].mean(0) + torch.zeros(2, 4)}
        return outputs, written

    with pytest.raises(ExportError, match=r"axis 0 of 'present_state.memory' .* is always 2.*says 'batch'"):
        export_function(Mine(step), SPEC, "step", tmp_path / "step.onnx")


def test_what_is_sound_is_exported(tmp_path: Path) -> None:
    export_function(Mine(sound), SPEC, "step", tmp_path / "step.onnx")
    assert (tmp_path / "step.onnx").is_file()
