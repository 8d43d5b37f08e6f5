"""A session as one blob: versioned, checked, and free of anything that can be run.

A blob is a ``.safetensors`` file in memory: the model's state under ``state.<name>``, the arrays of the
task's memory under ``memory.<number>``, and the rest (memory, clock, queue options) as JSON in the bytes of
``session``. The metadata ``framestate-session`` gives the format's version and a sha256 over every tensor.
State is kept as the spec names and shapes it, so a blob moves between runtimes, processes and machines; it
belongs to one bundle, whose hash it carries. Equal sessions give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import safetensors
from pydantic import Field
from safetensors.numpy import load, save

from ..bundles import ModelSpec
from ..errors import FramestateError, StateError
from ..runtimes import Arrays, check_row
from .codec import DAMAGED, Codec, Count
from .inputs import Clock
from .session_options import SessionOptions, check_id

FORMAT = "framestate-session"
FORMAT_VERSION = 4

STATE, MEMORY, SESSION = "state.", "memory.", "session"
_SECTIONS = {"model", "bundle", "task", "memory", "about"}


@dataclass(frozen=True, slots=True)
class About:
    """What a blob says of a session beside its memory.

    Attributes:
        id: of the session.
        clock: at the last frame that was answered; None before the first one.
        frames: that were answered.
        ended: whether it was flushed.
        dropped: frames that were dropped since its last answer.
        policy, deadline_ms, queue: see ``SessionOptions``.
    """

    id: Annotated[str, Field(max_length=64)]
    clock: Clock | None
    frames: Count
    ended: bool
    dropped: Count
    policy: str
    deadline_ms: float
    queue: int

    @property
    def options(self) -> SessionOptions:
        """Of the session's queue. Raises OptionError."""
        return SessionOptions(self.policy, self.deadline_ms, self.queue)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Content:
    """What a blob holds.

    Attributes:
        state: one row of the model's state; empty where the task has no rows.
        memory: JSON of what the task remembers on the host.
        arrays: the arrays that belong to ``memory``.
        about: the rest.
    """

    state: Arrays
    memory: Any
    arrays: Arrays
    about: About


def encode(content: Content, spec: ModelSpec, task: str, bundle_hash: str) -> bytes:
    """One session as bytes."""
    about, _ = Codec(About).write(content.about)
    whole = {
        "model": spec.name,
        "bundle": bundle_hash,
        "task": task,
        "memory": content.memory,
        "about": about,
    }
    text = json.dumps(whole, separators=(",", ":"), allow_nan=False).encode()
    tensors = {
        **{STATE + name: array for name, array in content.state.items()},
        **{MEMORY + name: array for name, array in content.arrays.items()},
        SESSION: np.frombuffer(text, np.uint8),
    }
    tensors = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
    return save(tensors, {FORMAT: f"{FORMAT_VERSION} {fingerprint(tensors)}"})


def decode(blob: bytes, spec: ModelSpec, task: str, bundle_hash: str, most: int, rows: bool) -> Content:
    """What a blob holds, checked against the model and the task that shall go on with it.

    Args:
        blob: what ``encode`` gave.
        spec, task, bundle_hash: of the engine.
        most: bytes that it may have.
        rows: whether sessions of the task have a row of state.

    Raises:
        StateError: it is no snapshot, is damaged, is of another format version, or belongs to another bundle.
    """
    if not isinstance(blob, bytes):
        raise StateError(f"a snapshot is bytes, not {type(blob).__name__}", "give what snapshot returned")
    if len(blob) > most:
        raise StateError(
            f"the snapshot has {len(blob)} bytes; one of model {spec.name!r} has at most {most}", DAMAGED
        )
    tensors, found = _opened(blob)
    if found["bundle"] != bundle_hash or found["task"] != task:
        raise StateError(
            f"the snapshot belongs to bundle {str(found['bundle'])[:12]} of {str(found['model'])[:64]!r} for "
            f"{str(found['task'])[:40]}; this engine runs {bundle_hash[:12]} of {spec.name!r} for {task}",
            "restore it with the bundle it was taken from",
        )
    state = _taken(tensors, STATE)
    if rows:
        check_row(spec, state)
    elif state:
        raise StateError(f"the snapshot holds state, and a session of {task} has none", DAMAGED)
    for name, array in state.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise StateError(f"state {name!r} of the snapshot holds a number that is not finite", DAMAGED)
    arrays = _taken(tensors, MEMORY)
    if tensors:
        raise StateError(f"the snapshot holds the unknown tensor {next(iter(tensors))[:64]!r}", DAMAGED)
    about = Codec(About).read(found["about"], {})
    try:
        check_id(about.id)
        _ = about.options
    except FramestateError as error:
        raise StateError(
            f"the snapshot's session options cannot be used ({error.problem})", DAMAGED
        ) from error
    return Content(state, found["memory"], arrays, about)


def _opened(blob: bytes) -> tuple[Arrays, Mapping[str, Any]]:
    """The tensors of a blob and its JSON, whole and of this format. Raises StateError."""
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
            f"the snapshot is damaged ({type(error).__name__}: {str(error)[:80]})", DAMAGED
        ) from error
    if fingerprint({**tensors, SESSION: np.frombuffer(text, np.uint8)}) != sha256:
        raise StateError("the snapshot is damaged (its sha256 differs)", DAMAGED)
    if not isinstance(found, dict) or set(found) != _SECTIONS:
        raise StateError("the snapshot lacks a section, or has one too many", DAMAGED)
    return tensors, found


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


def _taken(tensors: Arrays, prefix: str) -> Arrays:
    """Takes the tensors under a prefix out, and returns them without it."""
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in names}
