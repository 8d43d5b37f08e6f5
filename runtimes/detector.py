"""`Detector`: somebody's ONNX model of the YOLO form, which finds objects in a picture. None ships with us.

Read are the heads of YOLOv8, v9, v11 and v12 (``(1, 4 + classes, boxes)``: cx, cy, w, h, a score a class),
of YOLOv5 and v7 (``(1, boxes, 5 + classes)``: cx, cy, w, h, objectness, a score a class), and those that end
in their own suppression (``(1, boxes, 6)``: left, top, right, bottom, score, class), as v10 and ``nms=True``
export them. Of models of masks and poses the boxes are read. Class names come from the model's metadata,
where its exporter wrote them, and so does the size of the picture, where the model takes any.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import BundleError, OptionError, StepError
from ..vision import Image
from ..vision.pixels import check_image
from .onnx_sessions import open_session

Numbers = npt.NDArray[np.float64]
_PAD = 114  # grey of what lies beside the picture, as these models were trained
_SIDE = 640  # pixels, where the model takes any
_MOST = 4096  # boxes that go into the suppression, the surest


class Found(NamedTuple):
    """Boxes (N, 4) as left, top, right, bottom in pixels; scores (N,); names of classes."""

    xyxy: Numbers
    scores: Numbers
    labels: list[str]


class Detector:
    """Finds objects in pictures; not for several threads at a time.

    ::

        detect = Detector("yolo11n.onnx", classes=["person"])
        scene.update(frame, Detections.from_xyxy(*detect(frame.image)))

    Args:
        path: an ONNX file.
        device: ``cpu`` or ``cuda``.
        threads: of one call on a CPU.
        score: least score that counts.
        overlap: from which two boxes of one class are one, where the model leaves that to others.
        classes: only these, by name; empty: all.
        side: of the square that the picture is shown in, where the model takes any; None: as its exporter
            wrote, or 640.

    Raises:
        BundleError: the file is no ONNX model, or of another form.
        OptionError: a number is out of range, or the model has no such class.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        device: str = "cpu",
        threads: int = 1,
        score: float = 0.25,
        overlap: float = 0.6,
        classes: Collection[str] = (),
        side: int | None = None,
    ) -> None:
        if not (0 <= score <= 1 and 0 < overlap <= 1 and (side is None or 32 <= side <= 8192)):
            raise OptionError(
                f"score is {score}, overlap {overlap}, side {side}",
                "give a score from 0 to 1, an overlap above 0 and up to 1, a side from 32 to 8192",
            )
        file = Path(path)
        if not file.is_file():
            raise BundleError(f"there is no detector {file}", "give the path of an ONNX file")
        self.path, self._score, self._overlap = file, score, overlap
        self._session = open_session(str(file), f"the detector {file.name}", device, threads)
        inputs = self._session.get_inputs()
        if (
            len(inputs) != 1
            or inputs[0].type not in _NUMBERS
            or len(inputs[0].shape) != 4
            or inputs[0].shape[1] not in (3, "channels")
        ):
            raise BundleError(
                f"{file.name} takes {[(one.name, one.type, one.shape) for one in inputs]}",
                f"{_FORM}: (1, 3, H, W) of floats",
            )
        self._input = inputs[0].name
        self._number = _NUMBERS[inputs[0].type]
        told: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        tall, wide = inputs[0].shape[2:]
        usual = _size(told) if side is None else (side, side)
        self.size = (wide if isinstance(wide, int) else usual[0], tall if isinstance(tall, int) else usual[1])
        """Width and height of what the model sees."""
        self.names = _names(told)
        self._has_more = told.get("task") in ("segment", "pose")
        if told.get("task") == "obb":
            raise BundleError(f"{file.name} finds boxes that are turned", "give a model of upright boxes")
        unknown = sorted(set(classes) - set(self.names.values()))
        if unknown:
            known = ", ".join(self.names.values()) or "none: its metadata names no classes"
            raise OptionError(f"{file.name} has no class {unknown[0]!r}", f"it has {known[:400]}")
        self._wanted = frozenset(number for number, name in self.names.items() if name in set(classes))
        self._chooses = bool(classes)

    def __call__(self, image: Image) -> Found:
        """What is in a picture, RGB uint8 (H, W, 3). Raises FrameError, StepError, BundleError."""
        check_image(image)
        view, scale, left, top = self._shown(image)
        try:
            outputs = self._session.run(None, {self._input: view})
        except Exception as error:  # ONNX Runtime raises a different class for each of its status codes
            raise StepError(f"{self.path.name} failed ({str(error)[:200]})", "check the model") from error
        boxes, scores, classes = self._read(np.asarray(outputs[0], np.float64))
        boxes = (boxes - (left, top, left, top)) / scale
        height, width = image.shape[:2]
        boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
        boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
        good = np.isfinite(boxes).all(1) & (boxes[:, 2] - boxes[:, 0] > 0) & (boxes[:, 3] - boxes[:, 1] > 0)
        labels = [self.names.get(int(one), str(int(one))) for one in classes[good]]
        return Found(boxes[good], scores[good].clip(0, 1), labels)

    def _shown(self, image: Image) -> tuple[Any, float, float, float]:
        """The picture as the model takes it; how much it was scaled, and where it lies in there."""
        width, height = self.size
        scale = min(width / image.shape[1], height / image.shape[0])
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        left, top = (width - size[0]) // 2, (height - size[1]) // 2
        canvas = np.full((height, width, 3), _PAD, np.uint8)
        canvas[top : top + size[1], left : left + size[0]] = small
        planes = canvas.transpose(2, 0, 1)[None].astype(np.float32) / 255
        return planes.astype(self._number, copy=False), scale, float(left), float(top)

    def _read(self, output: Numbers) -> tuple[Numbers, Numbers, npt.NDArray[np.int64]]:
        """Boxes as corners, scores and classes, from whichever head it is."""
        if output.ndim != 3 or output.shape[0] != 1 or (output.size == 0 and output.shape[2] != 6):
            raise BundleError(f"{self.path.name} gives {output.shape}", _FORM)
        table, known = output[0], len(self.names)
        if self._has_more:  # masks or points come after the box
            table = table[:, :6] if table.shape[0] > table.shape[1] else table[: 4 + known]
        if table.shape[1] == 6 and table.shape[0] != 4 + known:
            table = table[np.isfinite(table).all(1)]
            keep = (table[:, 4] >= self._score) & self._is_wanted(table[:, 5].astype(np.int64))
            table = table[keep]
            return table[:, :4], table[:, 4], table[:, 5].astype(np.int64)
        if known and table.shape[1] == 5 + known and table.shape[0] != 4 + known:
            table = table[np.isfinite(table).all(1)]
            table = np.concatenate([table[:, :4], table[:, 4:5] * table[:, 5:]], axis=1).T
        elif table.shape[0] < 5 or (known and table.shape[0] != 4 + known):
            raise BundleError(f"{self.path.name} gives {output.shape}, and names {known} classes", _FORM)
        elif not known and table.shape[0] > table.shape[1]:
            raise BundleError(
                f"{self.path.name} gives {output.shape} and names no classes: its form cannot be told",
                "export it with its names, as the metadata entry 'names'",
            )
        table = table[:, np.isfinite(table).all(0)]
        classes, scores = table[4:].argmax(0), table[4:].max(0)
        keep = np.flatnonzero((scores >= self._score) & self._is_wanted(classes))
        keep = keep[np.argsort(-scores[keep], kind="stable")[:_MOST]]
        (cx, cy, w, h), scores, classes = table[:4, keep], scores[keep], classes[keep]
        corners = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1)
        chosen = self._apart(corners, scores, classes)
        return corners[chosen], scores[chosen], classes[chosen]

    def _is_wanted(self, classes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        if not self._chooses:
            return np.ones(len(classes), bool)
        return np.isin(classes, sorted(self._wanted))

    def _apart(self, corners: Numbers, scores: Numbers, classes: npt.NDArray[np.int64]) -> list[int]:
        """Those that are left of boxes of one class that overlap."""
        if not len(corners):
            return []
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        kept = cv2.dnn.NMSBoxesBatched(
            boxes.tolist(), scores.tolist(), classes.tolist(), self._score, self._overlap
        )
        return [int(one) for one in np.asarray(kept).ravel()]


_NUMBERS: Mapping[str, type[np.floating[Any]]] = MappingProxyType(
    {"tensor(float)": np.float32, "tensor(float16)": np.float16}
)
_FORM = "export it in the form of YOLOv8 or v11, with or without nms, or of v5"


def _size(metadata: Mapping[str, str]) -> tuple[int, int]:
    """Width and height that a model was exported for, as Ultralytics writes them (height first)."""
    try:
        found = ast.literal_eval(metadata.get("imgsz", ""))
        tall, wide = (int(one) for one in (found if isinstance(found, list | tuple) else (found, found)))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return _SIDE, _SIDE
    return (wide, tall) if min(wide, tall) >= 32 and max(wide, tall) <= 8192 else (_SIDE, _SIDE)


def _names(metadata: Mapping[str, str]) -> dict[int, str]:
    """Names of the classes by number, as Ultralytics writes them; empty where nobody did."""
    try:
        found = ast.literal_eval(metadata.get("names", "{}"))
        pairs = found.items() if isinstance(found, dict) else enumerate(found)
        return {int(number): str(name)[:64] for number, name in pairs}
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return {}
