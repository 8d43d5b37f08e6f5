"""What all sessions of an engine share: the model, its task, the rows of state; and sessions as blobs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pydantic import PydanticUserError

from ..errors import OptionError, StateError
from ..runtimes import Arrays, Runtime, StateStore
from .capacity import Capacity
from .codec import Codec
from .flight import Pilot
from .lanes import Lanes
from .session import Session
from .slots import SlotPool
from .snapshot import About, Content, decode, encode
from .standing import Standing
from .task import Task


@dataclass(frozen=True, slots=True)
class Restored:
    """What a blob comes to, checked; nothing is changed yet."""

    row: Arrays
    standing: Standing
    about: About


class Core:
    """One model, one task, the slots of its sessions.

    Attributes:
        runtime, task, lanes, capacity, bundle_hash: as the engine was given them.
        slots: which rows are free.
        store: the rows; None where the task has none.
        pilot: flies frames.
    """

    def __init__(
        self,
        runtime: Runtime,
        task: Task[Any, Any],
        capacity: Capacity,
        lanes: Lanes,
        bundle_hash: str | None = None,
    ) -> None:
        self.runtime, self.task, self.capacity, self.lanes = runtime, task, capacity, lanes
        self.slots = SlotPool(capacity.sessions)
        self.store: StateStore | None = runtime.allocate(capacity.sessions) if task.has_rows else None
        self.pilot = Pilot(runtime, self.store, lanes)
        spec = json.dumps(runtime.spec.to_json(), sort_keys=True).encode()
        self.bundle_hash = bundle_hash or hashlib.sha256(spec).hexdigest()
        self._memory = memory_of(task)

    def pack(self, session: Session[Any], dropped: int) -> bytes:
        """The session as one blob; ``dropped`` frames since its last answer."""
        standing, options = session.standing, session.options
        values, arrays = self._memory.write(self.task.stored(standing.memory))
        row = self.store.save_row(session.slot) if self.store is not None else {}
        about = About(
            session.id, standing.clock, standing.frames, standing.ended, dropped, str(options.policy),
            options.deadline_ms, options.queue,
        )  # fmt: skip
        content = Content(row, values, arrays, about)
        return encode(content, self.runtime.spec, self.task.name, self.bundle_hash)

    def unpack(self, blob: bytes) -> Restored:
        """What a blob holds. Raises StateError; changes nothing."""
        found = decode(
            blob, self.runtime.spec, self.task.name, self.bundle_hash, self.most_bytes, self.store is not None
        )
        memory = self.task.restored(self._memory.read(found.memory, found.arrays))
        about = found.about
        return Restored(found.state, Standing(memory, about.clock, about.frames, about.ended), about)

    @property
    def most_bytes(self) -> int:
        """Of a blob."""
        row = self.runtime.spec.state_bytes if self.store is not None else 0
        return row + self.task.most_bytes

    def fill(self, slot: int, row: Arrays) -> None:
        """Fills the row of a slot. Raises StateError."""
        if self.store is not None:
            self.store.load_row(slot, row)
        elif row:
            raise StateError("a session without state was given some", "restore it with its own bundle")

    def release(self, slot: int) -> None:
        """Frees a session's row, zeroed: the next owner finds nothing of the last one."""
        if self.store is not None:
            self.store.clear(slot)
        self.slots.free(slot)


def memory_of(task: Task[Any, Any]) -> Codec[Any]:
    """What reads and writes a task's memory. Raises OptionError where a snapshot could not hold it."""
    try:
        return Codec(task.Memory)
    except (AttributeError, PydanticUserError) as error:
        raise OptionError(
            f"the memory of task {getattr(task, 'name', type(task).__name__)!r} cannot be kept in a snapshot "
            f"({' '.join(str(error).split())[:200]})",
            "name its class as Memory: a frozen dataclass, arrays annotated by engine.codec.array",
        ) from error
