"""``framestate export --untrained``: systems that no weights come with."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from ..errors import OptionError


def untrained_bundle(name: str, stack: ExitStack) -> str:
    """The folder of a bundle of a system's random weights, there until the stack ends.

    Raises OptionError where there is no such system.
    """
    from ..export.untrained import write_untrained
    from ..models.systems import system

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "untrained"
    return str(write_untrained(system(name), folder).path)


def check_weights(name: str) -> None:
    """Raises OptionError for a system that no weights come with."""
    from ..models.systems import SYSTEMS

    if any(one.name == name and not one.ships for one in SYSTEMS):
        raise OptionError(
            f"no weights of {name} come with Framestate",
            f"Train it and give the bundle's folder, or measure it: framestate export {name} --untrained",
        )
