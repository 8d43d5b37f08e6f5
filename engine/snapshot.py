"""A session as one blob: versioned, checked, and free of anything that can be run.

A blob is a ``.safetensors`` file in memory: the model's state under ``state.<name>``, the target's filter,
colour and first template (as pixels) under ``memory.<name>``, and the rest (clock, counters, status, queue
options) as JSON in the bytes of ``session``. The metadata ``framestate-session`` gives the format's version
and a sha256 over every tensor. State is kept as the spec names and shapes it, so a blob moves between
runtimes, processes and machines; it belongs to one bundle, whose hash it carries. Equal sessions give equal
bytes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
from safetensors.numpy import load, save

from ..bundles import ModelSpec
from ..errors import StateError
from ..runtimes import Arrays, check_row
from .tracking import TargetMemory, pack_memory, unpack_memory

if TYPE_CHECKING:
    from .engine import Engine

FORMAT = "framestate-session"
FORMAT_VERSION = 2
OVERHEAD_BYTES = 64 * 1024
"""A blob is at most the state and this much more, of which the first template's pixels take up to 48 KB."""

STATE, MEMORY, SESSION = "state.", "memory.", "session"
_DAMAGED = "take the snapshot again, or get an undamaged copy of it"


@dataclass(frozen=True)
class SessionContent:
    """What a blob holds.

    Attributes:
        state: one row of the model's state.
        memory: JSON of what the task remembers on the host.
        arrays: the arrays that belong to ``memory``.
        queue: JSON of the session's own options and counters; empty for a target that has no queue.
    """

    state: Arrays
    memory: Mapping[str, Any]
    arrays: Arrays
    queue: Mapping[str, Any]


def pack(engine: Engine, slot: int, memory: TargetMemory, queue: Mapping[str, Any]) -> bytes:
    """A blob of a row, a memory and a session's options."""
    values, arrays = pack_memory(memory)
    content = SessionContent(engine.store.save_row(slot), values, arrays, queue)
    return encode(content, engine.runtime.spec, engine.bundle_hash)


def unpack(engine: Engine, blob: bytes) -> tuple[Arrays, TargetMemory, Mapping[str, Any]]:
    """The row, the memory and the session's options of a blob. Raises StateError; changes nothing."""
    content = decode(blob, engine.runtime.spec, engine.bundle_hash)
    memory = unpack_memory(content.memory, content.arrays, engine.task.options, engine.task.history)
    if memory.first_view is not None:
        engine.task.first_template(memory.first_view)  # refuses what is none
    return content.state, memory, content.queue


def encode(content: SessionContent, spec: ModelSpec, bundle_hash: str) -> bytes:
    """One session as bytes."""
    about = {
        "model": spec.name,
        "bundle": bundle_hash,
        "memory": dict(content.memory),
        "queue": dict(content.queue),
    }
    text = json.dumps(about, separators=(",", ":"), allow_nan=False).encode()
    tensors = {
        **{STATE + name: array for name, array in content.state.items()},
        **{MEMORY + name: array for name, array in content.arrays.items()},
        SESSION: np.frombuffer(text, np.uint8),
    }
    tensors = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
    return save(tensors, {FORMAT: f"{FORMAT_VERSION} {fingerprint(tensors)}"})


def decode(blob: bytes, spec: ModelSpec, bundle_hash: str) -> SessionContent:
    """What a blob holds, checked against the model that shall go on with it.

    Raises:
        StateError: it is no snapshot, is damaged, is of another format version, or belongs to another bundle.
    """
    if not isinstance(blob, bytes):
        raise StateError(f"a snapshot is bytes, not {type(blob).__name__}", "give what snapshot returned")
    limit = spec.state_bytes + OVERHEAD_BYTES
    if len(blob) > limit:
        raise StateError(
            f"the snapshot has {len(blob)} bytes; one of model {spec.name!r} has at most {limit}", _DAMAGED
        )
    version, _, sha256 = read_mark(blob).partition(" ")
    if version != str(FORMAT_VERSION):
        raise StateError(
            f"the snapshot is of format version {version[:20]!r}, this Framestate reads {FORMAT_VERSION}",
            "use the version of Framestate that wrote it, or start the session anew",
        )
    try:
        tensors: Arrays = load(blob)
        text = tensors.pop(SESSION).tobytes()
        found = json.loads(text)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise StateError(
            f"the snapshot is damaged ({type(error).__name__}: {str(error)[:80]})", _DAMAGED
        ) from error
    if fingerprint({**tensors, SESSION: np.frombuffer(text, np.uint8)}) != sha256:
        raise StateError("the snapshot is damaged (its sha256 differs)", _DAMAGED)
    if not isinstance(found, dict) or set(found) != {"model", "bundle", "memory", "queue"}:
        raise StateError("the snapshot lacks a section, or has one too many", _DAMAGED)
    if found["bundle"] != bundle_hash:
        raise StateError(
            f"the snapshot belongs to bundle {str(found['bundle'])[:12]} of {str(found['model'])[:64]!r}; "
            f"this engine runs {bundle_hash[:12]} of {spec.name!r}",
            "restore it with the bundle it was taken from",
        )
    if not isinstance(found["memory"], dict) or not isinstance(found["queue"], dict):
        raise StateError("a section of the snapshot is no object", _DAMAGED)
    state = taken(tensors, STATE)
    check_row(spec, state)
    for name, array in state.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise StateError(f"state {name!r} of the snapshot holds a number that is not finite", _DAMAGED)
    content = SessionContent(state, found["memory"], taken(tensors, MEMORY), found["queue"])
    if tensors:
        raise StateError(f"the snapshot holds the unknown tensor {next(iter(tensors))[:64]!r}", _DAMAGED)
    return content


def read_mark(blob: bytes) -> str:
    """What the metadata says of the format. Raises StateError for anything but a ``.safetensors`` with it."""
    length = struct.unpack("<Q", blob[:8])[0] if len(blob) >= 8 else 0
    try:
        if not 2 <= length <= len(blob) - 8:
            raise ValueError("the header does not fit")
        return str(json.loads(blob[8 : 8 + length])["__metadata__"][FORMAT])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StateError(
            f"these bytes are no snapshot of a session ({type(error).__name__}: {str(error)[:80]})",
            "give what snapshot returned",
        ) from error


def fingerprint(tensors: Arrays) -> str:
    """sha256 (hexadecimal) over names, dtypes, shapes and contents."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype} {array.shape} {array.nbytes}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def taken(tensors: Arrays, prefix: str) -> Arrays:
    """Takes the tensors under a prefix out, and returns them without it."""
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in names}
