"""How many sessions each model has, and how many slots, in the metrics"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..engine import Engine
from .entry import Entry
from .metrics import Reading


def session_readings(engines: Mapping[str, Engine], entries: Sequence[Entry]) -> Iterator[Reading]:
    """Numbers of every model, over the sessions that are open."""
    for name, engine in engines.items():
        mine = [entry for entry in entries if entry.model == name]
        active = sum(entry.is_active for entry in mine)
        for metric, what, value in (
            ("sessions_active", "Sessions with a peer or frames under way.", active),
            ("sessions_waiting", "Sessions open, nobody there.", len(mine) - active),
            ("slots_used", "Rows of state in use.", engine.slots.num_used),
            ("slots", "Rows of state there are.", engine.slots.capacity),
        ):
            yield Reading(f"framestate_{metric}", what, value, {"model": name})
