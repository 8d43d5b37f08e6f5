"""``framestate bench latency``: how long a frame takes, and where the time goes."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Annotated

import typer

from . import bench_shared as shared
from . import options
from .output import guarded, note, print_json, quiet_stdout, show

if TYPE_CHECKING:
    from ..bench.latency import LatencyResult
    from ..bundles import Bundle


def latency(
    model: options.Model = options.DEFAULT_TRACKER,
    runtimes: Annotated[
        str,
        typer.Option(
            "--runtime", metavar="A,B", help="Which runtimes; all that can run the model if not said."
        ),
    ] = "",
    device: options.Device = "auto",
    threads: options.Threads = None,
    size: shared.Size = "640x480",
    frames: Annotated[int, typer.Option("--frames", min=1, help="Frames that are measured.")] = 300,
    warm_up: Annotated[int, typer.Option("--warm-up", min=0, help="Frames before, unmeasured.")] = 30,
    plot: shared.Plot = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Measure one frame of one session, on every runtime in turn.

    Percentiles of a frame from hand-over to answer, the model's share, and where the rest goes.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            shared.check_plot(plot)
            wanted = shared.sizes(size)

            from ..bench.speed_report import latency_plot, latency_table, stages_table
            from ..bundles import load_bundle
            from .machine import hardware

            results = measure(load_bundle(model), runtimes, device, threads, wanted, frames, warm_up)
            outputs = shared.draw(plot, lambda path: latency_plot(results, path))
            where = {"model": model, "machine": hardware(), "size": list(wanted), "frames": frames}
        if as_json:
            print_json({**where, "results": [one.to_json() for one in results], "outputs": outputs})
        else:
            show(latency_table(results), stages_table(results), *(f"wrote {path}" for path in outputs))


def measure(
    bundle: Bundle,
    runtimes: str,
    device: str,
    threads: int | None,
    size: tuple[int, int],
    frames: int,
    warm_up: int,
) -> list[LatencyResult]:
    """Verifies, then times.

    Raises:
        UnknownRuntimeError, RuntimeUnavailableError, BundleError: of a runtime that was named; others are
            left out.
        ParityError: a runtime does not agree with eager PyTorch.
    """
    from ..bench.latency import measure_latency
    from ..bench.timing import EndlessClip
    from ..errors import BundleError, RuntimeUnavailableError
    from ..runtimes import open_runtime, runtime_table
    from .progress import frames_bar

    named = [name.strip() for name in runtimes.split(",") if name.strip()]
    with ExitStack() as stack:
        opened = {}
        for name in named or [entry.name for entry in runtime_table()]:
            try:
                runtime = open_runtime(bundle, name, device=device, threads=threads)
            except (RuntimeUnavailableError, BundleError) as error:
                if named:
                    raise
                note(f"{name} is left out: {error}")
                continue
            opened[name] = stack.enter_context(closing(runtime))
        if not opened:
            raise RuntimeUnavailableError(
                f"no runtime can run {bundle.spec.name!r}", "run 'framestate doctor'"
            )
        differences = {name: shared.verified(bundle, runtime) for name, runtime in opened.items()}
        clip = EndlessClip(size)
        with frames_bar("measuring", warm_up + frames) as bar:
            return measure_latency(
                opened, clip, frames=frames, warm_up=warm_up, differences=differences, tick=bar.advance
            )
