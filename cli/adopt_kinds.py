"""What ``framestate adopt`` makes bundles of: the one table, and the files of a call by it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, OptionError

if TYPE_CHECKING:
    from ..bundles import JSON


@dataclass(frozen=True)
class Kind:
    """What is adopted.

    Attributes:
        files: options that name its files, all of them needed; "GRAPH" is the argument.
        options: others that it takes.
    """

    files: tuple[str, ...]
    options: tuple[str, ...]

    @property
    def words(self) -> str:
        """Its files, as people read them."""
        return "a GRAPH" if self.files == ("GRAPH",) else " and ".join(self.files)


STREAM = Kind(
    ("GRAPH",),
    (
        "--state", "--initial", "--input", "--output", "--size", "--range", "--mean", "--std", "--colours",
        "--multiple", "--frames",
    ),
)  # fmt: skip
SIAMESE = Kind(
    ("--backbone", "--head"), ("--template-size", "--search-size", "--near-size", "--look", "--set")
)
RIFE = Kind(("--rife",), ("--multiple", "--frames"))
KINDS = (STREAM, SIAMESE, RIFE)


def checked(given: Mapping[str, Any], name: str, out: Path | None) -> tuple[Kind, dict[str, Path]]:
    """What is adopted, and its files, by what they are.

    Raises OptionError for options that do not go together, or are missing, DataError for a missing file.
    """
    chosen = [kind for kind in KINDS if any(given[file] for file in kind.files)]
    if not chosen:
        raise OptionError(
            "no file is given", f"Give {', or '.join(kind.words for kind in KINDS)}; see adopt --help."
        )
    kind = chosen[0]
    odd = [key for key, value in given.items() if value and key not in (*kind.files, *kind.options)]
    if odd:
        raise OptionError(f"{odd[0]} has no use with {kind.words}", "Leave it out; see adopt --help.")
    missing = [key for key in kind.files if given[key] is None]
    missing += [key for key, value in (("--name", name), ("--out", out)) if not value]
    if missing:
        raise OptionError(f"{missing[0]} is missing", "Give it; see adopt --help.")
    files: dict[str, Path] = {key.removeprefix("--").lower(): given[key] for key in kind.files}
    for key, path in zip(kind.files, files.values(), strict=True):
        if kind is RIFE and path.is_dir():
            files["rife"] = path = path / "flownet.pkl"
        if not path.is_file():
            raise DataError(f"{key} {path} is not a file", "Check the path.")
    return kind, files


def provenance(files: Mapping[str, Path], source: str, licence: str, trained_on: str = "") -> dict[str, JSON]:
    """Which files they were, and where from as far as it was said."""
    told: dict[str, JSON] = {
        label: {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for label, path in files.items()
    }
    origin: dict[str, JSON] = {"source": source or "not stated", "licence": licence or "not stated"}
    return {"adopted": told, **origin, **({"trained_on": trained_on} if trained_on else {})}
