"""What a model costs in floating-point operations: PyTorch's counter, and the scans that it does not see.

A multiplication and an addition are two operations. Matrix products, convolutions and attention are counted
by ``torch.utils.flop_counter`` over tensors without contents; norms and activations are not counted. Scans
are counted as their recurrences, whatever form runs them (the chunked ones do more):

    Mamba-1    7 a step, channel and state: Δ·a, its exponential, decay, input (2), read-out (2)
    Mamba-2    5 a step, head, state and channel: decay, input (2), read-out (2)
    mLSTM      5 a step, head, key and value, and 5 a step, head and key for the normaliser
    convolution  2 a step, channel and tap
    diagonal   2 a step and channel, 8 where it is complex
    gated      5 a step, head, key and value; 9 with the delta rule
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..bundles import ModelSpec
from ..models import functions_of
from ..plugins import Operators
from ..plugins.mlstm_scan import MlstmState
from .graphs import example


class Tally:
    """Operations of scans; its ``operators`` compute nothing, and give tensors of the right shapes."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def operators(self) -> Operators:
        """For a model that is to be counted."""
        return Operators(
            "counting",
            ssd_scan=self._ssd,
            causal_conv1d=self._conv,
            selective_scan=self._selective,
            mlstm_scan=self._mlstm,
            diagonal_scan=self._diagonal,
            gated_scan=self._gated,
        )

    def _ssd(
        self, x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        batch, time, heads, channels = x.shape
        states = b.shape[-1]
        self.count += 5 * batch * time * heads * states * channels
        return torch.empty_like(x), x.new_empty(batch, heads, states, channels)

    def _selective(
        self, x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        batch, time, channels = x.shape
        states = a.shape[1]
        self.count += 7 * batch * time * channels * states
        return torch.empty_like(x), x.new_empty(batch, channels, states)

    def _conv(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        state: Tensor | None = None,
        *,
        silu: bool = True,
    ) -> tuple[Tensor, Tensor]:
        batch, time, channels = x.shape
        self.count += 2 * batch * time * channels * weight.shape[1]
        return torch.empty_like(x), x.new_empty(batch, channels, weight.shape[1] - 1)

    def _mlstm(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        i: Tensor,
        f: Tensor,
        state: MlstmState | None = None,
        *,
        eps: float = 1e-6,
    ) -> tuple[Tensor, MlstmState]:
        batch, time, heads, keys = q.shape
        values = v.shape[-1]
        self.count += 5 * batch * time * heads * keys * (values + 1)
        memory, norm = q.new_empty(batch, heads, keys, values), q.new_empty(batch, heads, keys)
        return torch.empty_like(v), (memory, norm, q.new_empty(batch, heads))

    def _diagonal(
        self, x: Tensor, log_decay: Tensor, state: Tensor | None = None, *, phase: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        self.count += (2 if phase is None else 4) * x.numel()  # complex numbers are two of x's
        return torch.empty_like(x), x.new_empty(x.shape[0], *x.shape[2:])

    def _gated(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        log_decay: Tensor,
        state: Tensor | None = None,
        *,
        a: Tensor | None = None,
        b: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        batch, time, heads, keys = q.shape
        values = v.shape[-1]
        self.count += (5 if a is None else 9) * batch * time * heads * keys * values
        return torch.empty_like(v), q.new_empty(batch, heads, keys, values)


def count_flops(
    build: Callable[[Operators], nn.Module], spec: ModelSpec, functions: Sequence[str]
) -> tuple[int, int]:
    """Operations of one call each of some functions, for one row: all of them, and those of scans alone.

    ``spec`` is sized: no tensor of it depends on the size of the frames any more.
    """
    tally = Tally()
    with torch.device("meta"):
        model = build(tally.operators).to("meta").eval()
        states = {tensor.name: example(tensor, 1) for tensor in spec.state}
        calls = functions_of(model, spec)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            for name in functions:
                described = spec.function(name)
                inputs = {tensor.name: example(tensor, 1) for tensor in described.inputs}
                calls[name](inputs, {key: states[key] for key in described.reads_state})
    return int(counter.get_total_flops()) + tally.count, tally.count
