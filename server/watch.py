"""`Watch`: what happens to sessions and sources, as events"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..vision import Box
from ..wire import SceneAnswer
from .event_log import EventLog
from .metrics import Reading
from .zones import Zones, is_inside

TYPES = {
    "session.opened": "A session is open; `restored` where it comes from a snapshot.",
    "session.closed": "It ended; `reason` says why.",
    "target.opened": "A source follows one target more; `target` is its id, here and in what follows.",
    "target.ended": "It follows it no longer; `into` is the one that it turned out to be.",
    "target.lost": "Its target is lost; `box` is where it was believed at last.",
    "target.found": "Its target is followed again.",
    "zone.entered": "The middle of its target's box came into the zone `zone`.",
    "zone.left": "It went out of it.",
    "source.away": "A live source sends nothing; `reason` says why.",
    "source.back": "It sends again.",
}
"""Every type of event, and what it says."""


@dataclass
class Watched:
    """What is watched in one session.

    Attributes:
        lost: its target is.
        inside: the zones that its target is in.
        targets: each one of a scene, by its id: watched as the target of a session is.
        box: where a target of a scene was last.
        ended: nothing more is told of it.
    """

    zones: Zones = field(default_factory=dict)
    lost: bool = False
    inside: set[str] = field(default_factory=set)
    targets: dict[int, Watched] = field(default_factory=dict)
    box: Box | None = None
    ended: bool = False

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "zones": dict(self.zones), "lost": self.lost, "inside": sorted(self.inside),
            "targets": {number: [one.lost, sorted(one.inside)] for number, one in self.targets.items()},
        }  # fmt: skip

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Watched:
        """From ``plain``."""
        zones = {name: tuple((x, y) for x, y in corners) for name, corners in plain["zones"].items()}
        targets = {
            int(number): cls(zones, lost, set(inside))
            for number, (lost, inside) in plain.get("targets", {}).items()
        }
        return cls(zones, plain["lost"], set(plain["inside"]), targets)


class Watch:
    """Makes events of what happens, in order for each session. Any thread may tell it.

    Args:
        log: where they go.
    """

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, Any]] = {}
        self._watched: dict[str, Watched] = {}
        self._counts = dict.fromkeys(TYPES, 0)

    def begin(self) -> None:
        """Opens the log, and learns what was watched before. Raises OptionError where it cannot be used."""
        self._known = self.log.open().watched()

    def opened(self, session: str, model: str, zones: Zones, restored: bool) -> None:
        """A session is open. One that was open before the last restart goes on as it stood, without news."""
        known = self._known.pop(session, None) if restored else None
        with self._lock:
            watched = self._watched[session] = Watched(zones) if known is None else Watched.of(known)
            events = []
            if known is None:
                events = [self._event("session.opened", session, model=model, restored=restored)]
            self.log.add(events, session, watched.plain())

    def closed(self, session: str, model: str, reason: str) -> None:
        """A session ended."""
        with self._lock:
            watched = self._watched.pop(session, None)
            if watched is not None:
                watched.ended = True
                self.log.add([self._event("session.closed", session, model=model, reason=reason)], session)

    def settled(self) -> None:
        """All sessions that could be restored are; those that could not have ended."""
        with self._lock:
            for session in self._known:
                reason = "it could not be restored"
                self.log.add([self._event("session.closed", session, reason=reason)], session)
            self._known = {}

    def zones(self, session: str, zones: Zones) -> None:
        """Other zones are watched from now on."""
        with self._lock:
            watched = self._watched.get(session)
            if watched is not None:
                watched.zones = zones
                for one in watched.targets.values():
                    one.zones, one.inside = zones, one.inside & zones.keys()
                self.log.add([], session, watched.plain())

    def answered(self, session: str, model: str, answer: Any) -> None:
        """A frame was answered; that of a scene, or one with a ``status`` and a ``box``, may be news."""
        watched = self._watched.get(session)
        if watched is None:
            return
        if isinstance(answer, SceneAnswer):
            news = list(_scene_news(watched, answer))
        else:
            box, status = getattr(answer, "box", None), getattr(answer, "status", None)
            if not isinstance(box, Box) or not isinstance(status, str):
                return
            about = {"box": list(box.xywh), "score": getattr(answer, "score", None)}
            news = [(kind, about | more) for kind, more in _news(watched, box, status)]
        if not news:
            return
        frame = {"model": model, "frame": getattr(answer, "frame_index", None)}
        with self._lock:
            if not watched.ended:
                self.log.add(
                    [self._event(kind, session, **frame, **more) for kind, more in news],
                    session,
                    watched.plain(),
                )

    def source(self, kind: str, name: str, reason: str | None) -> None:
        """A live source went away or is back."""
        with self._lock:
            more = {} if reason is None else {"reason": reason}
            self.log.add([self._event(kind, None, source=name, **more)])

    def readings(self) -> Iterator[Reading]:
        """How many of each type there were, and how many were lost."""
        for kind, count in self._counts.items():
            yield Reading("framestate_events_total", "Events, by type.", count, {"type": kind})
        what = "Events that were given up: nobody took them, or the disk was full."
        yield Reading("framestate_events_lost_total", what, self.log.lost, {})

    def _event(self, kind: str, session: str | None, **data: Any) -> dict[str, Any]:
        self._counts[kind] += 1
        about = {} if session is None else {"session": session}
        return {"id": uuid.uuid4().hex, "type": kind, "time": time.time(), **about, **data}


def _scene_news(watched: Watched, answer: SceneAnswer) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of the targets of a scene: who came, who is lost or found, in and out of zones, and who is gone."""
    merged = dict(answer.merged)
    for one in answer:
        about = {"target": one.id, "label": one.label, "box": list(one.box.xywh), "score": one.score}
        known = watched.targets.get(one.id)
        if known is None:
            known = watched.targets[one.id] = Watched(watched.zones)
            yield "target.opened", about
        known.box = one.box
        for kind, more in _news(known, one.box, one.status):
            yield kind, about | more
    there = {one.id for one in answer} | set(answer.lost)
    for number, known in list(watched.targets.items()):
        last = {} if known.box is None else {"box": list(known.box.xywh)}
        if number not in there:
            del watched.targets[number]
            into = {"into": merged[number]} if number in merged else {}
            yield "target.ended", {"target": number, **last, **into}
        elif number in answer.lost and not known.lost:
            known.lost = True
            yield "target.lost", {"target": number, **last}


def _news(watched: Watched, box: Box, status: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of one target: lost or found, in and out of zones."""
    if status == "lost" and not watched.lost:
        watched.lost = True
        yield "target.lost", {}
    elif status == "tracking" and watched.lost:
        watched.lost = False
        yield "target.found", {}
    if status == "lost":
        return  # where it is believed is no place that it is at
    for name, polygon in watched.zones.items():
        inside = is_inside(box, polygon)
        if inside and name not in watched.inside:
            watched.inside.add(name)
            yield "zone.entered", {"zone": name}
        elif not inside and name in watched.inside:
            watched.inside.remove(name)
            yield "zone.left", {"zone": name}
