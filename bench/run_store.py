"""Finished runs of an evaluation in a folder, so that one that was stopped goes on where it was.

::

    DIR/settings.json                    what was evaluated with; other settings are refused
    DIR/<tracker>/<sequence>.json        the boxes and times of a finished run
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import DataError, OptionError
from .runs import SequenceRun
from .sequences import TrackingSequence

SETTINGS = "settings.json"
FORMAT = 1


class RunStore:
    """The runs of one evaluation. Several processes may save into it at once.

    Args:
        folder: is made where it is not there.
        settings: all that a run's boxes follow from: trackers and their models, runtime, layout.

    Raises:
        OptionError: the folder holds runs that were made with other settings, or something else.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        wanted = json.loads(json.dumps({"format": FORMAT, **settings}))
        file = folder / SETTINGS
        if file.exists():
            _check(file, wanted)
            return
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OptionError(
                f"{folder} holds something else than an evaluation", "Name an empty folder, or a new one."
            )
        folder.mkdir(parents=True, exist_ok=True)
        _write(file, json.dumps(wanted, indent=2))

    def load(self, tracker: str, sequence: TrackingSequence) -> SequenceRun | None:
        """A finished run, or None.

        Raises:
            OptionError: it was made of another sequence of this name.
            DataError: its file is damaged.
        """
        file = self._file(tracker, sequence)
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file} cannot be read ({error})", "Delete it.") from error
        mark, _, rest = text.partition("\n")
        if mark != fingerprint(sequence):
            raise OptionError(
                f"{file} was made of another truth of {sequence.name} than there is now",
                "Name another folder, or delete the file.",
            )
        try:
            run = SequenceRun.from_json(rest)
        except DataError as error:
            raise DataError(f"{file}: {error.problem}", error.remedy) from error
        if len(run.boxes) != len(sequence):
            raise DataError(
                f"{file} has {len(run.boxes)} boxes for {len(sequence)} frames", "Delete the file."
            )
        return run

    def save(self, tracker: str, sequence: TrackingSequence, run: SequenceRun) -> None:
        """Keep a finished run; its file is whole or not there."""
        _write(self._file(tracker, sequence), f"{fingerprint(sequence)}\n{run.to_json()}\n")

    def _file(self, tracker: str, sequence: TrackingSequence) -> Path:
        return self.folder / quote(tracker, safe=" ()+") / f"{quote(sequence.name, safe=' ()+')}.json"


def fingerprint(sequence: TrackingSequence) -> str:
    """What tells the truth of one sequence from that of another."""
    return hashlib.sha256(sequence.truth.tobytes()).hexdigest()[:16]


def _check(file: Path, wanted: dict[str, Any]) -> None:
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(f"{file} cannot be read ({error})", "Name another folder.") from error
    if there == wanted:
        return
    keys = wanted.keys() | there.keys() if isinstance(there, dict) else set()
    other = sorted(key for key in keys if there.get(key) != wanted.get(key))
    said = ", ".join(f"{key} was {there.get(key)!r} and is {wanted.get(key)!r}" for key in other)
    raise OptionError(
        f"{file.parent} was begun with other settings ({said[:600] or 'no table'})",
        "Give the same ones, or name another folder.",
    )


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{secrets.token_hex(4)}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, file)
