"""Closed-loop proof that two runtimes are the same interpolator.

Each runtime goes through a synthetic clip by its own states: every frame is encoded once, motion is found
from the states of the last frame and this one (and what is carried from pair to pair), and a frame is made at
a time that changes from pair to pair. Beside that, every call's raw tensors are compared on equal inputs and
states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundles import ModelSpec
from ..engine.interpolation.prior import prior_of
from ..runtimes import Arrays, Runtime, RuntimeOver, State
from ..vision.motion import Grey, Neighbour, PairFlow
from ..vision.synthetic import demo_clip
from .parity import Tick

TIMES = (0.5, 0.25, 0.75)
RELATIVE = 1e-3
PSNR_FLOOR = 60.0
PSNR_CEILING = 200.0  # of equal images, whose error is nothing


@dataclass(frozen=True)
class FrameParity:
    """How far a candidate was from the reference, and how far it may be.

    Attributes:
        frames: of the closed loop, each made by both.
        max_abs, max_rel: largest difference of a tensor on equal inputs and states, as it is and over the
            tensor's largest magnitude.
        psnr_db: of the candidate's worst frame against the reference's, over the closed loop.
        tolerance, psnr_floor_db: what is allowed.
    """

    frames: int
    max_abs: float
    max_rel: float
    psnr_db: float
    tolerance: float = RELATIVE
    psnr_floor_db: float = PSNR_FLOOR

    @property
    def passed(self) -> bool:
        """Whether both differences are within what is allowed."""
        return self.max_rel <= self.tolerance and self.psnr_db >= self.psnr_floor_db

    @property
    def summary(self) -> str:
        """The differences beside their tolerances, in words."""
        return (
            f"{self.max_rel:.2e} (relative) and {self.psnr_db:.1f} dB (worst frame) "
            f"over {self.frames} frames; the tolerance is {self.tolerance:.0e} and {self.psnr_floor_db:g} dB"
        )


class Pairs:
    """One runtime on its way through a clip: the features of the last frame, and what is carried."""

    def __init__(self, runtime: Runtime, height: int, width: int) -> None:
        self.runtime = runtime
        self.state: dict[str, Any] = dict(runtime.allocate(1, (height, width)).read([0]))
        self.seen = 0
        self._prior = prior_of(runtime.spec)
        self._guides: list[Grey] = []
        self._flows: list[PairFlow] = []

    def see(self, image: npt.NDArray[np.float32]) -> None:
        """Takes in a frame (1, 3, H, W): encoded once, and its motion from the last one found."""
        encoded = self.call("encode", {"image": image})
        last, self._guides = self._guides, [] if self._prior is None else self._guides_of(image)
        self.state.update(shifted(self.state))
        self.state.update(encoded)
        self.seen += 1
        if self.seen > 1:
            self.state.update(self.call("motion", self._start(last, *image.shape[2:])))

    def _guides_of(self, image: npt.NDArray[np.float32]) -> list[Grey]:
        """What the flow to start from is found by, of each frame of a batch."""
        assert self._prior is not None
        levels = np.rint(image * 255).astype(np.uint8).transpose(0, 2, 3, 1)
        return [self._prior.guide(np.ascontiguousarray(frame)) for frame in levels]

    def _start(self, last: list[Grey], height: int, width: int) -> Arrays:
        """The inputs of ``motion``: a flow to start from and how it bends, where the model takes them."""
        if self._prior is None:
            return {}
        prior, before = self._prior, self._flows
        self._flows = [prior.find(*pair, height, width) for pair in zip(last, self._guides, strict=True)]
        around: list[Neighbour | None] = [Neighbour(flow) for flow in before]
        around = around or [None] * len(last)
        # the pair after is not known yet: the one before stands in for it, so that neither is zeros
        told = [prior.told(*pair) for pair in zip(self._flows, around, around, strict=True)]
        return {name: np.concatenate([one[name] for one in told]) for name in told[0]}

    def make(self, t: float) -> npt.NDArray[Any]:
        """The frame at a time between the last two (1, 3, H, W)."""
        outputs, _ = self.runtime.call("interpolate", {"t": np.full((1, 1), t, np.float32)}, self.state)
        return outputs["image"]

    def call(self, function: str, inputs: Arrays) -> dict[str, Any]:
        """A function's written state."""
        reads = self.runtime.spec.function(function).reads_state
        _, written = self.runtime.call(function, inputs, self.state if reads else None)
        return dict(written or {})


class Compared(RuntimeOver):
    """A runtime whose every call is repeated by the reference on the same inputs and states."""

    def __init__(self, reference: Runtime, candidate: Runtime) -> None:
        super().__init__(candidate)
        self.crops = None  # the reference may be on another device
        self._reference, self._candidate = reference, candidate
        self.max_abs = self.max_rel = 0.0

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """The candidate's answer, compared with the reference's."""
        outputs, written = self._candidate.call(function, inputs, state)
        mirrored = None if state is None else self._mirror(function, state)
        expected, expected_state = self._reference.call(function, inputs, mirrored)
        for name, value in expected.items():
            self._compare(value, outputs[name])
        for name, value in (expected_state or {}).items():
            self._compare(np.asarray(value), np.asarray((written or {})[name]))
        return outputs, written

    def close(self) -> None:
        """Leaves both runtimes open: they belong to whoever opened them."""

    def _mirror(self, function: str, state: State) -> State:
        """The state that a function reads, as the reference keeps it."""
        reads = self.spec.function(function).reads_state
        host = {name: np.asarray(state[name]) for name in reads}
        store = self._reference.allocate(1, frame_size(self.spec, host))
        row = store.save_row(0)
        row.update({name: value[0] for name, value in host.items()})
        store.load_row(0, row)
        return store.read([0])

    def _compare(self, expected: npt.NDArray[Any], found: npt.NDArray[Any]) -> None:
        difference = float(np.abs(expected - found).max()) if expected.shape == found.shape else math.inf
        if not math.isfinite(difference):  # a NaN would be passed over by max
            difference = math.inf
        self.max_abs = max(self.max_abs, difference)
        self.max_rel = max(self.max_rel, difference / max(float(np.abs(expected).max()), 1e-3))


def frame_parity(
    reference: Runtime,
    candidate: Runtime,
    *,
    frames: int = 30,
    size: tuple[int, int] = (640, 360),
    tick: Tick = lambda frame: None,
) -> FrameParity:
    """Goes through one synthetic clip, of a size (width, height), with both runtimes.

    ``tick`` is told of each frame.
    """
    compared = Compared(reference, candidate)
    ours = theirs = None
    worst = PSNR_CEILING
    for index, (image, _, _) in enumerate(demo_clip(seed=7, frames=frames + 1, size=size)):
        picture = padded(image, candidate.spec)
        if ours is None or theirs is None:
            ours, theirs = (Pairs(r, picture.shape[2], picture.shape[3]) for r in (reference, compared))
        ours.see(picture)
        theirs.see(picture)
        if index:
            t = TIMES[index % len(TIMES)]
            worst = min(worst, psnr(ours.make(t), theirs.make(t)))
            tick(index)
    return FrameParity(frames, compared.max_abs, compared.max_rel, worst)


def shifted(state: State) -> dict[str, Any]:
    """The last frame's features under the name of the first of a pair."""
    seen = [name for name in state if name.startswith("second.")]
    return {"first" + name.removeprefix("second"): state[name] for name in seen}


def padded(image: npt.NDArray[np.uint8], spec: ModelSpec) -> npt.NDArray[np.float32]:
    """A frame (H, W, 3) as a model takes it: (1, 3, H', W') in [0, 1], its border repeated to a multiple."""
    multiple = spec.preprocess.get("multiple", 1)
    assert isinstance(multiple, int)
    below, right = (-side % multiple for side in image.shape[:2])
    grown = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
    return np.ascontiguousarray(grown.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def frame_size(spec: ModelSpec, state: Arrays) -> tuple[int, int] | None:
    """Height and width of the frames that a state belongs to."""
    for tensor in spec.state:
        if tensor.name in state:
            height, width = tensor.size_in(state[tensor.name].shape)
            if height and width:
                return height, width
    return None


def psnr(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """Of two images in [0, 1], in dB."""
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return min(PSNR_CEILING, -10 * math.log10(max(error, 1e-30)))
