"""Options that several verbs share, and the checks that need no model."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import OptionError, RuntimeUnavailableError

if TYPE_CHECKING:
    from ..models import Build

DEFAULT_TRACKER = "tracker-nano"
DEFAULT_INTERPOLATOR = "interp-nano"
DEVICES = ("auto", "cpu", "cuda")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".gif", ".apng")


def _shipped(incomplete: str) -> list[str]:
    """The models that come with Framestate, for completion."""
    from ..bundles import default_bundles

    return [name for name in default_bundles() if name.startswith(incomplete)]


def _one_of(*names: str) -> Callable[[str], list[str]]:
    """These names, for completion."""

    def choose(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return choose


Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|DIR",
        help="A model that comes with Framestate, or the folder of a bundle.",
        autocompletion=_shipped,
    ),
]
Interpolator = Annotated[
    str,
    typer.Option(
        "--interpolator",
        metavar="NAME|DIR",
        help="The model that makes frames, as --model tracks.",
        autocompletion=_shipped,
    ),
]
RuntimeName = Annotated[
    str,
    typer.Option(
        "--runtime",
        metavar="NAME",
        help="auto (the fastest one that is usable), tensorrt, onnx or eager; see 'doctor'.",
        autocompletion=_one_of("auto", "tensorrt", "onnx", "eager"),
    ),
]
Device = Annotated[
    str,
    typer.Option("--device", metavar="NAME", help="auto, cpu or cuda.", autocompletion=_one_of(*DEVICES)),
]
PrecisionName = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="NAME",
        show_default="as exported; fp32 for eager",
        help="fp32, bf16, fp16 or int8; eager takes the first three, the others what the bundle has.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        show_default="chosen for this machine",
        help="Threads of one model call, and of decoding.",
    ),
]
NanoBackbone = Annotated[
    Path | None, typer.Option("--nano-backbone", metavar="FILE", help="ONNX file of the tracker nano.")
]
NanoHead = Annotated[
    Path | None, typer.Option("--nano-head", metavar="FILE", help="ONNX file of the tracker nano.")
]
VitNet = Annotated[
    Path | None, typer.Option("--vit-net", metavar="FILE", help="ONNX file of the tracker vit.")
]
Lanes = Annotated[
    int | None,
    typer.Option(
        "--lanes",
        min=1,
        show_default="one a core; 1 for frames that go through in tiles",
        help="Frames made side by side.",
    ),
]
ProofFrames = Annotated[
    int,
    typer.Option("--frames", min=1, help="Closed-loop frames over which the graphs must agree with PyTorch."),
]
PlanRows = Annotated[
    int | None,
    typer.Option(
        "--max-batch",
        metavar="N",
        help="The most rows of a batch, for tensorrt.",
        min=1,
        show_default="64 for a tracker, 1 for an interpolator",
    ),
]
PlanSizes = Annotated[
    list[str] | None,
    typer.Option(
        "--size",
        metavar="WxH",
        help="Frames of an interpolator, for tensorrt: 1280x720, or least:usual:most. May be repeated.",
        show_default="128x128:1280x720:1920x1088",
    ),
]
UserBuild = Annotated[
    str | None,
    typer.Option(
        "--build",
        metavar="FILE.py:NAME",
        help="A function of yours that makes the model of a spec and operators.",
        show_default="the architecture's own",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else.")]
Debug = Annotated[
    bool, typer.Option("--debug", envvar="FRAMESTATE_DEBUG", help="Show the traceback of an error.")
]


def check_device(device: str) -> None:
    """Raise an OptionError unless ``device`` is a name that exists; whether it is there shows on loading."""
    if device not in DEVICES:
        raise OptionError(f"--device {device} is unknown", f"Choose one of {', '.join(DEVICES)}.")


def check_output(option: str, path: Path, suffixes: tuple[str, ...] = ()) -> None:
    """See that a file can be written at ``path`` before any work is done.

    Raises:
        OptionError: it is a folder, its own folder is missing, or its suffix is none of ``suffixes``.
    """
    if path.is_dir():
        raise OptionError(f"{option} {path} is a folder", "Give the name of a file.")
    if not path.parent.is_dir():
        raise OptionError(f"{option} {path}: there is no folder {path.parent}", "Make the folder first.")
    if suffixes and path.suffix.lower() not in suffixes:
        raise OptionError(
            f"{option} {path} has the suffix {path.suffix!r}", f"Use one of {', '.join(suffixes)}."
        )


def check_apart(option: str, path: Path, source: Path) -> None:
    """Raise an OptionError if writing ``path`` would overwrite the input, or an image of its folder."""
    target, given = path.resolve(), source.resolve()
    inside = given.is_dir() and target.parent == given and path.suffix.lower() in IMAGE_SUFFIXES
    same = target == given or (path.exists() and source.exists() and path.samefile(source))
    if same or inside:
        raise OptionError(f"{option} {path} would overwrite the input {source}", "Give another file name.")


def check_new_folder(option: str, path: Path, *, replace: bool = False) -> None:
    """Raise an OptionError if ``path`` is taken; with ``replace``, a bundle may stand there."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if replace and (path / "manifest.json").is_file():
        return
    raise OptionError(f"{option} {path} exists already", "Give a folder that does not exist yet.")


def need(purpose: str, *modules: str) -> None:
    """Raise a RuntimeUnavailableError naming the ``modules`` (of the extra ``torch``) that are missing."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeUnavailableError(
            f"{purpose} needs {', '.join(missing)}, which is not installed",
            "Install it: pip install 'framestate[torch]'.",
        )


def spread(lanes: int | None, threads: int | None, pixels: int, whole: int) -> tuple[int, int]:
    """Lanes and threads of a call where they were not chosen: one thread in each of as many lanes as cores.

    Frames of more ``pixels`` than go through ``whole`` are made one after the other, on all cores.
    """
    from ..engine.lanes import num_cores

    if lanes is None:
        lanes = max(1, num_cores() // (threads or 1)) if pixels <= whole else 1
    return lanes, threads or max(1, num_cores() // lanes)


def user_build(place: str | None) -> Build | None:
    """The function that ``--build`` names; None where it was not given. Its file is run.

    Raises:
        OptionError: there is no such file or function, or the file cannot be run.
    """
    if place is None:
        return None
    file, _, name = place.rpartition(":")
    path = Path(file)
    if not name or path.suffix != ".py" or not path.is_file():
        raise OptionError(f"--build {place} names no file and function", "Give one, such as mine.py:build.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None, "it ends in .py"
    assert spec.loader is not None, "it ends in .py"
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where dataclasses look for their own module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file raises
        raise OptionError(
            f"--build {place}: the file fails ({type(error).__name__}: {error})", "Run it alone to see why."
        ) from error
    build = getattr(module, name, None)
    if not callable(build):
        raise OptionError(f"--build {place}: {path} has no function {name}", "Give one of its functions.")
    return build  # type: ignore[no-any-return]
