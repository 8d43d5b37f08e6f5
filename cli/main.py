"""The ``framestate`` command: its verbs, and nothing that they need before they run."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any

import typer

from . import (
    adopt,
    bench_capacity,
    bench_history,
    bench_latency,
    bench_pair,
    bench_precisions,
    bench_scale,
    bench_scene,
    bench_serve,
    bench_simulate,
    bench_throughput,
    classify,
    completion,
    demo,
    doctor,
    eval_confidence,
    eval_interpolation,
    eval_scenes,
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
    welcome,
)
from .plain_help import speak_plainly

Verb = Callable[..., Any] | typer.Typer

evaluation = typer.Typer(help="Measure quality on a folder with ground truth.", no_args_is_help=True)
evaluation.command("tracking")(eval_tracking.evaluate)
evaluation.command("confidence")(eval_confidence.evaluate)
evaluation.command("interpolation")(eval_interpolation.evaluate)
evaluation.command("scenes")(eval_scenes.evaluate)

benchmarks = typer.Typer(help="Measure speed, size and agreement.", no_args_is_help=True)
benchmarks.command("latency")(bench_latency.latency)
benchmarks.command("throughput")(bench_throughput.throughput)
benchmarks.command("capacity")(bench_capacity.capacity)
benchmarks.command("history")(bench_history.history)
benchmarks.command("pair")(bench_pair.pair)
benchmarks.command("precisions")(bench_precisions.precisions)
benchmarks.command("serve")(bench_serve.serve)
benchmarks.command("scale")(bench_scale.scale)
benchmarks.command("scene")(bench_scene.scene)
benchmarks.command("simulate")(bench_simulate.simulate)

FIRST: dict[str, Verb] = {
    "demo": demo.demo,
    "track": track.track,
    "interpolate": interpolate.interpolate,
    "run": run.run,
    "serve": serve.serve,
    "doctor": doctor.doctor,
}
"""What ``framestate`` alone shows."""
OWN, MEASURE, MACHINE = "Your own model", "Measure", "This installation"
REST: dict[str, tuple[str, Verb]] = {
    "adopt": (OWN, adopt.adopt),
    "classify": (OWN, classify.classify),
    "export": (OWN, export.export),
    "prune": (OWN, prune.prune),
    "push": (OWN, push.push),
    "train": (OWN, train.train),
    "bench": (MEASURE, benchmarks),
    "eval": (MEASURE, evaluation),
    "completion": (MACHINE, completion.completion),
    "models": (MACHINE, models.models),
}
"""What ``framestate more`` shows, under which heading. Each works without ``more`` too."""

app = typer.Typer(
    name="framestate",
    help="Follow things in video, make frames, run models that remember: live, every frame at the same cost.",
    epilog="Exit codes: 0 done, 1 a run or a check failed, 2 bad usage or input.",
    pretty_exceptions_enable=False,
)
more = typer.Typer(help="Show the other commands.", no_args_is_help=True)


def _add(
    place: typer.Typer, name: str, verb: Verb, *, panel: str | None = None, hidden: bool = False
) -> None:
    """Let ``place`` have a verb, which is a function or a group of them."""
    if isinstance(verb, typer.Typer):
        place.add_typer(verb, name=name, rich_help_panel=panel, hidden=hidden)
    else:
        place.command(name, rich_help_panel=panel, hidden=hidden)(verb)


for _name, _verb in FIRST.items():
    _add(app, _name, _verb)
for _name, (_panel, _verb) in REST.items():
    _add(more, _name, _verb, panel=_panel)
    _add(app, _name, _verb, hidden=True)
app.add_typer(more, name="more")
speak_plainly(app, more, benchmarks, evaluation)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"framestate {version('framestate')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options that stand before the verb; without a verb, what to type next."""
    if context.invoked_subcommand is None:
        welcome.show_welcome(FIRST)


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
