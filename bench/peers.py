"""Trackers that people would pick instead, run by OpenCV, behind one small protocol.

| name | what it is | needs |
|---|---|---|
| static | the first box, left where it was: the floor | - |
| csrt | discriminative correlation filter (Lukezic et al. 2017) | contrib build of OpenCV |
| kcf | kernelised correlation filter (Henriques et al. 2015) | contrib build of OpenCV |
| mil | multiple instance learning (Babenko et al. 2009) | OpenCV |
| nano | NanoTrack, a small Siamese network | OpenCV and two ONNX files |
| vit | ViTTrack, a small vision transformer | OpenCV and one ONNX file |

None of the ONNX files comes with Framestate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import DataError, OptionError, RuntimeUnavailableError, StepError
from ..vision.box import Box

Image = npt.NDArray[np.uint8]

PEERS = ("static", "csrt", "kcf", "mil", "nano", "vit")
"""Names that `open_peer` knows."""


class Peer(Protocol):
    """A tracker of one target. `start` begins anew, so one object serves one sequence after another."""

    def start(self, image_rgb: Image, box: Box) -> None:
        """Learn the target: RGB uint8 (height, width, 3) and its box in pixels."""

    def update(self, image_rgb: Image) -> Box | None:
        """The target's box in the next image, in pixels; None where the tracker says it is lost."""

    def score(self) -> float:
        """How sure it was of the last image, in [0, 1]; NaN where it does not say."""


@dataclass(frozen=True, slots=True)
class PeerFiles:
    """Where the ONNX files of the peers that need some lie."""

    nano_backbone: Path | None = None
    nano_head: Path | None = None
    vit: Path | None = None


class StaticPeer:
    """Leaves the box where it was in the first image."""

    def __init__(self) -> None:
        self._box: Box | None = None

    def start(self, image_rgb: Image, box: Box) -> None:
        """Keep the box."""
        self._box = box

    def update(self, image_rgb: Image) -> Box | None:
        """The first box."""
        return self._box

    def score(self) -> float:
        """It does not say."""
        return math.nan


class OpenCVPeer:
    """One of OpenCV's trackers.

    OpenCV starts trackers on whole pixels, so the first box is clipped to the image and rounded. It takes
    BGR, and the swap of channels is part of `start` and `update` (0.03 ms at 854 x 480).

    Args:
        name: for messages.
        create: makes a new, unstarted ``cv2.Tracker``.
    """

    def __init__(self, name: str, create: Callable[[], Any]) -> None:
        self.name = name
        self._create = create
        self._tracker: Any = None

    def start(self, image_rgb: Image, box: Box) -> None:
        """Make a new tracker and show it the target.

        Raises:
            BoxError: the box is not usable on this image.
            StepError: OpenCV could not make or start the tracker.
        """
        height, width = image_rgb.shape[:2]
        rectangle = integer_rectangle(box, width, height)
        try:
            self._tracker = self._create()
            self._tracker.init(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR), rectangle)
        except cv2.error as error:
            raise self._failure("start", error) from error

    def update(self, image_rgb: Image) -> Box | None:
        """Find the target in the next image.

        Raises:
            StepError: OpenCV failed, or the tracker was not started.
        """
        if self._tracker is None:
            raise StepError(
                f"The tracker {self.name} was not started", "Call start with the first image and box."
            )
        try:
            found, rectangle = self._tracker.update(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
        except cv2.error as error:
            raise self._failure("update", error) from error
        return Box(*(float(value) for value in rectangle)) if found else None

    def score(self) -> float:
        """Of NanoTrack and ViTTrack; the others do not say."""
        tell = getattr(self._tracker, "getTrackingScore", None)
        return math.nan if tell is None else min(1.0, max(0.0, float(tell())))

    def _failure(self, action: str, error: cv2.error) -> StepError:
        return StepError(
            f"OpenCV's tracker {self.name} failed to {action}: {' '.join(str(error).split())}",
            "Leave this tracker out, or report the sequence to OpenCV.",
        )


def open_peer(name: str, files: PeerFiles | None = None) -> Peer:
    """The peer of this name, not started.

    Raises:
        OptionError: no peer has this name, or it needs ONNX files that were not named.
        DataError: an ONNX file is missing.
        RuntimeUnavailableError: the installed OpenCV has no such tracker.
    """
    files = files or PeerFiles()
    if name == "static":
        return StaticPeer()
    if name == "csrt":
        return OpenCVPeer(name, _constructor(name, "TrackerCSRT_create"))
    if name == "kcf":
        return OpenCVPeer(name, _constructor(name, "TrackerKCF_create"))
    if name == "mil":
        return OpenCVPeer(name, _constructor(name, "TrackerMIL_create"))
    if name == "nano":
        nets = {"backbone": files.nano_backbone, "neckhead": files.nano_head}
        return OpenCVPeer(name, _with_nets(name, "TrackerNano", nets))
    if name == "vit":
        return OpenCVPeer(name, _with_nets(name, "TrackerVit", {"net": files.vit}))
    raise OptionError(f"There is no tracker {name!r} to compare with", f"Choose from {', '.join(PEERS)}.")


def integer_rectangle(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """The box in whole pixels ``x, y, w, h``, inside the image and at least one pixel a side.

    Raises:
        BoxError: the box is not finite, not positive, or outside the image.
    """
    inside = box.check(width, height).clipped(width, height)
    x, y = min(round(inside.x), width - 1), min(round(inside.y), height - 1)
    w, h = (max(round(side), 1) for side in (inside.w, inside.h))
    return x, y, min(w, width - x), min(h, height - y)


def _constructor(name: str, attribute: str) -> Callable[..., Any]:
    create = getattr(cv2, attribute, None)
    if not callable(create):
        raise RuntimeUnavailableError(
            f"OpenCV {cv2.__version__} as installed has no {attribute}, which the tracker {name} needs",
            "Install the contrib build: pip install 'framestate[bench]'.",
        )
    found: Callable[..., Any] = create
    return found


def _with_nets(name: str, attribute: str, nets: dict[str, Path | None]) -> Callable[[], Any]:
    parameters = _constructor(name, f"{attribute}_Params")()
    create = _constructor(name, f"{attribute}_create")
    for field, path in nets.items():
        if path is None:
            raise OptionError(
                f"The tracker {name} needs {len(nets)} ONNX files, and no {field} was named",
                "Name the files, or leave this tracker out; they do not come with Framestate.",
            )
        if not Path(path).is_file():
            raise DataError(f"{path}, the {field} of the tracker {name}, is not a file", "Check the path.")
        setattr(parameters, field, str(path))
    return lambda: create(parameters)
