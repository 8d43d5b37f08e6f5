"""Who is looked at by the model in a frame: those that need it most, within the budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...wire import Track
from .appearance import likeness, look_of
from .desk import Desk, spread
from .meeting import is_alone
from .memory import Known
from .parting import is_meeting

Kind = Literal["open", "learn", "look", "search", "follow"]
SEARCHED = 3
"""Looks in a row that did not see the target, from which it is searched for."""
_LED = 0.01  # deviation of a session's word that is taken as it is, as a share of the size
_TRUSTED = 0.6  # trust in the flow, below which the model looks the sooner


@dataclass(frozen=True, slots=True)
class Errand:
    """One thing that the model is wanted for.

    Attributes:
        number: of the target.
        kind: its first template; a fresh one; where it is now, around where it is expected; where it is,
            wherever; or whatever its session says.
        need: 1 or more, the more the sooner.
    """

    number: int
    kind: Kind
    need: float


def errands(desk: Desk) -> list[Errand]:
    """All that is due, the most needed first."""
    found = [errand for one in desk.known.values() if (errand := _errand(desk, one)) is not None]
    return sorted(found, key=lambda one: (-one.need, one.number))


def _errand(desk: Desk, one: Known) -> Errand | None:
    o, now, detected = desk.options, desk.seconds, one.number in desk.detected
    if not one.session:
        return Errand(one.number, "open", 5.0) if detected or not one.is_lost else None
    if detected:
        due = o.learn_every and now - one.learnt >= o.learn_every and is_alone(desk, one.number)
        return Errand(one.number, "learn", 1.0) if due else None
    if one.led:
        return Errand(one.number, "follow", 4.0)
    waited = (now - max(one.looked, one.seen)) / o.look_every if o.look_every else 1.0
    if one.is_lost:
        wanted = waited >= 1 and one.misses < o.misses and (one.hits > 1 or one.pinned)
        return Errand(one.number, "search", 1 + 0.1 * waited) if wanted else None
    if one.unsure >= SEARCHED:
        return Errand(one.number, "search", 2.0)
    need = waited + 3 * max(0.0, _TRUSTED - one.trust) + 0.5 * (one.misses > 0)
    need += 0.5 * is_meeting(desk, one.number) + one.unsure
    return Errand(one.number, "look", need) if need >= 1 else None


def settle(desk: Desk, errand: Errand, track: Track) -> None:
    """What a look comes to."""
    o, one = desk.options, desk.known[errand.number]
    desk.looked.append(one.number)
    one = desk.change(one.number, looked=desk.seconds, looks=one.looks + 1)
    if errand.kind == "follow":
        filter = desk.filter_of(one.number)
        filter.update(track.box, spread(track.box, _LED, _LED))
        seen = one.seen if track.status == "lost" else desk.seconds
        desk.change(
            one.number, belief=filter.belief, box=track.box, status=track.status, score=track.score,
            seen=seen, trust=1.0, unsure=0, carried=0,
        )  # fmt: skip
        return
    sees = track.score >= o.seen and track.status == "tracking"
    if errand.kind == "search":
        alike = likeness(one.look, look_of(desk.frame.image, track.box)) >= o.appearance
        if sees and alike and track.score >= o.found and not _is_taken(desk, one, track):
            filter = desk.filter_of(one.number)
            filter.restart(track.box)
            desk.change(
                one.number, belief=filter.belief, box=filter.box, status="uncertain", seen=desk.seconds,
                misses=min(one.misses, 1), unsure=0, trust=1.0,
            )  # fmt: skip
        else:
            desk.change(one.number, unsure=one.unsure + 1, score=0.8 * one.score)
        return
    unsure = one.unsure + (one.trust < _TRUSTED)  # the flow knows better of what is too small to be seen
    if not sees or _is_others(desk, one, track):
        desk.change(one.number, unsure=unsure, score=0.8 * one.score)
        return
    doubt = (1 + 2 * (1 - track.score)) * (1 + o.flow_first * max(0.0, one.trust - 0.3))
    std = spread(track.box, o.look_place * doubt, o.look_size * doubt)
    if desk.drifted(one.number).gate(track.box, std) <= o.filter.gate:
        desk.measure(one.number, track.box, std, share=o.look_settles)
        desk.change(
            one.number,
            seen=desk.seconds,
            unsure=0,
            trust=1.0,
            score=0.7 * one.score + 0.3 * track.score,
            status="tracking",
        )
    else:
        desk.change(one.number, unsure=unsure, status="uncertain")


def _is_taken(desk: Desk, one: Known, track: Track) -> bool:
    """Whether what was found is another target."""
    others = (other for other in desk.known.values() if other.number != one.number and not other.is_lost)
    return any(other.box.iou(track.box) > 0.3 for other in others)


def _is_others(desk: Desk, one: Known, track: Track) -> bool:
    """Whether what was seen is rather another target, by where both were expected."""
    own = one.box.iou(track.box)
    others = (other for other in desk.known.values() if other.number != one.number and not other.is_lost)
    return any(other.box.iou(track.box) > own for other in others)


def tidy(desk: Desk) -> None:
    """Who counts as lost by now, and who is ended."""
    o, now = desk.options, desk.seconds
    for one in list(desk.known.values()):
        unseen = now - one.seen
        if one.is_lost and not one.pinned and unseen > o.keep and now - one.detected > o.keep:
            desk.end(one.number)
        elif one.led or one.is_lost:
            continue
        elif unseen > o.patience or (one.misses > 0 and one.unsure >= 2):
            desk.change(one.number, status="lost")
