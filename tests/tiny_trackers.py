"""Small trackers of random weights with their graphs, proven like any other: what many tests run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framestate.bundles import Bundle


def write_tiny(folder: Path) -> Bundle:
    """A tracker of 23 thousand random weights with its graphs, proven like any other: made once, in seconds.

    Its weights are drawn so that every part has a say: boxes jump about, and state changes them.
    """
    import torch
    from framestate.export.bundle import bundle_model
    from framestate.models.artrack_mamba import ArtrackMamba, ArtrackMambaConfig
    from framestate.plugins import eager_operators
    from torch import nn

    sizes: dict[str, Any] = {"template_size": 32, "search_size": 64, "search_factor": 4.0, "stem": "patch"}
    config = ArtrackMambaConfig(**sizes, dim=16, layers=2, head_channels=8, states=4, head_dim=16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ArtrackMamba(config, eager_operators()).eval()
        for name, parameter in model.named_parameters():
            if name.endswith("out_proj.weight"):
                nn.init.normal_(parameter)
        nn.init.constant_(model.carry_logit, 1.0)
        bias = model.head.out.bias
        assert bias is not None
        nn.init.normal_(model.head.out.weight, std=0.1)
        nn.init.zeros_(bias[:1])
    return bundle_model(model, model.spec("tiny"), folder, provenance={"seed": 0}, frames=5)[0]


def write_tiny_vil(folder: Path) -> Bundle:
    """A ViL-Tracker of 34 thousand random weights with its graphs, proven like any other: made once.

    Its crops are those of ``tiny_bundle``; temporal features and maps are drawn large, so that both matter.
    """
    import torch
    from framestate.export.bundle import bundle_model
    from framestate.models.vil_tracker import VilTracker, VilTrackerConfig
    from framestate.plugins import eager_operators
    from torch import nn

    sizes: dict[str, Any] = {"template_size": 32, "search_size": 64, "dim": 16, "layers": 2}
    sizes |= {"expert_layers": 1, "experts": 2, "expert_hidden": 8, "shared_hidden": 8, "film_rank": 4}
    sizes |= {"film_hidden": 8, "head_dims": (16, 16, 8), "uncertainty_dims": (8, 8)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VilTracker(VilTrackerConfig(**sizes), eager_operators()).eval()
        nn.init.normal_(model.film.affine)
        for name, parameter in model.named_parameters():
            if name.endswith("4.weight"):  # the last layer of every tower
                nn.init.normal_(parameter, std=0.5)
    return bundle_model(model, model.spec("tiny-vil"), folder, provenance={"seed": 0}, frames=5)[0]


def write_tiny_trajectory(folder: Path) -> Bundle:
    """An ARTrackMamba with a trajectory head and random weights, with its graphs, proven: made once.

    Its crops are those of ``tiny_bundle``; words and score are drawn large, so that boxes jump about.
    """
    import torch
    from framestate.export.bundle import bundle_model
    from framestate.models.artrack_mamba_v2 import ArtrackMambaV2, ArtrackMambaV2Config
    from framestate.plugins import eager_operators
    from torch import nn

    sizes: dict[str, Any] = {"template_size": 32, "search_size": 64, "dim": 16, "layers": 2, "states": 8}
    sizes |= {"head_channels": 8, "attention_heads": 2, "bins": 40, "history": 2}
    sizes |= {"redraw_dim": 8, "redraw_layers": 1, "redraw_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = ArtrackMambaV2Config(**sizes, mixer="mamba2", temporal="carry")
        model = ArtrackMambaV2(config, eager_operators()).eval()
        nn.init.normal_(model.tokens.words.weight)
        for parameter in model.score.parameters():
            nn.init.normal_(parameter)
    return bundle_model(model, model.spec("tiny-trajectory"), folder, provenance={"seed": 0}, frames=5)[0]
