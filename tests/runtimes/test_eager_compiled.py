"""``torch.compile`` changes how fast a function is, not what it gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec, write_bundle
from framestate.plugins import Operators
from framestate.runtimes.eager import EagerRuntime
from safetensors.numpy import save
from torch import Tensor, nn

# PyTorch's compiler imports setuptools, which warns where another package has imported distutils before it.
pytestmark = pytest.mark.filterwarnings("ignore:The distutils package is deprecated:DeprecationWarning")

SPEC = ModelSpec(
    name="leaky",
    task="counting",
    architecture="leaky",
    config={},
    preprocess={},
    functions={
        "step": FunctionSpec(
            inputs=(TensorSpec("x", "float32", ("batch", 4)),),
            outputs=(TensorSpec("y", "float32", ("batch", 4)),),
            reads_state=("h",),
            writes_state=("h",),
        )
    },
    state=(TensorSpec("h", "float32", ("batch", 4)),),
)


class Leaky(nn.Module):
    """h' = tanh(W x) + h / 2, y = h'."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 4, bias=False)

    def functions(self) -> dict[str, object]:
        return {"step": self.step}

    def step(
        self, inputs: dict[str, Tensor], state: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        h = torch.tanh(self.mix(inputs["x"])) + state["h"] / 2
        return {"y": h}, {"h": h}


def build(spec: ModelSpec, operators: Operators) -> nn.Module:
    return Leaky()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated")  # by PyTorch itself, inside
@pytest.mark.alone
def test_a_compiled_function_gives_the_same(tmp_path: Path) -> None:
    weights = save({"mix.weight": np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)})
    bundle = write_bundle(
        tmp_path / "leaky", SPEC, {"weights.safetensors": weights}, provenance={}, metrics={}, parity={}
    )
    plain, compiled = (EagerRuntime(bundle, build=build, compile=flag) for flag in (False, True))
    stores = [runtime.allocate(1) for runtime in (plain, compiled)]
    for frame in range(5):
        x = np.full((1, 4), frame, np.float32)
        answers = []
        for runtime, store in zip((plain, compiled), stores, strict=True):
            outputs, state = runtime.call("step", {"x": x}, store.read([0]))
            assert state is not None
            store.write([0], state)
            answers.append(outputs["y"])
        assert np.allclose(answers[0], answers[1], rtol=1e-5, atol=1e-6)
