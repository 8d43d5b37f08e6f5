"""The header of a .safetensors file."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles.tensors_file import read_header
from framestate.errors import BundleIntegrityError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save


def saved(tmp_path: Path, header: Any, data: bytes = b"", *, length: int | None = None) -> Path:
    """A file with this header (bytes, or something to put as JSON)."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(dtype: Any = "F32", shape: Any = (2,), span: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": span}


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    tensors: dict[str, np.ndarray] = {"a": np.ones((2, 3), np.float32), "b": np.ones((), np.int64)}
    tensors["empty"] = np.ones((0, 4), np.float16)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(save(tensors, {"made": "here"}))
    header = read_header(path)
    assert {name: tensor.shape for name, tensor in header.items()} == {"a": (2, 3), "b": (), "empty": (0, 4)}
    assert sum(tensor.items for tensor in header.values()) == 7


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        (b"{]", b"", "not JSON"),
        (b"[]", b"", "not an object"),
        ({"a": 1}, b"", "not an object"),
        ({"a": {"dtype": "F32", "shape": [2]}}, bytes(8), "no field 'data_offsets'"),
        ({"a": {**entry(), "x": 1}}, bytes(8), "unknown field 'x'"),
        ({"a": entry(dtype="F33")}, bytes(8), "do not fit each other"),
        ({"a": entry(dtype=3)}, bytes(8), "not a string"),
        ({"a": entry(shape=[3])}, bytes(8), "do not fit each other"),
        ({"a": entry(shape=[-2])}, bytes(8), "at least 0"),
        ({"a": entry(shape=[True])}, bytes(8), "at least 0"),
        ({"a": entry(shape=[1] * 9)}, bytes(8), "do not fit each other"),
        ({"a": entry(span=[0])}, bytes(8), "do not fit each other"),
        ({"a": entry(span=[0, 8, 8])}, bytes(8), "do not fit each other"),
        ({"a": entry(span=[8, 0])}, bytes(8), "do not fit each other"),
        ({"a": entry(shape=[2**40, 2**40, 2**40])}, bytes(8), "do not fit each other"),
        ({"a": entry()}, bytes(4), "from byte 4"),
        ({"a": entry()}, bytes(9), "from byte 9"),
        ({"a": entry(), "b": entry()}, bytes(8), "from byte 0"),
        ({"a": entry(span=[4, 12])}, bytes(12), "from byte 4"),
        ({}, b"x", "from byte 1"),
    ],
)
def test_a_header_that_lies(header: Any, data: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(BundleIntegrityError, match=said):
        read_header(saved(tmp_path, header, data))


@pytest.mark.parametrize("length", [0, 1, 3, 2**24 + 1, 2**63])
def test_a_length_that_lies(length: int, tmp_path: Path) -> None:
    with pytest.raises(BundleIntegrityError, match="says that its header has"):
        read_header(saved(tmp_path, b"{}", length=length))


@pytest.mark.parametrize("content", [b"", b"1234567", bytes(8)])
def test_a_file_that_is_too_short(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(BundleIntegrityError, match="says that its header has"):
        read_header(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_what_is_accepted_also_loads(changes: list[tuple[int, int]], tmp_path: Path) -> None:
    content = bytearray(save({"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float16)}))
    for position, value in changes:
        content[position % len(content)] = value
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    try:
        header = read_header(path)
    except BundleIntegrityError:
        return
    if all(tensor.dtype in {"F32", "F16", "I32", "U32", "I16", "U16"} for tensor in header.values()):
        assert set(load(bytes(content))) == set(header)
