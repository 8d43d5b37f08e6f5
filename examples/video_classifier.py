"""A Mamba-2 video classifier: frames in, labels out, and nothing but its state tells which way things go.

A classifier of the engine takes frames alone and may carry any state; smoothing over time is the engine's.
The scan comes from ``framestate.plugins`` and becomes the right operator when the model is exported.

Run: python examples/video_classifier.py trend
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from framestate.bundles import Bundle, FunctionSpec, ModelSpec, TensorSpec
from framestate.engine import Engine
from framestate.export.bundle import bundle_model
from framestate.plugins import Operators, eager_operators
from framestate.vision import Frame, Image
from torch import Tensor, nn
from torch.nn import functional

SIDE, PATCH, HEADS, CHANNELS, STATES = 32, 8, 4, 8, 16
DIM, TOKENS = HEADS * CHANNELS, (SIDE // PATCH) ** 2
LABELS = ("darker", "brighter")
Tensors = dict[str, Tensor]


class TrendClassifier(nn.Module):
    """Patches of a frame, a scan over them that goes on from the last frame's, and two labels."""

    def __init__(self, operators: Operators) -> None:
        super().__init__()
        self.operators = operators
        self.patches = nn.Conv2d(3, DIM, PATCH, PATCH)
        self.place = nn.Parameter(0.1 * torch.randn(1, TOKENS, DIM))
        self.select = nn.Linear(DIM, HEADS + 2 * STATES)  # step sizes, what is written, what is read
        self.a_log = nn.Parameter(torch.linspace(-2, 0, HEADS))
        with torch.no_grad():  # at first each head is a mean of the tokens so far, fading at its own pace
            self.select.weight[HEADS:] *= 0.1
            self.select.bias[HEADS:] = STATES**-0.5
        self.mix = nn.Sequential(nn.Linear(2 * DIM, DIM), nn.SiLU())
        self.head = nn.Linear(DIM, len(LABELS))

    def classify(self, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        """image (B, 3, SIDE, SIDE) -> probabilities (B, K); the memory is (B, HEADS, STATES, CHANNELS)."""
        tokens = self.patches(inputs["image"]).flatten(2).transpose(1, 2) + self.place
        dt, b, c = self.select(tokens).split([HEADS, STATES, STATES], -1)
        x = tokens.unflatten(2, (HEADS, CHANNELS))
        step, a = functional.softplus(dt - 2), -torch.exp(self.a_log)
        read, memory = self.operators.ssd_scan(x, step, a, b[:, :, None], c[:, :, None], state["memory"])
        read = (read * -a[:, None]).flatten(2)  # as large as the tokens, whatever the pace
        mixed = self.mix(torch.cat([tokens, tokens - read], -1)).mean(1)
        return {"frame": torch.softmax(self.head(mixed), -1)}, {"memory": memory}

    def functions(self) -> dict[str, Any]:
        """What runtimes call."""
        return {"classify": self.classify}


def spec() -> ModelSpec:
    """What runtimes and the engine must know."""
    memory = TensorSpec("memory", "float32", ("batch", HEADS, STATES, CHANNELS))
    image = TensorSpec("image", "float32", ("batch", 3, SIDE, SIDE))
    frame = TensorSpec("frame", "float32", ("batch", len(LABELS)))
    return ModelSpec(
        name="trend",
        task="classification",
        architecture="trend_classifier",
        config={},
        preprocess={
            "labels": list(LABELS), "size": SIDE, "view": "middle",
            "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        },
        functions={"classify": FunctionSpec((image,), (frame,), ("memory",), ("memory",))},
        state=(memory,),
    )  # fmt: skip


def build(spec: ModelSpec, operators: Operators) -> nn.Module:
    """How export and the eager runtime make the model around the operators that suit them."""
    return TrendClassifier(operators)


def clip(rng: np.random.Generator, frames: int, step: int) -> list[Image]:
    """A picture that becomes brighter by ``step`` levels a frame; both ways pass through the same levels."""
    picture = rng.integers(0, 60, (SIDE, SIDE, 3))
    start = int(rng.integers(30, 160)) - step * frames // 2
    levels = [picture + start + step * index for index in range(frames)]
    return [np.clip(one, 0, 255).astype(np.uint8) for one in levels]


def train(steps: int) -> nn.Module:
    """On pictures that grow darker or brighter; the loss is of the frames after the first."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model, rng = TrendClassifier(eager_operators()), np.random.default_rng(0)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(steps):
        labels = rng.integers(2, size=8)
        clips = np.stack([clip(rng, 5, 12 if label else -12) for label in labels])
        images = torch.from_numpy(clips).permute(1, 0, 4, 2, 3) / 127.5 - 1  # (time, batch, 3, SIDE, SIDE)
        state, loss = {"memory": torch.zeros(8, HEADS, STATES, CHANNELS)}, torch.zeros(())
        for index, image in enumerate(images):
            outputs, state = model.classify({"image": image}, state)
            if index:
                loss = loss + functional.nll_loss(
                    torch.log(outputs["frame"] + 1e-6), torch.from_numpy(labels)
                )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def make(out: Path, steps: int = 200) -> Bundle:
    """Trains, and exports with proof: ONNX Runtime follows PyTorch in closed loop, or nothing is written."""
    provenance = {"by": "examples/video_classifier.py"}
    return bundle_model(train(steps), spec(), out, provenance=provenance, build=build, frames=20)[0]


def accuracy(bundle: Bundle, clips: int = 20) -> float:
    """Share of clips that it has not seen whose last frame is labelled right."""
    rng, right = np.random.default_rng(1), 0
    with Engine.load(bundle, runtime="onnx", threads=1) as engine:
        for number in range(clips):
            label = number % 2
            with engine.open(smoothing=0.2) as session:
                images = enumerate(clip(rng, 8, 12 if label else -12))
                frames = (Frame(image, index, Fraction(1, 25), index) for index, image in images)
                answers = [session.push(frame) for frame in frames]
            right += answers[-1].label == LABELS[label]
    return right / clips


if __name__ == "__main__":
    print(f"right: {accuracy(make(Path(sys.argv[1]))):.0%}")
