"""Published weights: a made-up set of their layout, every tensor of it accounted for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from framestate.errors import DataError, OptionError
from framestate.models.vil_tracker import VilTracker
from framestate.models.vil_tracker.official import load_official, read_official
from safetensors.torch import save_file
from torch import Tensor

BuildVil = Callable[..., VilTracker]
Tensors = dict[str, Tensor]


def published(dim: int = 16, layers: int = 3, grid: int = 7, checkpoint: bool = True) -> Tensors:
    """Random tensors by the names and shapes of vil-small, as in its checkpoint or in the loaded model."""
    inner = 2 * dim
    block: dict[str, tuple[int, ...]] = {
        "proj_up.weight": (2 * inner, dim),
        "q_proj.weight": (inner // 4, 4, 4),
        "k_proj.weight": (inner // 4, 4, 4),
        "v_proj.weight": (inner // 4, 4, 4),
        "conv1d.conv.weight": (inner, 1, 4),
        "conv1d.conv.bias": (inner,),
        "mlstm_cell.igate.weight": (4, 3 * inner),
        "mlstm_cell.igate.bias": (4,),
        "mlstm_cell.fgate.weight": (4, 3 * inner),
        "mlstm_cell.fgate.bias": (4,),
        "mlstm_cell.outnorm.weight": (inner,),
        "learnable_skip": (inner,),
        "proj_down.weight": (dim, inner),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (dim, 3, 16, 16),
        "patch_embed.proj.bias": (dim,),
        "pos_embed.embed": (1, grid, grid, dim),
    }
    stack, layer, norm = (
        ("xlstm.blocks", "xlstm", "xlstm_norm") if checkpoint else ("blocks", "layer", "norm")
    )
    for index in range(layers):
        shapes[f"{stack}.{index}.{norm}.weight"] = (dim,)
        shapes |= {f"{stack}.{index}.{layer}.{name}": shape for name, shape in block.items()}
    last = "xlstm.post_blocks_norm" if checkpoint else "legacy_norm"
    first, second = ("head.0", "head.1") if checkpoint else ("norm", "head")
    shapes |= {f"{last}.weight": (dim,), f"{first}.weight": (dim,), f"{first}.bias": (dim,)}
    shapes |= {f"{second}.weight": (10, dim), f"{second}.bias": (10,)}
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.mark.parametrize("checkpoint", [True, False])
def test_every_tensor_is_accounted_for(build_vil: BuildVil, checkpoint: bool) -> None:
    given = published(checkpoint=checkpoint)
    model = build_vil(block="silu")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    accounting = load_official(model, given)
    # All but the positions (one tensor becomes two) and the classifier go to one tensor each.
    assert len(accounting.unused) == 4
    assert len(accounting.loaded) == len(given) - 4 + 1
    assert set(accounting.loaded) | set(accounting.fresh) == set(before)
    assert not set(accounting.loaded) & set(accounting.fresh)
    parts = {name.split(".")[0] for name in accounting.fresh}
    assert parts == {"film", "head", "kinds", "mixtures", "uncertainty"}
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in accounting.fresh)
    assert not any(torch.equal(after[name], before[name]) for name in accounting.loaded)


def test_each_goes_to_its_place(build_vil: BuildVil) -> None:
    given = published()
    model = build_vil(block="silu")
    load_official(model, given)
    own, base = model.state_dict(), "xlstm.blocks.1.xlstm"
    assert torch.equal(own["blocks.1.mixer.k_proj.weight"], given[f"{base}.k_proj.weight"])
    assert torch.equal(own["blocks.1.mixer.conv_weight"], given[f"{base}.conv1d.conv.weight"][:, 0])
    assert torch.equal(own["blocks.1.mixer.forget_gate.bias"], given[f"{base}.mlstm_cell.fgate.bias"])
    assert torch.equal(own["blocks.1.mixer.skip"], given[f"{base}.learnable_skip"])
    # Norms are stored as what is added to 1.
    assert torch.equal(own["blocks.1.norm.weight"], 1 + given["xlstm.blocks.1.xlstm_norm.weight"])
    assert torch.equal(own["blocks.1.mixer.out_norm"], 1 + given[f"{base}.mlstm_cell.outnorm.weight"])
    assert torch.equal(own["norm.weight"], 1 + given["xlstm.post_blocks_norm.weight"])


def test_positions_of_another_grid_are_resampled(build_vil: BuildVil) -> None:
    model = build_vil(block="silu")
    same = published(grid=4)  # the search's own grid
    load_official(model, same)
    assert torch.allclose(model.search_position, same["pos_embed.embed"].flatten(1, 2), atol=1e-6)
    assert model.template_position.shape == (1, 4, 16)
    even = {**same, "pos_embed.embed": torch.full((1, 7, 7, 16), 0.5)}
    load_official(model, even)
    assert torch.allclose(model.template_position, torch.tensor(0.5), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"xlstm.blocks.2.xlstm.proj_up.weight": None}, "missing: blocks.2.mixer.proj_up.weight"),
        ({"pos_embed.embed": None}, "missing: search_position, template_position"),
        ({"patch_embed.proj.bias": (17,)}, "of another shape: patch.bias"),
        (
            {"xlstm.blocks.0.xlstm.conv1d.conv.weight": (32, 1, 3, 3)},
            "of another shape: blocks.0.mixer.conv_w",
        ),
        ({"xlstm.blocks.3.xlstm.learnable_skip": (32,)}, "unknown: blocks.3.mixer.skip"),
        ({"xlstm.blocks.0.xlstm.proj_up.bias": (64,)}, "unknown: xlstm.blocks.0.xlstm.proj_up.bias"),
        ({"cls_token": (16,)}, "unknown: cls_token"),
    ],
)
def test_what_is_not_theirs_loads_nothing(build_vil: BuildVil, change: dict[str, Any], problem: str) -> None:
    given = published()
    for name, shape in change.items():
        if shape is None:
            del given[name]
        else:
            given[name] = torch.zeros(shape)
    model = build_vil(block="silu")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(DataError, match=problem):
        load_official(model, given)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_other_blocks_do_not_take_them(build_vil: BuildVil) -> None:
    with pytest.raises(OptionError, match="'gelu', the published weights are for 'silu'"):
        load_official(build_vil(block="gelu"), published())


class Stranger:
    """Something that a restricted unpickler must not make."""


def test_files_of_either_kind_are_read(build_vil: BuildVil, tmp_path: Path) -> None:
    plain, pickled = tmp_path / "vil.safetensors", tmp_path / "vil_small16_e400_in1k.th"
    save_file(published(), plain)
    torch.save({"state_dict": published(), "epoch": 400}, pickled)
    for path in (plain, pickled):
        assert len(read_official(build_vil(block="silu"), path).loaded) == 3 * 14 + 5


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        ({"state_dict": Stranger()}, "cannot be read"),
        ({"state_dict": {"pos_embed.embed": 3}}, "holds no tensors by name"),
        ([1, 2], "holds no tensors by name"),
    ],
)
def test_files_that_are_something_else(
    build_vil: BuildVil, tmp_path: Path, content: Any, problem: str
) -> None:
    path = tmp_path / "vil.th"
    if content is None:
        path = path.with_suffix(".safetensors")
        path.write_bytes(b"\x80\x02}q\x00.")
    else:
        torch.save(content, path)
    with pytest.raises(DataError, match=problem):
        read_official(build_vil(block="silu"), path)
