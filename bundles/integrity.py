"""Is this folder exactly what its manifest says, and is everything in it safe to open?

The checks, in the order in which :func:`check_folder` makes them: every entry is a regular file that the
manifest declares (no symbolic links, no folders, nothing extra) and has the declared size; its sha256 is the
declared one; ``.safetensors`` headers are sane; ``.onnx`` files keep all their data in files of the bundle.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..errors import BundleIntegrityError
from .fields import JSON, Fields, short
from .onnx_wire import external_data
from .tensors_file import read_header

MANIFEST = "manifest.json"
SUFFIXES = (".safetensors", ".onnx", ".data", ".plan", ".json", ".md", ".txt")
"""What a bundle may hold. Formats that can run code when opened, such as pickles, are not among them."""

MAX_FILES = 256
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Member:
    """What the manifest says of one file: its sha256 in hexadecimal and its size."""

    sha256: str
    bytes: int

    def to_json(self) -> dict[str, JSON]:
        """The entry of the manifest."""
        return {"sha256": self.sha256, "bytes": self.bytes}


def member_of(path: Path) -> Member:
    """What a manifest has to say of the file at ``path``."""
    with path.open("rb") as file:
        return Member(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def check_member_name(name: str) -> str:
    """Return ``name`` if a file of a bundle may be called so: a plain name, with a suffix of ``SUFFIXES``.

    Raises:
        BundleIntegrityError: it may not.
    """
    shown = short(repr(name))
    if not _NAME.fullmatch(name) or ".." in name or name == MANIFEST:
        raise BundleIntegrityError(
            f"{shown} cannot be the name of a file in a bundle, which are plain names without folders",
            "Use letters, digits, '_', '-' and single '.'; get bundles only from people you trust.",
        )
    if PurePath(name).suffix not in SUFFIXES:
        raise BundleIntegrityError(
            f"{shown} is not of a kind that a bundle may hold ({', '.join(SUFFIXES)})",
            "Store weights as .safetensors and graphs as .onnx; pickles can run code and are never opened.",
        )
    return name


def members_from_json(table: Mapping[str, JSON]) -> dict[str, Member]:
    """Read the ``files`` of a manifest, in the order of their names.

    Raises:
        BundleError: an entry is of the wrong type; a name, kind or digest is not allowed; there are too many.
    """
    if len(table) > MAX_FILES:
        raise BundleIntegrityError(
            f"the manifest lists {len(table)} files, more than {MAX_FILES}", "Merge some."
        )
    members: dict[str, Member] = {}
    for name in sorted(table):
        check_member_name(name)
        fields = Fields(table[name], f"files[{name!r}]")
        digest, size = fields.text("sha256"), fields.integer("bytes")
        fields.done()
        if not _DIGEST.fullmatch(digest):
            raise BundleIntegrityError(
                f"files[{name!r}].sha256 is {short(repr(digest))}, not 64 hexadecimal digits",
                "Get an undamaged copy.",
            )
        members[name] = Member(digest, size)
    return members


def check_folder(folder: Path, members: Mapping[str, Member], *, contents: bool) -> None:
    """Make sure that ``folder`` holds exactly its manifest and ``members``.

    With ``contents``, every file is also read: its sha256, and what it points at. Without, names, kinds and
    sizes are still checked.

    Raises:
        BundleIntegrityError: something is missing, extra, changed, or unsafe.
    """
    present = {entry.name: entry for entry in folder.iterdir()}
    for name, entry in present.items():
        if name != MANIFEST and name not in members:
            raise BundleIntegrityError(
                f"{entry} is not declared in the manifest",
                "Delete it, or get an undamaged copy of the bundle.",
            )
    for name, member in members.items():
        if name not in present:
            raise BundleIntegrityError(
                f"{folder / name} is declared in the manifest but missing",
                "Get a complete copy of the bundle.",
            )
        size = check_regular(present[name])
        if size != member.bytes:
            raise BundleIntegrityError(
                f"{folder / name} has {size} bytes where the manifest says {member.bytes}",
                "Get an undamaged copy of the bundle.",
            )
    if contents:
        for name, member in members.items():
            _check_contents(folder / name, member, members)


def check_regular(path: Path) -> int:
    """The size of the file at ``path``, which must be a regular file itself and no link to one.

    Raises:
        BundleIntegrityError: it is something else.
    """
    if path.is_symlink() or not path.is_file():
        raise BundleIntegrityError(
            f"{path} is no regular file, and a bundle holds nothing else",
            "Put a copy of the file in its place.",
        )
    return path.stat().st_size


def _check_contents(path: Path, member: Member, members: Mapping[str, Member]) -> None:
    found = member_of(path)
    if found != member:
        raise BundleIntegrityError(
            f"{path} has the sha256 {found.sha256} where the manifest says {member.sha256}",
            "It was damaged or changed; get an undamaged copy of the bundle.",
        )
    if path.suffix == ".safetensors":
        read_header(path)
    elif path.suffix == ".onnx":
        _check_external_data(path, members)


def _check_external_data(path: Path, members: Mapping[str, Member]) -> None:
    for reference in external_data(path):
        span = {"offset": 0, "length": 0}
        location = ""
        for key, value in reference.entries:
            if key == "location":
                location = value
                if value not in members or value == path.name:
                    raise BundleIntegrityError(
                        f"{path} keeps data in {short(repr(value))}, which is no declared file of the bundle",
                        "Get bundles only from people you trust; a model may not reach outside its folder.",
                    )
            elif key in span:
                if not re.fullmatch(r"[0-9]{1,18}", value):
                    raise _bad_span(path, f"{key} {short(repr(value))}")
                span[key] = int(value)
        if location and span["offset"] + span["length"] > members[location].bytes:
            raise _bad_span(
                path, f"bytes {span['offset']} to {span['offset'] + span['length']} of {location!r}"
            )


def _bad_span(path: Path, what: str) -> BundleIntegrityError:
    return BundleIntegrityError(
        f"{path} keeps data at {what}, which is not there", "Get an undamaged copy of the bundle."
    )
