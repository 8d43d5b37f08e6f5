"""What an evaluation has finished, in a folder, so that one that was stopped goes on where it was.

::

    DIR/settings.json                    what was evaluated with; other settings are refused
    DIR/<tracker>/<sequence>.json        the boxes and times of a finished run; of a method: measures
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


class KeptFolder:
    """Texts of one evaluation by two names. Several processes may save into it at once.

    Args:
        folder: is made where it is not there.
        settings: all that the texts follow from: what was evaluated, on which runtime, in which layout.

    Raises:
        OptionError: the folder holds what was made with other settings, or something else.
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

    def file(self, who: str, what: str) -> Path:
        """Where a text is kept."""
        return self.folder / quote(who, safe=" ()+") / f"{quote(what, safe=' ()+')}.json"

    def read(self, who: str, what: str, stamp: str) -> str | None:
        """A text that was kept, or None.

        Raises:
            OptionError: it was kept under another stamp.
            DataError: its file is damaged.
        """
        file = self.file(who, what)
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file} cannot be read ({error})", "Delete it.") from error
        kept, _, rest = text.partition("\n")
        if kept != stamp:
            raise OptionError(
                f"{file} was made of other data of {what} than there are now",
                "Name another folder, or delete the file.",
            )
        return rest

    def write(self, who: str, what: str, stamp: str, text: str) -> None:
        """Keep a text; its file is whole or not there. The stamp tells its data from others."""
        _write(self.file(who, what), f"{stamp}\n{text}\n")


class RunStore:
    """The runs of trackers over sequences in a `KeptFolder`, whose arguments and errors it has."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._kept = KeptFolder(folder, settings)

    def load(self, tracker: str, sequence: TrackingSequence) -> SequenceRun | None:
        """A finished run, or None. Raises OptionError, DataError as `KeptFolder.read`."""
        text = self._kept.read(tracker, sequence.name, fingerprint(sequence))
        if text is None:
            return None
        file = self._kept.file(tracker, sequence.name)
        try:
            run = SequenceRun.from_json(text)
        except DataError as error:
            raise DataError(f"{file}: {error.problem}", error.remedy) from error
        if len(run.boxes) != len(sequence):
            raise DataError(
                f"{file} has {len(run.boxes)} boxes for {len(sequence)} frames", "Delete the file."
            )
        return run

    def save(self, tracker: str, sequence: TrackingSequence, run: SequenceRun) -> None:
        """Keep a finished run."""
        self._kept.write(tracker, sequence.name, fingerprint(sequence), run.to_json())


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
