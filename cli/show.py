"""``framestate track --live SOURCE --show``: the server's page in a browser, and JSON lines beside it."""

from __future__ import annotations

import json
import threading
import time
import webbrowser
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from websockets.sync.client import connect

from ..engine import Tracking
from ..errors import BoxError, OptionError, UnavailableError
from ..server import Server, Settings
from ..wire import (
    VERSION,
    Answer,
    Hello,
    Picture,
    SceneAnswer,
    decode_message,
    decode_picture,
    encode_message,
)
from ..wire.format import MOST_TEXT
from ..wire.kinds import Parts, read
from .draw import can_draw
from .follow import MOST_TARGETS, load
from .live import PATIENCE_S, address_of
from .output import note
from .seen import Region

NAME = "live"


@dataclass(frozen=True)
class Finding:
    """The detector of ``--detector``, as the server takes it; None: there is none."""

    detector: Path | None
    every: int
    classes: Collection[str]
    score: float


def show_live(
    where: str,
    regions: list[Region],
    model: str,
    finding: Finding,
    *,
    seconds: float | None,
    out: TextIO,
    **given: Any,
) -> int:
    """Serves a live source to this machine, opens its page, and follows what is given, found or drawn there.

    Args:
        where, regions, seconds: as ``follow_live``; no region, and no detector, is needed.
        model: of the tracker.
        finding: what finds targets.
        out: where a JSON line a frame goes, from the first target on.
        given: ``runtime``, ``device``, ``threads`` and ``precision`` of the model.

    Returns the number of lines. Raises UnavailableError: nothing comes; BoxError, BundleError, OptionError.
    """
    with ExitStack() as stack:
        engine = stack.enter_context(load(model, Tracking, capacity=MOST_TARGETS, **given))
        settings = Settings(
            port=0, host="127.0.0.1", sources=(f"{NAME}={address_of(where)}",), max_targets=MOST_TARGETS,
            detector=finding.detector, detect_every=finding.every, detect_classes=tuple(finding.classes),
            detector_score=finding.score, device=str(given.get("device", "auto")), api_key_file=None,
            state_dir=None, source_file=None, tls_cert=None, tls_key=None, pushes=(), webhooks=(), mqtt=(),
            traces=None, root_path="", log_level="error",
        )  # fmt: skip
        server = stack.enter_context(serving(Server(settings, {engine.runtime.spec.name: engine})))
        host, port = server.address
        opened(f"http://{host}:{port}/#live/{NAME}")
        return lines(f"{host}:{port}", server, regions, seconds, out)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """A server on a thread, until the block ends."""
    thread = threading.Thread(target=server.run, name="framestate-show")
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield server
    finally:
        server.should_exit = True
        thread.join()


def opened(page: str) -> None:
    """Opens a page in a browser, and says where it is."""
    if can_draw() and webbrowser.open(page):
        note(f"the page is {page} (Ctrl-C ends it)")
    else:
        note(f"no browser can be opened here: open {page} yourself (Ctrl-C ends it)")


def lines(host: str, server: Server, regions: list[Region], seconds: float | None, out: TextIO) -> int:
    """Watches the source as any viewer does, adds regions when their time has come, and writes the lines."""
    first, count, heard = None, 0, time.monotonic()
    with connect(f"ws://{host}/v1/sources/{NAME}/stream", compression=None, max_size=None) as socket:
        socket.send(encode_message(Hello(VERSION)))
        while True:
            try:
                data = socket.recv(0.5)  # with a limit, so that Ctrl-C is heard on every system
            except TimeoutError:
                if time.monotonic() - heard > PATIENCE_S:
                    reader = server.sources.get(NAME).reader
                    why = reader.problem or reader.state
                    raise UnavailableError(f"nothing comes ({why})", "check the source") from None
                continue
            if isinstance(data, bytes):
                heard, picture = time.monotonic(), decode_picture(data)
                at = float(picture.pts * picture.time_base)
                first = at if first is None else first
                if seconds is not None and at - first >= seconds:
                    return count
                for region in due(regions, picture, at - first):
                    add(host, region)
                continue
            message = decode_message(data, MOST_TEXT)
            if isinstance(message, Answer):
                answer = read(message.kind, message.values, Parts(message.index, (), (), message.dropped))
                if isinstance(answer, SceneAnswer) and first is not None:
                    out.write(json.dumps(line_of(answer, first, message.timings.total_ms)) + "\n")
                    out.flush()
                    count += 1


def due(regions: list[Region], picture: Picture, seconds: float) -> Sequence[Region]:
    """Takes out those whose time has come, ``seconds`` after the first picture."""

    def is_due(region: Region) -> bool:
        place = region.place
        if place is None:
            return True
        return picture.index >= place.frame if place.frame is not None else seconds >= (place.seconds or 0)

    found = [one for one in regions if is_due(one)]
    regions[:] = [one for one in regions if one not in found]
    return found


def add(host: str, region: Region) -> None:
    """Has the server follow one more. Raises BoxError, OptionError."""
    box = ",".join(f"{value:.6f}" for value in region.box.xywh)
    try:
        urlopen(Request(f"http://{host}/v1/sources/{NAME}/targets?box={quote(box)}", method="POST")).close()
    except HTTPError as error:
        told = json.load(error)
        kind = BoxError if told.get("code") == "BoxError" else OptionError
        raise kind(str(told.get("problem")), str(told.get("remedy"))) from None


def line_of(answer: SceneAnswer, first: float, work_ms: float) -> dict[str, Any]:
    """A frame as ``follow_live`` has it."""
    return {
        "frame": answer.frame_index,
        "seconds": round(answer.seconds - first, 3),
        "skipped": answer.dropped,
        "work_ms": round(work_ms, 2),
        "targets": [
            {"target": one.id, "box": [round(value, 3) for value in one.box.xywh],
             "score": round(one.score, 4), "status": one.status, "label": one.label}
            for one in answer
        ],
        "lost": list(answer.lost),
    }  # fmt: skip
