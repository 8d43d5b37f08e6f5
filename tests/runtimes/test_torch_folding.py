"""Folded batch norms: the same numbers within rounding, and only where a convolution feeds the norm alone."""

from __future__ import annotations

import torch
from framestate.bundles import load_bundle
from framestate.runtimes.eager import EagerRuntime
from framestate.runtimes.torch_folding import fold_norms
from torch import nn


def told(module: nn.Module) -> nn.Module:
    """With statistics that are not those of a fresh norm, in evaluation."""
    generator = torch.Generator().manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.weight.data, norm.bias.data, norm.running_mean):
                if values is not None:
                    values.copy_(torch.randn(values.shape, generator=generator))
    return module.eval()


@torch.no_grad()
def test_a_norm_after_a_convolution_is_folded() -> None:
    plain = nn.Conv2d(3, 4, 3, bias=False)
    grouped = nn.Conv2d(4, 8, 3, stride=2, groups=4)
    model = told(
        nn.Sequential(plain, nn.BatchNorm2d(4), nn.ReLU(), nn.Sequential(grouped, nn.BatchNorm2d(8)))
    )
    seen = torch.randn(2, 3, 16, 16)
    before = model(seen)
    assert fold_norms(model) == 2
    assert not any(isinstance(one, nn.BatchNorm2d) for one in model.modules())
    torch.testing.assert_close(model(seen), before, rtol=1e-5, atol=1e-5)
    assert fold_norms(model) == 0


@torch.no_grad()
def test_other_norms_are_left_as_they_are() -> None:
    """Before a convolution, after a nonlinearity, in training, with a batch's own statistics, in a module."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    own_statistics = nn.BatchNorm2d(3, track_running_stats=False)
    model = told(
        nn.Sequential(
            nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)),
            Own(), nn.Sequential(nn.Conv2d(3, 3, 1), own_statistics),
        )
    )  # fmt: skip
    assert fold_norms(model) == 0
    assert fold_norms(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))) == 0


def test_the_eager_runtime_folds() -> None:
    """tracker-nano has 34 norms, of which one stands for itself."""
    runtime = EagerRuntime(load_bundle("tracker-nano"))
    left = sum(isinstance(one, nn.BatchNorm2d) for one in runtime._model.modules())
    assert left == 1
