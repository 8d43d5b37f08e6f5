"""``framestate serve``: REST, WebSocket and a page over sessions, until it is told to stop."""

from __future__ import annotations

import atexit
import gc
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from . import options
from .eval_shared import names_in
from .output import guarded, note
from .serve_ray import ClusterChoice, serve_on_ray

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
        str | None,
        typer.Option(
            metavar="DIR",
            help="Where sessions and videos are kept, so that a restart goes on; with --ray also an address "
            "such as s3://bucket/state.",
        ),
    ] = None,
    keep_videos: Annotated[
        str | None,
        typer.Option(
            "--keep-videos", metavar="TIME", show_default="7d", help="How long videos that are done are kept."
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="NAME=ADDRESS",
            help="A live source: rtsp://..., /dev/video0 or a file. Repeatable.",
        ),
    ] = None,
    root_path: Annotated[
        str | None,
        typer.Option(metavar="/PATH", help="The path that a proxy serves this server under."),
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--proxy",
            metavar="ADDRESS",
            help="An address or network of proxies whose X-Forwarded headers are believed. Repeatable.",
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A PEM certificate: HTTPS without a proxy.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="The certificate's PEM key.")] = None,
    source_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Live sources, NAME=ADDRESS a line, as addresses may hold passwords."
        ),
    ] = None,
    allow_source: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-source",
            metavar="PLACE",
            help="Sources below it may be added while the server runs: rtsp://camera/, a folder. Repeatable.",
        ),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            "--detector",
            metavar="FILE",
            help="An ONNX file of the YOLO form, which finds targets in sources.",
        ),
    ] = None,
    detect_every: Annotated[
        int | None,
        typer.Option(
            "--detect-every", metavar="N", min=1, show_default="10", help="Ask it at every Nth frame."
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            metavar="A,B",
            help="Only these classes of the detector, by name; a name with a comma in double quotes.",
        ),
    ] = None,
    push: Annotated[
        list[str] | None,
        typer.Option(
            "--push", metavar="NAME=rtsp://...", help="Send a source there, its target drawn in. Repeatable."
        ),
    ] = None,
    webhook: Annotated[
        list[str] | None,
        typer.Option("--webhook", metavar="URL", help="Events are sent there, signed. Repeatable."),
    ] = None,
    webhook_secret_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What they are signed with: whsec_ and base64.")
    ] = None,
    mqtt: Annotated[
        list[str] | None,
        typer.Option("--mqtt", metavar="URL", help="Events are published: mqtt://host/prefix. Repeatable."),
    ] = None,
    traces: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Send OpenTelemetry traces there: http://127.0.0.1:4318/v1/traces."),
    ] = None,
    log_file: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default="stderr", help="Where the log goes.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin", metavar="URL", help="Web pages from there may use the API. Repeatable."
        ),
    ] = None,
    ray: Annotated[
        bool, typer.Option("--ray", help="Servers side by side, by Ray Serve: see docs/scaling.md.")
    ] = False,
    replicas: Annotated[
        int, typer.Option("--replicas", metavar="N", min=1, help="With --ray: servers, at least.")
    ] = 1,
    max_replicas: Annotated[
        int | None,
        typer.Option(
            "--max-replicas",
            metavar="N",
            min=1,
            help="With --ray: servers, at most; more start when the slots fill.",
        ),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Serve models over REST and WebSocket, with a page.

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
        "state_dir": None if ray or state_dir is None else Path(state_dir),
        "keep_videos": keep_videos,
        "sources": source,
        "source_file": source_file,
        "detector": detector,
        "detect_every": detect_every,
        "detect_classes": None if classes is None else tuple(names_in(classes)),
        "pushes": push,
        "traces": traces,
        "webhooks": webhook,
        "webhook_secret_file": webhook_secret_file,
        "mqtt": mqtt,
        "allow_sources": allow_source,
        "log_file": log_file,
        "allow_origins": allow_origin,
        "root_path": root_path,
        "proxies": proxy,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
    }
    with guarded(debug), ExitStack() as stack:
        settings = _settings(given)
        options.check_device(settings.device)
        if ray:
            return serve_on_ray(settings, ClusterChoice(replicas, max_replicas, state_dir))
        if "://" in (state_dir or ""):
            raise OptionError(f"--state-dir {state_dir} is no folder", "Addresses are for --ray.")
        import cv2

        from ..server import Server
        from ..server.engines import load_engines
        from ..server.logs import log_to_stderr

        cv2.setNumThreads(1)  # pictures are decoded side by side: its own threads would spin beside that
        engines = load_engines(settings, stack)
        server = Server(settings, engines)
        log_to_stderr(settings.log_level, file=settings.log_file)
        _announce(server, settings, engines)
        atexit.register(gc.freeze)  # looking through what it holds takes seconds of the process's end
        server.run()


def _settings(given: dict[str, Any]) -> Settings:
    """Options over environment variables over defaults."""
    from pydantic import ValidationError

    from ..server import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        one = error.errors()[0]
        name = ".".join(str(part) for part in one["loc"])
        raise OptionError(
            f"the setting {name} is {one['input']!r} ({one['msg']})", "See docs/server.md."
        ) from None


def _announce(server: Server, settings: Settings, engines: dict[str, Engine]) -> None:
    """What runs where, on stderr."""
    from ..engine.capacity import HOST_BYTES, size

    for name, engine in engines.items():
        capacity = engine.capacity
        room = f"{capacity.sessions} slots of {size(capacity.state_bytes)} each, for frames of 1920 x 1080"
        if engine.runtime.spec.task == "tracking":
            total = capacity.sessions * (capacity.state_bytes + HOST_BYTES)
            room = (
                f"{capacity.sessions} slots of {size(capacity.state_bytes)} state and at most "
                f"{size(HOST_BYTES)} besides, {size(total)} in all. Queued frames are not counted"
            )
        note(
            f"{name} runs on {engine.runtime.name} ({engine.runtime.device}). "
            f"It has {room}: {capacity.reason}."
        )
    if settings.state_dir is None:
        note("sessions and videos end with the server; --state-dir keeps them")
    if server.connections < settings.max_connections:
        note(
            f"{server.connections} connections are taken at once, not {settings.max_connections}: the "
            "process may open too few files. ulimit -n, or LimitNOFILE of systemd, allows more"
        )
    host, port = server.address
    shown = f"[{host}]" if ":" in host else host
    url = f"{'http' if settings.tls_cert is None else 'https'}://{shown}:{port}"
    note(f"page: {url}/  reference: {url}/docs  (Ctrl-C ends it)")
