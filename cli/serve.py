"""``framestate serve``: REST, WebSocket and a page over sessions, until it is told to stop."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .output import guarded, note

if TYPE_CHECKING:
    from ..engine import Engine
    from ..server import Server, Settings


def serve(
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            show_default="127.0.0.1",
            help="Where to listen; other machines can reach any but 127.0.0.1, so it needs --api-key-file.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=65535, show_default="8000", help="0 takes a free one."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME|DIR",
            show_default=options.DEFAULT_TRACKER,
            help="A model that comes with Framestate, or the folder of a bundle; repeat it for more.",
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default="auto", help="auto (the fastest installed), onnx or eager."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", show_default="auto", help="auto, cpu or cuda.")
    ] = None,
    max_sessions: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, show_default="as memory allows", help="Sessions of each model; more get 503."
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="API keys, one a line. With it, calls need one.")
    ] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where sessions and videos are kept, so that a restart goes on."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="NAME=ADDRESS",
            help="A live source: rtsp://..., /dev/video0 or a file. Repeatable.",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin", metavar="URL", help="Web pages from there may use the API. Repeatable."
        ),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Serve sessions over REST and WebSocket, with a page to see it work.

    Every limit can be set by an environment variable FRAMESTATE_SERVE_<NAME>: see docs/server.md.
    """
    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "models": model,
        "runtime": runtime,
        "device": device,
        "max_sessions": max_sessions,
        "api_key_file": api_key_file,
        "state_dir": state_dir,
        "sources": source,
        "allow_origins": allow_origin,
    }
    with guarded(debug), ExitStack() as stack:
        settings = _settings(given)
        from ..server import Server
        from ..server.logs import log_to_stderr

        engines = _engines(settings, stack)
        server = Server(settings, engines)
        log_to_stderr(settings.log_level)
        _announce(server, settings, engines)
        server.run()


def _settings(given: dict[str, Any]) -> Settings:
    """Options over environment variables over defaults."""
    from pydantic import ValidationError

    from ..errors import OptionError
    from ..server import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        one = error.errors()[0]
        name = ".".join(str(part) for part in one["loc"])
        raise OptionError(
            f"the setting {name} is {one['input']!r} ({one['msg']})", "See docs/server.md."
        ) from None


def _engines(settings: Settings, stack: ExitStack) -> dict[str, Engine]:
    """An engine for each model, by its name."""
    from ..engine import Engine
    from ..errors import OptionError
    from ..server.access import required_keys

    required_keys(settings)  # before anything that takes long
    engines: dict[str, Engine] = {}
    for model in settings.models:
        options.check_device(settings.device)
        engine = Engine.load(
            model,
            runtime=settings.runtime,
            device=settings.device,
            workers=settings.workers,
            capacity=settings.max_sessions,
        )
        stack.enter_context(engine)
        name = engine.runtime.spec.name
        if name in engines:
            raise OptionError(f"two models are named {name!r}", "Give one of them.")
        engines[name] = engine
    return engines


def _announce(server: Server, settings: Settings, engines: dict[str, Engine]) -> None:
    """What runs where, on stderr."""
    from ..engine.capacity import HOST_BYTES, size

    for name, engine in engines.items():
        capacity = engine.capacity
        room = f"{capacity.sessions} slots of {size(capacity.state_bytes)} for 1920 x 1080"
        if engine.runtime.spec.task == "tracking":
            total = capacity.sessions * (capacity.state_bytes + HOST_BYTES)
            room = (
                f"{capacity.sessions} slots of {size(capacity.state_bytes)} state and at most "
                f"{size(HOST_BYTES)} besides, {size(total)} in all, queued frames not counted"
            )
        note(f"{name}: {engine.runtime.name} on {engine.runtime.device}, {room} ({capacity.reason})")
    if settings.state_dir is None:
        note("sessions and videos end with the server; --state-dir keeps them")
    host, port = server.address
    shown = f"[{host}]" if ":" in host else host
    note(f"page: http://{shown}:{port}/  reference: http://{shown}:{port}/docs  (Ctrl-C ends it)")
