"""`SceneOptions`: every threshold of a scene, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from ...errors import OptionError
from ..tracking import FilterOptions
from ..tracking.filter_options import check_shares

_SHARES = (
    "least_score", "match_score", "open_score", "show_score", "duplicate", "seen", "found", "appearance",
    "look_settles",
)  # fmt: skip
_COUNTS = "most_detections", "most_targets", "misses", "flow_side", "flow_points", "reference_rate"


@dataclass(frozen=True)
class SceneOptions:
    """How a scene opens, follows, corrects and ends its targets. Scores are in [0, 1], times in seconds."""

    least_score: float = 0.1  # detections below are passed over
    match_score: float = 0.5  # those from here on are matched first, as ByteTrack does
    open_score: float = 0.5  # from here on a detection that fits nobody opens a target
    show_score: float = 0.75  # from here on it is shown at once; others once they are detected again …
    show_roamed: float = 0.25  # … or have moved by themselves as far as this share of their size
    duplicate: float = 0.85  # overlap from which two detections, or two targets, are one
    most_detections: int = 300  # a frame, the surest; the rest is passed over and counted
    most_targets: int = 256  # followed at once
    patience: float = 1.5  # after which a target that nothing confirms counts as lost
    misses: int = 2  # rounds of detections in a row without it, after which that is so sooner …
    missed_for: float = 0.25  # … but not before
    keep: float = 4.0  # after which a lost target is ended; until then it can be found again under its id
    look_every: float = 0.4  # a target is looked at by the model so long after it was seen, at the latest
    most_looks: int = 0  # by the model, a frame; 0: as many as are due
    budget_ms: float = 0.0  # of a frame, for looks; 0: none. Times are not the same twice, nor are boxes then
    seen: float = 0.3  # a look of at least this score counts
    found: float = 0.5  # a look elsewhere of at least this score finds a target again
    appearance: float = 0.6  # likeness from which a lost target is found again
    swap: float = 0.08  # how much likelier swapped identities must be, when two targets part, to swap them
    flow_place: float = 0.02  # deviation of the flow's word for the place, as a share of the size
    flow_size: float = 0.06  # of its word for each side
    drift_place: float = 0.02  # how far the place drifts a frame that only the flow tells of, as a walk
    drift_size: float = 0.01  # each side
    detection_std: float = 0.05  # deviation of a detection of score 0.5, its place, as a share of the size
    detection_size: float = 0.075  # its sides, which change from frame to frame more than they drift
    look_place: float = 0.08  # of a look of score 1, its place
    look_size: float = 0.15  # its sides
    flow_first: float = 4.0  # how much less a look counts where the flow is trusted
    look_settles: float = 0.5  # share of the drift that a look settles
    late: float = 0.0  # seconds that detections may come after their frame; the flow brings them up to date
    learn_every: float = 5.0  # the template is made anew, from a detection, so often; 0: never
    camera: bool = True  # whether the camera's motion is looked for
    flow_side: int = 960  # pixels of the longer side of the pictures that motion is looked for in
    flow_points: int = 640  # at most, of all targets together
    reference_rate: float = 25.0  # frames a second for which the filter's noise is meant
    filter: FilterOptions = field(
        default_factory=lambda: FilterOptions(position_std=1 / 80, velocity_std=1 / 30)
    )

    def __post_init__(self) -> None:
        check_shares(self, _SHARES)
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, int | float) and not (math.isfinite(value) and value >= 0):
                raise OptionError(f"{one.name} is {value}", "give a finite number of 0 or more")
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}", "give 1 or more")
