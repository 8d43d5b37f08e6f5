"""`LiveReader`: the frames of a camera, a stream or a file as they come, on a thread, with reconnection."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import av
import av.error
import numpy as np

from ..engine.inputs import Clock
from ..engine.session_options import check_id
from ..errors import FramestateError, OptionError, VideoError
from ..vision import Frame, Image, VideoReader

State = Literal["connecting", "live", "away", "ended"]
TIME_BASE = Fraction(1, 1000)
PATIENCE_S = 5.0
"""How long a source may say nothing before it counts as away."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
"""Between two tries to reach it; doubled each time."""
RECENT, RECENT_S = 64, 5.0
"""Frames, and seconds, that the frames a second are taken of."""
AWAY_S = 1.0
"""How long a source counts as away at least while the server was, where the clock says less than nothing."""
DRIFT_S = 5.0
"""A source whose clock is this far from ours is set anew."""

_CONTAINERS = "mpegts,flv,live_flv,nut,matroska,webm,h264,hevc,mjpeg,mpjpeg,mov,mp4,ogg,avi"  # no playlists
SCHEMES: dict[str, tuple[str, str]] = {  # protocols and formats that FFmpeg may use for it
    "rtsp": ("rtsp,rtp,srtp,udp,tcp", "rtsp,rtp,sdp"),
    "rtsps": ("rtsps,rtsp,rtp,srtp,udp,tcp,tls,crypto", "rtsp,rtp,sdp"),
    "http": ("http,tcp", _CONTAINERS),
    "https": ("https,http,tls,tcp,crypto", _CONTAINERS),
    "tcp": ("tcp", _CONTAINERS),
    "udp": ("udp", _CONTAINERS),
}
WHIP = "whip:"
"""The address of a source that is published to."""
_DEVICE = re.compile(r"/dev/video\d+")


@dataclass(frozen=True)
class Address:
    """Where a live source is. It may hold a password, so it is never shown.

    Attributes:
        name: what the API calls it.
        where: an address such as ``rtsp://...``, a device such as ``/dev/video0``, or the path of a file.
    """

    name: str
    where: str

    @property
    def scheme(self) -> str:
        """``rtsp``, ``http`` ..., ``device``, ``whip`` or ``file``."""
        if self.where == WHIP:
            return "whip"
        if _DEVICE.fullmatch(self.where):
            return "device"
        scheme = urlsplit(self.where).scheme if "://" in self.where else ""
        return scheme if scheme in SCHEMES else "file"

    def __repr__(self) -> str:
        return f"Address({self.name!r}, {self.scheme})"


def parse_source(text: str) -> Address:
    """``name=address`` as given on the command line.

    Raises:
        OptionError: there is no name, or nothing known lies at the address.
    """
    name, equals, where = text.partition("=")
    remedy = "Give name=rtsp://..., name=/dev/video0, name=whip: or name=FILE."
    if not equals or not where:
        raise OptionError(f"the source {name[:80]!r} has no address", remedy)
    check_id(name)
    address = Address(name, where)
    if address.scheme == "file":
        if "://" in where:
            raise OptionError(f"the source {name!r} has an address of an unknown kind", remedy)
        if not Path(where).is_file():
            raise OptionError(f"the source {name!r} is no file that is there", remedy)
    return address


class LiveReader:
    """Reads a source for ever, and hands over each frame: from a thread, in order, times ever growing.

    Times are milliseconds since 1970 by the clock at the start. They go on from there, also
    across a loss of connection and a restart, whatever that clock is set to.

    Args:
        address: what to read.
        take: called with each frame.
        tell: called when it goes away and comes back, with ``source.away`` or ``source.back`` and the reason.
        max_pixels: larger frames end the connection.
    """

    def __init__(
        self,
        address: Address,
        take: Callable[[Frame], None],
        max_pixels: int,
        tell: Callable[[str, str | None], None] = lambda event, reason: None,
    ) -> None:
        self.address = address
        self.state: State = "connecting"
        self.problem: str | None = None
        self.frames = 0
        self.connections = 0
        self.next_index = 0
        self._take, self._tell, self._away = take, tell, False
        self._max_pixels = max_pixels
        self._arrivals: deque[float] = deque(maxlen=RECENT)
        self._last_pts = -1
        self._anchor: tuple[float, float] | None = None
        self._began = time.time() - time.monotonic()  # from here on no clock that is set counts
        self._stop = threading.Event()
        name = f"framestate-source-{address.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def age(self) -> float | None:
        """Seconds since the last frame came; None before the first."""
        return time.monotonic() - self._arrivals[-1] if self._arrivals else None

    @property
    def fps(self) -> float:
        """Frames a second, of late; 0 when none came for a while."""
        arrivals = [one for one in list(self._arrivals) if one > time.monotonic() - RECENT_S]
        return (len(arrivals) - 1) / (arrivals[-1] - arrivals[0]) if len(arrivals) > 2 else 0.0

    def go_on_after(self, clock: Clock | None) -> None:
        """Frames come after this one, however the machine's clock was set meanwhile."""
        if clock is not None:
            self.next_index = clock.index + 1
            last = float(clock.pts * clock.time_base)
            self._last_pts = round(last / TIME_BASE)
            self._began = max(self._began, last + AWAY_S - time.monotonic())

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def quit(self) -> None:
        """Ends with the next frame."""
        self._stop.set()

    def stop(self, seconds: float = 2 * PATIENCE_S) -> None:
        """Ends; returns when nothing more will be handed over, or after so many seconds."""
        self.quit()
        self._thread.join(min(seconds, 2 * PATIENCE_S))

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stop.is_set():
            before = self.frames
            try:
                self._read()
                self.problem = None
            except FramestateError as error:
                self.problem = error.problem
            except av.error.ExitError:  # FFmpeg's word for what our time limit does
                self.problem = f"it has said nothing for {PATIENCE_S:g} s"
            except (av.error.FFmpegError, OSError, ValueError) as error:
                self.problem = str(getattr(error, "strerror", None) or type(error).__name__)
            self._anchor = None
            if self.frames > before:
                pause = FIRST_PAUSE_S
            if self.address.scheme == "file" and self.problem is None:
                continue  # its end: it begins again
            if not self._stop.is_set():
                self._go_away()
            self._stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        self.state = "ended"

    def _go_away(self) -> None:
        if self.state != "away" and not self._away:
            self._away = True
            self._tell("source.away", self.problem or "it has ended")
        self.state = "away"

    def _come(self) -> None:
        self.state, self.problem = "live", None
        self.connections += 1
        if self._away:
            self._away = False
            self._tell("source.back", None)

    def _read(self) -> None:
        self.state, came = "connecting", False
        for image, seconds in self._file() if self.address.scheme == "file" else self._stream():
            if self._stop.is_set():
                return
            if not came:
                came = True
                self._come()
            self._hand_over(image, seconds)

    def _file(self) -> Iterator[tuple[Image, float]]:
        """A file at its own speed."""
        try:
            with VideoReader(self.address.where, max_pixels=self._max_pixels, threads=1) as video:
                began = time.monotonic()
                for frame in video:
                    if self._stop.wait(max(0.0, began + frame.seconds - time.monotonic())):
                        return
                    yield frame.image, frame.seconds
        except VideoError as error:
            raise VideoError(error.problem.replace(self.address.where, "the file"), error.remedy) from None

    def _stream(self) -> Iterator[tuple[Image, float]]:
        """A camera or a stream, with as little delay as it allows."""
        with av.open(
            self.address.where,
            format="v4l2" if self.address.scheme == "device" else None,
            options=self._options(),
            timeout=(PATIENCE_S, PATIENCE_S),
            metadata_errors="replace",
        ) as container:
            if not container.streams.video:
                raise VideoError("the source has no video", "check its address")
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # threads by frame would hold some back
            for packet in container.demux(stream):
                if self._stop.is_set():
                    return
                try:
                    decoded = packet.decode()
                except (av.error.InvalidDataError, ValueError):
                    continue  # half a picture, as after joining in the middle
                for frame in decoded:
                    yield self._image(frame), float(frame.time or 0.0)

    def _options(self) -> dict[str, str]:
        scheme = self.address.scheme
        if scheme == "device":
            return {}
        protocols, formats = SCHEMES[scheme]
        common = {"protocol_whitelist": protocols, "format_whitelist": formats, "fflags": "nobuffer"}
        return common | ({"rtsp_transport": "tcp"} if scheme.startswith("rtsp") else {})

    def _image(self, frame: Any) -> Image:
        if frame.width * frame.height > self._max_pixels:
            raise VideoError(
                f"the source sends {frame.width} x {frame.height} pixels, above {self._max_pixels}",
                "have it send smaller ones",
            )
        return np.ascontiguousarray(frame.to_ndarray(format="rgb24"))

    def _hand_over(self, image: Image, seconds: float) -> None:
        """Gives a frame its time and number. The source's own clock tells how far frames are apart."""
        now = self._began + time.monotonic()
        if self._anchor is None or abs(self._anchor[0] + seconds - self._anchor[1] - now) > DRIFT_S:
            self._anchor = now, seconds
        wall = self._anchor[0] + seconds - self._anchor[1]
        self._last_pts = max(self._last_pts + 1, round(wall / TIME_BASE))
        frame = Frame(image, self._last_pts, TIME_BASE, self.next_index)
        self.next_index += 1
        self.frames += 1
        self._arrivals.append(time.monotonic())
        self._take(frame)
