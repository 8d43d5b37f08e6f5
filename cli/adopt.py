"""``framestate adopt``: a public Siamese tracker in ONNX as a bundle of this engine."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DataError
from . import options
from .export import model_argument, next_commands
from .output import guarded, print_json, quiet_stdout, show

if TYPE_CHECKING:
    from ..bundles import JSON, Bundle


def adopt(
    backbone: Annotated[
        Path, typer.Option("--backbone", metavar="FILE", help="ONNX: image in, features out.")
    ],
    head: Annotated[
        Path,
        typer.Option(
            "--head", metavar="FILE", help="ONNX: template and search features in, classes and sides out."
        ),
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the model shall be called.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The new bundle's folder.")],
    source: Annotated[
        str, typer.Option("--source", metavar="TEXT", help="Where the files come from, for the manifest.")
    ] = "",
    licence: Annotated[
        str, typer.Option("--licence", metavar="TEXT", help="Their licence, for the manifest.")
    ] = "",
    template_size: Annotated[
        int, typer.Option("--template-size", min=8, help="Side of the template crop in pixels.")
    ] = 127,
    search_size: Annotated[
        int, typer.Option("--search-size", min=8, help="Side of the search crop in pixels.")
    ] = 255,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Make a bundle of a Siamese tracker in ONNX.

    Two files are needed, a backbone and a head, as NanoTrack v2 has them; its settings are the defaults.
    The bundle's graphs are compared with the files before anything is written.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_new_folder("--out", out)
            options.need("adopt", "onnx")
            for option, path in (("--backbone", backbone), ("--head", head)):
                if not path.is_file():
                    raise DataError(f"{option} {path} is not a file", "Check the path.")

            from ..export.siamese import adopt_siamese

            began = time.perf_counter()
            bundle = adopt_siamese(
                backbone,
                head,
                out,
                name=name,
                provenance=provenance(backbone, head, source, licence),
                template_size=template_size,
                search_size=search_size,
            )
            seconds = time.perf_counter() - began
        if as_json:
            print_json(report(bundle, out, seconds))
        else:
            _show(bundle, out)


def provenance(backbone: Path, head: Path, source: str, licence: str) -> dict[str, JSON]:
    """Which files they were, and where from as far as it was said."""
    files: dict[str, JSON] = {
        label: {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for label, path in (("backbone", backbone), ("head", head))
    }
    return {"adopted": files, "source": source or "not stated", "licence": licence or "not stated"}


def report(bundle: Bundle, out: Path, seconds: float) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "bundle": out,
        "model": bundle.spec.name,
        "runtime": "onnx",
        "files": {str(out / name): member.bytes for name, member in bundle.files.items()},
        "state_bytes": bundle.spec.state_bytes,
        "parity": bundle.parity["onnx"],
        "seconds": seconds,
    }


def _show(bundle: Bundle, out: Path) -> None:
    sizes = ", ".join(f"{name} ({member.bytes / 1e6:.2f} MB)" for name, member in bundle.files.items())
    said: Any = bundle.parity["onnx"]
    show(
        f"{bundle.spec.name}: its graphs differ from the files by {said['max_rel']:.1e} "
        f"(tolerance {said['tolerance']:.0e}), rows of a batch apart",
        f"state {bundle.spec.state_bytes / 1024:.1f} KiB a session; thresholds are those of NanoTrack v2",
        f"wrote {model_argument(out)}: {sizes}",
        *next_commands(out, "onnx"),
    )
