"""A small model and its bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from framestate.bundles import Bundle, FunctionSpec, ModelSpec, TensorSpec, write_bundle
from safetensors.numpy import save

# The smallest ONNX model there is: ir_version 10 and an empty graph.
EMPTY_MODEL = bytes([0x08, 10, 0x3A, 0])


@pytest.fixture
def spec() -> ModelSpec:
    """A tracker with two functions and two state tensors: 4 * (2 * 8) + 2 * 5 = 74 bytes of state."""
    image = TensorSpec("image", "float32", ("batch", 3, 4, 4))
    return ModelSpec(
        name="tiny",
        task="tracking",
        architecture="tiny_net",
        config={"layers": 2, "name": "x", "nested": {"sizes": [1, 2]}},
        preprocess={"factor": 4.0},
        functions={
            "init": FunctionSpec((image,), (), (), ("0.ssm", "0.conv")),
            "step": FunctionSpec(
                (image,),
                (TensorSpec("box", "float32", ("batch", 4)),),
                ("0.ssm", "0.conv"),
                ("0.ssm", "0.conv"),
            ),
        },
        state=(
            TensorSpec("0.ssm", "float32", ("batch", 2, 8)),
            TensorSpec("0.conv", "float16", (5, "batch")),
        ),
    )


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    """Two parameters, 7 numbers."""
    return {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(1, np.float16)}


@pytest.fixture
def bundle(tmp_path: Path, spec: ModelSpec, weights: dict[str, np.ndarray]) -> Bundle:
    """A sound bundle at ``tmp_path/tiny``."""
    return write_bundle(
        tmp_path / "tiny",
        spec,
        {"weights.safetensors": save(weights), "step.onnx": EMPTY_MODEL},
        provenance={"seed": 1},
        metrics={"auc": 0.5},
        parity={},
    )
