"""A graph of somebody else on plain ONNX Runtime: the inputs and outputs it declares, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from ..bundles import Size
from ..bundles.tensor import ITEM_BYTES
from ..errors import ExportError, OptionError
from ..runtimes.onnx_sessions import open_session, reason

Array = npt.NDArray[Any]
Feeds = dict[str, Array]

CHANNELS = (1, 3)


@dataclass(frozen=True)
class Value:
    """An input or output as the file declares it.

    Attributes:
        name, dtype: as ONNX has the one and NumPy the other.
        dims: a number each, or the name of an open axis (empty where it has none).
    """

    name: str
    dtype: str
    dims: tuple[int | str, ...]

    def axis(self, place: int) -> str:
        """An axis in words."""
        named = self.dims[place] if isinstance(self.dims[place], str) else ""
        return f"axis {place}{f' ({named!r})' if named else ''} of {self.name!r}"


@dataclass(frozen=True)
class Wanted:
    """What a user says of a graph's inputs.

    Attributes:
        states: the output that each state goes on in, by the input that it comes back to.
        frames: inputs that are frames.
        seconds: inputs that are the time since the frame before.
        values: inputs that are constants.
        initial: what states begin as, as the file has them, where that is not zeros.
        size: height and width that frames are resized to; None where the file says, or takes any.
        multiple: what the sides of frames that are left as they are must be a multiple of.
    """

    states: Mapping[str, str]
    frames: tuple[str, ...]
    seconds: tuple[str, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    initial: Mapping[str, float | Path] = field(default_factory=dict)
    size: Size | None = None
    multiple: int = 1


class Plain:
    """A file on ONNX Runtime as it is, with nothing of this project between.

    Raises BundleError or RuntimeUnavailableError: it cannot be loaded; ExportError: it has values that are no
    tensors.
    """

    def __init__(self, path: Path) -> None:
        self._session = open_session(str(path), path.name, "cpu", 1)
        self._quiet = onnxruntime.RunOptions()
        self._quiet.log_severity_level = 4  # what fails is raised, and need not be printed too
        self.inputs = {one.name: _value(one) for one in self._session.get_inputs()}
        self.outputs = {one.name: _value(one) for one in self._session.get_outputs()}

    def step(self, feeds: Feeds) -> Feeds:
        """All outputs. Raises ExportError with ONNX Runtime's reason."""
        try:
            found = self._session.run(list(self.outputs), feeds, self._quiet)
        except Exception as error:  # ONNX Runtime raises a different class for each of its status codes
            shapes = ", ".join(f"{name} {value.shape}" for name, value in feeds.items())
            raise ExportError(
                f"the file cannot be run on {shapes} ({reason(error)})",
                "say what its inputs are with --input, --state and --size",
            ) from error
        return dict(zip(self.outputs, map(np.asarray, found), strict=True))


def frame_axes(value: Value) -> tuple[int, int]:
    """Which axes of a frame are its height and width. Raises OptionError: it is no frame."""
    if len(value.dims) == 4 and value.dims[0] in (1, *(one for one in value.dims if isinstance(one, str))):
        if value.dims[1] in CHANNELS:
            return 2, 3
        if value.dims[3] in CHANNELS:
            return 1, 2
    shown = ", ".join(str(one or "?") for one in value.dims)
    raise OptionError(
        f"input {value.name!r} is {value.dtype} ({shown}), which is no frame",
        "a frame is (batch, 3, height, width) or (batch, height, width, 3), or has 1 channel, with a batch "
        f"of 1 or an open one; say what it is: --input {value.name}=seconds or {value.name}=NUMBER",
    )


def sides_of(value: Value) -> tuple[int | str, int | str]:
    """Height and width of a frame as the file declares them."""
    tall, wide = frame_axes(value)
    return value.dims[tall], value.dims[wide]


def _value(found: Any) -> Value:
    kind = {"tensor(float)": "float32", "tensor(double)": "float64"}.get(found.type, found.type[7:-1])
    if not found.type.startswith("tensor(") or kind not in ITEM_BYTES:
        raise ExportError(f"{found.name!r} is a {found.type}", "a bundle holds tensors of numbers alone")
    dims = tuple(dim if isinstance(dim, int) and dim > 0 else str(dim or "") for dim in found.shape)
    return Value(found.name, kind, dims)
