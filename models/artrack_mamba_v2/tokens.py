"""From crops, boxes and commands to tokens, in the order in which they are scanned.

Source: Bai et al., "ARTrackV2", section 3. A frame brings [dynamic template, search, history, commands];
templates come before all of it. Patches stand in the scan's order, not in raster order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import COMMANDS, ArtrackMambaV2Config
from .order import scan_order
from .rotary import Pair, grid_angles


class Tokens(nn.Module):
    """Everything that turns inputs into tokens (B, L, dim). Coordinates and commands share one vocabulary."""

    def __init__(self, config: ArtrackMambaV2Config) -> None:
        super().__init__()
        self.config = config
        dim, z, x = config.dim, config.template_grid**2, config.search_grid**2
        self.patch_embed = nn.Conv2d(3, dim, config.patch, config.patch)
        self.words = nn.Embedding(config.words, dim)
        nn.init.normal_(self.words.weight, std=0.02)
        self.identity = small(3, dim)  # of templates, dynamic template, search
        self.history_position = small(4 * config.history, dim)
        self.command_position = small(COMMANDS, dim)
        self.learned = config.positions != "rotary"
        if self.learned:  # in raster order
            self.template_position, self.search_position = small(z, dim), small(x, dim)
            if config.dynamic:
                self.dynamic_position = small(z, dim)
        self.template_order: Tensor
        self.search_order: Tensor
        self.command_words: Tensor
        for name, grid in (("template", config.template_grid), ("search", config.search_grid)):
            order = torch.tensor(scan_order(grid, config.order))
            self.register_buffer(f"{name}_order", order, persistent=False)
        commands = torch.tensor([*range(config.places, config.places + 4), config.places + 5])
        self.register_buffer("command_words", commands, persistent=False)

    def crop(self, crops: Tensor) -> Tensor:
        """Crops (B, 3, S, S) -> patch tokens (B, L, dim) without position; template or search by size."""
        side = self.config.template_grid * self.config.patch
        order = self.template_order if crops.shape[-1] == side else self.search_order
        tokens: Tensor = self.patch_embed(crops).flatten(2).transpose(1, 2)[:, order]
        return tokens

    def pixels(self, crops: Tensor) -> Tensor:
        """Template crops (B, 3, S_z, S_z) -> their patches (B, L_z, 3 · patch²) in the scan's order."""
        grid, patch = self.config.template_grid, self.config.patch
        cells = crops.reshape(-1, 3, grid, patch, grid, patch).permute(0, 2, 4, 1, 3, 5)
        return cells.reshape(-1, grid**2, 3 * patch**2)[:, self.template_order]

    def drawn(self, pixels: Tensor) -> Tensor:
        """Patches (B, L_z, 3 · patch²) -> tokens (B, L_z, dim): as ``crop`` gives for the picture of them."""
        weight = self.patch_embed.weight.flatten(1)
        return nn.functional.linear(pixels, weight, self.patch_embed.bias)

    def templates(self, features: Tensor) -> Tensor:
        """Patch tokens of templates (B, T, L_z, dim) -> tokens (B, T · L_z, dim)."""
        tokens = features + self.identity[0]
        if self.learned:
            tokens = tokens + self.template_position[self.template_order]
        return tokens.flatten(1, 2)

    def frame(self, dynamic: Tensor | None, search: Tensor, history: Tensor) -> Tensor:
        """Patch tokens of dynamic template and search, words of history (B, 4 P) -> tokens (B, L, dim)."""
        parts = []
        if dynamic is not None:
            dynamic = dynamic + self.identity[1]
            if self.learned:
                dynamic = dynamic + self.dynamic_position[self.template_order]
            parts.append(dynamic)
        search = search + self.identity[2]
        if self.learned:
            search = search + self.search_position[self.search_order]
        commands = self.words(self.command_words) + self.command_position
        told = self.words(history) + self.history_position
        parts += [search, told, commands.unsqueeze(0).expand(told.shape[0], -1, -1)]
        return torch.cat(parts, dim=1)


class Angles(nn.Module):
    """Rotary angles of templates and of a frame, for vectors of one width.

    Each comes as a pair: in the order of the tokens, and in that in which a reverse scan sees them.
    """

    def __init__(self, config: ArtrackMambaV2Config, width: int) -> None:
        super().__init__()
        grids = {}
        for name, grid in (("template", config.template_grid), ("search", config.search_grid)):
            grids[name] = grid_angles(grid, width)[scan_order(grid, config.order)]
        words = torch.zeros(4 * config.history + COMMANDS, width // 2)
        frame = [grids["template"]] if config.dynamic else []
        parts = {"template": grids["template"], "frame": torch.cat([*frame, grids["search"], words])}
        for name, angles in parts.items():
            turns = name == "template" or not config.causal
            self.register_buffer(name, angles, persistent=False)
            self.register_buffer(f"{name}_turned", angles.flip(0) if turns else angles, persistent=False)

    def of(self, templates: int, frame: bool) -> Pair:
        """(L, width / 2) twice, of so many templates and then perhaps of a frame."""
        pair = []
        for ending in ("", "_turned"):
            parts = [self.get_buffer(f"template{ending}")] * templates
            parts += [self.get_buffer(f"frame{ending}")] if frame else []
            pair.append(torch.cat(parts) if len(parts) > 1 else parts[0])
        return pair[0], pair[1]


def small(*shape: int) -> nn.Parameter:
    """A parameter drawn small, as embeddings are."""
    return nn.Parameter(0.02 * torch.randn(shape))
