"""A tracker of your own, from PyTorch to a bundle: docs/bring-your-own-model.md walks through this file.

Run: python examples/own_model.py own-tracker
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec
from framestate.engine import Engine
from framestate.export.bundle import bundle_model
from framestate.plugins import Operators, eager_operators
from framestate.vision import Frame
from framestate.vision.synthetic import demo_clip
from torch import Tensor, nn
from torch.nn import functional

PATCH, TEMPLATE, SEARCH, DIM, STATES = 8, 32, 64, 48, 8  # pixels, pixels, pixels, channels, states a channel
GRID = SEARCH // PATCH
Tensors = dict[str, Tensor]


class OwnTracker(nn.Module):
    """Patches, one Mamba-1 scan whose state runs on from frame to frame, and a match with the template."""

    def __init__(self, operators: Operators) -> None:
        super().__init__()
        self.operators = operators
        self.patches = nn.Conv2d(3, DIM, PATCH, PATCH)
        self.select = nn.Linear(DIM, DIM + 2 * STATES)  # step sizes, what is written, what is read
        self.a_log = nn.Parameter(torch.log(torch.arange(1.0, STATES + 1)).repeat(DIM, 1))
        self.head = nn.Conv2d(DIM, 8, 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        nn.init.constant_(self.head.bias[2:4], -math.log(3))  # a quarter of the crop's side

    def scan(self, crop: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """crop (B, 3, S, S) -> tokens (B, L, DIM), what was read (B, L, DIM), the next memory."""
        tokens = self.patches(crop).flatten(2).transpose(1, 2)
        dt, b, c = self.select(tokens).split([DIM, STATES, STATES], dim=-1)
        step = functional.softplus(dt - 4)
        read, memory = self.operators.selective_scan(tokens, step, -torch.exp(self.a_log), b, c, memory)
        return tokens, read, memory

    def init(self, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        """The template becomes the state."""
        tokens, _, memory = self.scan(inputs["template"], None)
        side = TEMPLATE // PATCH
        middle = tokens.transpose(1, 2).unflatten(2, (side, side))[..., 1:-1, 1:-1]  # the target fills it
        key = functional.normalize(middle.mean((2, 3)) - tokens.mean(1), dim=1)  # against its surroundings
        return {}, {"template.key": key, "scan.memory": memory}

    def step(self, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        """A frame's tokens against the state; the memory goes on."""
        tokens, read, memory = self.scan(inputs["search"], state["scan.memory"])
        features = (tokens + read).transpose(1, 2).unflatten(2, (GRID, GRID))  # (B, DIM, GRID, GRID)
        features = features - features.mean((2, 3), keepdim=True)
        match = (functional.normalize(features, dim=1) * state["template.key"][..., None, None]).sum(1, True)
        offset, size, log_variance = self.head(features).split([2, 2, 4], dim=1)
        maps = {"score": torch.sigmoid(6 * match - 3), "offset": torch.tanh(offset)}
        maps |= {"size": torch.sigmoid(size), "log_variance": log_variance.clamp(-8, 2)}
        return maps, {"scan.memory": memory}

    def functions(self) -> dict[str, Any]:
        """What runtimes call: by name, over named inputs and named state."""
        return {"init": self.init, "step": self.step}


def tensor(name: str, *sizes: int) -> TensorSpec:
    """A float32 tensor with a row for each session."""
    return TensorSpec(name, "float32", ("batch", *sizes))


def own_spec() -> ModelSpec:
    """What runtimes and the engine must know."""
    state = (tensor("template.key", DIM), tensor("scan.memory", DIM, STATES))
    names = tuple(one.name for one in state)
    depths = {"score": 1, "offset": 2, "size": 2, "log_variance": 4}  # what the engine's centre decoder reads
    maps = tuple(tensor(name, depth, GRID, GRID) for name, depth in depths.items())
    return ModelSpec(
        name="own-tracker",
        task="tracking",
        architecture="own_tracker",
        config={},
        preprocess={
            "template_size": TEMPLATE, "template_factor": 2.0, "search_size": SEARCH, "search_factor": 4.0,
        },
        functions={
            "init": FunctionSpec((tensor("template", 3, TEMPLATE, TEMPLATE),), (), (), names),
            "step": FunctionSpec((tensor("search", 3, SEARCH, SEARCH),), maps, names, ("scan.memory",)),
        },
        state=state,
    )  # fmt: skip


def build(spec: ModelSpec, operators: Operators) -> nn.Module:
    """How export and the eager runtime make the model around the operators that suit them."""
    return OwnTracker(operators)


def main(out: Path) -> float:
    """Export with proof, then track with the bundle. Returns the mean overlap with the true boxes."""
    torch.manual_seed(0)
    model = build(own_spec(), eager_operators()).eval()  # train it here
    bundle, parity = bundle_model(
        model, own_spec(), out, provenance={"by": "examples/own_model.py"}, build=build, frames=50
    )
    print(f"{bundle.path}: onnx and eager differ by {parity.max_rel:.1e} over {parity.frames} frames")
    overlaps = []
    with Engine.load(bundle, runtime="onnx", threads=1) as engine:
        clip = enumerate(demo_clip(seed=1, frames=50))
        frames = ((Frame(image, index, Fraction(1, 25), index), box) for index, (image, box, _) in clip)
        first, box = next(frames)
        target = engine.open(first, box=box)
        overlaps = [target.push(frame).box.iou(box) for frame, box in frames]
    print(f"mean overlap with the truth, untrained: {sum(overlaps) / len(overlaps):.2f}")
    return float(sum(overlaps) / len(overlaps))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
