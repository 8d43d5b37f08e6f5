"""Templates in the store: written once for a new session, and refreshed where the options ask for it."""

from __future__ import annotations

from collections.abc import Sequence

from ..runtimes import Arrays, Runtime, StateStore
from ..vision import Box, Frame
from .tracking import TargetMemory, TrackingTask, TrackingWork


class Templates:
    """Runs a tracker's ``init``. A template is what ``step`` never writes; the rest is left alone."""

    def __init__(self, runtime: Runtime, store: StateStore, task: TrackingTask) -> None:
        self._runtime, self._store, self._task = runtime, store, task
        self._carried = frozenset(runtime.spec.function(task.function).writes_state)

    def write(self, slot: int, memory: TargetMemory, frame: Frame, box: Box) -> None:
        """Writes the state that a session starts from: the target as ``box`` shows it in ``frame``."""
        _, state = self._runtime.call("init", self._task.template(memory, frame, box), None)
        self._store.write([slot], state or {})

    def fresh(self, batch: Sequence[TrackingWork]) -> list[tuple[int, Arrays]]:
        """For every session that is due and sure: its slot, and its first template with a fresh one."""
        refreshed = []
        for work in batch:
            memory = work.memory
            if not memory.wants_refresh:
                continue
            if memory.first_row is None:
                memory.first_row = self.first(memory, work.slot)
            now = self.made_of(self._task.template(memory, work.frame, memory.box))
            refreshed.append((work.slot, blend(memory.first_row, now, self._task.options.refresh_share)))
            memory.since_refresh = 0
        return refreshed

    def store(self, slot: int, pinned: Arrays) -> None:
        """Puts a template into a row."""
        self._store.load_row(slot, {**self._store.save_row(slot), **pinned})

    def pinned(self, row: Arrays) -> Arrays:
        """What ``step`` only reads, of one row."""
        return {name: array for name, array in row.items() if name not in self._carried}

    def first(self, memory: TargetMemory, slot: int) -> Arrays:
        """What the model makes of a session's first template."""
        if memory.first_view is None or not memory.taken_up:  # the row still has it
            return self.pinned(self._store.save_row(slot))
        return self.made_of(self._task.first_template(memory.first_view))

    def made_of(self, template: Arrays) -> Arrays:
        """The template part of the state that ``init`` makes of its inputs. Uses the store's padding row."""
        spare = self._store.capacity
        try:
            _, state = self._runtime.call("init", template, None)
            self._store.write([spare], state or {})
            return self.pinned(self._store.save_row(spare))
        finally:
            self._store.clear(spare)


def blend(first: Arrays, fresh: Arrays, share: float) -> Arrays:
    """``share`` of a fresh state row, the rest of the first one."""
    return {
        name: ((1 - share) * first[name] + share * fresh[name]).astype(first[name].dtype) for name in first
    }
