"""Look-alikes: when the boxes of two targets have met and part again, their looks say who is who."""

from __future__ import annotations

from itertools import combinations

from .appearance import likeness, look_of
from .desk import Desk, boxes_of
from .overlap import covered

_MET, _PARTED = 0.35, 0.08  # share of the smaller box that the other covers


def part(desk: Desk) -> None:
    """Notes who meets whom, and decides for those that have parted and were both seen in this frame."""
    there = [one for one in desk.known.values() if not one.is_lost]
    shares = covered(boxes_of(there), boxes_of(there))
    now = {}
    for one, other in combinations(range(len(there)), 2):
        now[there[one].number, there[other].number] = max(shares[one, other], shares[other, one])
    desk.met = {pair for pair in desk.met if set(pair) <= set(desk.known)}
    for pair in sorted(desk.met):
        if pair in now and now[pair] < _PARTED and set(pair) <= desk.detected | set(desk.looked):
            desk.met.remove(pair)
            _decide(desk, *pair)
    desk.met |= {pair for pair, share in now.items() if share > _MET}


def _decide(desk: Desk, one: int, other: int) -> None:
    a, b, image = desk.known[one], desk.known[other], desk.frame.image
    here, there = look_of(image, a.box), look_of(image, b.box)
    stay = likeness(a.look, here) + likeness(b.look, there)
    swap = likeness(a.look, there) + likeness(b.look, here)
    if swap <= stay + 2 * desk.options.swap:
        return
    own = ("belief", "box", "session", "trust", "learnt", "looked", "seen", "detected")
    anew = {} if a.session and b.session else {"session": 0}  # a target's first session is of its own number
    desk.change(one, **{name: getattr(b, name) for name in own} | anew)
    desk.change(other, **{name: getattr(a, name) for name in own} | anew)
    desk.swapped.append((one, other))


def is_meeting(desk: Desk, number: int) -> bool:
    """Whether a target's box meets another's."""
    return any(number in pair for pair in desk.met)
