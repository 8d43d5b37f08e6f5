"""A recipe of an interpolator: one TOML file that says model, data, losses and optimisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import OptionError
from ..training.config import LoopConfig
from ..training.tables import build, check_counts, read_toml, take_tables
from .config import InterpolatorConfig, base, nano
from .samples import TripletConfig
from .task import LossConfig

SIZES = {"nano": nano, "base": base}


@dataclass(frozen=True)
class InterpolationRecipe:
    """``videos`` are folders of clips, relative to the data folder; ``cache`` one for decoded frames."""

    name: str
    model: InterpolatorConfig
    samples: TripletConfig
    losses: LossConfig
    loop: LoopConfig
    task: str = "interpolation"
    batch: int = 8
    seed: int = 0
    workers: int = 1
    threads: int = 1
    videos: tuple[str, ...] = ("training/video", "training/tracking")
    held_out: tuple[str, ...] = ()  # clips kept for choosing among models; never trained on
    sets: tuple[str, ...] = ()  # public data sets as "kind:folder", in place of videos; see ``moments``
    ratio: tuple[int, ...] = (1,)  # how many batches of each set come in a row
    start: str = ""  # weights (safetensors) to start from; what they lack starts by adding nothing
    without: tuple[str, ...] = ()  # layers of those weights to leave out, as "scale8.layers.0"
    freeze_backbone: int = 0  # steps for which encoder and LGS blocks stay as they are
    mamba_from_attention: bool = False  # copy trained attention into the Mamba-2 branches, where it fits
    notes: str = ""
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        check_counts(self.batch, self.threads, self.workers)
        if self.task != "interpolation":
            raise OptionError(f"task is {self.task!r}", "it is interpolation")
        if self.without and not self.start:
            raise OptionError(f"without is {list(self.without)} and start is empty", "give a start")
        if self.losses.half_steps and self.model.refine == "patch":
            raise OptionError(
                f"half_steps is {self.losses.half_steps}, and patches are of the full size", "leave it at 0"
            )


def read_recipe(path: Path) -> InterpolationRecipe:
    """Raises OptionError for anything in the file that no option is called by, DataError where it is no TOML.

    The table ``model`` changes options of ``size``, which is "nano" or "base".
    """
    text, values = read_toml(path)
    tables = take_tables(values, ("model", "samples", "losses", "loop"), path)
    size = tables["model"].pop("size", "nano")
    if size not in SIZES:
        raise OptionError(f"size is {size!r}", f"choose one of {', '.join(SIZES)}")
    parts: dict[str, Any] = {
        "model": InterpolatorConfig.from_dict({**SIZES[size]().to_dict(), **tables["model"]}),
        "samples": build(TripletConfig, tables["samples"], "samples"),
        "losses": build(LossConfig, tables["losses"], "losses"),
        "loop": build(LoopConfig, tables["loop"], "loop"),
    }
    return build(InterpolationRecipe, {**values, **parts, "text": text}, "recipe")
