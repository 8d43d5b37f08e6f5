"""How a tracker turns the model's maps into boxes and statuses: every threshold, in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args

from ...bundles import ModelSpec
from ...errors import OptionError
from ...wire import Status
from .filter_options import FilterOptions, check_shares

Crop = Literal["predicted", "last"]
_SHARES = (
    "window", "sure", "sweep_sure", "seen", "override", "refresh_sure", "refresh_share", "carry",
    "size_floor", "size_ceiling", "cut_least",
)  # fmt: skip


@dataclass(frozen=True)
class TrackingOptions:
    """Scores are the model's own, in [0, 1]; counts are frames; shares are of the target's size.

    The defaults were chosen on sequences held out of training, see ``docs/decisions``.
    """

    crop: Crop = "predicted"  # what the search crop is laid around: where the filter expects the target, or …
    # … "last", its last box, for a model whose training never predicted (the filter then only bridges gaps)
    window: float = 0.25  # weight of the Hann window around the prediction in picking a cell
    change: float = 0.06  # penalty on a change of size or shape, as an exponent
    sure: float = 0.35  # at or above: "tracking"
    seen: float = 0.15  # below: not seen at all, the filter coasts
    override: float = 0.6  # at or above, a measurement is taken even where the gate refuses it
    lost_after: int = 8  # frames in a row without a measurement
    confirm: int = 0  # sure frames in a row after which a target that was lost is "tracking" again
    cut_least: float = 0.0  # share of its usual size in view, below which a target is not claimed at the edge
    growth: float = 1.08  # of the search area's side, each frame once lost
    widest: float = 1.8  # bound of that growth
    sweep_after: int = 0  # frames lost, after which every second look goes elsewhere in the frame; 0 is never
    sweep_looks: int = 0  # more looks a frame, each elsewhere, in place of every second frame's own look
    sweep_sure: float = 0.5  # least score of what is found there, twice in a row
    near_speed: float = (
        0.0  # up to this share of its size a frame, a target that is sure is looked for in the
    )
    # crop of `near`, where the model has that; 0 is never
    size_floor: float = 0.5  # share of a newly measured size that is taken at score 0 …
    size_ceiling: float = 1.0  # … and at score 1
    usual_rate: float = (
        0.05  # share of each sure frame's size in the usual size, which a lost target gets back
    )
    refresh_every: int = 0  # frames between template refreshes; 0 is never
    refresh_sure: float = 0.7  # least score for a refresh
    refresh_share: float = 0.3  # of the new template in the blend with the first one
    look_every: int = 0  # frames between looks at a followed target, where the model has `look`; 0 is never
    look_least: float = -2.0  # margin below which what is found is not taken, and what is followed is doubted
    look_found: float = -2.0  # margin from which a frame counts towards `confirm` …
    look_sure: float = 2.0  # … and from which one frame is enough
    look_again: float = -2.0  # margin from which a target that was doubted is believed again
    look_size: float = 0.0  # taken off a found target's margin for each doubling of its extent or shape
    rivals_every: int = 0  # frames between looks elsewhere while it is doubted or unconfirmed; 0 is never
    rival_lead: float = 0.2  # how much larger the margin must be of what is to take its place
    carry: float = 1.0  # how much of the temporal state a confident frame hands on; 0 restarts every frame
    score_slope: float = 1.0  # a track's own score: sigmoid(slope · logit(score) + offset), the chance
    score_offset: float = 0.0  # of an overlap of 0.5; `framestate eval confidence` fits both
    score_uncertain: float = 0.0  # added to the offset while "uncertain" …
    score_lost: float = 0.0  # … and while "lost": what a box is worth there, and scores alone do not say
    reference_rate: float = 25.0  # frames a second for which the filter's noise is meant
    filter: FilterOptions = field(default_factory=FilterOptions)

    def __post_init__(self) -> None:
        if self.crop not in get_args(Crop):
            raise OptionError(f"crop is {self.crop!r}", f"choose one of {', '.join(get_args(Crop))}")
        check_shares(self, _SHARES)
        if self.seen > self.sure:
            raise OptionError(f"seen ({self.seen}) is above sure ({self.sure})", "seen must be at most sure")
        if not 0 <= self.near_speed < math.inf:
            raise OptionError(
                f"near_speed is {self.near_speed}", "give a share of the target's size, 0 or more"
            )
        if self.growth < 1 or self.widest < 1:
            raise OptionError(f"growth {self.growth} or widest {self.widest} is below 1", "give 1 or more")
        offsets = self.score_offset, self.score_uncertain, self.score_lost
        if not 0 < self.score_slope < math.inf or not all(map(math.isfinite, offsets)):
            raise OptionError(
                f"score_slope is {self.score_slope} and the offsets of scores are {offsets}",
                "give finite numbers, the slope above 0, so that a higher score stays higher",
            )
        margins = self.look_least, self.look_found, self.look_sure
        if not -2 <= margins[0] <= margins[1] <= margins[2] <= 2:
            raise OptionError(
                f"look_least, look_found and look_sure are {margins}",
                "margins lie between -2 and 2, and rise in this order",
            )
        shares = self.look_again, self.look_size, self.rival_lead
        if not (-2 <= shares[0] <= 2 and 0 <= shares[1] < math.inf and 0 <= shares[2] <= 4):
            raise OptionError(
                f"look_again, look_size and rival_lead are {shares}",
                "a margin from -2 to 2, a number of 0 or more, and a difference of margins from 0 to 4",
            )
        counts = self.lost_after - 1, self.refresh_every, self.sweep_after, self.sweep_looks, self.confirm
        if min(*counts, self.look_every, self.rivals_every) < 0 or self.reference_rate <= 0:
            raise OptionError(
                "a frame count or rate is out of range",
                "lost_after >= 1; confirm and all others that count frames or looks >= 0; rate > 0",
            )

    def chance(self, score: float, status: Status = "tracking") -> float:
        """How likely a box of this score and status is right: what a ``Track`` has for a score, in [0, 1]."""
        offset = self.score_offset
        if status != "tracking":
            offset += self.score_lost if status == "lost" else self.score_uncertain
        if self.score_slope == 1 and offset == 0:
            return score
        held = min(max(score, 1e-4), 1 - 1e-4)
        logit = self.score_slope * math.log(held / (1 - held)) + offset
        return 1 / (1 + math.exp(-max(logit, -700.0)))

    @classmethod
    def from_spec(cls, spec: ModelSpec) -> Self:
        """The thresholds that a model was tuned with (``preprocess.options``), defaults for the rest.

        Raises OptionError for an option that there is none of: nothing is dropped in silence.
        """
        given = spec.preprocess.get("options", {})
        if not isinstance(given, Mapping):
            raise OptionError(
                f"preprocess.options of model {spec.name!r} is {given!r}", "it must be a table of options"
            )
        values: dict[str, Any] = dict(given)
        try:
            if isinstance(values.get("filter"), Mapping):
                values["filter"] = FilterOptions(**values["filter"])
            return cls(**values)
        except TypeError as error:
            known = ", ".join(entry.name for entry in fields(cls))
            raise OptionError(
                f"preprocess.options of model {spec.name!r} cannot be used ({error})",
                f"known options: {known}",
            ) from error
