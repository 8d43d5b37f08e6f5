"""What only Python's collector frees: what refers to itself."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_collector() -> Iterator[list[Any]]:
    """Yields a list that in the end holds what only the collector would have freed."""
    found: list[Any] = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def ours(found: list[Any]) -> list[str]:
    """The names of those that the engine made."""
    return sorted({type(one).__name__ for one in found if type(one).__module__.startswith("framestate.")})
