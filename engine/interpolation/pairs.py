"""Two neighbouring frames: what lies between them, computed when it is first asked for.

A pair hands three things on to the next: its flow, which tells how the motion of both bends; its motion, for
models that carry it; and a place where the pair after it can be named, where that is known in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ...vision import Image
from .side_by_side import Later
from .sized_model import EncodedFrame, Flows, Guides, PairMotion, SizedModel


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A frame as the model sees it: its features, and what flows are found by."""

    encoded: Later[EncodedFrame]
    guides: Later[Guides]


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """The flow of a pair, and how long it lasts in seconds."""

    flows: Later[Flows]
    duration: Fraction


@dataclass(slots=True, eq=False)
class Around:
    """The pairs before and after one, as far as they are known."""

    before: Timed | None
    after: Timed | None = None

    def of(self, duration: Fraction) -> list[tuple[Flows, float] | None]:
        """The flows of both, and how often each pair fits in ``duration``."""
        return [
            None if one is None else (one.flows.get(), float(duration / one.duration))
            for one in (self.before, self.after)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """What of a pair concerns its neighbours. It holds no frame once the motion is found."""

    timed: Timed
    around: Around
    motion: Later[PairMotion]


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two frames between which others are made, or which show the same."""

    first: Seen
    second: Seen
    link: Link
    is_still: bool = False


def seen_by(sized: SizedModel, image: Image) -> Seen:
    """A frame, not yet looked at."""
    return Seen(Later(lambda: sized.encode(image)), Later(lambda: sized.guides(image)))


def linked(sized: SizedModel, first: Seen, second: Seen, duration: Fraction, last: Link | None) -> Link:
    """What is between two frames, ``last`` being the pair before, if frames were made in it."""
    one, other = first.guides, second.guides
    timed = Timed(Later(lambda: sized.flows(one.get(), other.get())), duration)
    around = Around(last.timed if last is not None and sized.bends else None)
    carried = last.motion if last is not None and sized.carries else None
    ones, others = first.encoded, second.encoded
    motion = Later(
        lambda: sized.motion(
            ones.get(),
            others.get(),
            carried.get() if carried is not None else None,
            timed.flows.get(),
            *around.of(duration),
        )
    )
    return Link(timed, around, motion)
