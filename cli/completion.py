"""``framestate more completion``: the lines that make a shell complete verbs, options and names."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import OptionError
from . import options
from .output import guarded, note

PLACES = {
    "bash": "~/.local/share/bash-completion/completions/framestate",
    "zsh": "a file _framestate in a folder of $fpath",
    "fish": "~/.config/fish/completions/framestate.fish",
}
"""The shells, and where each looks for the lines."""


def completion(
    shell: Annotated[
        str,
        typer.Argument(metavar="bash|zsh|fish", help="The shell.", autocompletion=lambda: list(PLACES)),
    ],
    debug: options.Debug = False,
) -> None:
    """Print what makes your shell complete this command.

    'framestate --install-completion' puts it in place for the shell that it is typed in.
    """
    with guarded(debug):
        if shell not in PLACES:
            raise OptionError(
                f"There is no completion for the shell {shell!r}", f"Choose one of {', '.join(PLACES)}."
            )
        from typer.completion import get_completion_script  # type: ignore[attr-defined]

        typer.echo(
            get_completion_script(prog_name="framestate", complete_var="_FRAMESTATE_COMPLETE", shell=shell)
        )
        note(f"{shell} reads these lines from {PLACES[shell]}")
