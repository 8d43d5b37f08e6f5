"""Vim's checkpoints: a made-up one of the exact layout means in the tracker what it means in Vim."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from framestate.errors import DataError
from framestate.models.artrack_mamba_v2 import ArtrackMambaV2
from framestate.models.artrack_mamba_v2.vim_weights import fit_taps, load_vim, read_state_dict, resized
from torch import Tensor
from torch.nn import functional

BuildModel = Callable[..., ArtrackMambaV2]
DIM, INNER, STATES, RANK, TAPS, LAYERS, SIDE = 16, 32, 8, 1, 4, 3, 14


def made_up(layers: int = LAYERS, places: int = SIDE**2 + 1) -> dict[str, Tensor]:
    """Every tensor of a Vim of 16 channels, by the official names, drawn so that all have a say."""
    torch.manual_seed(3)
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, DIM),
        "pos_embed": (1, places, DIM),
        "patch_embed.proj.weight": (DIM, 3, 16, 16),
        "patch_embed.proj.bias": (DIM,),
        "norm_f.weight": (DIM,),
        "head.weight": (10, DIM),
        "head.bias": (10,),
    }
    for layer in range(layers):
        mixer = f"layers.{layer}.mixer."
        shapes[f"layers.{layer}.norm.weight"] = (DIM,)
        shapes[f"{mixer}in_proj.weight"], shapes[f"{mixer}out_proj.weight"] = (2 * INNER, DIM), (DIM, INNER)
        for end, decay in (("", "A_log"), ("_b", "A_b_log")):
            shapes[f"{mixer}conv1d{end}.weight"], shapes[f"{mixer}conv1d{end}.bias"] = (
                (INNER, 1, TAPS),
                (INNER,),
            )
            shapes[f"{mixer}x_proj{end}.weight"] = (RANK + 2 * STATES, INNER)
            shapes[f"{mixer}dt_proj{end}.weight"], shapes[f"{mixer}dt_proj{end}.bias"] = (
                (INNER, RANK),
                (INNER,),
            )
            shapes[f"{mixer}{decay}"], shapes[f"{mixer}D{end}"] = (INNER, STATES), (INNER,)
    return {name: 0.4 * torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}


def vim_layer(weights: dict[str, Tensor], layer: int, tokens: Tensor) -> Tensor:
    """A layer of Vim by its own code's arithmetic: (B, L, dim) -> what it adds to the residual stream."""

    def w(name: str) -> Tensor:
        return weights[f"layers.{layer}.{name}"]

    normed = tokens * torch.rsqrt(tokens.square().mean(-1, keepdim=True) + 1e-5) * w("norm.weight")
    xz = (normed @ w("mixer.in_proj.weight").t()).transpose(1, 2)  # (B, 2 inner, L)

    def one_way(xz: Tensor, end: str, decay: str) -> Tensor:
        x, z = xz.chunk(2, dim=1)
        length = x.shape[-1]
        conv, bias = w(f"mixer.conv1d{end}.weight"), w(f"mixer.conv1d{end}.bias")
        x = functional.silu(functional.conv1d(x, conv, bias, padding=TAPS - 1, groups=INNER)[..., :length])
        dt, b, c = (x.transpose(1, 2) @ w(f"mixer.x_proj{end}.weight").t()).split([RANK, STATES, STATES], -1)
        dt = functional.softplus(dt @ w(f"mixer.dt_proj{end}.weight").t() + w(f"mixer.dt_proj{end}.bias"))
        h, ys = torch.zeros(x.shape[0], INNER, STATES, dtype=x.dtype), []
        for t in range(length):
            h = torch.exp(-torch.exp(w(f"mixer.{decay}")) * dt[:, t, :, None]) * h
            h = h + (dt[:, t] * x[:, :, t])[..., None] * b[:, t, None]
            ys.append((h * c[:, t, None]).sum(-1) + w(f"mixer.D{end}") * x[:, :, t])
        return torch.stack(ys, dim=-1) * functional.silu(z)

    out = one_way(xz, "", "A_log") + one_way(xz.flip(-1), "_b", "A_b_log").flip(-1)
    return (out.transpose(1, 2) / 2) @ w("mixer.out_proj.weight").t()


@torch.no_grad()
def test_the_layers_do_what_they_do_in_vim(build: BuildModel) -> None:
    weights = made_up()
    model = build().double()
    report = load_vim(model, weights)
    tokens = torch.randn(2, 4, DIM, dtype=torch.float64)
    ours = theirs = tokens
    for layer, block in enumerate(model.blocks):
        ours, _ = block.templates(ours, model.template_parts(1), None)  # type: ignore[operator]
        theirs = theirs + vim_layer({k: v.float().double() for k, v in weights.items()}, layer, theirs)
    assert float((ours - theirs).abs().max()) < 1e-10
    assert set(report.loaded.values()) | set(report.unused) == set(weights)
    assert set(report.unused) == {"cls_token", "head.weight", "head.bias"}
    assert set(report.loaded) | set(report.fresh) == {name for name, _ in model.named_parameters()}
    assert not [name for name in report.fresh if name.startswith("blocks")]


@pytest.mark.parametrize(
    ("options", "unused"),
    [
        ({"mixer": "mamba2"}, {"Mamba-2 has no such tensor": 15}),
        ({"attention_layers": (1,)}, {"layer 1 attends": 16}),
        ({"directions": "alternate"}, {"the layer scans one way only": 21}),
        ({"layers": 2}, {"the model has 2 layers": 17}),
        ({"positions": "rotary"}, {"positions are rotary": 1}),
    ],
)
def test_what_is_not_used_is_named(
    build: BuildModel, options: dict[str, Any], unused: dict[str, int]
) -> None:
    weights = made_up()
    report = load_vim(build(**options), weights)
    assert set(report.loaded.values()) | set(report.unused) == set(weights)
    reasons = list(report.unused.values())
    counts = {reason: reasons.count(reason) for reason in set(reasons) - {"a tracker has no classes"}}
    per_layer = counts.get("Mamba-2 has no such tensor")
    if per_layer is not None:
        counts["Mamba-2 has no such tensor"] = per_layer // LAYERS
    assert counts == unused
    assert all(reason in report.summary for reason in unused)


def test_alternating_layers_take_the_direction_that_they_scan(build: BuildModel) -> None:
    weights, model = made_up(), build(directions="alternate")
    load_vim(model, weights)
    for layer, name in enumerate(("A_log", "A_b_log", "A_log")):
        found = model.get_parameter(f"blocks.{layer}.mixer.ways.0.a_log")
        assert torch.equal(found, weights[f"layers.{layer}.mixer.{name}"].float())


def test_the_newest_taps_stay() -> None:
    weight = torch.arange(8.0).reshape(2, 4)
    assert fit_taps(weight, 4).equal(weight)
    assert fit_taps(weight, 3).tolist() == [[1, 2, 3], [5, 6, 7]]
    assert fit_taps(weight, 5).tolist() == [[0, 0, 1, 2, 3], [0, 4, 5, 6, 7]]


def test_positions_are_resized_without_the_class_token() -> None:
    line = torch.linspace(0, 1, SIDE)
    ramp = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).reshape(1, SIDE**2, 2)
    marked = torch.full((1, 1, 2), 1e6)
    half = SIDE**2 // 2
    middle = torch.cat([ramp[:, :half], marked, ramp[:, half:]], dim=1)
    first = torch.cat([marked, ramp], dim=1)
    for found in (resized(middle, 8, "middle"), resized(first, 8, "first"), resized(ramp, 8, "middle")):
        square = found.reshape(8, 8, 2)
        assert (square[..., 0].diff(dim=0) > 0.1).all()  # still a ramp down the rows
        assert square[..., 0].diff(dim=1).abs().max() < 1e-5
    assert torch.allclose(resized(middle, SIDE, "middle"), ramp[0])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda w: w.pop("layers.1.mixer.D_b"), "layers.1.mixer.D_b is missing"),
        (lambda w: w.update({"layers.0.norm.bias": torch.zeros(DIM)}), "layers.0.norm.bias is not of Vim's"),
        (lambda w: w.update({"norm_f.weight": torch.ones(DIM + 1)}), "norm_f.weight makes"),
        (lambda w: w.update({"pos_embed": torch.ones(1, 5, DIM + 1)}), "pos_embed makes"),
        (lambda w: w.update({"pos_embed": torch.ones(1, 7, DIM)}), "7 places, which make no square"),
    ],
)
def test_other_layouts_are_refused_and_change_nothing(
    build: BuildModel, change: Callable[[dict[str, Tensor]], object], problem: str
) -> None:
    weights, model = made_up(), build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    change(weights)
    with pytest.raises(DataError, match=problem):
        load_vim(model, weights)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


class Surprise:
    """What a checkpoint may not hold."""


def test_checkpoints_are_read_without_running_them(tmp_path: Path) -> None:
    weights = {name: value.float() for name, value in made_up(1).items()}
    torch.save({"model": weights, "epoch": 3, "args": argparse.Namespace(lr=1e-3)}, tmp_path / "vim.pth")
    found = read_state_dict(tmp_path / "vim.pth")
    assert found.keys() == weights.keys()
    torch.save({"model": weights, "hook": Surprise()}, tmp_path / "odd.pth")
    (tmp_path / "short.pth").write_bytes((tmp_path / "vim.pth").read_bytes()[:500])
    torch.save({"model": [1]}, tmp_path / "list.pth")
    for name in ("odd.pth", "short.pth", "list.pth", "none.pth", "none.safetensors"):
        with pytest.raises(DataError):
            read_state_dict(tmp_path / name)
