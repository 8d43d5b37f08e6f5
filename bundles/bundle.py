"""A bundle: the folder in which a model travels.

::

    tracker-nano/
      manifest.json          spec, sha256 and size of every file, versions, provenance, metrics, parity
      weights.safetensors    for the eager runtime
      init.onnx step.onnx    one graph a function, for ONNX Runtime
      *.data                 weights that the graphs share
      *.plan                 TensorRT plans

A bundle that loads is exactly what its manifest says, and nothing in it can run code when it is opened. It is
written whole or not at all. The hashes guard against damage and mix-ups; they do not prove who wrote a
bundle.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from ..errors import BundleError, BundleIntegrityError, BundleVersionError, UnknownModelError
from .fields import JSON, Fields, parse_json
from .integrity import MANIFEST, Member, check_folder, check_regular, members_from_json
from .spec import ModelSpec
from .tensors_file import read_header

FORMAT = "framestate-bundle"
FORMAT_VERSION = 1
MAX_MANIFEST_BYTES = 4 * 2**20
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Bundle:
    """A model on disk, checked.

    Attributes:
        path: its folder.
        spec: what the model is.
        files: every file but the manifest, by name.
        manifest: the whole manifest as JSON.
    """

    path: Path
    spec: ModelSpec
    files: Mapping[str, Member]
    manifest: Mapping[str, JSON]

    def file(self, name: str) -> Path:
        """The path of the file called ``name``.

        Raises:
            BundleError: the bundle has no such file.
        """
        if name not in self.files:
            raise BundleError(
                f"bundle {self.spec.name!r} at {self.path} has no file {name!r}",
                f"It has: {', '.join(self.files) or 'none'}. "
                + (
                    "Give a bundle with weights; an adopted model has graphs alone."
                    if name == WEIGHTS
                    else "Make what is missing with 'framestate export'."
                ),
            )
        return self.path / name

    def weights(self) -> dict[str, np.ndarray]:
        """The weights, by parameter name.

        Raises:
            BundleError: the bundle has no ``weights.safetensors``, or one of types that NumPy does not have.
        """
        file = self.file(WEIGHTS)
        try:
            found = dict(load_file(file))
        except (TypeError, KeyError):  # of a type that NumPy does not know
            found = {}
        if any(array.dtype.kind not in "biuf" for array in found.values()) or (self.parameters and not found):
            raise BundleError(
                f"{WEIGHTS} of {self.spec.name!r} holds tensors of a type that NumPy does not have",
                "store them as float32, which holds bfloat16 exactly",
            )
        return found

    @cached_property
    def hash(self) -> str:
        """sha256 (hexadecimal) of the spec and all files: equal for bundles that compute the same."""
        content = {
            "spec": self.spec.to_json(),
            "files": {name: file.sha256 for name, file in self.files.items()},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def parameters(self) -> int:
        """How many numbers the weights hold (buffers included); 0 for a bundle without weights."""
        if WEIGHTS not in self.files:
            return 0
        return sum(tensor.items for tensor in read_header(self.path / WEIGHTS).values())

    @property
    def provenance(self) -> Mapping[str, JSON]:
        """How the model came to be: recipe, data, seed."""
        return Fields(self.manifest, MANIFEST).table("provenance")

    @property
    def metrics(self) -> Mapping[str, JSON]:
        """Its measured quality."""
        return Fields(self.manifest, MANIFEST).table("metrics")

    @property
    def parity(self) -> Mapping[str, JSON]:
        """How far the runtimes were measured to agree."""
        return Fields(self.manifest, MANIFEST).table("parity")


def default_bundles() -> list[str]:
    """The names of the bundles that come with Framestate, in alphabetical order."""
    return sorted(manifest.parent.name for manifest in Path(__file__).parent.glob(f"*/{MANIFEST}"))


def load_bundle(name_or_path: str | os.PathLike[str], *, verify: bool = True) -> Bundle:
    """Load a bundle and check it.

    Args:
        name_or_path: the name of a default bundle, or the path of a bundle's folder. A string that is both is
            the name; write ``./name`` for the folder.
        verify: read every file and compare its sha256. Without, only the manifest, names, kinds and sizes are
            checked; for bundles that this process has just checked.

    Raises:
        UnknownModelError: there is no such bundle.
        BundleVersionError: it was written in a newer format.
        BundleIntegrityError: it is damaged, tampered with or unsafe.
        BundleError: its manifest or spec breaks a rule.
    """
    folder = _find(name_or_path)
    manifest = _read_manifest(folder / MANIFEST)
    fields = Fields(manifest, MANIFEST)
    fields.text("format")
    fields.integer("format_version")
    spec = ModelSpec.from_json(fields.table("spec"))
    members = members_from_json(fields.table("files"))
    for section in ("versions", "provenance", "metrics", "parity"):
        fields.table(section)
    fields.done()
    check_folder(folder, members, contents=verify)
    return Bundle(path=folder, spec=spec, files=members, manifest=manifest)


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    known = default_bundles()
    if isinstance(name_or_path, str) and name_or_path in known:
        return Path(__file__).parent / name_or_path
    given = os.fspath(name_or_path)
    if not given or "\0" in given or not Path(given).is_dir():
        raise UnknownModelError(
            f"{given!r} is neither a model that comes with Framestate nor the folder of a bundle",
            f"Use one of: {', '.join(known) or 'none are installed'}; or give the path of a bundle's folder.",
        )
    return Path(given).resolve()


def _read_manifest(path: Path) -> Mapping[str, JSON]:
    if not path.exists() and not path.is_symlink():
        raise BundleIntegrityError(f"{path.parent} has no {MANIFEST}, so it is no bundle", "Check the path.")
    size = check_regular(path)
    if size > MAX_MANIFEST_BYTES:
        raise BundleIntegrityError(
            f"{path} has {size} bytes, more than the {MAX_MANIFEST_BYTES} a manifest may have",
            "Get an undamaged copy of the bundle.",
        )
    manifest = parse_json(path.read_bytes(), str(path))
    fields = Fields(manifest, str(path))
    if fields.text("format") != FORMAT:
        raise BundleIntegrityError(f"{path} is not the manifest of a bundle ({FORMAT!r})", "Check the path.")
    version = fields.integer("format_version")
    if version != FORMAT_VERSION:
        raise BundleVersionError(
            f"{path} is of format version {version}; this Framestate reads version {FORMAT_VERSION}",
            "Update Framestate ('pip install -U framestate'), or export the model again.",
        )
    return {name: fields.value(name) for name in fields.names()}
