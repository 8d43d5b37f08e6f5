"""The ``framestate`` command: its verbs, and nothing that they need before they run."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Annotated

import typer

from . import (
    adopt,
    bench_capacity,
    bench_history,
    bench_latency,
    bench_pair,
    bench_precisions,
    bench_scale,
    bench_serve,
    bench_simulate,
    bench_throughput,
    classify,
    demo,
    doctor,
    eval_confidence,
    eval_interpolation,
    eval_tracking,
    export,
    interpolate,
    models,
    prune,
    push,
    run,
    serve,
    track,
    train,
)

app = typer.Typer(
    name="framestate",
    help="Streaming video inference for models with recurrent state: every frame costs the same.",
    epilog="Exit codes: 0 done, 1 a run or a check failed, 2 bad usage or input.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
evaluation = typer.Typer(help="Measure quality on a folder with ground truth.", no_args_is_help=True)
evaluation.command("tracking")(eval_tracking.evaluate)
evaluation.command("confidence")(eval_confidence.evaluate)
evaluation.command("interpolation")(eval_interpolation.evaluate)

benchmarks = typer.Typer(help="Measure speed, size and agreement.", no_args_is_help=True)
benchmarks.command("latency")(bench_latency.latency)
benchmarks.command("throughput")(bench_throughput.throughput)
benchmarks.command("capacity")(bench_capacity.capacity)
benchmarks.command("history")(bench_history.history)
benchmarks.command("pair")(bench_pair.pair)
benchmarks.command("precisions")(bench_precisions.precisions)
benchmarks.command("serve")(bench_serve.serve)
benchmarks.command("scale")(bench_scale.scale)
benchmarks.command("simulate")(bench_simulate.simulate)

app.command("demo")(demo.demo)
app.command("track")(track.track)
app.command("interpolate")(interpolate.interpolate)
app.command("classify")(classify.classify)
app.command("run")(run.run)
app.add_typer(evaluation, name="eval")
app.command("train")(train.train)
app.command("prune")(prune.prune)
app.command("export")(export.export)
app.command("push")(push.push)
app.command("adopt")(adopt.adopt)
app.add_typer(benchmarks, name="bench")
app.command("serve")(serve.serve)
app.command("models")(models.models)
app.command("doctor")(doctor.doctor)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"framestate {version('framestate')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options that stand before the verb."""


ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a run: asked to, and the terminal or connection it ran in is gone."""


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command; the entry point of the ``framestate`` script."""
    for number in ENDINGS:  # so that half-written files are removed, as on Ctrl-C
        signal.signal(number, _end)
    app()


if __name__ == "__main__":
    main()
