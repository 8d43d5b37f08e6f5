"""Pictures as they come over the network, into arrays and back, on a few threads of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..engine.lanes import num_cores
from ..errors import ImageError
from ..vision import Frame, Image, decode_image, encode_image
from ..wire import Encoding, Picture


class Decoder:
    """Decodes and encodes pictures beside the event loop. OpenCV lets go of Python's lock meanwhile.

    Args:
        max_pixels: largest picture; its size is read from its header before anything is decoded.
    """

    def __init__(self, max_pixels: int) -> None:
        self.max_pixels = max_pixels
        self._pool = ThreadPoolExecutor(num_cores(), thread_name_prefix="framestate-decode")

    async def decode(self, data: bytes) -> tuple[Image, float]:
        """RGB uint8 (height, width, 3) of any encoded image, and the seconds it took. Raises ImageError."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._decoded, data)

    async def frame(self, picture: Picture) -> tuple[Frame, float]:
        """As ``decoded``, on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.decoded, picture)

    def decoded(self, picture: Picture) -> tuple[Frame, float]:
        """The frame that a picture holds, and the seconds it took.

        Raises:
            ImageError: damaged, too large, or not what ``encoding`` says.
            FrameError: its time is below 0.
        """
        began = time.perf_counter()
        if picture.encoding == "rgb":
            image = self._raw(picture.payload, picture.width, picture.height)
        else:
            found = kind_of(picture.payload)
            if found != picture.encoding:
                raise ImageError(
                    f"the message says {picture.encoding}, and the picture is {found or 'something else'}",
                    "name the encoding that it has",
                )
            image = decode_image(picture.payload, max_pixels=self.max_pixels)
        frame = Frame(image, picture.pts, picture.time_base, picture.index)
        return frame, time.perf_counter() - began

    async def encode(self, image: Image, encoding: Encoding, quality: int = 90) -> bytes:
        """An image as bytes; ``rgb`` is row by row."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, encoded, image, encoding, quality)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)

    def strand(self) -> Strand:
        """For work that is done in order, beside other strands'."""
        return Strand(self._pool)

    def _decoded(self, data: bytes) -> tuple[Image, float]:
        began = time.perf_counter()
        return decode_image(data, max_pixels=self.max_pixels), time.perf_counter() - began

    def _raw(self, data: bytes, width: int, height: int) -> Image:
        if not 0 < width * height <= self.max_pixels or len(data) != 3 * width * height:
            raise ImageError(
                f"{len(data)} bytes for {width} x {height} pixels, of which {self.max_pixels} are allowed",
                "send height x width x 3 bytes of a smaller picture",
            )
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)


class Strand:
    """Work of one stream, one piece after another, on threads that many share."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._busy = False

    def add(self, work: Callable[[], None]) -> None:
        """Does this when all before it is done. It must not raise."""
        with self._lock:
            self._waiting.append(work)
            busy, self._busy = self._busy, True
        if not busy:
            self._pool.submit(self._run)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy = False
                    return
                work = self._waiting.popleft()
            work()


def encoded(image: Image, encoding: Encoding, quality: int = 90) -> bytes:
    """An image as bytes; ``rgb`` is row by row."""
    if encoding == "rgb":
        return np.ascontiguousarray(image).tobytes()
    return encode_image(image, encoding, quality=quality)


def kind_of(data: bytes) -> Encoding | None:
    """What the first bytes say an image is."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:2] == b"\xff\xd8":
        return "jpeg"
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None
