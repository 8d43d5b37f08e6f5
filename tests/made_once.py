"""Bundles that many tests use, made once for all processes of a run: an export takes seconds of a core."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from framestate.bundles import Bundle

VARIABLE = "FRAMESTATE_TEST_BUNDLES"
"""Where runs of their own share them, such as those of ``tests.mutation``."""


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Bundle]) -> Bundle:
    """The bundle called ``name``; ``make`` writes it at a path unless a process of this run has."""
    from framestate.bundles import load_bundle

    base = factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    kept = Path(os.environ.get(VARIABLE) or run / "bundles") / name
    if not kept.exists():
        made = make(kept.with_name(f"{name}.{os.getpid()}")).path
        try:
            made.rename(kept)
        except OSError:  # another process was sooner
            assert kept.exists()
    return load_bundle(str(kept))
