"""What an interpolator is taught by: losses, and the networks and teachers behind them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from framestate.errors import DataError
from framestate.models.interpolation.losses import (
    FeatureLoss,
    charbonnier,
    edge_distance,
    flow_distance,
    laplacian_distance,
    laplacian_pyramid,
    read_features,
)
from framestate.models.interpolation.task import better_flow
from safetensors.numpy import save_file
from torch import nn

from .tiny_recipe import write_vgg


def test_a_pyramid_adds_up_to_the_image() -> None:
    image = torch.rand(1, 3, 32, 64)
    bands = laplacian_pyramid(image, 3)
    whole = bands[-1]
    for band in reversed(bands[:-1]):
        whole = torch.nn.functional.interpolate(whole, scale_factor=2.0, mode="nearest") + band
    torch.testing.assert_close(whole, image)


@pytest.mark.parametrize("size", [32, 36, 37])
def test_losses_are_nothing_for_equal_images_alone(size: int) -> None:
    one, other = torch.rand(2, 1, 3, size, size)
    assert laplacian_distance(one, one) == 0
    assert laplacian_distance(one, other) > 0
    assert charbonnier(one, one) == pytest.approx(1e-3, rel=1e-4)
    assert charbonnier(one, other) > 0.1


def test_a_flow_that_is_not_known_is_not_taught() -> None:
    found, taught = torch.ones(2, 4, 3, 3), torch.zeros(2, 4, 3, 3)
    assert flow_distance(found, taught, torch.tensor([[1.0], [1.0]])) == 1
    assert flow_distance(found, taught, torch.tensor([[1.0], [0.0]])) == 1
    assert flow_distance(found, taught, torch.zeros(2, 1)) == 0


def test_a_teacher_counts_where_it_fits_better() -> None:
    torch.manual_seed(0)
    scene = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 10), size=(32, 72), mode="bicubic")
    small = [scene[..., 4 + step : 36 + step].contiguous() for step in (-4, 4, 0)]  # first, second, real
    right = torch.zeros(1, 4, 16, 16)
    right[:, 0], right[:, 2] = 2.0, -2.0  # by 4 pixels of level 4: 2 of level 8
    still = torch.zeros_like(right)
    inner = (slice(None), slice(None), slice(None), slice(4, 12))
    assert better_flow(right, still, small)[inner].mean() > 0.9
    assert better_flow(still, right, small)[inner].mean() < 0.1
    where = torch.tensor([1.0, 0.0, 1.0, 0.0]).view(1, 4, 1, 1).expand_as(right)
    assert flow_distance(right, still, torch.ones(1, 1), where) == 1


def test_the_distance_of_edges_is_that_which_is_reported() -> None:
    from framestate.bench.perception import gmsd

    rng = np.random.default_rng(4)
    images = [
        np.kron(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)) for _ in "ab"
    ]
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in images]
    assert float(edge_distance(*tensors)) == pytest.approx(gmsd(images[0], images[1]), abs=1e-3)
    assert float(edge_distance(tensors[0], tensors[0])) < 1e-3
    made = tensors[0].clone().requires_grad_()
    edge_distance(made, tensors[1]).backward()
    assert made.grad is not None
    assert torch.isfinite(made.grad).all()


def test_perceptual_distance_teaches_what_was_made_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    loss = FeatureLoss(network, (1, 2))
    made, real = torch.rand(2, 1, 3, 12, 12)
    made.requires_grad_()
    real.requires_grad_()
    loss(made, real).backward()
    assert made.grad is not None
    assert real.grad is None
    assert all(parameter.grad is None for parameter in network.parameters())
    assert loss(real, real) == 0


def test_features_are_those_of_a_vgg(tmp_path: Path) -> None:
    """Compared before the pooling and at the end, with ImageNet's mean and deviation."""
    loss = read_features(write_vgg(tmp_path / "vgg.safetensors"))
    kinds = [type(layer).__name__ for layer in loss.network]
    assert kinds == ["Standardised", "Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "Conv2d", "ReLU"]
    assert loss.layers == (4, 7)
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert loss.network[0](grey).abs().max() == 0
    save_file({"features.3.weight": np.zeros((4, 3, 3, 3), np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="holds no features of a VGG"):
        read_features(tmp_path / "other.safetensors")
