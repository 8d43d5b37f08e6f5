"""Mamba-2 weights out of attention weights, where their sizes match.

Linear attention and the Mamba-2 scan are duals: queries are C, keys are B, values are x. So a block's window
attention, once trained, is a better start for its Mamba-2 branch than chance. Sizes differ (B and C have the
state's size and are shared by all heads; x may be expanded), so only what fits is copied and the rest stays
as it was. Source: MaTVLM (arXiv 2503.13440), section 3; partial, as in a research plan of hybrid models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..artrack_mamba.mixer import Mamba2Mixer
from .lgs import GatedWindowAttention, LgsBlock
from .model import HybridInterpolator


@dataclass(frozen=True)
class Copied:
    """How many rows of x, B and C of one block came from values, keys and queries, and how many there are."""

    values: int
    keys: int
    queries: int
    inner: int
    states: int


@torch.no_grad()
def start_from_attention(mixer: Mamba2Mixer, attention: GatedWindowAttention) -> Copied:
    """Copies V, K and Q of an attention into x, B and C of a mixer, as many rows as both have."""
    inner, groups = mixer.config.inner, (mixer.config.conv_channels - mixer.config.inner) // 2
    states = groups  # of all groups of heads together
    query, key, value = attention.query_key_value.weight.chunk(3)
    # in_proj gives the gate (inner rows), x (inner), B (states), C (states) and the step sizes, in this order
    rows = mixer.in_proj.weight
    counts = []
    for start, size, source in (
        (inner, inner, value),
        (2 * inner, states, key),
        (2 * inner + states, states, query),
    ):
        count = min(size, len(source))
        rows[start : start + count] = source[:count]
        counts.append(count)
    values, keys, queries = counts
    return Copied(values, keys, queries, inner, states)


def start_mamba_from_attention(model: HybridInterpolator) -> list[Copied]:
    """``start_from_attention`` for every block that has both branches."""
    done = []
    for module in model.modules():
        if isinstance(module, LgsBlock) and module.mamba is not None and module.attention is not None:
            mixer = module.mamba.mixer
            if isinstance(mixer, Mamba2Mixer):
                done.append(start_from_attention(mixer, module.attention))
    return done
