"""Where the target stands in a crop, and how it moves from crop to crop: the random part of a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .views import Pose


@dataclass(frozen=True)
class SampleConfig:
    """What samples look like. Shifts are in target sizes; zooms and aspects deviations of a natural log."""

    template_size: int = 128
    template_factor: float = 2.0
    search_size: int = 192
    search_factor: float = 3.0
    searches: int = 2
    share_pasted: float = 0.4
    share_in_place: float = 0.2
    share_regions: float = 0.05  # plain regions of pictures without masks; the rest are real clips
    shift: float = 0.28
    zoom: float = 0.16
    turn: float = 0.25
    aspect: float = 0.12
    absent: float = 0.05  # share of samples with a search crop that lacks the target
    absent_elsewhere: float = 0.0  # of those, the share that show the target of another clip, not any place
    max_gap: int = 40  # frames between template and search in real clips


def place_in_search(rng: np.random.Generator, config: SampleConfig) -> tuple[tuple[float, float], float]:
    """A centre and an extent (pixels) of the target in a search crop, as a tracker would leave it."""
    unit = config.search_size / config.search_factor
    reach = (config.search_factor - 1) / 2 * 0.95
    wide = rng.random() < 0.15
    shift = rng.uniform(-reach, reach, 2) if wide else rng.normal(0, config.shift, 2).clip(-reach, reach)
    centre = config.search_size / 2 + shift * unit
    extent = unit * np.exp(np.clip(rng.normal(0, config.zoom), -0.5, 0.5))
    return (float(centre[0]), float(centre[1])), float(extent)


def template_pose(rng: np.random.Generator, config: SampleConfig) -> Pose:
    """The target in the template crop: nearly in the middle, at nearly its nominal size."""
    unit = config.template_size / config.template_factor
    jitter = rng.normal(0, 0.02, 2).clip(-0.06, 0.06) * unit
    middle = config.template_size / 2
    return Pose(
        angle=rng.normal(0, 0.15),
        aspect=float(np.exp(rng.normal(0, 0.15))),
        mirror=bool(rng.random() < 0.5),
        centre=(middle + float(jitter[0]), middle + float(jitter[1])),
        extent=unit * float(np.exp(rng.normal(0, 0.03))),
    )


def next_pose(rng: np.random.Generator, config: SampleConfig, previous: Pose) -> Pose:
    """The target in the next search crop: a random walk in turn and aspect, a fresh place in the crop."""
    centre, extent = place_in_search(rng, config)
    return Pose(
        angle=previous.angle + rng.normal(0, config.turn),
        aspect=previous.aspect * float(np.exp(rng.normal(0, config.aspect))),
        mirror=previous.mirror,
        centre=centre,
        extent=extent,
    )
