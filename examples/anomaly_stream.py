"""A linear recurrent unit that says how unusual a frame is: what it did not expect of the last ones.

Its state is complex numbers that turn and fade (LRU), kept as real and imaginary parts. Nothing but the
read-out is fitted, and that in closed form. One frame a call needs no scan.

Source: Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", section 3.

Run: python examples/anomaly_stream.py anomaly
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.export.adopt import adopt_stream
from framestate.export.adopt_graphs import StreamOptions
from framestate.vision import Frame, Image
from framestate.vision.synthetic import demo_clip
from torch import Tensor, nn
from torch.nn import functional

SIDE, GRID, STATES = 64, 8, 96  # pixels of what it sees, cells of what it expects, complex states
CELLS = GRID * GRID


class Surprise(nn.Module):
    """One step: how far a frame is from what was expected, and what is expected of the next one."""

    def __init__(self) -> None:
        super().__init__()
        radius = torch.sqrt(torch.rand(STATES) * (0.98**2 - 0.6**2) + 0.6**2)  # on a ring within the circle
        angle = torch.rand(STATES) * math.pi / 5
        self.turn = nn.Parameter(torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)]))
        scale = torch.sqrt(1 - radius**2) / GRID
        self.drive = nn.Parameter(torch.randn(2, CELLS, STATES) * scale)
        self.read = nn.Linear(2 * STATES + CELLS, CELLS)

    def advance(self, cells: Tensor, state: Tensor) -> Tensor:
        """cells (B, CELLS), state (B, 2, STATES) -> the next state: turned, faded, driven on."""
        real, imaginary = state.unbind(1)
        cosine, sine = self.turn
        turned = torch.stack([cosine * real - sine * imaginary, sine * real + cosine * imaginary], 1)
        return turned + torch.stack([cells @ self.drive[0], cells @ self.drive[1]], 1)

    def features(self, cells: Tensor, state: Tensor) -> Tensor:
        """What the next frame is read off: (B, 2 STATES + CELLS)."""
        return torch.cat([state.flatten(1), cells], 1)

    def forward(self, image: Tensor, state: Tensor, expected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image (B, 1, SIDE, SIDE) -> score (B, 1), and the next state and expectation (B, CELLS)."""
        cells = functional.avg_pool2d(image, SIDE // GRID).flatten(1)
        score = (cells - expected).square().mean(1, keepdim=True).sqrt()
        state = self.advance(cells, state)
        return score, state, cells + self.read(self.features(cells, state))


def fit(clips: Sequence[Sequence[Image]]) -> Surprise:
    """Ridge regression of how the cells change to the next frame."""
    torch.manual_seed(0)
    model = Surprise().eval()
    seen, wanted = [], []
    with torch.no_grad():
        for clip in clips:
            state = torch.zeros(1, 2, STATES)
            cells = [cells_of(image) for image in clip]
            for one, following in pairwise(cells):
                state = model.advance(one, state)
                seen.append(model.features(one, state))
                wanted.append(following - one)
        x, y = torch.cat(seen), torch.cat(wanted)
        x = torch.cat([x, torch.ones(len(x), 1)], 1).double()
        weights = torch.linalg.solve(x.T @ x + 10 * torch.eye(x.shape[1]), x.T @ y.double()).float()
        model.read.weight.copy_(weights[:-1].T)
        model.read.bias.copy_(weights[-1])
    return model


def cells_of(image: Image) -> Tensor:
    """RGB uint8 as (1, CELLS), near enough to what the bundle will see."""
    grey = torch.from_numpy(image).float().mean(2)[None, None] / 255
    return functional.adaptive_avg_pool2d(grey, GRID).flatten(1)


def make(out: Path) -> Bundle:
    """Fits, exports with PyTorch alone, and adopts; the expectation begins as a dim grey, not as zeros."""
    model = fit([[image for image, _, _ in demo_clip(seed, 60, (128, 128))] for seed in range(3)])
    path, start = out.with_suffix(".onnx"), out.with_suffix(".npy")
    example = torch.zeros(2, 1, SIDE, SIDE), torch.zeros(2, 2, STATES), torch.zeros(2, CELLS)
    batch = {0: torch.export.Dim("batch")}
    torch.onnx.export(
        model,
        example,
        path,
        dynamo=True,
        input_names=["image", "state", "expected"],
        output_names=["score", "next_state", "next_expected"],
        dynamic_shapes=(batch, batch, batch),
        external_data=False,
        verbose=False,
    )
    np.save(start, np.full((1, CELLS), 0.4, np.float32))
    options = StreamOptions({"state": "next_state", "expected": "next_expected"}, initial={"expected": start})
    return adopt_stream(path, out, options, name="anomaly", provenance={"by": "examples/anomaly_stream.py"})


def scores(bundle: Bundle, images: Sequence[Image]) -> list[float]:
    """Of each frame."""
    with Engine.load(bundle, threads=1) as engine, engine.open() as session:
        frames = (Frame(image, index, Fraction(1, 25), index) for index, image in enumerate(images))
        return [float(session.push(frame).tensors["score"][0]) for frame in frames]


def odd_clip() -> tuple[list[Image], range]:
    """A clip that it has not seen, three frames of which are from elsewhere; and which."""
    images = [image for image, _, _ in demo_clip(7, 50, (128, 128))]
    strange = range(30, 33)
    for place, (image, _, _) in zip(strange, demo_clip(99, 3, (128, 128)), strict=True):
        images[place] = image
    return images, strange


if __name__ == "__main__":
    found = make(Path(sys.argv[1]))
    clip, places = odd_clip()
    print(f"odd frames {[*places]}; scores:", *(f"{score:.3f}" for score in scores(found, clip)))
