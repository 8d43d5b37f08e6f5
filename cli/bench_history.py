"""``framestate bench history``: what the state saves, by number of templates and over thousands of frames."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import OptionError
from . import bench_shared as shared
from . import options
from .output import guarded, note, print_json, quiet_stdout, show, warn

if TYPE_CHECKING:
    from ..bench.history import Flatness, HistoryPoint
    from ..bundles import Bundle

DIALECTS = ("", "ort", "portable")


def history(
    model: options.Model = options.DEFAULT_TRACKER,
    runtime: options.RuntimeName = "auto",
    templates: Annotated[
        str, typer.Option("--templates", metavar="A,B", help="Numbers of templates.")
    ] = "1,2,6,10,20",
    ops: Annotated[
        str,
        typer.Option(
            "--ops", metavar="NAME", help="Dialect of both sides' graphs: ort or portable; the bundle's."
        ),
    ] = "",
    repetitions: Annotated[int, typer.Option("--repetitions", min=1, help="Timed calls of each form.")] = 60,
    frames: Annotated[
        int, typer.Option("--frames", min=0, help="Frames of the one long session; 0 leaves it out.")
    ] = 10_000,
    plot: shared.Plot = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Compare the stateful tracker with a stateless one of the same weights; see that frames stay flat.

    The stateless one gets its templates with every frame: all recomputed, and with the stem's features kept.
    It is made with PyTorch; without that, only the long session is measured.
    """
    with guarded(debug):
        with quiet_stdout():
            shared.check_plot(plot)
            counts = shared.numbers("--templates", templates)
            if ops not in DIALECTS:
                raise OptionError(f"--ops {ops} is unknown here", "Choose ort or portable.")

            from ..bench.speed_report import flatness_line, history_plot, history_table
            from ..bundles import load_bundle
            from ..runtimes import open_runtime
            from .machine import hardware

            bundle = load_bundle(model)
            chosen = runtime
            if frames or runtime not in ("onnx", "eager"):  # else all is made from the weights
                opened = open_runtime(bundle, runtime, device="cpu", threads=1)
                chosen = opened.name
                opened.close()
            graphs = bundle.parity.get("onnx")
            dialect = ops or str(graphs.get("dialect", "ort") if isinstance(graphs, dict) else "ort")
            flat = flatness(bundle, chosen, frames) if frames else None
            points = compare(bundle, counts, chosen, dialect, repetitions)
            outputs = shared.draw(plot if points else None, lambda path: history_plot(points, path))
        if as_json:
            print_json(
                {
                    "model": model,
                    "runtime": chosen,
                    "dialect": dialect if chosen == "onnx" else None,
                    "threads": 1,
                    "machine": hardware(),
                    "points": [one.to_json() for one in points],
                    "flatness": flat.to_json() if flat else None,
                    "outputs": outputs,
                }
            )
            return
        if points:
            show(history_table(points))
        if flat:
            show(flatness_line(flat))
        show(*(f"wrote {path}" for path in outputs))


def flatness(bundle: Bundle, runtime: str, frames: int) -> Flatness:
    """One session over many frames. Raises OptionError for fewer than 2."""
    from ..bench.history import measure_flatness
    from ..bench.timing import EndlessClip
    from ..engine import Engine
    from .progress import frames_bar

    clip = EndlessClip()
    with (
        Engine.load(bundle, runtime=runtime, device="cpu", threads=1, capacity=2) as engine,
        frames_bar("one long session", frames) as bar,
    ):
        return measure_flatness(engine, clip, frames=frames, tick=bar.advance)


def compare(
    bundle: Bundle, counts: Sequence[int], runtime: str, ops: str, repetitions: int
) -> list[HistoryPoint]:
    """Stateless against stateful; nothing where PyTorch is missing.

    Raises:
        OptionError: there is no stateless form of this architecture.
        ParityError: the forms do not agree.
    """
    missing = [name for name in ("torch", "onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        warn(
            f"the stateless form was not run: it needs {', '.join(missing)} (pip install 'framestate[torch]')"
        )
        return []
    from ..bench.history import measure_history
    from ..export.history import history_cases

    with (
        tempfile.TemporaryDirectory() as folder,
        history_cases(
            bundle,
            counts,
            Path(folder),
            runtime=runtime,
            ops="portable" if ops == "portable" else "ort",
            say=note,
        ) as cases,
    ):
        forms = [(case.history, case.calls, case.reference) for case in cases]
        return measure_history(forms, repetitions=repetitions)
