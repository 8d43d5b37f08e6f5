"""Weights that a run starts from: layers that are added, left out or differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from framestate.errors import BundleError, OptionError
from framestate.models.interpolation import HybridInterpolator
from framestate.models.interpolation.train import grown, thinned
from framestate.models.registry import load_weights
from framestate.plugins import eager_operators
from torch import nn

from .conftest import BuildInterpolator


def test_layers_that_a_start_lacks_begin_at_zero(build: BuildInterpolator) -> None:
    shallow, deep = build(encoder_depth=(0, 1, 0, 0)), build(encoder_depth=(1, 2, 0, 1))
    weights = {name: tensor.numpy() for name, tensor in shallow.state_dict().items()}
    found = grown(weights, deep)
    assert set(found) == set(deep.state_dict())
    assert all(np.array_equal(found[name], array) for name, array in weights.items())
    added = set(found) - set(weights)
    assert len(added) == 6
    assert not any(found[name].any() for name in added)
    missing = grown({name: array for name, array in weights.items() if "down" not in name}, deep)
    assert set(deep.state_dict()) - set(missing) == {"down.weight", "down.bias"}


def test_layers_left_out_of_a_start(build: BuildInterpolator) -> None:
    deep, shallow = build(encoder_depth=(0, 3, 1, 0)), build(encoder_depth=(0, 1, 1, 0))
    weights = {name: tensor.numpy() for name, tensor in deep.state_dict().items()}
    found = thinned(weights, ("encoder.stages.1.1", "encoder.stages.1.2"))
    load_weights(shallow, found)
    kept = weights["encoder.stages.1.3.body.0.weight"]
    np.testing.assert_array_equal(found["encoder.stages.1.1.body.0.weight"], kept)
    np.testing.assert_array_equal(
        found["encoder.stages.2.1.body.0.bias"], weights["encoder.stages.2.1.body.0.bias"]
    )


def test_a_layer_named_twice_goes_once(build: BuildInterpolator) -> None:
    weights = {
        name: tensor.numpy() for name, tensor in build(encoder_depth=(0, 3, 1, 0)).state_dict().items()
    }
    once, twice = thinned(weights, ("encoder.stages.1.1",)), thinned(weights, ("encoder.stages.1.1",) * 2)
    assert once.keys() == twice.keys()


@pytest.mark.parametrize("layer", ["encoder.stages.1.9", "encoder", "down", ""])
def test_a_layer_to_leave_out_must_be_there(build: BuildInterpolator, layer: str) -> None:
    weights = {name: tensor.numpy() for name, tensor in build().state_dict().items()}
    with pytest.raises(OptionError, match="without names"):
        thinned(weights, (layer,))


def test_a_model_grows_a_start_and_gives_what_it_gave(build: BuildInterpolator) -> None:
    small, large = build(), build(start_flow="dis", refine="patch", refine_width=6)
    weights = {name: tensor.numpy() for name, tensor in small.state_dict().items()}
    fresh = HybridInterpolator(large.config, eager_operators()).eval()
    load_weights(fresh, grown(weights, fresh))
    assert fresh.choice is not None
    with torch.no_grad():
        bias = fresh.choice.head.bias
        assert bias is not None
        bias[4] = -50.0
        frames = torch.rand(2, 1, 3, 64, 96)
        start, t = torch.randn(1, 4, 8, 12), torch.full((1, 1), 0.5)
        made, expected = fresh(*frames, t, start), small(*frames, t)
    assert (made - expected).abs().mean() < 0.01  # the mask is enlarged before the sigmoid, not after it


def test_a_model_that_learns_to_bend_gives_what_it_gave_where_nothing_bends(build: BuildInterpolator) -> None:
    straight, bent = build(start_flow="dis"), build(start_flow="dis", bend=True)
    load_weights(bent, grown({name: value.numpy() for name, value in straight.state_dict().items()}, bent))
    frames, start, t = torch.rand(2, 1, 3, 64, 96), torch.randn(1, 4, 8, 12), torch.full((1, 1), 0.5)
    with torch.no_grad():
        expected = straight(*frames, t, start)
        torch.testing.assert_close(bent(*frames, t, start, torch.zeros(1, 4, 8, 12)), expected)
        torch.testing.assert_close(bent(*frames, t, start), expected)
        assert (bent(*frames, t, start, torch.full((1, 4, 8, 12), 0.5)) - expected).abs().max() > 1e-3


def test_another_reach_keeps_the_middle(build: BuildInterpolator) -> None:
    far, near = build(correlation_radius=3), build(correlation_radius=1)
    with torch.no_grad():
        entry = far.scale16.entry[0]
        assert isinstance(entry, nn.Conv2d)
        beyond = torch.ones(7, 7, dtype=torch.bool)
        beyond[2:5, 2:5] = False
        entry.weight[:, -2 * 49 :].unflatten(1, (2, 49))[:, :, beyond.flatten()] = 0  # it sees nothing there
        load_weights(near, grown({name: value.numpy() for name, value in far.state_dict().items()}, near))
        frames, t = torch.rand(2, 1, 3, 64, 96), torch.full((1, 1), 0.5)
        torch.testing.assert_close(near(*frames, t), far(*frames, t))
        load_weights(far, grown({name: value.numpy() for name, value in near.state_dict().items()}, far))
        torch.testing.assert_close(near(*frames, t), far(*frames, t))  # what was never seen adds nothing


def test_weights_of_another_model_are_refused(build: BuildInterpolator) -> None:
    weights = {name: tensor.numpy() for name, tensor in build().state_dict().items()}
    del weights["scale16.entry.0.weight"]
    model = build(start_flow="dis")
    with pytest.raises(BundleError, match=r"missing: scale16\.entry"):
        load_weights(model, grown(weights, model))
