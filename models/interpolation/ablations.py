"""The experiments of the research plan, each as the options that make it, for docs/interpolation-model.md.

Phase 1 compares backbones without flow, phase 2 ways to use flow, phase 3 data. Changes are to ``base``, and
to ``losses``, ``samples`` or the recipe where a name has a dot or stands in ``recipe``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .config import InterpolatorConfig, base


@dataclass(frozen=True)
class Ablation:
    """One experiment: its number in the plan, a few words, and what differs from ``base`` and its recipe."""

    name: str
    what: str
    model: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def config(self, **small: Any) -> InterpolatorConfig:
        """The model's options; ``small`` replace those of ``base``."""
        return InterpolatorConfig.from_dict({**base().to_dict(), **small, **self.model})

    @property
    def options(self) -> str:
        """The changes as a recipe says them."""
        given = {**self.model, **self.recipe}
        return ", ".join(f"{name} = {toml(value)}" for name, value in given.items()) or "as it is"


def toml(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


PHASE_1: Mapping[str, Any] = {"flow": False, "streams": 1}
VIMEO, X4K = "vimeo-septuplet:vimeo_septuplet", "x4k:X4K1000FPS"

ABLATIONS: tuple[Ablation, ...] = (
    Ablation("1a", "Mamba-2 alone", {**PHASE_1, "backbone_mode": "mamba2_only"}),
    Ablation("1b", "gated window attention alone", {**PHASE_1, "backbone_mode": "gated_attn_only"}),
    Ablation("1c", "both: the LGS block", PHASE_1),
    Ablation("1d", "Mamba-1 for Mamba-2", {**PHASE_1, "mixer": "mamba1"}),
    Ablation("1e", "flip-based scan, frames apart", {**PHASE_1, "scan": "flip"}),
    Ablation("1f", "CAB for ECA", {**PHASE_1, "channel_attention": "cab"}),
    Ablation("1g", "attention without gates", {**PHASE_1, "attention_gate": False}),
    Ablation("1h", "hyper-connections", {**PHASE_1, "streams": 2}),
    Ablation("1h lite", "mHC-lite: few iterations", {**PHASE_1, "streams": 2, "sinkhorn_iterations": 3}),
    Ablation("1h annealed", "mixing that ends", {**PHASE_1, "streams": 2, "mix_annealing": True}),
    Ablation("1i 7", "windows of 7 x 7", {**PHASE_1, "window": 7}),
    Ablation("1i 8", "windows of 8 x 8", {**PHASE_1, "window": 8}),
    Ablation("1i 14", "windows of 14 x 14", {**PHASE_1, "window": 14}),
    Ablation("MaTVLM A", "Mamba-2 from attention, in part", PHASE_1, {"mamba_from_attention": True}),
    Ablation(
        "MaTVLM B",
        "the same, a mixer as wide as the attention",
        {**PHASE_1, "mixer_shape": "matched"},
        {"mamba_from_attention": True},
    ),
    Ablation(
        "MaTVLM C",
        "the same, x, B and C of each head",
        {**PHASE_1, "mixer_shape": "heads"},
        {"mamba_from_attention": True},
    ),
    Ablation("2a", "phase 1 as it is: no flow", {"flow": False}),
    Ablation("2b", "images warped, not features", {"warp": "images"}),
    Ablation("2c", "features warped"),
    Ablation("2d", "flow without a backbone", {"backbone_mode": "none"}),
    Ablation("2e", "flow taught by a teacher (DIS)", {}, {"losses.teacher": 0.05}),
    Ablation("3a", "phase 2 as it is, at 4K", {}, {"start": "phase 2"}),
    Ablation("3b", "X4K alone", {}, {"sets": (X4K,), "ratio": (1,)}),
    Ablation("3c", "Vimeo and X4K, 2 to 1", {}, {"sets": (VIMEO, X4K), "ratio": (2, 1)}),
    Ablation(
        "3d",
        "crops that grow",
        {},
        {"samples.crops": (256, 384, 512), "samples.crop_steps": (0, 200_000, 400_000)},
    ),
)
