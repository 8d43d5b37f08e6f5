"""The forms of every operator in one table, from which operators, kernels, plugins and checks are read.

A new operator is a folder with ``reference.py`` and the forms below, a row here, a row of ``cases``, and a
field of ``Operators``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .causal_conv1d import (
    causal_conv1d_chunked,
    causal_conv1d_plugin,
    causal_conv1d_portable,
    causal_conv1d_reference,
    causal_conv1d_with_state,
)
from .diagonal_scan import diagonal_scan_blocks, diagonal_scan_reference
from .gated_scan import gated_scan_chunked, gated_scan_linear_attention, gated_scan_reference
from .mlstm_scan import (
    mlstm_scan_chunked,
    mlstm_scan_linear_attention,
    mlstm_scan_plugin,
    mlstm_scan_portable,
    mlstm_scan_reference,
)
from .selective_scan import (
    selective_scan_chunked,
    selective_scan_linear_attention,
    selective_scan_plugin,
    selective_scan_portable,
    selective_scan_reference,
)
from .ssd_scan import (
    ssd_scan_chunked,
    ssd_scan_linear_attention,
    ssd_scan_plugin,
    ssd_scan_portable,
    ssd_scan_reference,
)

AnyForm = Callable[..., Any]


@dataclass(frozen=True)
class Forms:
    """What an operator is computed by.

    Attributes:
        operator: its name, a folder here and a field of ``Operators``.
        reference: its equation, step by step.
        chunked: the PyTorch form with gradients.
        ort, portable, plugin: what a graph of each ONNX dialect gets.
        kernels: of GPUs, best first: a name, and the module whose ``load()`` gives it or raises.
        fallback: name and PyTorch form on a GPU where no kernel works.
        tensorrt: whether ``<operator>/tensorrt.py`` has a TensorRT plugin for the node of ``plugin``; where
            it has none, a graph of that dialect holds plain ONNX.
    """

    operator: str
    reference: AnyForm
    chunked: AnyForm
    ort: AnyForm
    portable: AnyForm
    plugin: AnyForm
    kernels: tuple[tuple[str, str], ...]
    fallback: tuple[str, AnyForm]
    tensorrt: bool


FORMS = (
    Forms(
        "ssd_scan",
        reference=ssd_scan_reference,
        chunked=ssd_scan_chunked,
        ort=ssd_scan_linear_attention,
        portable=ssd_scan_portable,
        plugin=ssd_scan_plugin,
        kernels=(("mamba-ssm", ".ssd_scan.mamba_ssm_kernel"), ("triton", ".ssd_scan.triton_kernel")),
        fallback=("chunked", ssd_scan_chunked),
        tensorrt=True,
    ),
    Forms(
        "causal_conv1d",
        reference=causal_conv1d_reference,
        chunked=causal_conv1d_chunked,
        ort=causal_conv1d_with_state,
        portable=causal_conv1d_portable,
        plugin=causal_conv1d_plugin,
        kernels=(
            ("causal-conv1d", ".causal_conv1d.upstream_kernel"),
            ("triton", ".causal_conv1d.triton_kernel"),
        ),
        fallback=("chunked", causal_conv1d_chunked),
        tensorrt=True,
    ),
    Forms(
        "selective_scan",
        reference=selective_scan_reference,
        chunked=selective_scan_chunked,
        ort=selective_scan_linear_attention,
        portable=selective_scan_portable,
        plugin=selective_scan_plugin,
        kernels=(
            ("mamba-ssm", ".selective_scan.mamba_ssm_kernel"),
            ("triton", ".selective_scan.triton_kernel"),
        ),
        # One kernel launch a step would be the cost of the chunked form; the blocks take 2 √T.
        fallback=("blocks", selective_scan_portable),
        tensorrt=True,
    ),
    Forms(
        "mlstm_scan",
        reference=mlstm_scan_reference,
        chunked=mlstm_scan_chunked,
        ort=mlstm_scan_linear_attention,
        portable=mlstm_scan_portable,
        plugin=mlstm_scan_plugin,
        kernels=(("triton", ".mlstm_scan.triton_kernel"),),
        fallback=("chunked", mlstm_scan_chunked),
        tensorrt=True,
    ),
    Forms(
        "diagonal_scan",
        reference=diagonal_scan_reference,
        chunked=diagonal_scan_blocks,
        ort=diagonal_scan_blocks,
        portable=diagonal_scan_blocks,
        plugin=diagonal_scan_blocks,
        kernels=(("triton", ".diagonal_scan.triton_kernel"),),
        fallback=("blocks", diagonal_scan_blocks),
        tensorrt=False,
    ),
    Forms(
        "gated_scan",
        reference=gated_scan_reference,
        chunked=gated_scan_chunked,
        ort=gated_scan_linear_attention,
        portable=gated_scan_chunked,
        plugin=gated_scan_chunked,
        kernels=(("triton", ".gated_scan.triton_kernel"),),
        fallback=("chunked", gated_scan_chunked),
        tensorrt=False,
    ),
)


def forms_of(operator: str) -> Forms:
    """The row of an operator."""
    return next(row for row in FORMS if row.operator == operator)
