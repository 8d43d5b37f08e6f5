"""Writing bundles: whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from ..errors import BundleError
from .bundle import FORMAT, FORMAT_VERSION, MAX_MANIFEST_BYTES, Bundle, load_bundle
from .fields import JSON, plain_table
from .integrity import MANIFEST, check_member_name, member_of
from .spec import ModelSpec

_PACKAGES = ("framestate", "numpy", "onnx", "onnxruntime", "onnxscript", "tensorrt", "torch")


def write_bundle(
    folder: str | os.PathLike[str],
    spec: ModelSpec,
    files: Mapping[str, Path | bytes],
    *,
    provenance: Mapping[str, JSON],
    metrics: Mapping[str, JSON],
    parity: Mapping[str, JSON],
    replace: bool = False,
) -> Bundle:
    """Write a bundle and load it back, checked.

    It is put together in a folder beside ``folder`` and moved into place when it is complete and sound, so
    that ``folder`` never holds half a bundle.

    Args:
        folder: where the bundle shall stand. Folders above it are made.
        spec: what the model is.
        files: by name, each as bytes or as the path of a file to copy.
        provenance: how the model came to be (JSON).
        metrics: its measured quality (JSON).
        parity: how far the runtimes were measured to agree (JSON).
        replace: replace a bundle that stands there already.

    Raises:
        BundleError: ``folder`` exists and is not to be replaced, or is no bundle; a section is not JSON.
        BundleIntegrityError: a file has a name that is not allowed, or is unsafe.
    """
    target = Path(os.path.abspath(folder))
    if target.is_symlink() or (target.exists() and not (replace and _replaceable(target))):
        raise BundleError(
            f"{target} exists already" + (" and is no bundle" if replace else ""),
            "Choose another folder." if replace else "Choose another folder, or ask for it to be replaced.",
        )
    sections = {"provenance": provenance, "metrics": metrics, "parity": parity}
    with _beside(target) as building:
        for name, content in files.items():
            check_member_name(name)
            if isinstance(content, bytes):
                (building / name).write_bytes(content)
            else:
                _copy(content, building / name)
        manifest: dict[str, JSON] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "spec": spec.to_json(),
            "files": {name: member_of(building / name).to_json() for name in sorted(files)},
            "versions": _versions(),
            **{name: plain_table(section, name) for name, section in sections.items()},
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n"
        if len(text) > MAX_MANIFEST_BYTES:
            raise BundleError(
                f"the manifest has {len(text)} bytes, more than {MAX_MANIFEST_BYTES}", "Shorten its sections."
            )
        (building / MANIFEST).write_bytes(text)
        load_bundle(building)
        _move(building, target)
    return load_bundle(target, verify=False)


def add_to_bundle(
    bundle: Bundle,
    files: Mapping[str, Path | bytes],
    *,
    provenance: Mapping[str, JSON] | None = None,
    metrics: Mapping[str, JSON] | None = None,
    parity: Mapping[str, JSON] | None = None,
) -> Bundle:
    """Add files to a bundle (or replace files of it), and entries to the sections of its manifest.

    The bundle is written anew and swapped in whole. Entries of ``provenance``, ``metrics`` and ``parity``
    replace those of the same name and leave the others.

    Raises:
        BundleError: a section is not JSON.
        BundleIntegrityError: the bundle was changed since it was loaded, or a file is not allowed or unsafe.
    """
    current = load_bundle(bundle.path)
    kept: dict[str, Path | bytes] = {name: current.file(name) for name in current.files}
    return write_bundle(
        current.path,
        current.spec,
        {**kept, **files},
        provenance={**current.provenance, **(provenance or {})},
        metrics={**current.metrics, **(metrics or {})},
        parity={**current.parity, **(parity or {})},
        replace=True,
    )


def _replaceable(target: Path) -> bool:
    return target.is_dir() and ((target / MANIFEST).is_file() or not any(target.iterdir()))


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise BundleError(
            f"{source} cannot be copied into the bundle ({error})", "Check the path."
        ) from error


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A new folder on the same file system as ``target``; whatever is left of it in the end is removed."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise BundleError(
            f"{target} cannot be written ({error})", "Choose a folder that you may write."
        ) from error
    try:
        building = scratch / target.name
        building.mkdir()
        yield building
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _move(building: Path, target: Path) -> None:
    """Put ``building`` where ``target`` stands; what stood there comes back if that fails."""
    old = building.parent / "old"
    if target.exists():
        target.rename(old)
    try:
        building.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise


def _versions() -> dict[str, JSON]:
    versions: dict[str, JSON] = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
