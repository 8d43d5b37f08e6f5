"""A page on this machine where somebody draws boxes on the first frame of a video."""

from __future__ import annotations

import json
import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path

from ..errors import BoxError, FramestateError, OptionError
from ..vision import Box, Frame, encode_image
from .files import STANDARD, Reading
from .output import note
from .span import Span

MOST_BYTES = 100_000
GIVE = "Give each target as --box X,Y,W,H, in pixels of the first frame."


class _Drawing:
    """The first frame, and the boxes that arrive for it."""

    def __init__(self, frame: Frame) -> None:
        self.height, self.width = frame.image.shape[:2]
        self.pages = {
            "": ("text/html; charset=utf-8", (files(__package__) / "draw.html").read_bytes()),
            "frame.jpg": ("image/jpeg", encode_image(frame.image, "jpeg")),
        }
        self.boxes: list[Box] = []
        self.arrived = threading.Event()

    def take(self, body: bytes) -> None:
        """Boxes as the page sends them: a list of x, y, w, h. Raises BoxError, OptionError."""
        try:
            boxes = [Box(*map(float, box)) for box in json.loads(body)]
        except (ValueError, TypeError) as error:
            raise BoxError(f"this is no list of boxes ({error})", "Send [[x, y, w, h], ...].") from error
        self.boxes = [box.check(self.width, self.height) for box in boxes]
        self.arrived.set()


def can_draw() -> bool:
    """Whether somebody sits at a terminal from which a browser can be opened."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    has_display = sys.platform in ("win32", "darwin") or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))
    )
    return has_display or bool(os.environ.get("BROWSER"))


def draw_boxes(video: Path, reading: Reading, span: Span) -> list[Box]:
    """Open a page with the first frame of the span, and wait for the boxes that somebody draws on it.

    Raises:
        OptionError: nobody can draw here, or nobody did.
        VideoError: the video cannot be read.
    """
    if str(video) == STANDARD:
        raise OptionError("A pipe has no first frame to draw on", GIVE)
    with reading.open(video, threads=None) as reader:
        frame = next(span.frames(reader))
    name = f"{video.name} ({frame.image.shape[1]} x {frame.image.shape[0]} pixels)"
    if not can_draw():
        raise OptionError(
            f"Nothing says what to follow in {name}, and no page can be opened here to draw it", GIVE
        )
    drawing = _Drawing(frame)
    with _served(drawing) as address:
        note(f"draw a box around each thing to follow in {name}, on the page {address} (Ctrl-C ends it)")
        if not webbrowser.open(address):
            raise OptionError("No browser opens here to draw a box", GIVE)
        while not drawing.arrived.wait(0.5):  # with a limit, so that Ctrl-C is heard on every system
            pass
    if not drawing.boxes:
        raise OptionError("No box was drawn", GIVE)
    return drawing.boxes


@contextmanager
def _served(drawing: _Drawing) -> Iterator[str]:
    """The page's address while it is served, to this machine alone, under a name that nobody can guess."""
    secret = secrets.token_urlsafe(16)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: the terminal is somebody's."""

        def _answer(
            self, status: HTTPStatus, kind: str = "text/plain; charset=utf-8", body: bytes = b""
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            """The page and its picture."""
            page = drawing.pages.get(self.path.removeprefix(f"/{secret}/"))
            if page is None or not self.path.startswith(f"/{secret}/"):
                return self._answer(HTTPStatus.NOT_FOUND)
            self._answer(HTTPStatus.OK, *page)

        def do_POST(self) -> None:
            """The boxes."""
            length = self.headers.get("Content-Length", "")
            if self.path != f"/{secret}/boxes" or not length.isdecimal() or int(length) > MOST_BYTES:
                return self._answer(HTTPStatus.NOT_FOUND)
            try:
                drawing.take(self.rfile.read(int(length)))
            except FramestateError as error:
                return self._answer(HTTPStatus.BAD_REQUEST, body=str(error).encode())
            self._answer(HTTPStatus.NO_CONTENT)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, name="drawing", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/{secret}/"
        finally:
            server.shutdown()
            thread.join()
