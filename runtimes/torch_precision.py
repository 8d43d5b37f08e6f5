"""Half precision in the eager runtime: weights and activations. Operators keep states and sums in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import OptionError, RuntimeUnavailableError

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)
"""What computes in half precision, so its weights are kept in it."""


@dataclass(frozen=True)
class Precision:
    """One of ``fp32``, ``bf16`` and ``fp16`` on a kind of device."""

    name: str
    device: str

    @classmethod
    def of(cls, name: str, device: str) -> Precision:
        """Raises OptionError for a name there is not, RuntimeUnavailableError for what the GPU lacks."""
        if name == "int8":
            raise OptionError(
                "the eager runtime has no precision 'int8'",
                "export with --to onnx --precision int8 and use --runtime onnx, or choose fp32, bf16 or fp16",
            )
        if name not in ("fp32", *HALVES):
            raise OptionError(f"the precision {name!r} is unknown", "choose fp32, bf16 or fp16")
        if name == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported():
            raise RuntimeUnavailableError("this GPU does not compute in bfloat16", "choose fp16 or fp32")
        return cls(name, device)

    def context(self) -> AbstractContextManager[Any]:
        """Around a call. Nothing is cached between operators: weights are halves already, and a CUDA graph
        must not hold what a cache frees.
        """
        if self.device == "cuda":
            without_tf32()
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device, HALVES[self.name], cache_enabled=False)

    def apply(self, model: nn.Module) -> None:
        """Halves the weights, in place. Norms that take squares get float32, which fp16 would overflow."""
        if self.name == "fp32":
            return
        for module in model.modules():
            if isinstance(module, WEIGHTED):
                module.to(HALVES[self.name])
            elif "Norm" in type(module).__name__ and not isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.register_forward_pre_hook(lambda _, arguments: raised(arguments))


def without_tf32() -> None:
    """Float32 products keep float32's digits: TF32, which cuDNN takes unasked, errs by 1e-3.

    PyTorch has these switches once a process, so they are set before every call that computes or records, and
    left so: another thread that put them back in between would make a call wrong without a word.
    """
    backends: Any = torch.backends
    backends.cudnn.allow_tf32 = False  # the old switch first: reading it fails where old and new disagree
    backends.cudnn.conv.fp32_precision = "ieee"
    backends.cudnn.rnn.fp32_precision = "ieee"
    torch.set_float32_matmul_precision("highest")


def raised(value: Any) -> Any:
    """Tensors in half precision, alone or in tuples and dicts, as float32; all else as it is."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
    if isinstance(value, tuple):
        return tuple(raised(one) for one in value)
    if isinstance(value, dict):
        return {name: raised(one) for name, one in value.items()}
    return value
