"""The options of a pruning run, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import OptionError
from .importance import RANKINGS
from .rsst import SCHEDULES
from .selection import check_ratio

METHODS = ("rsst", "refill", "magnitude", "saliency", "dense")
STRUCTURES = ("units", "none")


@dataclass(frozen=True)
class PruneOptions:
    """What to prune, and how.

    Attributes:
        method: "magnitude" and "saliency" take the same share of every group; "refill" and "rsst" take what a
            mask of single weights says; "dense" takes nothing, and is trained as long.
        ratio: share of the target's units that goes, over all rounds.
        structure: "units" go whole, and the model is smaller; "none": single weights go, which become zeros
            and stay so while the rest is trained.
        masks: with structure "none", a file of which weights stay, in place of choosing them.
        target: "ssm", "mlp", "both" of them, "stem", "head", "attention" or "all".
        units: in place of ratio and target: patterns of groups' names, and how many units each of them keeps.
        rounds: as many times, each the same share of what is left.
        rank: what units count by; empty is "saliency" for that method, else "magnitude".
        fillback: share of the units that the mask empties which stays nevertheless (Refill, RSST).
        strength: R, the pull at the end of a round, a share of a weight a step (RSST).
        schedule: how the pull grows: "exponents" (steeply, by ``exponent``), "linear" or "constant" (RSST).
        exponent: the steepness of "exponents".
        share: of a round's steps, how many it pulls in (RSST).
        rewind: what is left starts again from the weights it had at first.
        steps: of training, over all rounds; 0 cuts only.
        minutes: ends the training by the clock; 0 does not.
        batches: over which features and saliency are taken.
    """

    method: str = "rsst"
    ratio: float = 0.5
    structure: str = "units"
    masks: str = ""
    target: str = "both"
    units: tuple[tuple[str, int], ...] = ()
    rounds: int = 1
    rank: str = ""
    fillback: float = 0.0
    strength: float = 0.3
    schedule: str = "exponents"
    exponent: float = 4.0
    share: float = 0.4
    rewind: bool = False
    steps: int = 0
    minutes: float = 0.0
    batches: int = 4

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError(f"the method {self.method!r} is unknown", f"choose {', '.join(METHODS)}")
        if self.structure not in STRUCTURES:
            raise OptionError(f"structure {self.structure!r} is unknown", f"choose {', '.join(STRUCTURES)}")
        if self.schedule not in SCHEDULES or self.exponent <= 0:
            raise OptionError(
                f"the schedule is {self.schedule!r} with exponent {self.exponent}",
                f"choose {', '.join(SCHEDULES)}, and an exponent above 0",
            )
        whole = self.structure == "units"
        if (self.masks and whole) or (
            not whole and (self.units or self.fillback or self.ranking != "magnitude")
        ):
            raise OptionError(
                f"structure is {self.structure!r}, with units {self.units}, fillback {self.fillback}, "
                f"ranking {self.ranking} and masks {self.masks!r}",
                "masks are of single weights, by magnitude; units, fillback and other ranks of units",
            )
        if not whole and self.method not in ("magnitude", "rsst"):
            raise OptionError(f"{self.method} takes whole units", "mask single weights by magnitude or rsst")
        if self.rank not in ("", *RANKINGS):
            raise OptionError(f"the ranking {self.rank!r} is unknown", f"choose {', '.join(RANKINGS)}")
        check_ratio(self.ratio)
        if min(self.rounds, self.batches) < 1 or min(self.steps, self.minutes) < 0:
            raise OptionError(
                f"rounds and batches are {self.rounds, self.batches}, steps and minutes "
                f"{self.steps, self.minutes}",
                "give at least 1 round and batch, and no negative time",
            )
        if self.units and (self.rounds > 1 or min(count for _, count in self.units) < 1):
            told = ", ".join(f"{name}={count}" for name, count in self.units)
            raise OptionError(
                f"units are {told} in {self.rounds} rounds", "give counts of at least 1, and one round"
            )
        if not 0 < self.strength <= 1 or not 0 < self.share < 1:
            raise OptionError(
                f"strength is {self.strength} and share {self.share}",
                "give a strength above 0, up to 1, and a share between 0 and 1",
            )
        if self.method == "rsst" and self.steps < 2 * self.rounds:
            raise OptionError(f"rsst has {self.steps} steps", "give at least two a round: it trains first")

    @property
    def ranking(self) -> str:
        """What units count by."""
        return self.rank or ("saliency" if self.method == "saliency" else "magnitude")
