"""How a run is optimised."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import OptionError
from .tables import check_used

WARMUPS = ("linear", "exponential")
DTYPES = ("bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class LoopConfig:
    """How to optimise. ``minutes`` ends a run early by the clock; the schedule then follows time."""

    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup_steps: int = 300
    warmup: str = "linear"  # or "exponential": steep at first, then flatter
    final_share: float = 0.02  # of the learning rate, at the end of the cosine
    clip: float = 1.0  # norm of the whole gradient; 0 leaves it as it is
    ema: float = 0.999
    ema_ramp: bool = False  # after n steps the average's decay is at most (1 + n) / (10 + n)
    freeze_norms: float = 1.0  # share of the run after which batch norms keep their statistics, as in use
    amp: bool = False  # autocast
    amp_dtype: str = "bfloat16"  # or "float16", with a scaled loss
    device: str = "auto"  # a GPU where there is one; "cpu" or "cuda"
    tensorboard: bool = False  # event files beside the log, where tensorboard is installed
    minutes: float = 0.0
    save_every: int = 500
    log_every: int = 50
    validate_every: int = 0

    def __post_init__(self) -> None:
        check_used(self, {"amp_dtype": "amp"})
        for name in ("steps", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}", "give at least 1 step")
        for name, known in (("warmup", WARMUPS), ("amp_dtype", DTYPES), ("device", DEVICES)):
            if getattr(self, name) not in known:
                raise OptionError(f"{name} is {getattr(self, name)!r}", f"choose one of {', '.join(known)}")
