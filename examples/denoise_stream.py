"""A ConvGRU that takes noise off a video: exported by PyTorch alone, adopted, run.

Frames in, frames out. Its state is as large as the frame, and the graph takes frames of any size. Its weights
are set by hand to a mean of frames, older ones fading; training would find better ones.

Run: python examples/denoise_stream.py denoiser
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.export.adopt import adopt_stream
from framestate.export.adopt_graphs import StreamOptions
from framestate.vision import Frame, Image
from framestate.vision.synthetic import demo_clip
from torch import Tensor, nn

NOISE = 25.0  # standard deviation, of 255 levels
UPDATE, SMALL = 0.35, 0.1  # how much a new frame counts; levels where tanh is as good as straight


class ConvGru(nn.Module):
    """One step: a frame and the state in, a cleaner frame and the next state out."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Conv2d(6, 6, 3, padding=1, padding_mode="replicate")
        self.candidate = nn.Conv2d(6, 3, 3, padding=1, padding_mode="replicate")
        self.clean = nn.Conv2d(3, 3, 1)
        blur = torch.tensor([0.2, 0.6, 0.2])
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            assert self.gates.bias is not None
            self.gates.bias[:3] = math.log(UPDATE / (1 - UPDATE))
            for colour in range(3):
                self.candidate.weight[colour, colour] = SMALL * torch.outer(blur, blur)
                self.clean.weight[colour, colour] = 1 / SMALL

    def forward(self, frame: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """frame (B, 3, H, W) in [0, 1], memory (B, 3, H, W) -> a frame and a memory of those shapes."""
        update, reset = torch.sigmoid(self.gates(torch.cat([frame, memory], 1))).chunk(2, 1)
        candidate = torch.tanh(self.candidate(torch.cat([frame, reset * memory], 1)))
        memory = memory + update * (candidate - memory)
        return self.clean(memory), memory


def export(model: nn.Module, path: Path) -> None:
    """One step as ONNX, by PyTorch alone: nothing of Framestate in it."""
    batch, rows, columns = (torch.export.Dim(name) for name in ("batch", "rows", "columns"))
    axes = {0: batch, 2: rows, 3: columns}
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, 48, 64), torch.zeros(2, 3, 48, 64)),
        path,
        dynamo=True,
        input_names=["frame", "memory"],
        output_names=["clean", "next_memory"],
        dynamic_shapes=(axes, axes),
        external_data=False,
        verbose=False,
    )


def psnr(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """In dB."""
    return float(10 * np.log10(255**2 / np.square(one.astype(np.float64) - other).mean()))


def make(out: Path) -> Bundle:
    """Exports and adopts: the bundle gives what the file gives, or nothing is written."""
    path = out.with_suffix(".onnx")
    export(ConvGru().eval(), path)
    options = StreamOptions({"memory": "next_memory"}, outputs={"clean": "picture"})
    provenance = {"by": "examples/denoise_stream.py"}
    return adopt_stream(path, out, options, name="denoiser", provenance=provenance)


def run(bundle: Bundle, size: tuple[int, int] = (200, 120), frames: int = 20) -> tuple[float, float]:
    """PSNR of the noisy frames of a clip, and of what the bundle makes of them."""
    rng, before, after = np.random.default_rng(1), [], []
    with Engine.load(bundle, threads=1) as engine, engine.open() as session:
        for index, (truth, _, _) in enumerate(demo_clip(9, frames, size)):
            levels = truth + rng.normal(0, NOISE, truth.shape)
            noisy: Image = np.clip(levels, 0, 255).round().astype(np.uint8)
            answer = session.push(Frame(noisy, index, Fraction(1, 25), index))
            if index > 5:  # it begins with nothing, and has to see a few
                before.append(psnr(noisy, truth))
                after.append(psnr(answer.pictures["clean"], truth))
    return float(np.mean(before)), float(np.mean(after))


if __name__ == "__main__":
    print("noisy {:.1f} dB, denoised {:.1f} dB".format(*run(make(Path(sys.argv[1])))))
