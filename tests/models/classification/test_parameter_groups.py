"""Every parameter in exactly one group, and layers that all learn."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from framestate.errors import OptionError
from framestate.models.classification import ClassifierConfig, MambaClassifier
from framestate.models.classification.groups import GroupConfig, parameter_groups
from framestate.plugins import eager_operators


def model_of(layers: int = 3, dt_rank: int = 0) -> MambaClassifier:
    config = ClassifierConfig(size=8, dim=4, layers=layers, states=2, dt_rank=dt_rank, labels=("a", "b"))
    return MambaClassifier(config, eager_operators())


@pytest.mark.parametrize("dt_rank", [0, 2])
@pytest.mark.parametrize("config", [GroupConfig(), GroupConfig(0.8), GroupConfig(1.0, spare=False)])
def test_the_groups_are_a_partition(config: GroupConfig, dt_rank: int) -> None:
    model = model_of(dt_rank=dt_rank)
    groups = parameter_groups(model, 0.05, config)
    found = [id(parameter) for group in groups for parameter in group["params"]]  # type: ignore[attr-defined]
    assert len(found) == len(set(found))
    assert set(found) == {id(parameter) for parameter in model.parameters()}
    torch.optim.AdamW(groups, lr=1e-3)  # which refuses a parameter that stands twice


def test_what_decays_and_what_does_not() -> None:
    model = model_of(dt_rank=2)
    decay = {
        id(parameter): group["weight_decay"]
        for group in parameter_groups(model, 0.05, GroupConfig())
        for parameter in group["params"]  # type: ignore[attr-defined]
    }
    spared = {name for name, parameter in model.named_parameters() if decay[id(parameter)] == 0}
    for name, parameter in model.named_parameters():
        matrix = name.endswith(("_proj.weight", "conv_weight", "mlp.0.weight", "mlp.2.weight"))
        kept = matrix or name in ("patch_embed.weight", "head.weight")
        assert (name in spared) != kept, name
        assert decay[id(parameter)] in (0.0, 0.05)
    assert {"pos_embed", "blocks.0.mixer.a_log", "blocks.2.mixer.d_skip", "norm.weight"} <= spared
    everything = parameter_groups(model, 0.05, GroupConfig(spare=False))
    assert {group["weight_decay"] for group in everything} == {0.05}


def test_later_layers_learn_faster_and_the_first_still_learn() -> None:
    model = model_of(layers=24)
    scale: dict[int, Any] = {
        id(parameter): group["scale"]
        for group in parameter_groups(model, 0.05, GroupConfig())
        for parameter in group["params"]  # type: ignore[attr-defined]
    }
    named = {name: scale[id(parameter)] for name, parameter in model.named_parameters()}
    assert named["pos_embed"] == named["patch_embed.weight"] == pytest.approx(0.98**25)
    assert named["head.weight"] == named["norm.bias"] == 1.0
    depths = [
        named["pos_embed"],
        *(named[f"blocks.{i}.mixer.a_log"] for i in range(24)),
        named["head.weight"],
    ]
    assert all(b / a == pytest.approx(1 / 0.98) for a, b in pairwise(depths))
    for index in range(24):
        assert len({named[name] for name in named if name.startswith(f"blocks.{index}.")}) == 1
    assert min(named.values()) > 0.5


def test_a_decay_that_would_freeze_the_first_layers_is_refused() -> None:
    with pytest.raises(OptionError, match=r"layer_decay 0.65, tokens are learned at 2e-05 of the rate"):
        parameter_groups(model_of(layers=24), 0.05, GroupConfig(0.65))
    parameter_groups(model_of(layers=3), 0.05, GroupConfig(0.65))
    for bad in (0.0, 1.1):
        with pytest.raises(OptionError, match="layer_decay is"):
            GroupConfig(bad)
