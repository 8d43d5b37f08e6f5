"""A live source of a server: its targets, put right and ended one by one, and detections for it"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import numpy.typing as npt

from ..vision import Box
from .boxes import BoxLike, numbers_of, text_of
from .http import Http, json_of, record
from .records import TargetInfo

Boxes = Sequence[BoxLike] | npt.NDArray[Any]
"""Boxes, or numbers (N, 4)."""


class AsyncSource:
    """One live source, by its name. Everything raises UnknownItemError where the server has none of it."""

    def __init__(self, http: Http, name: str) -> None:
        self._http, self.name = http, name
        self._path = f"/v1/sources/{quote(name, safe='')}"

    async def targets(self) -> list[TargetInfo]:
        """What is followed in it, lost ones too."""
        table = json_of(await self._http.send("GET", f"{self._path}/targets"))
        return [target_in(one) for one in table.get("targets", [])]

    async def add(
        self, box: BoxLike, label: str = "", *, index: int | None = None, model: str | None = None
    ) -> TargetInfo:
        """Follows one target more.

        Args:
            box: where it is, x, y, width, height in pixels.
            label: what to call it.
            index: of the frame that it is in, one that ``GET .../frame`` gave lately; the newest without.
            model: of the first target; the server's first tracker without.

        Raises:
            BoxError: the box cannot be used.
            CapacityError: there are as many as there may be.
            SessionBusyError: another model has the frames.
        """
        params = {"box": text_of(box), "label": label or None, "index": index, "model": model}
        return target_in(json_of(await self._http.send("POST", f"{self._path}/targets", params=params)))

    async def correct(self, target: int, box: BoxLike, *, index: int | None = None) -> TargetInfo:
        """Puts right where a target is; its id stays. Raises BoxError."""
        path, params = f"{self._path}/targets/{target}", {"box": text_of(box), "index": index}
        return target_in(json_of(await self._http.send("PATCH", path, params=params)))

    async def end(self, target: int) -> None:
        """Follows a target no longer."""
        await self._http.send("DELETE", f"{self._path}/targets/{target}")

    async def detected(
        self,
        xywh: Boxes | None = None,
        *,
        xyxy: Boxes | None = None,
        scores: Sequence[float] | None = None,
        labels: Sequence[str] | None = None,
        index: int | None = None,
    ) -> int:
        """Tells what a detector found in one frame; an empty list: nothing. Gives the number of the frame.

        Args:
            xywh: boxes as x, y, width, height in pixels; or
            xyxy: as left, top, right, bottom.
            scores: from 0 to 1; 1 without.
            labels: names of classes.
            index: of the frame, as a viewer or ``GET .../frame`` had it; the newest without.

        Raises:
            OptionError, BoxError, FrameError: they cannot be used.
            TooManyError: others wait for the next frame.
        """
        given = {
            "xywh": _plain(xywh),
            "xyxy": _plain(xyxy),
            "scores": None if scores is None else [float(one) for one in scores],
            "labels": None if labels is None else [str(one) for one in labels],
            "index": index,
        }
        body = json.dumps({name: value for name, value in given.items() if value is not None}).encode()
        return int(json_of(await self._http.send("POST", f"{self._path}/detections", body=body))["frame"])


def target_in(table: Mapping[str, Any]) -> TargetInfo:
    """A target as the server tells it. Raises WireError."""
    found = record(TargetInfo, table)
    return replace(found, box=Box(*numbers_of(table["box"])))


def _plain(boxes: Boxes | None) -> list[list[float]] | None:
    if boxes is None:
        return None
    return [[float(one) for one in (box.xywh if isinstance(box, Box) else box)] for box in boxes]
