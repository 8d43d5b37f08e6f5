"""The LGS block: Mamba-2 over both frames at once, beside gated window attention, fused by channel attention.

Branch A (``mixers``) reads the places of the whole frame, in four directions (``scan``): what is
far away, at a cost that grows with the number of places alone. Branch B looks at every place of a window:
what is near, exactly. Their sum passes channel attention and is added to the residual stream, or to several
streams mixed by doubly stochastic matrices (``hyper``).

Sources: gated attention ``Y' = σ(X W_g) ⊙ Y`` after Qiu et al. (arXiv 2505.06708); ECA after Wang et al.
(CVPR 2020); the block as a whole after a research plan of hybrid frame interpolation.

Glossary
    pair     features of both frames (2B, H, W, C): first all first frames, then all second
    window   ``window``² places; of both frames, or of each, as ``window_frames`` says
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...plugins import Operators
from ..artrack_mamba.mixer import RmsNorm
from .config import InterpolatorConfig
from .hyper import HyperConnection
from .mixers import CrossFrameMamba


class GatedWindowAttention(nn.Module):
    """Branch B: attention within windows, every head's output gated by its own sigmoid, where it is gated."""

    def __init__(self, config: InterpolatorConfig, dim: int) -> None:
        super().__init__()
        self.window, self.heads = config.window, config.attention_heads
        self.both = config.window_frames == "both"
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.gate = nn.Linear(dim, dim) if config.attention_gate else None
        self.project = nn.Linear(dim, dim)
        places = self.window**2 * (2 if self.both else 1)
        self.position = nn.Parameter(torch.zeros(self.heads, places, places))
        nn.init.zeros_(self.project.weight)  # the branch starts as nothing
        nn.init.zeros_(self.project.bias)

    def forward(self, pair: Tensor) -> Tensor:
        """pair (2B, H, W, C) -> (2B, H, W, C)."""
        height, width = pair.shape[1:3]
        side = self.window
        tall, wide = (height + side - 1) // side, (width + side - 1) // side  # windows, down and across
        below, right = tall * side - height, wide * side - width
        padded = functional.pad(pair, (0, 0, 0, right, 0, below))
        inside = functional.pad(pair.new_ones(1, height, width, 1), (0, 0, 0, right, 0, below))
        tokens = self.split(padded, tall, wide)  # (windows, places, C)
        hidden = (
            1.0 - self.split(inside.expand(pair.shape[0], -1, -1, 1), tall, wide)
        ) * -1e4  # (windows, places, 1)
        count, places, dim = tokens.shape
        shape = (count, places, self.heads, dim // self.heads)
        query, key, value = (
            part.reshape(shape).transpose(1, 2) for part in self.query_key_value(tokens).chunk(3, -1)
        )
        scores = query @ key.transpose(-1, -2) * (dim // self.heads) ** -0.5
        scores = scores + self.position + hidden.transpose(1, 2).unsqueeze(1)
        seen = (scores.softmax(-1) @ value).transpose(1, 2).reshape(count, places, dim)
        if self.gate is not None:
            seen = torch.sigmoid(self.gate(tokens)) * seen
        out: Tensor = self.project(seen)
        whole: Tensor = self.join(out, pair.shape[0], tall, wide)
        return whole[:, :height, :width]

    def split(self, pair: Tensor, tall: int, wide: int) -> Tensor:
        """(2B, tall · window, wide · window, C) -> (windows, places, C)."""
        side = self.window
        total, channels = pair.shape[0], pair.shape[3]
        grid: Tensor = pair.reshape(total, tall, side, wide, side, channels)
        if not self.both:
            return grid.transpose(2, 3).reshape(-1, side * side, channels)
        grid = grid.unflatten(0, (2, -1))  # (2, B, tall, side, wide, side, C)
        return grid.permute(1, 2, 4, 0, 3, 5, 6).reshape(-1, 2 * side * side, channels)

    def join(self, tokens: Tensor, total: int, tall: int, wide: int) -> Tensor:
        """The inverse of ``split``."""
        side, channels = self.window, tokens.shape[-1]
        shape = (total, tall * side, wide * side, channels)
        if not self.both:
            grid = tokens.reshape(total, tall, wide, side, side, channels)
            return grid.transpose(2, 3).reshape(shape)
        grid = tokens.reshape(total // 2, tall, wide, 2, side, side, channels)
        return grid.permute(3, 0, 1, 4, 2, 5, 6).reshape(shape)


class Eca(nn.Module):
    """Efficient channel attention: each channel's share follows from its neighbours' means."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        taps = 2 * int((math.log2(dim) + 1) / 4) + 1
        self.conv = nn.Conv1d(1, 1, taps, padding=taps // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) -> the same."""
        share = torch.sigmoid(self.conv(x.mean((1, 2)).unsqueeze(1)))  # (B, 1, C)
        return x * share.unsqueeze(1)


class Cab(nn.Module):
    """Channel attention block: two convolutions, then squeeze and excitation."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(dim, dim // 2, 3, padding=1), nn.GELU(), nn.Conv2d(dim // 2, dim, 3, padding=1)
        )
        self.squeeze = nn.Sequential(
            nn.Conv2d(dim, max(1, dim // 8), 1), nn.ReLU(), nn.Conv2d(max(1, dim // 8), dim, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, C) -> the same."""
        y: Tensor = self.body(x.permute(0, 3, 1, 2))
        y = y * self.squeeze(y.mean((2, 3), keepdim=True))
        return y.permute(0, 2, 3, 1)


class LgsBlock(nn.Module):
    """What an LGS block adds to its input; see the module."""

    def __init__(self, config: InterpolatorConfig, index: int, operators: Operators) -> None:
        super().__init__()
        dim, wide = config.dims[index], config.neurons_of(index)
        mode = config.backbone_mode
        self.norm = RmsNorm(dim)
        self.mamba = CrossFrameMamba(config, dim, operators) if mode != "gated_attn_only" else None
        self.attention = GatedWindowAttention(config, dim) if mode != "mamba2_only" else None
        kind = config.channel_attention
        self.fuse = Eca(dim) if kind == "eca" else Cab(dim) if kind == "cab" else nn.Identity()
        self.mlp_norm = RmsNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, wide), nn.GELU(), nn.Linear(wide, dim))

    def forward(self, pair: Tensor, ssm: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """pair (2B, H, W, C), state or None -> what is added to it, final state (None without Mamba-2)."""
        normed = self.norm(pair)
        mixed = torch.zeros_like(pair)
        final = None
        if self.mamba is not None:
            mixed, final = self.mamba(normed, ssm)
        if self.attention is not None:
            mixed = mixed + self.attention(normed)
        mixed = self.fuse(mixed)
        return mixed + self.mlp(self.mlp_norm(pair + mixed)), final


class LgsStage(nn.Module):
    """Some LGS blocks on one level, counted from level 32 on, and the residual streams around them."""

    def __init__(self, config: InterpolatorConfig, places: range, operators: Operators) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(LgsBlock(config, index, operators) for index in places)
        self.connections = nn.ModuleList(
            HyperConnection(config.streams, config.sinkhorn_iterations, annealing=config.mix_annealing)
            for _ in places
        )
        self.streams = config.streams

    def forward(self, pair: Tensor, states: list[Tensor | None]) -> tuple[Tensor, list[Tensor | None]]:
        """pair (2B, C, H, W), a state (or None) a block -> the pair, final states."""
        if not len(self.blocks):
            return pair, []
        streams = pair.permute(0, 2, 3, 1).unsqueeze(0).expand(self.streams, -1, -1, -1, -1)
        finals = []
        for block, connection, state in zip(self.blocks, self.connections, states, strict=True):
            assert isinstance(connection, HyperConnection)
            added, final = block(connection.take(streams), state)
            streams = connection.give(streams, added)
            finals.append(final)
        return streams.mean(0).permute(0, 3, 1, 2), finals
