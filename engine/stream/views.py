"""How a model of the task ``stream`` sees a frame, and what its outputs are, by its manifest.

``preprocess`` of such a model::

    {"inputs":  {"image": {"kind": "frame", "range": 1, "mean": [0, 0, 0], "std": [1, 1, 1], "colours": "RGB",
                           "back": 0, "multiple": 8},
                 "ratio": {"kind": "value", "value": 0.25},
                 "dt":    {"kind": "seconds"}},
     "outputs": {"clean": {"kind": "picture", "range": 1}, "alpha": {"kind": "mask"},
                 "score": {"kind": "tensor"}}}

All members but ``kind`` may be left out. Layout and size are those of the tensor: (batch, 3, height, width)
or (batch, height, width, 3), with one channel for grey; sides are numbers, to which frames are resized, or
the frame's own (``"height"``, ``"width"``), padded to a ``multiple``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from ...bundles import ModelSpec, TensorSpec
from ...errors import BundleError, StepError
from ...vision import Image
from ...vision.pixels import as_uint8

Kind = Literal["picture", "mask", "tensor"]
Array = npt.NDArray[Any]
_CHANNELS = (1, 3)


@dataclass(frozen=True)
class FrameInput:
    """An input that is a frame.

    Attributes:
        name: of the input.
        channels: 3, or 1 for grey.
        last: whether channels come last.
        size: height and width it is resized to; None leaves frames as they are.
        multiple: what the sides of a frame that is left as it is are padded to.
        scale, shift: what makes the tensor of levels from 0 to 255, a number a channel.
        bgr: whether blue comes first.
        back: how many frames ago it was shown; 0 is the frame itself.
        dtype: of the tensor.
    """

    name: str
    channels: int
    last: bool
    size: tuple[int, int] | None
    multiple: int
    scale: Array
    shift: Array
    bgr: bool
    back: int
    dtype: str

    def of(self, image: Image) -> Array:
        """RGB uint8 (height, width, 3) as the model takes it, a batch of one."""
        seen = image if self.channels == 3 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
        if self.bgr:
            seen = seen[..., ::-1]
        height, width = image.shape[:2]
        if self.size is not None:
            if (height, width) != self.size:
                way = cv2.INTER_AREA if height > self.size[0] else cv2.INTER_LINEAR
                seen = cv2.resize(np.ascontiguousarray(seen), self.size[::-1], interpolation=way)
                seen = seen.reshape(*self.size, self.channels)
        else:
            tall, wide = self.padded(height, width)
            if (tall, wide) != (height, width):
                seen = np.pad(seen, ((0, tall - height), (0, wide - width), (0, 0)), mode="edge")
        if self.dtype != "uint8" or self.is_changed:
            levels = seen * self.scale - self.shift
            seen = (levels if np.dtype(self.dtype).kind == "f" else np.rint(levels)).astype(self.dtype)
        return np.ascontiguousarray(seen if self.last else seen.transpose(2, 0, 1))[None]

    @property
    def is_changed(self) -> bool:
        """Whether levels are other numbers in the tensor than in a picture."""
        return bool((self.scale != 1).any() or self.shift.any())

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """The size of what the model sees of a frame."""
        if self.size is not None:
            return self.size
        return -(-height // self.multiple) * self.multiple, -(-width // self.multiple) * self.multiple


@dataclass(frozen=True)
class OutputView:
    """An output, and what it is shown as.

    Attributes:
        name: of the output.
        kind: a picture, a mask, or a tensor that is handed over as it is.
        range: the largest level of a picture.
        bgr: whether blue comes first.
        last: whether channels come last.
        is_padded: whether the model sees frames padded, rather than resized.
    """

    name: str
    kind: Kind
    range: float
    bgr: bool
    last: bool
    is_padded: bool

    def picture(self, value: Array, frame: tuple[int, int], seen: tuple[int, int]) -> Image:
        """One row as RGB uint8 of the frame's (height, width); ``seen`` is what the model saw of it.

        Raises StepError: it has the shape of no picture.
        """
        planes = value if value.ndim == 3 else value[None] if value.ndim == 2 else None
        if planes is not None and not self.last and value.ndim == 3:
            planes = planes.transpose(1, 2, 0)
        elif planes is not None and value.ndim == 2:
            planes = planes[0][..., None]
        if planes is None or planes.shape[2] not in (1, 3, 4):
            raise StepError(
                f"output {self.name!r} is {value.shape}, which is no picture",
                "call it a tensor in the manifest",
            )
        levels = np.clip(np.asarray(planes, np.float32) * (255 / self.range), 0, 255)
        made = as_uint8(np.rint(levels).astype(np.uint8)[..., :3])
        if made.shape[2] == 1:
            made = as_uint8(np.repeat(made, 3, axis=2))
        if self.bgr:
            made = as_uint8(made[..., ::-1])
        if self.is_padded and made.shape[:2] == seen:
            made = as_uint8(made[: frame[0], : frame[1]])
        if made.shape[:2] != frame:
            return as_uint8(
                cv2.resize(np.ascontiguousarray(made), frame[::-1], interpolation=cv2.INTER_LINEAR)
            )
        return as_uint8(np.ascontiguousarray(made))


class StreamView:
    """What a manifest of the task ``stream`` says. Raises BundleError where it does not say enough.

    Attributes:
        frames: the inputs that are frames.
        values: the inputs that are constants, by name.
        seconds: the inputs that are the time since the frame before.
        outputs: of the step.
        function: the one that runs for each frame: ``step``.
        has_init: whether ``init`` gives the state that the first frame starts from.
    """

    function, init = "step", "init"

    def __init__(self, spec: ModelSpec) -> None:
        self._name = spec.name
        if self.function not in spec.functions:
            raise self._wrong(f"it has no function {self.function!r}")
        step = spec.functions[self.function]
        self.frames: list[FrameInput] = []
        self.values: dict[str, Array] = {}
        self.seconds: list[TensorSpec] = []
        given = self._table(spec, "inputs")
        for tensor in step.inputs:
            self._input(tensor, given.pop(tensor.name, {}))
        if not self.frames:
            raise self._wrong("none of its inputs is a frame")
        said = self._table(spec, "outputs")
        self.outputs = [self._output(tensor, said.pop(tensor.name, {})) for tensor in step.outputs]
        if given or said:
            raise self._wrong(
                f"preprocess names {next(iter({**given, **said}))!r}, which its step does not have"
            )
        self.has_init = self.init in spec.functions
        known = {tensor.name for tensor in step.inputs}
        inputs = spec.functions[self.init].inputs if self.has_init else ()
        if any(tensor.name not in known for tensor in inputs):
            raise self._wrong(f"its init takes {[one.name for one in inputs]}, of which step knows not all")
        self.init_inputs = frozenset(tensor.name for tensor in inputs)

    @property
    def memory_frames(self) -> int:
        """How many frames are kept for those to come."""
        return max(one.back for one in self.frames)

    def _input(self, tensor: TensorSpec, said: Mapping[str, Any]) -> None:
        kind = said.get("kind", "frame")
        if kind == "frame":
            self.frames.append(self._frame(tensor, said))
        elif kind == "value":
            number = self._number(said.get("value"), f"the value of {tensor.name}")
            self._holds(tensor, [number], f"the value {number:g}")
            self.values[tensor.name] = np.full(tensor.concrete(1), number).astype(tensor.dtype)
        elif kind == "seconds":
            if np.dtype(tensor.dtype).kind != "f":
                raise self._wrong(f"its input {tensor.name!r} is {tensor.dtype}, which holds no seconds")
            self.seconds.append(tensor)
        else:
            raise self._wrong(f"its input {tensor.name!r} is of kind {kind!r}, not frame, value or seconds")

    def _frame(self, tensor: TensorSpec, said: Mapping[str, Any]) -> FrameInput:
        self._members(said, tensor.name, {"kind", "range", "mean", "std", "colours", "back", "multiple"})
        shape = tensor.shape
        if len(shape) != 4 or shape[0] not in ("batch", 1):
            raise self._wrong(f"its input {tensor.name!r} is {shape}, which is no frame")
        last = shape[1] not in _CHANNELS
        channels, sides = (shape[3], shape[1:3]) if last else (shape[1], shape[2:])
        if channels not in _CHANNELS:
            raise self._wrong(f"its input {tensor.name!r} is {shape}, with neither 1 nor 3 channels")
        size = None
        if all(isinstance(side, int) for side in sides):
            size = int(sides[0]), int(sides[1])
        elif sides != ("height", "width"):
            raise self._wrong(
                f"its input {tensor.name!r} is {shape}; frames are height x width, or a fixed size"
            )
        top = self._number(said.get("range", 255 if self._is_whole(tensor) else 1), "range")
        mean, std = (
            self._numbers(said.get(key, one), int(channels), key) for key, one in (("mean", 0), ("std", 1))
        )
        if top <= 0 or (std <= 0).any():
            raise self._wrong(f"range or std of {tensor.name!r} is not above 0")
        multiple, back = said.get("multiple", 1), said.get("back", 0)
        if (
            type(multiple) is not int
            or not 1 <= multiple <= 1024
            or type(back) is not int
            or not 0 <= back <= 16
        ):
            raise self._wrong(
                f"multiple is {multiple!r} and back is {back!r}; whole numbers, 1 to 1024 and 0 to 16"
            )
        scale, shift = (np.float32(top / 255) / std).astype(np.float32), (mean / std).astype(np.float32)
        ends = [float(one) for level in (0, 255) for one in level * scale - shift]
        if tensor.dtype == "bool" or (self._is_whole(tensor) and max(ends) - min(ends) < 2):
            shown = f"{tensor.dtype} from {min(ends):g} to {max(ends):g}"
            raise self._wrong(f"its input {tensor.name!r} is {shown}, which is no picture")
        if self._is_whole(tensor):
            ends = [round(one) for one in ends]
        self._holds(tensor, ends, f"levels from {min(ends):g} to {max(ends):g}; say range, mean and std")
        return FrameInput(
            tensor.name, int(channels), last, size, multiple, scale, shift, self._bgr(said), back,
            tensor.dtype,
        )  # fmt: skip

    def _output(self, tensor: TensorSpec, said: Mapping[str, Any]) -> OutputView:
        self._members(said, tensor.name, {"kind", "range", "colours"})
        kind = said.get("kind", "tensor")
        if kind not in ("picture", "mask", "tensor"):
            raise self._wrong(f"its output {tensor.name!r} is of kind {kind!r}, not picture, mask or tensor")
        top = self._number(said.get("range", 255 if self._is_whole(tensor) else 1), "range")
        if top <= 0:
            raise self._wrong(f"range of {tensor.name!r} is {top:g}")
        last = len(tensor.shape) == 4 and tensor.shape[1] not in (1, 3, 4)
        return OutputView(tensor.name, kind, top, self._bgr(said), last, self.frames[0].size is None)

    @staticmethod
    def _is_whole(tensor: TensorSpec) -> bool:
        """Whether a tensor holds whole numbers, which levels from 0 to 255 are."""
        return np.dtype(tensor.dtype).kind in "iu"

    def _holds(self, tensor: TensorSpec, numbers: Sequence[float], what: str) -> None:
        """Raises BundleError unless a tensor can hold numbers, to rounding where it holds fractions."""
        kind = np.dtype(tensor.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.array(numbers, np.float64).astype(kind)
        if not (np.isfinite(found) if kind.kind == "f" else found.astype(np.float64) == numbers).all():
            raise self._wrong(f"its input {tensor.name!r} is {tensor.dtype}, which cannot hold {what}")

    def _bgr(self, said: Mapping[str, Any]) -> bool:
        colours = said.get("colours", "RGB")
        if colours not in ("RGB", "BGR"):
            raise self._wrong(f"colours are {colours!r}, not RGB or BGR")
        return bool(colours == "BGR")

    def _table(self, spec: ModelSpec, key: str) -> dict[str, Mapping[str, Any]]:
        found = spec.preprocess.get(key, {})
        if not isinstance(found, Mapping) or not all(isinstance(one, Mapping) for one in found.values()):
            raise self._wrong(f"preprocess.{key} is no table of tables")
        return {str(name): one for name, one in found.items()}  # type: ignore[misc]

    def _members(self, said: Mapping[str, Any], name: str, known: set[str]) -> None:
        strange = sorted(set(said) - known)
        if strange:
            raise self._wrong(
                f"preprocess says {strange[0]!r} of {name!r}; known: {', '.join(sorted(known))}"
            )

    def _number(self, value: object, what: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(f"{what} is {value!r}, which is no number")
        return float(value)

    def _numbers(self, value: Any, count: int, what: str) -> Array:
        values = value if isinstance(value, list) else [value] * count
        if len(values) != count:
            raise self._wrong(f"{what} is {value!r}, not {count} numbers")
        return np.array([self._number(one, what) for one in values], np.float32)

    def _wrong(self, why: str) -> BundleError:
        return BundleError(f"model {self._name!r} cannot be run over frames: {why}", "see docs/stream.md")
