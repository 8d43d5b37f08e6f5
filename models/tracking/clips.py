"""Real sequences with boxes, kept in memory as JPEG and cut into training crops on demand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import DataError
from ...vision.pixels import as_uint8
from ...vision.reader import VideoReader

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """One sequence: JPEG frames, and boxes (frames, 4) as x, y, w, h in pixels, NaN without a target."""

    name: str
    frames: tuple[bytes, ...]
    boxes: npt.NDArray[np.float64]
    present: npt.NDArray[np.int64]  # indices of frames that have a usable box

    def pixels(self, index: int) -> Pixels:
        """A frame as RGB uint8 (H, W, 3)."""
        bgr = cv2.imdecode(np.frombuffer(self.frames[index], np.uint8), cv2.IMREAD_COLOR)
        assert bgr is not None, "read_clip encoded it"
        return as_uint8(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def read_frames(path: Path, *, quality: int = 92) -> tuple[bytes, ...]:
    """Every frame of a video as JPEG. Raises VideoError."""
    frames = []
    with VideoReader(path) as reader:
        for frame in reader:
            bgr = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
            frames.append(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
    return tuple(frames)


def read_boxes(truth: Path) -> npt.NDArray[np.float64]:
    """(frames, 4) x, y, w, h. Raises DataError unless the file is one line of four numbers a frame."""
    try:
        boxes = np.atleast_2d(np.genfromtxt(truth, delimiter=","))
    except (OSError, ValueError) as error:
        raise DataError(f"{truth} cannot be read ({error})", "one line a frame: x,y,w,h") from error
    if boxes.shape[1] != 4:
        raise DataError(f"{truth} has {boxes.shape[1]} values a line", "one line of four numbers a frame")
    return boxes


def read_folder(folder: Path) -> list[Clip]:
    """A clip for each ``groundtruth*.txt`` of one folder; targets of one ``video.mp4`` share its frames.

    Raises DataError or VideoError.
    """
    frames = read_frames(folder / "video.mp4")
    clips = []
    for truth in sorted(folder.glob("groundtruth*.txt")):
        boxes = read_boxes(truth)
        if abs(len(boxes) - len(frames)) > 1:
            raise DataError(
                f"{truth} has {len(boxes)} lines for {len(frames)} frames", "one line of four numbers a frame"
            )
        count = min(len(boxes), len(frames))
        boxes = boxes[:count]
        usable = np.isfinite(boxes).all(1) & (boxes[:, 2] * boxes[:, 3] >= 60)
        name = folder.name + truth.stem.removeprefix("groundtruth")
        if usable.any():
            clips.append(Clip(name, frames[:count], boxes, np.nonzero(usable)[0]))
    return clips


def read_clips(root: Path) -> list[Clip]:
    """Every sequence folder under ``root``, in name order. Raises DataError when there is none."""
    folders = sorted({path.parent for path in root.glob("*/groundtruth*.txt")})
    if not folders:
        raise DataError(f"{root} holds no sequence", "expected folders with video.mp4 and groundtruth.txt")
    return [clip for folder in folders for clip in read_folder(folder)]
