"""Rows of a batch each on their own: a session must get what it gets alone, whoever shares its batch.

Closed loops run one session, so a norm over the batch, or a dropout that was left on, could pass them. Here
each function of the PyTorch model runs on a batch of two unlike rows, on each of them alone, and once again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..bundles import FunctionSpec, ModelSpec, Size, TensorSpec
from ..errors import ExportError
from ..models import functions_of

TOLERANCE = 1e-2
"""Relative to the largest magnitude: far above rounding, which differs with the batch."""


def small_size(spec: ModelSpec) -> Size | None:
    """Sides of small frames for a model that takes any; None where it takes one size."""
    multiple = spec.preprocess.get("multiple", 1)
    side = 4 * multiple if isinstance(multiple, int) else 4
    return None if spec.is_sized else (side, 2 * side)


def check_rows(model: nn.Module, spec: ModelSpec) -> None:
    """Raises ExportError, naming the output or state, where a row depends on another one, or on chance.

    ``model`` computes, in evaluation mode; its functions give what the spec says.
    """
    calls, size = functions_of(model, spec), small_size(spec)
    states = {tensor.name: tensor for tensor in spec.state}
    for function in spec.functions:
        described = spec.function(function)
        read = {name: states[name] for name in described.reads_state}
        tensors = [*described.inputs, *read.values()]
        if not described.inputs or any(tensor.batch_axis != 0 for tensor in tensors):
            continue  # a call of one row, always
        generator = torch.Generator().manual_seed(0)
        inputs, state = ({one.name: rows(one, size, generator) for one in many}
                         for many in (described.inputs, read.values()))  # fmt: skip

        run = partial(called, calls[function], described, inputs, state)
        both, again, first, second = run([0, 1]), run([0, 1]), run([0]), run([1])
        what = differing(both, again)
        if what is not None:
            raise ExportError(
                f"{what} of function {function!r} differs when the same rows are run twice",
                "take out what is random, such as a dropout that is on in evaluation mode",
            )
        joined = {name: torch.cat([one, second[name]]) for name, one in first.items()}
        what = differing(both, joined)
        if what is not None:
            raise ExportError(
                f"{what} of function {function!r} differs when another row is in the batch",
                "sessions share batches, so each row has to be computed on its own: no mean, norm or sort "
                "over the batch",
            )


def called(
    call: Callable[..., Any],
    described: FunctionSpec,
    inputs: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    picked: list[int],
) -> dict[str, Tensor]:
    """What a function gives for some rows, by what it is called in an error; what has no rows is left out."""
    with torch.no_grad():
        outputs, written = call(
            {name: one[picked] for name, one in inputs.items()},
            {name: one[picked] for name, one in state.items()},
        )
    found = {f"output {one.name!r}": outputs[one.name] for one in described.outputs if one.batch_axis == 0}
    return found | {f"state {name!r}": written[name] for name in described.writes_state}


def rows(tensor: TensorSpec, size: Size | None, generator: torch.Generator) -> Tensor:
    """Two unlike rows: numbers from 0 to 0.2, and from 0.5 to 1; whole ones below 3."""
    shape = tensor.concrete(2, size)
    drawn = torch.rand(shape, generator=generator)
    drawn[0] *= 0.2
    drawn[1] = 0.5 + 0.5 * drawn[1]
    kind: torch.dtype = getattr(torch, tensor.dtype)
    return drawn.to(kind) if kind.is_floating_point else (3 * drawn).to(kind)


def differing(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    """The first tensor that is another one, by more than rounding."""
    for name, one in found.items():
        ours, theirs = one.double(), wanted[name].double()
        whole = torch.cat([ours.flatten(), theirs.flatten()])
        finite = whole[torch.isfinite(whole)]
        room = TOLERANCE * float(finite.abs().max()) if finite.numel() else 0.0
        if not torch.allclose(ours, theirs, rtol=0.0, atol=room, equal_nan=True):
            return name
    return None
