"""``framestate adopt``: models of others as bundles: of frames with states, Siamese trackers, RIFE."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from . import options
from .adopt_kinds import RIFE, STREAM, checked, provenance
from .export import model_argument, next_commands
from .output import guarded, print_json, quiet_stdout, show

if TYPE_CHECKING:
    from ..bundles import JSON, Bundle
    from ..export.adopt_graphs import StreamOptions


def adopt(
    graph: Annotated[
        Path | None,
        typer.Argument(metavar="[GRAPH]", help="ONNX: a model of frames, states as inputs and outputs."),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the model shall be called.")] = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The new bundle's folder.")] = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="IN=OUT", help="A state: its input, and the output it goes on in."),
    ] = None,
    initial: Annotated[
        list[str] | None,
        typer.Option(
            "--initial",
            metavar="IN=FILE|NUMBER",
            help="What a state begins as: .npy, or a number.",
            show_default="zeros",
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=KIND",
            help="What another input is: frame, seconds, or a number.",
            show_default="what looks like a frame is one",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="NAME=KIND",
            help="What an output is: picture, mask or tensor.",
            show_default="tensor",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="HxW",
            help="Height and width that frames are resized to.",
            show_default="the file's, or the frame's own",
        ),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option("--range", metavar="1|255", help="What white is.", show_default="1; 255 for bytes"),
    ] = None,
    mean: Annotated[
        str | None, typer.Option("--mean", metavar="A,B,C", help="Taken off frames, in that range.")
    ] = None,
    std: Annotated[
        str | None, typer.Option("--std", metavar="A,B,C", help="Frames are divided by it then.")
    ] = None,
    colours: Annotated[
        str | None,
        typer.Option("--colours", metavar="RGB|BGR", help="Order of colours.", show_default="RGB"),
    ] = None,
    multiple: Annotated[
        int | None,
        typer.Option(
            "--multiple",
            metavar="N",
            min=1,
            max=1024,
            help="Sides of frames are padded to its multiples.",
            show_default="what its tensors need",
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames", min=1, help="Over which the bundle is compared with the file.", show_default="12"
        ),
    ] = None,
    backbone: Annotated[
        Path | None,
        typer.Option("--backbone", metavar="FILE", help="Siamese tracker: image in, features out."),
    ] = None,
    head: Annotated[
        Path | None,
        typer.Option(
            "--head",
            metavar="FILE",
            help="Siamese tracker: template and search features in, classes and sides out.",
        ),
    ] = None,
    template_size: Annotated[
        int | None,
        typer.Option("--template-size", min=8, help="Side of the template crop.", show_default="127"),
    ] = None,
    search_size: Annotated[
        int | None, typer.Option("--search-size", min=8, help="Side of the search crop.", show_default="255")
    ] = None,
    near_size: Annotated[
        int | None,
        typer.Option(
            "--near-size",
            min=8,
            help="Side of a smaller search crop, for slow targets (--set near_speed=0.1).",
            show_default="none",
        ),
    ] = None,
    look: Annotated[
        str | None,
        typer.Option(
            "--look",
            metavar="MODEL",
            help="A tracker whose `look` the Siamese one shall have too, such as tracker-nano.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=NUMBER",
            help="A tracking option of the Siamese tracker, such as window=0.455; may be repeated.",
            show_default="NanoTrack v2's",
        ),
    ] = None,
    rife: Annotated[
        Path | None,
        typer.Option(
            "--rife",
            metavar="FILE",
            help="RIFE 4.x: flownet.pkl or the folder it lies in, or an ONNX file as vs-mlrt has them.",
        ),
    ] = None,
    source: Annotated[
        str, typer.Option("--source", metavar="TEXT", help="Where the files come from, for the manifest.")
    ] = "",
    trained_on: Annotated[
        str,
        typer.Option("--trained-on", metavar="TEXT", help="What it learnt from, for the manifest."),
    ] = "",
    licence: Annotated[
        str, typer.Option("--licence", metavar="TEXT", help="Their licence, for the manifest.")
    ] = "",
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Make a bundle of somebody else's model, without code.

    GRAPH is any recurrent model of frames: --state says which output comes back to which input. For a Siamese
    tracker, --backbone and --head are two files as NanoTrack v2 and v3 have them, with v2's settings unless
    --set says otherwise. --rife makes an interpolator of RIFE: of weights only tensors are read, no code.
    The bundle is compared with the files before anything is written.
    """
    with guarded(debug):
        with quiet_stdout():
            given = {
                "GRAPH": graph, "--backbone": backbone, "--head": head, "--rife": rife,
                "--state": state, "--initial": initial, "--input": inputs, "--output": outputs,
                "--size": size, "--range": levels, "--mean": mean, "--std": std, "--colours": colours,
                "--multiple": multiple, "--frames": frames, "--template-size": template_size,
                "--search-size": search_size, "--near-size": near_size, "--look": look, "--set": settings,
            }  # fmt: skip
            kind, files = checked(given, name, out)
            assert out is not None, "that was checked"
            options.check_new_folder("--out", out)
            options.need("adopt", "onnx")
            told = provenance(files, source, licence, trained_on)
            began = time.perf_counter()
            count = frames or 12
            if kind is STREAM:
                from ..export.adopt import adopt_stream
                from .progress import frames_bar

                wanted = stream_options(
                    state, initial, inputs, outputs, size, levels, mean, std, colours, multiple
                )
                with frames_bar("comparing with the file", count) as bar:
                    bundle = adopt_stream(
                        files["graph"], out, wanted, name=name, provenance=told, frames=count, tick=bar.at
                    )
            elif kind is RIFE:
                options.need("adopt", "torch")
                from ..export.rife import adopt_rife
                from .progress import frames_bar

                with frames_bar("comparing graphs with the weights", count) as bar:
                    bundle = adopt_rife(
                        files["rife"],
                        out,
                        name=name,
                        provenance=told,
                        multiple=multiple,
                        frames=count,
                        tick=bar.at,
                    )
            else:
                from ..bundles import load_bundle
                from ..export.siamese import adopt_siamese

                lender = load_bundle(look) if look else None
                if lender is not None:
                    told["look"] = {"model": lender.spec.name, "sha256": lender.hash}
                bundle = adopt_siamese(
                    files["backbone"],
                    files["head"],
                    out,
                    name=name,
                    provenance=told,
                    template_size=template_size or 127,
                    search_size=search_size or 255,
                    near_size=near_size or 0,
                    look=lender,
                    options={
                        key: whole(number("--set", value)) for key, value in pairs("--set", settings).items()
                    },
                )
            seconds = time.perf_counter() - began
        if as_json:
            print_json(report(bundle, out, seconds))
        else:
            _show(bundle, out)


def stream_options(
    state: Sequence[str] | None,
    initial: Sequence[str] | None,
    inputs: Sequence[str] | None,
    outputs: Sequence[str] | None,
    size: str | None,
    levels: str | None,
    mean: str | None,
    std: str | None,
    colours: str | None,
    multiple: int | None,
) -> StreamOptions:
    """What the command line says of a file. Raises OptionError."""
    from ..export.adopt_graphs import StreamOptions

    view: dict[str, JSON] = {}
    for option, given in (("range", levels), ("mean", mean), ("std", std)):
        if given is not None:
            numbers: list[JSON] = [number(f"--{option}", part) for part in given.split(",")]
            view[option] = numbers if option != "range" and len(numbers) > 1 else numbers[0]
    if colours is not None:
        view["colours"] = colours
    begins: dict[str, float | Path] = {}
    for key, value in pairs("--initial", initial).items():
        begins[key] = Path(value) if value.endswith(".npy") else number("--initial", value)
    kinds = {
        key: value if value in ("frame", "seconds") else number("--input", value)
        for key, value in pairs("--input", inputs).items()
    }
    sides = (size or "").lower().split("x")
    if size is not None and (len(sides) != 2 or not all(one.isdecimal() and int(one) for one in sides)):
        raise OptionError(f"--size {size} is no size", "Give HEIGHTxWIDTH, such as 288x512.")
    return StreamOptions(
        states=pairs("--state", state),
        initial=begins,
        inputs=kinds,
        outputs=pairs("--output", outputs),
        size=(int(sides[0]), int(sides[1])) if size else None,
        view=view,
        multiple=multiple or 1,
    )


def pairs(option: str, texts: Sequence[str] | None) -> dict[str, str]:
    """``NAME=VALUE`` each. Raises OptionError for what is none, or a name that stands twice."""
    found: dict[str, str] = {}
    for text in texts or ():
        key, sign, value = text.partition("=")
        if not (key and sign and value):
            raise OptionError(f"{option} {text} is no pair", "Give NAME=VALUE.")
        if key in found:
            raise OptionError(f"{option} names {key} twice", "Give each once.")
        found[key] = value
    return found


def number(option: str, text: str) -> float:
    """A finite number. Raises OptionError."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise OptionError(f"{option} {text} is no number", "Give a number; see adopt --help.")
    return found


def whole(value: float) -> float | int:
    """A count as an integer, any other number as it is."""
    return int(value) if value.is_integer() else value


def report(bundle: Bundle, out: Path, seconds: float) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "bundle": out,
        "model": bundle.spec.name,
        "task": bundle.spec.task,
        "runtime": "onnx",
        "files": {str(out / name): member.bytes for name, member in bundle.files.items()},
        "state_bytes": bundle.spec.fixed_state_bytes,
        "parity": bundle.parity["onnx"],
        "seconds": seconds,
    }


def _show(bundle: Bundle, out: Path) -> None:
    sizes = ", ".join(f"{name} ({member.bytes / 1e6:.2f} MB)" for name, member in bundle.files.items())
    said: Any = bundle.parity["onnx"]
    if "max_rel" in said:
        agreed = (
            f"its graphs differ from the files by {said['max_rel']:.1e} (tolerance {said['tolerance']:.0e})"
            f"{', rows of a batch apart' if 'rows' in said else ''}"
        )
    else:
        rows = "sessions can share a batch" if said["rows"] > 1 else "each frame is a call of its own"
        agreed = f"{said['frames']} frames give what the file gives, bit for bit; {rows}"
    state = bundle.spec.fixed_state_bytes
    each = "by the size of its frames" if state is None else f"{state / 1024:.1f} KiB a session"
    show(
        f"{bundle.spec.name}: {agreed}",
        f"state: {each}",
        f"wrote {model_argument(out)}: {sizes}",
        *next_commands(out, "onnx", bundle.spec.task),
    )
