"""Pickles from elsewhere, of which nothing but bytes, numbers and the tables that hold them is let in.

A pickle is a program: it may name any function and call it. The only names that the official CIFAR files
need are those that make an array of bytes; they get stand-ins that can do nothing else, not even NumPy's own
way of restoring an array is run, and any other name ends the reading before it is looked up.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import DataError

LARGEST = 1 << 30
"""Bytes of a file that are read at most; the largest official one has 156 MB."""


class Array:
    """Stands in for a NumPy array: bytes and a shape, nothing else."""

    values: npt.NDArray[np.uint8] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, raw = state
        if not isinstance(kind, Kind) or not isinstance(raw, bytes):
            raise pickle.UnpicklingError("it holds an array that is not of bytes")
        self.values = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if by_columns else "C")


class Kind:
    """Stands in for a NumPy dtype, of which only uint8 is known."""

    def __init__(self, code: Any, *rest: Any) -> None:
        if code not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"it holds an array of {code!r}")

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment, of which bytes have none."""


def start_array(*arguments: Any) -> Array:
    """Stands in for NumPy's ``_reconstruct``."""
    return Array()


def encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into old pickles."""
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"it encodes text as {encoding!r}")
    return text.encode("latin1")


class BytesOnly(pickle.Unpickler):
    """An unpickler for which there are five names in the world."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name, or pickle.UnpicklingError where it has none."""
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return STAND_INS[module, name]


STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): Kind,
    ("numpy.core.multiarray", "_reconstruct"): start_array,
    ("numpy._core.multiarray", "_reconstruct"): start_array,
    ("_codecs", "encode"): encode,
}


def read_table(path: Path) -> dict[Any, Any]:
    """The table that a pickle holds, with the strings of Python 2 as bytes, and its arrays as arrays.

    Raises DataError where it cannot be read, is too large, names anything else, or is no table.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise pickle.UnpicklingError(f"it has more than {LARGEST} bytes")
        table = BytesOnly(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        if not isinstance(table, dict):
            raise pickle.UnpicklingError(f"it is a {type(table).__name__}")
        return {key: value.values if isinstance(value, Array) else value for key, value in table.items()}
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(
            f"{path} is no table of plain bytes and numbers ({error})",
            "download it again, or take the binary version of the data set",
        ) from error
