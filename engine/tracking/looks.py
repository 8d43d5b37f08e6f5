"""Whether what was found looks like the target: more alike than the likest of its impostors so far.

How alike two pictures of one target are differs from target to target, so no threshold on that alone holds
for all. What else was seen of the same scene gives the scale: a *margin* is the cosine with the likest own
look, less that with the likest look of something else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt

from ...errors import StateError
from ..codec import DAMAGED, Count, Real, array

Vectors = npt.NDArray[np.float32]

OWN, OTHERS = 5, 16
"""Most looks that are kept of the target (its first one always), and of impostors."""
SAME = 0.85
"""Cosine from which a look adds nothing to those that are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What is remembered of how a target and others look; all are unit vectors of length D.

    Attributes:
        own: (k, D) looks of the target, the first one first; 1 to OWN.
        others: (n, D) looks of what is not the target; 0 to OTHERS.
        margin: of what was looked at last, in [-2, 2].
        since: frames since then.
        doubtful: whether it was rather like something else.
    """

    own: Annotated[Vectors, array("float32", None, None)]
    others: Annotated[Vectors, array("float32", None, None)]
    margin: Real = 1.0
    since: Count = 0
    doubtful: bool = False

    @classmethod
    def first(cls, look: Vectors, others: Vectors | None = None) -> Looks:
        """Of a target whose look (D,) is known for certain."""
        return cls(look[None], look[None][:0] if others is None else others)

    def check(self) -> None:
        """Raises StateError unless these may be kept of one target."""
        (count, length), (more, other) = self.own.shape, self.others.shape
        if not (1 <= count <= OWN and more <= OTHERS and length == other):
            raise StateError(
                f"the looks of a target are {self.own.shape}, those of others {self.others.shape}", DAMAGED
            )

    def margin_of(self, look: Vectors) -> float:
        """How much more alike a look (D,) is to the target than to anything else."""
        rival = float((self.others @ look).max()) if len(self.others) else 0.0
        return float((self.own @ look).max()) - rival

    def with_own(self, look: Vectors) -> Looks:
        """One more look of the target, if it is a new one."""
        return replace(self, own=_kept(self.own, look, OWN, pinned=1))

    def with_other(self, look: Vectors) -> Looks:
        """One more look of something else, if it is a new one."""
        return replace(self, others=_kept(self.others, look, OTHERS, pinned=0))


def _kept(vectors: Vectors, look: Vectors, most: int, *, pinned: int) -> Vectors:
    """The vectors with one more; once there are ``most``, in place of the one that is most like another."""
    if len(vectors) and float((vectors @ look).max()) >= SAME:
        return vectors
    if len(vectors) < most:
        return np.concatenate([vectors, look[None]])
    alike = vectors @ vectors.T - 2 * np.eye(most, dtype=np.float32)
    place = pinned + int(alike[pinned:].max(1).argmax())
    kept = vectors.copy()
    kept[place] = look
    return kept
