"""The header of a ``.safetensors`` file, checked before anything is loaded from it.

The format: 8 bytes with the length of the header (little endian), the header as JSON (for each tensor its
dtype, shape and the span of its data), then the data. Nothing in it can be run.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from ..errors import BundleError, BundleIntegrityError
from .fields import Fields, parse_json, short
from .tensor import MAX_ITEMS, MAX_RANK

MAX_HEADER_BYTES = 16 * 2**20

_ITEM_BYTES: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("BOOL", "I8", "U8", "F8_E4M3", "F8_E5M2"), 1),
        **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
        **dict.fromkeys(("I32", "U32", "F32"), 4),
        **dict.fromkeys(("I64", "U64", "F64"), 8),
    }
)


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of the file: its dtype in the format's words (``F32``), its shape, its data's span."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def items(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of the file at ``path`` by name; reads the header only.

    Raises:
        BundleIntegrityError: the header is too long, is no JSON, has a tensor whose size does not fit its
            shape, or spans that overlap, leave gaps or run past the end of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        lead = file.read(8)
        length = struct.unpack("<Q", lead)[0] if len(lead) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise _damaged(path, f"says that its header has {length} bytes; it has {size} bytes in all")
        text = file.read(length)
    try:
        tensors = _tensors(text, path.name)
    except BundleError as error:
        raise BundleIntegrityError(error.problem, error.remedy) from None
    spans = sorted((tensor.start, tensor.end) for tensor in tensors.values())
    edges = [(0, 0), *spans, (size - 8 - length, size)]
    for (_, before), (after, _) in pairwise(edges):
        if before != after:
            raise _damaged(path, f"has data up to byte {before} and then from byte {after}")
    return tensors


def _tensors(text: bytes, name: str) -> dict[str, StoredTensor]:
    header = Fields(parse_json(text.rstrip(b" "), f"the header of {name!r}"), f"the header of {name!r}")
    tensors: dict[str, StoredTensor] = {}
    for key in header.names():
        if key == "__metadata__":
            header.table(key)
            continue
        fields = Fields(header.table(key), f"tensor {key!r} of {name!r}")
        dtype = fields.text("dtype")
        shape, span = fields.integers("shape"), fields.integers("data_offsets")
        fields.done()
        sound = len(span) == 2 and len(shape) <= MAX_RANK and max((*shape, *span), default=0) <= MAX_ITEMS
        tensor = StoredTensor(dtype, shape, *span) if sound else None
        if tensor is None or tensor.end - tensor.start != tensor.items * _ITEM_BYTES.get(dtype, -1):
            raise BundleIntegrityError(
                f"tensor {short(repr(key))} of {name!r} has {short(dtype)} {short(repr(shape))} in bytes "
                f"{short(repr(span))}, which do not fit each other",
                "Get an undamaged copy of the bundle.",
            )
        tensors[key] = tensor
    return tensors


def _damaged(path: Path, how: str) -> BundleIntegrityError:
    return BundleIntegrityError(f"{path.name!r} {how}", "Get an undamaged copy of the bundle.")
