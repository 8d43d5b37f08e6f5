"""`PlainCommand`: a verb whose help shows what is typed after an option."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand


class PlainCommand(TyperCommand):
    """A command of Typer that shows nothing after a switch, not ``<bool>``, and N, not ``<int range>``."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, ``--help`` too."""
        params: list[Any] = super().get_params(ctx)
        for param in params:
            if param.metavar is None:
                param.metavar = typed(param)
        return params


def typed(param: Any) -> str | None:
    """What stands after an option in its help; None: what Typer writes."""
    kind = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    if getattr(param, "is_flag", False):
        return ""
    return "N" if kind in (int, float) else None


def speak_plainly(*places: typer.Typer) -> None:
    """Has every verb of these shown so."""
    for place in places:
        for info in place.registered_commands:
            info.cls = PlainCommand
