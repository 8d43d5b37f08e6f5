"""Masks of single weights, and what Refill makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from framestate.errors import DataError, OptionError
from framestate.models.pruning.groups import Group, Places, spans
from framestate.models.pruning.refill import effective_units, masks_of, refill_counts
from framestate.models.pruning.registry import groups_of
from framestate.models.pruning.rsst import targets_of
from framestate.models.pruning.unstructured import (
    apply_masks,
    global_masks,
    layers_of,
    load_masks,
    save_masks,
)
from torch import nn

Build = Callable[[str], nn.Module]


def test_the_smallest_weights_of_all_layers_go() -> None:
    weights = {"a": torch.tensor([[0.1, -5.0], [0.2, 4.0]]), "b": torch.tensor([0.3, 9.0, -0.4, 0.0])}
    masks = global_masks(weights, ["a", "b"], 0.5)
    assert masks["a"].tolist() == [[False, True], [False, True]]
    assert masks["b"].tolist() == [False, True, True, False]
    assert all(mask.all() for mask in global_masks(weights, ["a", "b"], 0.0).values())
    with pytest.raises(OptionError, match="ratio"):
        global_masks(weights, ["a"], 1.0)
    with pytest.raises(OptionError, match="of 0 weights"):
        global_masks(weights, [], 0.5)


def test_masks_come_back_from_their_file_and_fit_one_model(build: Build, tmp_path: Path) -> None:
    model, other = build("classifier"), build("vil")
    masks = global_masks(model.state_dict(), layers_of(model), 0.6)
    save_masks(tmp_path / "masks.safetensors", masks)
    read = load_masks(tmp_path / "masks.safetensors")
    assert read.keys() == masks.keys()
    assert all(torch.equal(read[name], mask) for name, mask in masks.items())
    apply_masks(model, read)
    zeros = sum(int((model.state_dict()[name] == 0).sum()) for name in masks)
    assert zeros == round(0.6 * sum(mask.numel() for mask in masks.values()))
    with pytest.raises(OptionError, match="does not fit"):
        apply_masks(other, read)


def test_files_that_are_no_masks_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2)}, tmp_path / "numbers.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    for name, what in (("numbers", "no mask"), ("broken", "cannot be read"), ("none", "cannot be read")):
        with pytest.raises(DataError, match=what):
            load_masks(tmp_path / f"{name}.safetensors")


def test_holes_are_counted_together_to_whole_units() -> None:
    """Half of the weights of each of 16 units are eight units' worth: eight stay, with all their weights."""
    group = Group("a", "neuron", "mlp", ("a", None), (Places("a", 0, spans(16, 0)),), multiple=1)
    weights = {"a": torch.randn(16, 4)}
    masks = {"a": torch.tensor([[True, False, True, False]] * 16)}
    assert effective_units(group, weights, masks) == 8
    assert refill_counts([group], weights, masks, 0.0) == {"a": 8}
    assert refill_counts([group], weights, masks, 0.3) == {"a": 10}  # int(8 + 8 · 0.3)
    with pytest.raises(OptionError, match="fill-back"):
        refill_counts([group], weights, masks, 1.0)


def test_layers_of_small_weights_lose_more(build: Build) -> None:
    model = build("classifier")
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.startswith("blocks.0.mlp"):
                value.mul_(0.1)
    groups = [group for group in groups_of(model.spec("small")) if group.kind == "neuron"]  # type: ignore[operator]
    weights = model.state_dict()
    masks = masks_of(weights, layers_of(model), groups, 0.5)
    units = [effective_units(group, weights, masks) for group in groups]
    assert units[0] < 8 < 24 < units[1]
    assert sum(units) == pytest.approx(32, abs=1)


def test_targets_are_exactly_what_would_be_cut(build: Build) -> None:
    model = build("classifier")
    groups = [g for g in groups_of(model.spec("small")) if g.name == "blocks.1.mixer.channels"]  # type: ignore[operator]
    targets = targets_of(model, groups, {groups[0].name: list(range(1, 16))})
    name = "blocks.1.mixer"
    assert set(targets) == {
        f"{name}.{part}"
        for part in (
            "in_proj.weight",
            "conv_weight",
            "conv_bias",
            "x_proj.weight",
            "d_skip",
            "out_proj.weight",
        )
    }  # and not how fast it forgets
    assert targets[f"{name}.in_proj.weight"].nonzero()[:, 0].unique().tolist() == [0, 16]
    assert targets[f"{name}.out_proj.weight"].nonzero()[:, 1].unique().tolist() == [0]
    inside = targets[f"{name}.x_proj.weight"]
    assert inside[0].all()
    assert inside[:, 0].all()
    assert int(inside.sum()) == 16 + 16 + 8 - 1
