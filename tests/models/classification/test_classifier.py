"""Mamba-Small: a scan with memory, gradients everywhere, and nothing that depends on who computes it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from framestate.errors import OptionError
from framestate.models import build_model, dump_weights, load_weights
from framestate.models.classification import ClassifierConfig, MambaClassifier
from framestate.models.classification.mixing import drop_paths
from framestate.plugins import Operators, eager_operators, reference_operators
from torch import Tensor

SMALL: dict[str, Any] = {"size": 16, "dim": 8, "layers": 2, "states": 3, "labels": ("cat", "dog", "sea")}


def build(operators: Operators | None = None, **options: Any) -> MambaClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MambaClassifier(ClassifierConfig(**{**SMALL, **options}), operators or eager_operators())


def pictures(count: int = 2, size: int = 16, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=dtype)


def test_the_plans_size() -> None:
    """16.5 million with ten labels: the plan's figure."""
    with torch.device("meta"):
        model = MambaClassifier(ClassifierConfig(labels=tuple(map(str, range(10)))), eager_operators())
    assert sum(parameter.numel() for parameter in model.parameters()) == 16_497_610


@pytest.mark.parametrize("dt_rank", [0, 2])
def test_the_gradient_reaches_every_parameter_and_the_decay_rates_above_all(dt_rank: int) -> None:
    model = build(dt_rank=dt_rank)
    torch.nn.functional.cross_entropy(model(pictures()), torch.tensor([0, 2])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    rates = [p.grad for name, p in model.named_parameters() if name.endswith("a_log")]
    assert len(rates) == 2
    assert all(grad is not None and bool((grad != 0).all()) for grad in rates)


def test_the_gradient_of_the_decay_rates_is_the_slope_of_the_loss() -> None:
    model = build(layers=1).double()
    rate = model.get_parameter("blocks.0.mixer.a_log")

    def loss(value: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(
            model, {"blocks.0.mixer.a_log": value}, (pictures(dtype=torch.float64),)
        )
        return out.square().sum()

    assert torch.autograd.gradcheck(loss, (rate,))


def test_a_token_knows_those_before_it_and_none_after() -> None:
    """Beyond the reach of the convolution: only the state can tell."""
    mixer = build().blocks[0].get_submodule("mixer")
    tokens = torch.randn(1, 16, 8, generator=torch.Generator().manual_seed(2))
    changed = tokens.clone()
    changed[:, 7] += 1.0
    moved = (mixer(changed) - mixer(tokens)).abs().amax((0, 2))
    assert (moved[:7] == 0).all()
    assert (moved[7:] > 0).all()
    assert moved[15] > 1e-7


def test_the_state_is_what_carries_it() -> None:
    """With decays so fast that nothing is kept, a token beyond the convolution's reach knows nothing."""
    mixer = build().blocks[0].get_submodule("mixer")
    with torch.no_grad():
        mixer.get_parameter("a_log").fill_(50.0)
    tokens = torch.randn(1, 16, 8, generator=torch.Generator().manual_seed(2))
    changed = tokens.clone()
    changed[:, 7] += 1.0
    moved = (mixer(changed) - mixer(tokens)).abs().amax((0, 2))
    assert (moved[7:11] > 0).all()
    assert (moved[11:] == 0).all()


def test_it_is_the_equations() -> None:
    model, exact = build().double(), build(reference_operators()).double()
    image = pictures(3, dtype=torch.float64)
    difference = (model(image) - exact(image)).abs().max()
    assert difference <= 1e-12 * exact(image).abs().max()


def test_mixed_precision_stays_near() -> None:
    model, image = build().eval(), pictures(4)
    with torch.no_grad():
        wanted = model(image)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(image).float()
    assert (found - wanted).abs().max() <= 0.05 * wanted.abs().max()


def test_a_picture_does_not_depend_on_its_batch() -> None:
    model, image = build().eval(), pictures(5)
    with torch.no_grad():
        together = model(image)
        alone = torch.cat([model(one[None]) for one in image])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_branches_that_are_left_out_change_nothing() -> None:
    model, image = build(), pictures(2)
    everything, nothing = torch.ones(2, 2, 2), torch.zeros(2, 2, 2)
    assert torch.equal(model(image, everything), model(image))
    bare = model.patch_embed(image).flatten(2).transpose(1, 2) + model.pos_embed
    assert torch.equal(model(image, nothing), model.head(model.norm(bare).mean(1)))
    one_sample = everything.clone()
    one_sample[:, :, 0] = 0
    torch.testing.assert_close(model(image, one_sample)[1], model(image)[1])
    assert not torch.allclose(model(image, one_sample)[0], model(image)[0])


def test_paths_are_dropped_by_their_share_and_made_up_for() -> None:
    import numpy as np

    kept = drop_paths(np.random.default_rng(0), 5, 4000, 0.4)
    assert kept is not None
    assert (kept[0] == 1).all()
    shares = (kept == 0).float().mean((1, 2))
    assert torch.allclose(shares, torch.linspace(0, 0.4, 5), atol=0.02)
    assert torch.allclose(kept.mean((1, 2)), torch.ones(5), atol=0.03)
    assert drop_paths(np.random.default_rng(0), 5, 8, 0.0) is None


def test_the_average_is_exponential() -> None:
    model = build().eval()
    classify, image = model.functions()["classify"], pictures(2)
    average = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    keep = torch.tensor([0.0, 0.75])
    outputs, state = classify({"image": image, "keep": keep}, {"average": average})
    frame = torch.softmax(model(image), 1)
    torch.testing.assert_close(outputs["frame"], frame)
    torch.testing.assert_close(outputs["smoothed"][0], frame[0])
    torch.testing.assert_close(outputs["smoothed"][1], 0.75 * average[1] + 0.25 * frame[1])
    assert torch.equal(state["average"], outputs["smoothed"])


def test_a_spec_builds_it_again() -> None:
    model = build()
    spec = model.spec("small")
    again = build_model(spec, eager_operators())
    load_weights(again, dump_weights(model))
    assert torch.equal(again(pictures()), model.eval()(pictures()))
    assert spec.state_bytes == 3 * 4
    assert spec.preprocess["labels"] == ["cat", "dog", "sea"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"size": 30}, "no multiple of the patch"),
        ({"layers": 0}, "layers is 0"),
        ({"conv_taps": 1}, "conv_taps is 1.*at least 2"),
        ({"drop_path": 1.0}, "drop_path is 1.0"),
        ({"mlp_ratio": 0.0}, "mlp_ratio is 0.0"),
        ({"std": (1.0, 0.0, 1.0)}, "deviations above 0"),
        ({"labels": ("cat", "cat")}, "labels stand twice"),
        ({"labels": ("cat",)}, "a classifier of 1 labels"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        build(**options)
    with pytest.raises(OptionError, match="unknown model option fast"):
        ClassifierConfig.from_dict({"fast": True})
