"""What ``framestate`` says when nothing else is asked of it: the first verbs, and what to type next."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

NEXT = """
What to type next:

  framestate demo --clip --> clip.mp4
                                |
                                +--> framestate track clip.mp4
                                +--> framestate interpolate clip.mp4 smooth.mp4
                                +--> framestate serve     and open its page

The other commands:   framestate more
Options of a command: framestate track --help
Keys that complete:   framestate --install-completion
"""


def show_welcome(verbs: Mapping[str, Any]) -> None:
    """Print each verb with the first sentence of its help, and the way from there."""
    from .output import show

    width = max(map(len, verbs))
    lines = [f"  framestate {name:<{width}}   {first_sentence(verb)}" for name, verb in verbs.items()]
    show("Framestate follows things in video and makes new frames, live.\n", *lines, NEXT.rstrip())


def first_sentence(verb: Any) -> str:
    """The line that a function's help begins with."""
    return (inspect.getdoc(verb) or "").partition("\n")[0]
