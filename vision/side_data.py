"""`side_data_of`: what a decoded frame carries beside its pixels, whatever kinds of it there are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer

_MOST_KINDS = 64
_NUMBER = re.compile(r"\d+")


def side_data_of(frame: Any) -> Mapping[Any, Any]:
    """The side data of PyAV's ``frame``, by kind.

    PyAV fails over kinds that are newer than its list, such as the EXIF of a camera's JPEG pictures or the
    views of spatial video: those are taken out by FFmpeg's filter "sidedata", and the rest is handed on.
    The frame's own table is not asked: each of both would hold the other, and the picture with them, until
    Python's collector comes.
    """
    for _ in range(_MOST_KINDS):
        try:
            known: Mapping[Any, Any] = SideDataContainer(frame)  # type: ignore[call-arg]
        except ValueError as error:
            found = _NUMBER.search(str(error))
            if found is None:
                return {}
            frame = _without(frame, int(found[0]))
        else:
            return known
    return {}


def _without(frame: Any, kind: int) -> Any:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    drop = graph.add("sidedata", f"mode=delete:type={kind}")
    source.link_to(drop)
    drop.link_to(graph.add("buffersink"))
    graph.configure()
    graph.push(frame)
    return graph.pull()
