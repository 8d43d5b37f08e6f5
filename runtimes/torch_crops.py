"""Crops resized and normalised on the eager runtime's device, out of the pixels that the host cut.

The host copies each piece, as bytes, into one block of pinned memory; one transfer takes the block to the
device, on a stream of its own; there all crops of a batch are sampled at once. The arithmetic is that of
``vision.cut`` and ``vision.normalise``: bilinear from pixel centres in OpenCV's fixed point, edges repeated
within the square, zeros outside the frame, dense samples averaged, and every result rounded to a byte.

On a GPU this was NOT RUN; the same code runs on CPU tensors in the tests, where at most one byte in a hundred
differs from ``vision``'s, by one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..vision import IMAGENET_MEAN, IMAGENET_STD, Piece
from .protocol import DeviceInput

FIXED = 2048
"""OpenCV's unit of a bilinear weight."""


class TorchCrops:
    """Makes the crops of a batch, (batch, 3, size, size) float32, on a device.

    Args:
        device: where.
        raw: leave RGB as 0–255; else ImageNet's mean and deviation.
    """

    def __init__(self, device: torch.device, *, raw: bool) -> None:
        self._device = device
        on_gpu = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if on_gpu else None
        self._pinned = torch.empty(0, dtype=torch.uint8, pin_memory=on_gpu)
        self._taken: Any = None  # an event: the last transfer has left the pinned memory
        self._lock = threading.Lock()
        scale = np.ones(3) if raw else 1 / (255 * np.array(IMAGENET_STD))
        shift = np.zeros(3) if raw else -np.array(IMAGENET_MEAN) / np.array(IMAGENET_STD)
        self._scale, self._shift = (
            torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]
            for values in (scale, shift)
        )

    @torch.inference_mode()
    def __call__(self, pieces: Sequence[Piece]) -> Tensor:
        """The crops of pieces that all become one size."""
        size = pieces[0].size
        with self._lock:
            pixels, starts = self._upload(pieces)
        result = torch.empty(len(pieces), 3, size, size, device=self._device)
        for dense in {piece.dense for piece in pieces}:
            group = [place for place, piece in enumerate(pieces) if piece.dense == dense]
            views = self._sample(
                pixels, [pieces[place] for place in group], [starts[place] for place in group]
            )
            for place, view in zip(group, views * self._scale + self._shift, strict=True):
                result[place] = view
        return result

    def _upload(self, pieces: Sequence[Piece]) -> tuple[Tensor, list[int]]:
        """All pixels, one piece after another, on the device, and where each piece starts."""
        ends = np.cumsum([piece.pixels.size for piece in pieces]).tolist()
        starts = [0, *ends[:-1]]
        if self._taken is not None:
            self._taken.synchronize()
        if len(self._pinned) < ends[-1]:
            self._pinned = torch.empty(2 * ends[-1], dtype=torch.uint8, pin_memory=self._stream is not None)
        block = self._pinned.numpy()
        for piece, start, end in zip(pieces, starts, ends, strict=True):
            block[start:end].reshape(piece.pixels.shape)[...] = piece.pixels
        if self._stream is None:
            return self._pinned[: ends[-1]].clone(), starts
        with torch.cuda.stream(self._stream):
            pixels = self._pinned[: ends[-1]].to(self._device, non_blocking=True)
            self._taken = self._stream.record_event()
        torch.cuda.current_stream().wait_stream(self._stream)
        pixels.record_stream(torch.cuda.current_stream())
        return pixels, starts

    def _sample(self, pixels: Tensor, pieces: Sequence[Piece], starts: Sequence[int]) -> Tensor:
        """Pieces of one density as rounded bytes in float32, (batch, 3, size, size)."""
        size, dense = pieces[0].size, pieces[0].dense
        numbers = [
            (start, piece.side, piece.left, piece.top, *piece.pixels.shape[:2])
            for piece, start in zip(pieces, starts, strict=True)
        ]
        start, side, left, top, height, width = torch.tensor(numbers, device=self._device).unbind(1)
        first, second, weight = taps(side, size * dense)
        rows = [within(tap - top[:, None], height) for tap in (first, second)]
        columns = [within(tap - left[:, None], width) for tap in (first, second)]

        def line(row: int) -> Tensor:
            """Two neighbours of a row, weighed: (batch, samples, samples, 3)."""
            total: Any = 0
            for column, share in ((0, FIXED - weight), (1, weight)):
                (y, has_y), (x, has_x) = rows[row], columns[column]
                place = start[:, None, None] + (y[:, :, None] * width[:, None, None] + x[:, None, :]) * 3
                found = pixels[place[..., None] + torch.arange(3, device=self._device)].to(torch.int32)
                inside = (has_y[:, :, None] & has_x[:, None, :])[..., None]
                total = total + torch.where(inside, found, 0) * share[:, None, :, None]
            return total  # type: ignore[no-any-return]

        down = weight[:, :, None, None]
        parts = ((line(0) >> 4) * (FIXED - down) >> 16) + ((line(1) >> 4) * down >> 16)
        samples = ((parts + 2) >> 2).clamp_(0, 255).to(torch.float32)
        if dense > 1:
            blocks = samples.reshape(len(pieces), size, dense, size, dense, 3)
            means = blocks.mean((2, 4))
            samples = torch.floor(means + 0.5) if dense == 2 else torch.round(means)  # as OpenCV's two ways
        return samples.permute(0, 3, 1, 2)


class DeviceCrops:
    """``TorchCrops`` as a runtime's ``CropMaker``; opened when they are first asked for."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._makers: dict[bool, TorchCrops] = {}

    def __call__(self, pieces: Sequence[Piece], *, raw: bool) -> DeviceInput:
        """See ``CropMaker``."""
        if raw not in self._makers:
            self._makers[raw] = TorchCrops(self._device, raw=raw)
        made = self._makers[raw](pieces)
        return DeviceInput(made, tuple(made.shape), np.dtype(np.float32))


def taps(side: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """For sides (B,) in pixels: the two pixels of each of ``count`` samples, and the second one's weight."""
    scale = (side.to(torch.float64) / count)[:, None]
    exact = (torch.arange(count, device=side.device) + 0.5) * scale - 0.5
    first = torch.floor(exact)
    weight = (exact - first).to(torch.float32)
    last = (side - 1)[:, None]
    first = first.to(torch.int64)
    weight = torch.where((first < 0) | (first >= last), 0.0, weight)
    first = torch.minimum(first.clamp(min=0), last)
    return first, torch.minimum(first + 1, last), torch.round(weight * FIXED).to(torch.int32)


def within(place: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Places (B, n) held within 0 and ``length`` (B,), and which of them were."""
    inside = (place >= 0) & (place < length[:, None])
    return torch.where(inside, place, 0), inside
