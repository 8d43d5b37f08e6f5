"""Rotary positions on a grid (Su et al., "RoFormer", section 3.4), half of the pairs by row, half by column.

Places are counted in patches from the middle of a crop. Template and search crops show the target at one
scale (size over factor is the same), so a distance means the same between them. Tokens that have no place
(history, commands) are not turned. In attention, queries and keys are turned; in a scan, C and B, which are
the same thing there. With Mamba-2's one decay a head that makes their match depend on relative places only;
Mamba-1's decays differ within a pair, so there it does so up to decay.
"""

from __future__ import annotations

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]
"""Angles (L, W / 2) of tokens in their order, and in that in which a reverse scan sees them."""
BASE = 100.0  # crops are a few dozen patches wide: wavelengths from one patch to a hundred


def grid_angles(grid: int, width: int) -> Tensor:
    """(grid², width / 2) angles of each patch in raster order, for vectors of ``width`` channels."""
    quarter = width // 4
    rates = BASE ** (-torch.arange(quarter, dtype=torch.float32) / quarter)
    line = torch.arange(grid, dtype=torch.float32) - (grid - 1) / 2
    row, column = torch.meshgrid(line, line, indexing="ij")
    return torch.cat([row.reshape(-1, 1) * rates, column.reshape(-1, 1) * rates], dim=1)


def rotate(vectors: Tensor, angles: Tensor) -> Tensor:
    """Turns each pair (channel i, channel i + half) of vectors (B, L, ..., W) by angles (L, W / 2)."""
    while angles.dim() < vectors.dim() - 1:
        angles = angles.unsqueeze(1)
    cos, sin = torch.cos(angles), torch.sin(angles)
    one, other = vectors.chunk(2, dim=-1)
    return torch.cat([one * cos - other * sin, one * sin + other * cos], dim=-1)
