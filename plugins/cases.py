"""Inputs of every operator and configuration, to check its forms with: ordinary ones, and one huge step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from .mlstm_scan import MlstmState

Kind = Literal["normal", "step", "rate", "forget", "log_decay", "angle", "ask", "answer"]
Tensors = dict[str, Tensor]

SPIKE_STEP = 5
"""The step that a spike is put at."""

SIZES = {"B": 1, "H": 2, "P": 8, "G": 1, "N": 4, "D": 6, "K": 4, "V": 5, "2": 2}
"""Of a case, by the letters of ``Configuration``; T is given, and J is K - 1."""


@dataclass(frozen=True, eq=False)
class Configuration:
    """A way to call an operator.

    Attributes:
        operator: its name.
        label: as tables have it.
        tensors: arguments in order, each with a letter for every dimension and what is drawn for it. The
            parts of a state of several tensors stand one by one.
    """

    operator: str
    label: str
    tensors: Mapping[str, tuple[str, Kind]]

    @property
    def batched(self) -> tuple[str, ...]:
        """The arguments that have a batch."""
        return tuple(name for name, (dims, _) in self.tensors.items() if dims[0] == "B")

    @property
    def timed(self) -> tuple[str, ...]:
        """The arguments that have a value a step."""
        return tuple(name for name, (dims, _) in self.tensors.items() if dims[1:2] == "T")

    @property
    def shuts(self) -> bool:
        """Whether a step may forget everything: a gate of -inf."""
        return any(kind in ("forget", "log_decay") for _, kind in self.tensors.values())

    @property
    def states(self) -> tuple[str, ...]:
        """The arguments that are states."""
        return tuple(name for name in self.tensors if name in ("state", "memory", "norm", "m"))

    def draw(
        self,
        time: int,
        *,
        spike: float = 0.0,
        seed: int = 0,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        **sizes: int,
    ) -> Tensors:
        """Float32 inputs of ``time`` steps; with ``spike`` one step of that size is among them.

        The spike forgets, and writes nothing: what Δ multiplies is zero there, so that the numbers after it
        keep an ordinary size and show what is lost of them. ``shapes`` are taken in place of the
        configuration's, ``sizes`` (B=3) in place of ``SIZES``.
        """
        letters = {**SIZES, "T": time, **sizes}
        letters["J"] = letters["K"] - 1
        generator = torch.Generator().manual_seed(seed)
        drawn: Tensors = {}
        for name, (dims, kind) in self.tensors.items():
            shape = tuple(letters[letter] for letter in dims) if shapes is None else shapes[name]
            drawn[name] = draw(kind, shape, generator, drawn)
            if spike and kind in SPIKES and time and dims[1:2] == "T":
                at = min(SPIKE_STEP, time - 1)
                drawn[name][:, at] = spike * SPIKES[kind]
                if kind == "step":
                    drawn["x"][:, at] = 0
        return drawn

    def call(self, form: Callable[..., Any], tensors: Tensors, **options: Any) -> tuple[Tensor, ...]:
        """A form's outputs in one tuple: y, and each final state."""
        given: dict[str, Any] = dict(tensors)
        if "memory" in given:
            state: MlstmState = (given.pop("memory"), given.pop("norm"), given.pop("m"))
            given["state"] = state
        y, final = form(**given, **options)
        return (y, *final) if isinstance(final, tuple) else (y, final)


SPIKES: dict[str, float] = {"step": 1.0, "forget": -1.0, "log_decay": -1.0}
"""What a spike is multiplied by, for the kinds that have one."""


def draw(kind: Kind, shape: tuple[int, ...], generator: torch.Generator, drawn: Tensors) -> Tensor:
    """One tensor of a kind; ``drawn`` are those before it."""
    if kind == "rate":  # from -1 to -16 over the first dimension
        rates = -torch.linspace(1, 16, shape[0]) if shape[0] > 1 else torch.tensor([-1.0])
        return rates.reshape(-1, *(1 for _ in shape[1:])).expand(shape).clone()
    normal = torch.randn(shape, generator=generator)
    uniform = torch.rand(shape, generator=generator)
    if kind == "step":
        return 0.1 * uniform
    if kind == "forget":
        return normal + 4
    if kind == "log_decay":
        return -0.1 * uniform
    if kind == "angle":
        return normal
    if kind == "ask":
        return -torch.nn.functional.normalize(normal, dim=-1)
    return -drawn["a"] * uniform if kind == "answer" else normal


CONFIGURATIONS = (
    Configuration(
        "ssd_scan",
        "`ssd_scan`",
        {
            "x": ("BTHP", "normal"),
            "dt": ("BTH", "step"),
            "a": ("H", "rate"),
            "b": ("BTGN", "normal"),
            "c": ("BTGN", "normal"),
            "state": ("BHNP", "normal"),
        },
    ),
    Configuration(
        "selective_scan",
        "`selective_scan`",
        {
            "x": ("BTD", "normal"),
            "dt": ("BTD", "step"),
            "a": ("DN", "rate"),
            "b": ("BTN", "normal"),
            "c": ("BTN", "normal"),
            "state": ("BDN", "normal"),
        },
    ),
    Configuration(
        "mlstm_scan",
        "`mlstm_scan`",
        {
            "q": ("BTHK", "normal"),
            "k": ("BTHK", "normal"),
            "v": ("BTHV", "normal"),
            "i": ("BTH", "normal"),
            "f": ("BTH", "forget"),
            "memory": ("BHKV", "normal"),
            "norm": ("BHK", "normal"),
            "m": ("BH", "normal"),
        },
    ),
    Configuration(
        "causal_conv1d",
        "`causal_conv1d`",
        {
            "x": ("BTD", "normal"),
            "weight": ("DK", "normal"),
            "bias": ("D", "normal"),
            "state": ("BDJ", "normal"),
        },
    ),
    Configuration(
        "diagonal_scan",
        "`diagonal_scan`, real",
        {"x": ("BTD", "normal"), "log_decay": ("BTD", "log_decay"), "state": ("BD", "normal")},
    ),
    Configuration(
        "diagonal_scan",
        "`diagonal_scan`, complex",
        {
            "x": ("BTD2", "normal"),
            "log_decay": ("BTD", "log_decay"),
            "state": ("BD2", "normal"),
            "phase": ("BTD", "angle"),
        },
    ),
    Configuration(
        "gated_scan",
        "`gated_scan`, gates alone",
        {
            "q": ("BTHK", "normal"),
            "k": ("BTHK", "normal"),
            "v": ("BTHV", "normal"),
            "log_decay": ("BTHK", "log_decay"),
            "state": ("BHKV", "normal"),
        },
    ),
    Configuration(
        "gated_scan",
        "`gated_scan`, delta rule",
        {
            "q": ("BTHK", "normal"),
            "k": ("BTHK", "normal"),
            "v": ("BTHV", "normal"),
            "log_decay": ("BTHK", "log_decay"),
            "state": ("BHKV", "normal"),
            "a": ("BTHK", "ask"),
            "b": ("BTHK", "answer"),
        },
    ),
)


def error_by_step(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
    """How far outputs and final states are from exact ones, each step's outputs by their own magnitude.

    Infinite where a value is no number or a shape differs.
    """
    worst = 0.0
    for place, (one, exact) in enumerate(zip(found, wanted, strict=True)):
        if one.shape != exact.shape or not torch.isfinite(one).all():
            return float("inf")
        if not exact.numel():
            continue
        parts = (0, *range(2, exact.dim())) if place == 0 else tuple(range(exact.dim()))
        size = exact.abs().amax(parts).clamp_min(1e-30)
        worst = max(worst, float(((one.double() - exact).abs().amax(parts) / size).max()))
    return worst


def doubled(tensors: Tensors) -> Tensors:
    """The same numbers in float64."""
    return {name: tensor.double() for name, tensor in tensors.items()}
