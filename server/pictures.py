"""Pictures as they come over the network, into arrays and back, on a few threads of their own."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..client.wire import Encoding
from ..engine.lanes import num_cores
from ..errors import ImageError
from ..vision import Image, decode_image, encode_image


class Decoder:
    """Decodes and encodes pictures beside the event loop. OpenCV lets go of Python's lock meanwhile.

    Args:
        max_pixels: largest picture; its size is read from its header before anything is decoded.
    """

    def __init__(self, max_pixels: int) -> None:
        self.max_pixels = max_pixels
        self._pool = ThreadPoolExecutor(num_cores(), thread_name_prefix="framestate-decode")

    async def decode(
        self, data: bytes, encoding: Encoding | None = None, width: int = 0, height: int = 0
    ) -> tuple[Image, float]:
        """RGB uint8 (height, width, 3) and the seconds it took.

        Raises:
            ImageError: damaged, too large, or not what ``encoding`` says; None takes any encoded image.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, self._decode, data, encoding, width, height
        )

    async def encode(self, image: Image, encoding: Encoding, quality: int = 90) -> bytes:
        """An image as bytes; ``rgb`` is row by row."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, encoded, image, encoding, quality)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _decode(self, data: bytes, encoding: Encoding | None, width: int, height: int) -> tuple[Image, float]:
        began = time.perf_counter()
        if encoding == "rgb":
            image = self._raw(data, width, height)
        else:
            found = kind_of(data)
            if encoding is not None and found != encoding:
                raise ImageError(
                    f"the message says {encoding}, and the picture is {found or 'something else'}",
                    "name the encoding that it has",
                )
            image = decode_image(data, max_pixels=self.max_pixels)
        return image, time.perf_counter() - began

    def _raw(self, data: bytes, width: int, height: int) -> Image:
        if not 0 < width * height <= self.max_pixels or len(data) != 3 * width * height:
            raise ImageError(
                f"{len(data)} bytes for {width} x {height} pixels, of which {self.max_pixels} are allowed",
                "send height x width x 3 bytes of a smaller picture",
            )
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)


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
