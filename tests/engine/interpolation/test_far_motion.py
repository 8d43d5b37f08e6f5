"""A model with a second motion in the engine: as any other, whatever is asked of a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from framestate.bundles import write_bundle
from framestate.engine import Engine, InterpolationOptions
from framestate.models.interpolation import HybridInterpolator, InterpolatorConfig
from framestate.models.registry import dump_weights
from framestate.plugins import eager_operators
from framestate.vision import Frame, Image
from safetensors.numpy import save
from torch import nn

from .conftest import frames

Pictures = Callable[..., Image]
CONFIG = InterpolatorConfig(
    channels=(4, 4, 8, 8), head_channels=4, states=4, window=4, correlation_channels=4, correlation_radius=1,
    flow_width=(8, 8, 8), flow_depth=(1, 1, 1), hidden=3, refine="patch", refine_width=8, start_flow="dis",
    bend=True, rest=True, far_blocks=1,
)  # fmt: skip
WAYS: dict[str, dict[str, Any]] = {
    "twice": {"factor": Fraction(2)},
    "any time": {"factor": Fraction(7, 2)},
    "half size": {"factor": Fraction(2), "scale": 0.5},
    "tiles": {"factor": Fraction(2), "tile_pixels": 128 * 128, "overlap": 32},
    "ahead": {"factor": Fraction(2), "lookahead": True},
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = HybridInterpolator(CONFIG, eager_operators()).eval()
        for parameter in model.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.05)
    weights = {"weights.safetensors": save(dump_weights(model))}
    folder = tmp_path_factory.mktemp("far") / "bundle"
    write_bundle(folder, model.spec("far"), weights, provenance={}, metrics={}, parity={})
    with Engine.load(folder, runtime="eager", threads=1) as opened:
        yield opened


@pytest.fixture
def clip(picture: Pictures) -> list[Frame]:
    return frames([picture(3 * step, size=(100, 170)) for step in range(5)], [40 * step for step in range(5)])


@pytest.mark.parametrize("way", WAYS)
def test_a_video_goes_on_from_a_snapshot_as_if_never_stopped(
    engine: Engine, clip: list[Frame], way: str
) -> None:
    options = InterpolationOptions(**WAYS[way])
    with engine.open(options=options) as session:
        whole = [shown for frame in clip for shown in session.push(frame)]
    with engine.open(options=options) as session:
        begun = [shown for frame in clip[:3] for shown in session.push(frame)]
        blob = session.snapshot()
    with engine.restore(blob) as session:
        begun += [shown for frame in clip[3:] for shown in session.push(frame)]
    assert len(begun) == len(whole) > len(clip)
    for one, other in zip(begun, whole, strict=True):
        assert (one.pts, one.time_base) == (other.pts, other.time_base)
        assert np.array_equal(one.image, other.image)
