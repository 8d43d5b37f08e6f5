"""What may stand at a model's ends within its graph, in place of work on the host: a row a kind of model.

An ending changes what goes in and comes out, and no weight. ``preprocess.ends`` of a spec says that a model
has one; a model may also give the same by itself, and then has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from ..bundles import ModelSpec
from ..errors import OptionError
from . import best_cell, byte_frames


@dataclass(frozen=True)
class Ending:
    """One kind.

    Attributes:
        fits: whether a model can have it.
        ends: whether it has it.
        changed: the spec with it.
        wrapped: the functions with it.
    """

    fits: Callable[[ModelSpec], bool]
    ends: Callable[[ModelSpec], bool]
    changed: Callable[[ModelSpec], ModelSpec]
    wrapped: Callable[[Mapping[str, Any]], dict[str, Any]]


ENDS, GRAPH = "ends", "graph"

ENDINGS = (
    Ending(best_cell.fits, best_cell.ends, best_cell.changed, best_cell.wrapped),
    Ending(byte_frames.fits, byte_frames.ends, byte_frames.changed, byte_frames.wrapped),
)


def decoded(spec: ModelSpec, where: str) -> ModelSpec:
    """The spec of a model that ends on the "host" or in the "graph"; "" is there if it can be.

    Raises OptionError: there is no such place or no such ending, or it cannot be without it any more.
    """
    if where not in ("", "host", "graph"):
        raise OptionError(f"--decode {where} is unknown", "choose host or graph")
    if spec.preprocess.get(ENDS) == GRAPH:
        if where == "host":
            raise OptionError(
                f"{spec.name!r} ends in its graph already", "export the model that it was made of"
            )
        return spec
    fitting = [one for one in ENDINGS if one.fits(spec)]
    if where == "graph" and not fitting:
        raise OptionError(
            f"{spec.name!r} is neither a tracker with a centre head nor an interpolator", "leave --decode out"
        )
    if not fitting or where == "host":
        return spec
    changed = fitting[0].changed(spec)
    return replace(changed, preprocess={**changed.preprocess, ENDS: GRAPH})


def functions_of(model: nn.Module, spec: ModelSpec) -> dict[str, Any]:
    """A model's functions as its spec has them."""
    functions: Mapping[str, Any] = model.functions()  # type: ignore[operator]
    for one in ENDINGS:
        if spec.preprocess.get(ENDS) == GRAPH and one.ends(spec):
            functions = one.wrapped(functions)
    return dict(functions)
