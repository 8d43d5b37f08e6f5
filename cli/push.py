"""``framestate push``: a bundle into a folder, or to any address that fsspec knows, in place of a hub."""

from __future__ import annotations

import importlib.util
from pathlib import PurePosixPath
from typing import Annotated, Any

import typer

from ..errors import OptionError, RuntimeUnavailableError
from . import options
from .output import guarded, print_json, quiet_stdout, show

MANIFEST = "manifest.json"


def push(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A model that comes with Framestate, or the folder of a bundle."
        ),
    ],
    to: Annotated[
        str,
        typer.Argument(metavar="TO", help="A folder, or an address such as s3://bucket/models."),
    ],
    replace: Annotated[bool, typer.Option("--replace", help="Write over a bundle that is there.")] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Check a bundle and copy it into TO/NAME.

    The manifest is copied last: whoever sees it has the whole bundle."""
    with guarded(debug):
        with quiet_stdout():
            files = upload(model, to, replace)
        if as_json:
            print_json({"to": to, "files": files})
        else:
            show(*(f"wrote {path} ({size / 1e6:.2f} MB)" for path, size in files.items()))


def upload(model: str, to: str, replace: bool) -> dict[str, int]:
    """Bytes of each file by where it was written.

    Raises:
        BundleError: there is no such bundle, or it is damaged.
        OptionError: something is there already, or the address is none.
        RuntimeUnavailableError: fsspec, or what it needs for the address, is missing.
    """
    from ..bundles import load_bundle

    source = load_bundle(model)
    files, root = opened(to)
    target = PurePosixPath(root) / source.spec.name
    if files.exists(str(target / MANIFEST)) and not replace:
        raise OptionError(
            f"{to} holds a bundle {source.spec.name} already", "Give --replace, or another place."
        )
    files.makedirs(str(target), exist_ok=True)
    written = {}
    for name in (*source.files, MANIFEST):
        data = (source.path / name).read_bytes()
        with files.open(str(target / name), "wb") as out:
            out.write(data)
        written[files.unstrip_protocol(str(target / name))] = len(data)
    return written


def opened(to: str) -> tuple[Any, str]:
    """The file system of an address, and the path there."""
    if importlib.util.find_spec("fsspec") is None:
        raise RuntimeUnavailableError("push needs fsspec, which is not installed", "pip install fsspec")
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(to)
    except (ValueError, ImportError) as error:
        raise OptionError(f"{to} cannot be opened ({error})", "Give a folder, or an address.") from error
    return files, root
