"""One named tensor of a model: its dtype and shape, checked when it is made."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, TypeAlias, cast

from ..errors import BundleError
from .fields import JSON, Fields, short

Dim: TypeAlias = int | str
"""One axis of a tensor: a positive size, ``"batch"``, or a side of the frames: ``"height"``, ``"width"``, or
either of them over a power of two, such as ``"height/8"``."""

Size: TypeAlias = tuple[int, int]
"""Height and width of frames, in pixels."""

BATCH: Literal["batch"] = "batch"

ITEM_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "bool": 1,
        "int8": 1,
        "uint8": 1,
        "int16": 2,
        "uint16": 2,
        "float16": 2,
        "int32": 4,
        "uint32": 4,
        "float32": 4,
        "int64": 8,
        "uint64": 8,
        "float64": 8,
    }
)
"""The dtypes a tensor may have (NumPy's names) and the bytes of one item."""

MAX_RANK = 8
MAX_ITEMS = 2**40
MAX_DIVISOR = 1024
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_SIDE = re.compile(r"(height|width)(?:/([1-9][0-9]{0,3}))?")


def check_name(name: object, what: str) -> str:
    """Return ``name`` if it may name a model, function or tensor.

    Raises:
        BundleError: it is not a string of 1 to 200 letters, digits, ``_``, ``-`` and ``.``, starting
            with none of the last two, or it holds ``..``.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        raise BundleError(
            f"{what} is {short(repr(name))}, which is not a name",
            "Use 1 to 200 letters, digits, '_', '-' or single '.', starting with none of '-' and '.'.",
        )
    return name


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A named tensor.

    Attributes:
        name: unique among its neighbours.
        dtype: NumPy's name, one of ``ITEM_BYTES``.
        shape: sizes; ``"batch"`` may stand once, on any axis; ``"height/8"`` and the like as often as needed.

    Raises:
        BundleError: the name, dtype or shape is not allowed.
    """

    name: str
    dtype: str
    shape: tuple[Dim, ...]

    def __post_init__(self) -> None:
        check_name(self.name, "the name of a tensor")
        if not isinstance(self.dtype, str) or self.dtype not in ITEM_BYTES:
            raise BundleError(
                f"tensor {self.name!r} has dtype {short(repr(self.dtype))}, which is not supported",
                f"Use one of {', '.join(ITEM_BYTES)}.",
            )
        shape = short(repr(self.shape))
        # A list would compare unequal to the tuple that comes back from JSON.
        if not isinstance(self.shape, tuple) or len(self.shape) > MAX_RANK:
            raise BundleError(
                f"tensor {self.name!r} has shape {shape}, not a tuple of at most {MAX_RANK} sizes",
                "Give the shape as a tuple.",
            )
        for dim in self.shape:
            if isinstance(dim, str) and (dim == BATCH or side_of(dim) is not None):
                continue
            if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
                raise BundleError(
                    f"tensor {self.name!r} has shape {shape}; {short(repr(dim))} is no size, nor 'batch'",
                    "Fix every size except 'batch', 'height', 'width', and these two over a power of two.",
                )
        if self.shape.count(BATCH) > 1:
            raise BundleError(
                f"tensor {self.name!r} has shape {shape}, which names 'batch' more than once",
                "Let 'batch' stand on one axis only.",
            )
        if self._row_items() > MAX_ITEMS:
            raise BundleError(
                f"tensor {self.name!r} has shape {shape}, more than {MAX_ITEMS} items a row",
                "Make the tensor smaller.",
            )

    def concrete(self, batch: int, size: Size | None = None) -> tuple[int, ...]:
        """The shape with ``batch`` rows (at least 0), for frames of ``size`` (height, width) in pixels.

        Raises:
            BundleError: the batch is negative; the shape names a side of the frames and no size is given, or
                one that does not divide.
        """
        if batch < 0:
            raise BundleError(f"a batch of {batch} rows was asked for", "Ask for 0 rows or more.")
        return tuple(batch if isinstance(dim, str) else dim for dim in self._numbers(size))

    def sized(self, size: Size) -> TensorSpec:
        """The same tensor for frames of ``size`` (height, width) in pixels.

        Raises:
            BundleError: the size does not divide as the shape asks.
        """
        return TensorSpec(self.name, self.dtype, self._numbers(size))

    @property
    def is_sized(self) -> bool:
        """Whether no axis is a side of the frames."""
        return all(dim == BATCH or not isinstance(dim, str) for dim in self.shape)

    def size_in(self, shape: Sequence[int]) -> tuple[int | None, int | None]:
        """Height and width of the frames by an actual shape; ``None`` for what it does not tell."""
        found: dict[str, int] = {}
        for dim, length in zip(self.shape, shape, strict=False):
            side = side_of(dim)
            if side is not None:
                found.setdefault(side[0], length * side[1])
        return found.get("height"), found.get("width")

    @property
    def batch_axis(self) -> int | None:
        """The axis of ``"batch"``, or ``None`` where the shape is fixed."""
        return self.shape.index(BATCH) if BATCH in self.shape else None

    @property
    def bytes_per_row(self) -> int:
        """Bytes that one row of the batch takes (all of them where the shape is fixed).

        Raises:
            BundleError: they depend on the size of the frames.
        """
        if not self.is_sized:
            raise self._unsized()
        return self._row_items() * ITEM_BYTES[self.dtype]

    def _row_items(self) -> int:
        return math.prod(dim for dim in self.shape if not isinstance(dim, str))

    def _numbers(self, size: Size | None) -> tuple[Dim, ...]:
        """The shape with numbers in place of the frames' sides."""
        if self.is_sized:
            return self.shape
        if size is None:
            raise self._unsized()
        numbers: list[Dim] = []
        for dim in self.shape:
            side = side_of(dim)
            if side is None:
                numbers.append(dim)
                continue
            length = size[0] if side[0] == "height" else size[1]
            if length < side[1] or length % side[1]:
                raise BundleError(
                    f"frames of {size[0]} x {size[1]} (height x width) do not fit {dim!r} of {self.name!r}",
                    f"Pad the frames until their {side[0]} is a multiple of {side[1]}.",
                )
            numbers.append(length // side[1])
        return tuple(numbers)

    def _unsized(self) -> BundleError:
        return BundleError(
            f"tensor {self.name!r} has shape {self.shape!r}, which depends on the size of the frames",
            "Give the size, or use the spec's sized(height, width).",
        )

    def to_json(self) -> dict[str, JSON]:
        """A JSON object that :meth:`from_json` reads back."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, data: object, where: str = "tensor") -> TensorSpec:
        """Read what :meth:`to_json` wrote; ``where`` says in an error which tensor it was."""
        fields = Fields(data, where)
        name, dtype, shape = fields.text("name"), fields.text("dtype"), fields.array("shape")
        fields.done()
        return cls(name, dtype, cast("tuple[Dim, ...]", tuple(shape)))  # checked by __post_init__


@lru_cache(maxsize=256)  # asked for every tensor of every call; a pure function of a short string
def side_of(dim: Dim) -> tuple[str, int] | None:
    """``"height/8"`` as ("height", 8); None for what is no side of the frames over a power of two."""
    match = _SIDE.fullmatch(dim) if isinstance(dim, str) else None
    if match is None:
        return None
    divisor = int(match[2] or 1)
    return (match[1], divisor) if divisor.bit_count() == 1 and divisor <= MAX_DIVISOR else None


def check_unique(names: Iterable[str], what: str) -> None:
    """Make sure that each of ``names`` may be a name and stands once.

    Raises:
        BundleError: one does not.
    """
    seen: set[str] = set()
    for name in names:
        check_name(name, f"a name in {what}")
        if name in seen:
            raise BundleError(f"{what} hold {name!r} twice", "Give each tensor its own name.")
        seen.add(name)
