"""A scene as one blob: what it remembers, and the blobs of its targets' sessions.

A ``.safetensors`` file in memory, as sessions' blobs are: the arrays of the memory under ``memory.<number>``,
the sessions under ``session.<number>``, the rest as JSON in the bytes of ``scene``. The metadata
``framestate-scene`` gives the format's version and a sha256 over every tensor. Equal scenes give equal bytes.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import load, save

from ...errors import FramestateError, StateError
from ..codec import DAMAGED, Codec
from ..session_options import check_id
from ..snapshot import fingerprint
from .memory import SceneMemory

FORMAT, VERSION = "framestate-scene", 2
MEMORY, SESSION, SCENE = "memory.", "session.", "scene"
MOST_BYTES = 2**31


@dataclass(frozen=True, slots=True)
class Kept:
    """What a blob holds.

    Attributes:
        id: of the scene.
        memory: what it remembers.
        sessions: blobs of the targets' sessions, by number.
    """

    id: str
    memory: SceneMemory
    sessions: dict[int, bytes]


def pack(kept: Kept) -> bytes:
    """A scene as bytes."""
    plain, arrays = Codec(SceneMemory).write(kept.memory)
    text = json.dumps({"id": kept.id, "memory": plain}, separators=(",", ":"), allow_nan=False)
    tensors = {
        **{MEMORY + name: np.ascontiguousarray(one) for name, one in arrays.items()},
        **{f"{SESSION}{number}": np.frombuffer(one, np.uint8) for number, one in kept.sessions.items()},
        SCENE: np.frombuffer(text.encode(), np.uint8),
    }
    return save(tensors, {FORMAT: f"{VERSION} {fingerprint(tensors)}"})


def unpack(blob: bytes) -> Kept:
    """What a blob holds; its sessions are checked as they are restored. Raises StateError."""
    if not isinstance(blob, bytes) or len(blob) > MOST_BYTES:
        raise StateError("a scene's snapshot is bytes, at most 2 GiB", "give what snapshot returned")
    version, sha256 = _mark(blob)
    if version != str(VERSION):
        raise StateError(
            f"the scene's snapshot is of format version {version[:20]!r}, this Framestate reads {VERSION}",
            "use the version of Framestate that wrote it, or start the scene anew",
        )
    try:
        tensors = load(blob)
        if fingerprint(tensors) != sha256:
            raise ValueError("its sha256 differs")
        found = json.loads(tensors.pop(SCENE).tobytes())
        sessions = {
            int(name.removeprefix(SESSION)): tensors.pop(name).tobytes()
            for name in sorted(tensors)
            if name.startswith(SESSION)
        }
        arrays = {name.removeprefix(MEMORY): tensors.pop(name) for name in sorted(tensors)}
        memory, name = Codec(SceneMemory).read(found["memory"], arrays), check_id(found["id"])
    except StateError:
        raise
    except (
        safetensors.SafetensorError, KeyError, ValueError, TypeError, RecursionError, FramestateError,
    ) as error:  # fmt: skip
        raise StateError(
            f"the scene's snapshot is damaged ({type(error).__name__}: {str(error)[:80]})", DAMAGED
        ) from error
    return Kept(name, _checked(memory, sessions), sessions)


def _checked(memory: SceneMemory, sessions: dict[int, bytes]) -> SceneMemory:
    """The memory, if a scene can go on from it."""
    numbers = [one.number for one in memory.targets]
    used = [one.session for one in memory.targets if one.session]
    if (
        numbers != sorted(set(numbers))
        or sorted(used) != sorted(sessions)
        or any(number >= memory.next_number for number in [*numbers, *used])
        or not {number for pair in memory.met for number in pair} <= set(numbers)
        or (memory.clock is None) != (memory.grey.size == 0)
    ):
        raise StateError("the scene's targets and sessions do not fit together", DAMAGED)
    for one in memory.targets:
        one.belief.check()
        if not one.box.is_finite or min(one.box.w, one.box.h) <= 0:
            raise StateError(f"target {one.number} of the scene has the box {one.box}", DAMAGED)
    return memory


def _mark(blob: bytes) -> tuple[str, str]:
    length = struct.unpack("<Q", blob[:8])[0] if len(blob) >= 8 else 0
    try:
        if not 2 <= length <= len(blob) - 8:
            raise ValueError("the header does not fit")
        told: Any = json.loads(blob[8 : 8 + length])["__metadata__"][FORMAT]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StateError(
            f"these bytes are no snapshot of a scene ({type(error).__name__}: {str(error)[:80]})",
            "give what snapshot returned",
        ) from error
    version, _, sha256 = str(told).partition(" ")
    return version, sha256
