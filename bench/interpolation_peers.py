"""Ways of making frames that people would pick instead, behind one small protocol.

| name | what it is | needs |
|---|---|---|
| blend | the mean of the two neighbours: the floor | - |
| dis | DIS optical flow (Kroeger et al. 2016), both ways, both frames warped to the middle | OpenCV |
| minterpolate | FFmpeg's motion-compensated filter, at its best settings | PyAV's libavfilter |
| rife | RIFE 4.x, whole frames, in PyTorch | weights (``flownet.pkl``), PyTorch |
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, Protocol

import av
import av.error
import av.filter
import cv2
import numpy as np
import numpy.typing as npt

from ..errors import OptionError, RuntimeUnavailableError, StepError
from ..vision.container import EXACT
from .fidelity import Levels

Image = npt.NDArray[np.uint8]
Made = tuple[Levels, float]
"""A frame, in 8 bits or not rounded, and the seconds that it took."""

PEERS = ("blend", "dis", "minterpolate", "rife")
"""Names that `open_interpolation_peer` knows."""


class MiddleMaker(Protocol):
    """Makes the frames half-way between each two neighbours of a clip."""

    def middles(self, images: Sequence[Image]) -> Iterator[Made]:
        """One frame for each pair of neighbours, in order, and the seconds that it took.

        Args:
            images: RGB uint8 (height, width, 3), at least two, evenly spaced in time.
        """


class Blend:
    """The mean of the two neighbours."""

    def middles(self, images: Sequence[Image]) -> Iterator[Made]:
        """See `MiddleMaker`."""
        for one, other in pairwise(images):
            began = time.perf_counter()
            made = np.asarray(cv2.addWeighted(one, 0.5, other, 0.5, 0), np.uint8)
            yield made, time.perf_counter() - began


class DisFlow:
    """OpenCV's DIS flow ("medium"), forwards and backwards; both frames warped half-way, and averaged."""

    def __init__(self) -> None:
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def middles(self, images: Sequence[Image]) -> Iterator[Made]:
        """See `MiddleMaker`."""
        for one, other in pairwise(images):
            began = time.perf_counter()
            made = self._middle(one, other)
            yield made, time.perf_counter() - began

    def _middle(self, one: Image, other: Image) -> Image:
        greys = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (one, other)]
        try:
            forth = self._flow.calc(greys[0], greys[1], None)
            back = self._flow.calc(greys[1], greys[0], None)
        except cv2.error as error:  # such as for pictures smaller than its pyramid
            raise StepError(
                f"OpenCV's DIS flow failed on {one.shape[1]} x {one.shape[0]} pixels "
                f"({' '.join(str(error).split())[:120]})",
                "Leave dis out, or give larger pictures.",
            ) from error
        warped = [_warped(one, -0.5 * forth), _warped(other, -0.5 * back)]
        return np.asarray(cv2.addWeighted(warped[0], 0.5, warped[1], 0.5, 0), np.uint8)


class Minterpolate:
    """FFmpeg's filter ``minterpolate``, through PyAV, on planar 4:4:4 so that no colour is lost on the way.

    The filter looks a frame back and two ahead, so the first and last frame go in again. Its time is that of
    the whole graph, conversions excluded, shared out over all frames that it made. Its own detection of scene
    cuts is off: no withheld frame lies at one.
    """

    SETTINGS = "mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1:scd=none"

    def __init__(self) -> None:
        if "minterpolate" not in av.filter.filters_available:
            raise RuntimeUnavailableError(
                f"PyAV {av.__version__} as installed has no filter minterpolate", "Leave minterpolate out."
            )

    def middles(self, images: Sequence[Image]) -> Iterator[Made]:
        """See `MiddleMaker`."""
        height, width = images[0].shape[:2]
        graph: Any = av.filter.Graph()
        source = graph.add_buffer(width=width, height=height, format="yuv444p", time_base=Fraction(1, 2))
        nodes = [
            source,
            graph.add("minterpolate", f"fps=2:{self.SETTINGS}"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        last = len(images) - 1
        order = [0, *range(len(images)), last, last]
        wanted = range(3, 2 * len(images) + 1, 2)
        made: dict[int, Image] = {}
        between, seconds = 0, 0.0
        for place in range(len(order) + 1):
            frame = _planar(images[order[place]], 2 * place) if place < len(order) else None
            found, spent = _through(graph, frame)
            seconds += spent
            for one in found:
                stamp = round(one.pts * one.time_base * 2)
                between += stamp % 2
                if stamp in wanted:
                    made[stamp] = one.to_ndarray(format="rgb24", interpolation=EXACT)
        if len(made) < len(wanted):
            raise StepError(
                f"minterpolate made {len(made)} frames of {len(wanted)}", "Leave minterpolate out."
            )
        for stamp in wanted:
            yield made[stamp], seconds / between


class Network(Protocol):
    """A RIFE network in PyTorch, as ``models.rife`` opens it."""

    multiple: int

    def features(self, image: Any) -> Any:
        """What is kept of a frame (1, 3, height, width), a tensor in [0, 1]."""

    def __call__(self, first: Any, second: Any, t: Any) -> Any:
        """The frame at t (1, 1) between two, of what is kept of them."""


class Rife:
    """RIFE 4.x in PyTorch, each frame encoded once, whole frames padded with black as its authors do."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def middles(self, images: Sequence[Image]) -> Iterator[Made]:
        """See `MiddleMaker`."""
        import torch

        network = self._network
        height, width = images[0].shape[:2]
        pad = ((0, -height % network.multiple), (0, -width % network.multiple), (0, 0))
        half = torch.full((1, 1), 0.5)
        last: Any = None
        began = time.perf_counter()
        for image in images:
            with torch.inference_mode():
                planes = torch.from_numpy(np.pad(image, pad)).permute(2, 0, 1)[None].float() / 255
                seen = network.features(planes)
                if last is not None:
                    made = network(last, seen, half)[0, :, :height, :width].clamp(0, 1) * 255
                    frame = made.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
                    yield frame, time.perf_counter() - began
                    began = time.perf_counter()
            last = seen


def open_interpolation_peer(name: str, rife: Network | None = None) -> MiddleMaker:
    """The peer of this name; ``rife`` is the network of that one.

    Raises:
        OptionError: no peer has this name, or it needs weights and none are given.
        RuntimeUnavailableError: what it needs is not installed.
    """
    if name == "rife":
        if rife is None:
            raise OptionError(
                "rife needs weights, which do not come with Framestate",
                "Name their folder: --rife FOLDER, with RIFE 4.x's flownet.pkl in it.",
            )
        return Rife(rife)
    known: dict[str, Callable[[], MiddleMaker]] = {
        "blend": Blend, "dis": DisFlow, "minterpolate": Minterpolate,
    }  # fmt: skip
    if name in known:
        return known[name]()
    raise OptionError(f"There is no method {name!r} to compare with", f"Choose from {', '.join(PEERS)}.")


def _warped(image: Image, flow: npt.NDArray[np.float32]) -> Image:
    """Each pixel taken from where ``flow`` points, (height, width, 2) in pixels."""
    height, width = image.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.asarray(
        cv2.remap(
            image,
            columns + flow[..., 0],
            rows + flow[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


def _planar(image: Image, stamp: int) -> Any:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    frame = frame.reformat(format="yuv444p", interpolation=EXACT)
    frame.pts, frame.time_base = stamp, Fraction(1, 2)
    return frame


def _through(graph: Any, frame: Any) -> tuple[list[Any], float]:
    """Frames that the graph gives after it was handed one (None: no more), and the seconds that it took."""
    found = []
    began = time.perf_counter()
    graph.push(frame)
    while True:
        try:
            found.append(graph.pull())
        except (BlockingIOError, av.error.EOFError):
            return found, time.perf_counter() - began
