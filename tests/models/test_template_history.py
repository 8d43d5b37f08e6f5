"""Several templates: the state after them stands for all of them, exactly."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from framestate.errors import OptionError
from framestate.models.artrack_mamba import ArtrackMamba, ArtrackMambaConfig
from framestate.models.artrack_mamba.history import TemplateHistory
from framestate.plugins import eager_operators
from torch import nn

SIZES: dict[str, Any] = {"template_size": 32, "search_size": 48, "stem": "patch", "dim": 16, "layers": 3}


def build(history: int, directions: Literal["alternate", "both"] = "alternate") -> TemplateHistory:
    """A small model in float64 whose every part has a say."""
    config = ArtrackMambaConfig(**SIZES, head_channels=8, states=4, head_dim=16, directions=directions)
    torch.manual_seed(0)
    model = TemplateHistory(config, eager_operators(), history)
    for name, parameter in model.named_parameters():
        if name.endswith("out_proj.weight") or name == "head.out.weight":
            nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def crops(history: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(2, history, 3, 32, 32, dtype=torch.float64, generator=generator)
    return drawn, torch.randn(2, 3, 48, 48, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("directions", ["alternate", "both"])
@pytest.mark.parametrize("history", [1, 2, 5])
@torch.inference_mode()
def test_a_step_after_all_templates_equals_the_concatenated_form(
    history: int, directions: Literal["alternate", "both"]
) -> None:
    model = build(history, directions)
    templates, search = crops(history)
    maps = model.concatenated(model.encode_all(templates), search)
    stepped, _ = model.step(search, torch.zeros(2, dtype=torch.float64), model.init_all(templates))
    for name, expected in maps.items():
        torch.testing.assert_close(stepped[name], expected, rtol=0, atol=1e-11)
    if history > 1:  # and the templates after the first have a say
        fewer = model.concatenated(model.encode_all(templates[:, :1]), search)
        assert (fewer["score"] - maps["score"]).abs().max() > 1e-6


@torch.inference_mode()
def test_one_template_is_the_plain_tracker() -> None:
    model = build(1)
    templates, search = crops(1)
    maps = model.concatenated(model.encode_all(templates), search)
    for name, expected in model.stateless(templates[:, 0], search).items():
        torch.testing.assert_close(maps[name], expected, rtol=0, atol=1e-12)
    state, plain = model.init_all(templates), ArtrackMamba.init(model, templates[:, 0])
    assert set(state) == set(plain)
    for name, expected in plain.items():
        torch.testing.assert_close(state[name], expected, rtol=0, atol=1e-12)


def test_the_spec_names_every_function_and_none_is_refused() -> None:
    model = build(3)
    spec = model.spec("history")
    assert set(spec.functions) == set(model.functions())
    assert spec.function("stateless").inputs[0].concrete(2) == (2, 3, 3, 32, 32)
    assert spec.function("cached").inputs[0].concrete(1) == (1, 3, 16, 2, 2)
    assert not spec.function("stateless").reads_state
    with pytest.raises(OptionError):
        build(0)
