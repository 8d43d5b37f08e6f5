"""A recipe of an interpolator: one TOML file that says model, data, losses and optimisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ...errors import OptionError
from ..training.config import LoopConfig
from ..training.tables import build, check_counts, check_used, take_tables
from .config import InterpolatorConfig, base, nano, small
from .late_task import LatePart
from .samples import TripletConfig
from .task import LossConfig

SIZES = {"nano": nano, "small": small, "base": base}


@dataclass(frozen=True)
class InterpolationRecipe:
    """``videos`` are folders of clips, relative to the data folder; ``cache`` one for decoded frames."""

    name: str
    model: InterpolatorConfig
    samples: TripletConfig
    losses: LossConfig
    loop: LoopConfig
    architecture: str = "hybrid_interpolator"
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
    far: str = ""  # RIFE's flownet.pkl, which a model with far_blocks has its second motion of
    far_sha256: str = ""  # of that file
    part: LatePart | Literal[""] = ""  # learn only this part of the model; see ``late_task``
    part_samples: int = 0  # by so many samples
    freeze_backbone: int = 0  # steps for which encoder and LGS blocks stay as they are
    mamba_from_attention: bool = False  # copy trained attention into the Mamba-2 branches, where it fits
    features: str = ""  # weights of a VGG (safetensors), relative to the data folder, for losses.perceptual
    notes: str = ""
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        clashes = {"videos": "sets", "held_out": "sets"}
        check_used(self, {"ratio": "sets", "without": "start", "far": "start"}, clashes)
        if bool(self.far) != bool(self.far_sha256) or (self.far and not self.model.far_blocks):
            raise OptionError(
                f"far is {self.far!r}, far_sha256 {self.far_sha256!r} and far_blocks {self.model.far_blocks}",
                "give all of them, or none",
            )
        if any(crop % self.model.multiple for crop in self.samples.crops):
            raise OptionError(
                f"crops is {self.samples.crops}, and the model sees sides of {self.model.multiple}",
                f"give multiples of {self.model.multiple}",
            )
        if self.part == "pick" and not self.model.far_blocks:
            raise OptionError("part is 'pick', and far_blocks 0", "give a model with far_blocks")
        if self.part not in ("", *get_args(LatePart)):
            raise OptionError(f"part is {self.part!r}", f"choose one of {', '.join(get_args(LatePart))}")
        if bool(self.part) != (self.part_samples > 0):
            raise OptionError(
                f"part is {self.part!r} and part_samples is {self.part_samples}", "give both, or neither"
            )
        if self.part and (not self.model.rest or self.sets or self.samples.off_middle):
            raise OptionError(
                f"part is {self.part!r} without what it needs",
                "give a model with rest = true, videos, and samples with off_middle = 0",
            )
        check_used(self.losses, {"teacher_steps": "teacher"})
        told = self.model.start_flow != "none"
        for name, use, need in (
            ("perceptual", self.features, "features, the weights of a network"),
            ("before", self.model.carry, "a model that carries something"),
            ("start_dropped", told, "a model with a start_flow"),
            ("before_dropped", self.model.bend, "a model with bend"),
            ("after_dropped", self.model.bend, "a model with bend"),
        ):
            table = self.losses if name == "perceptual" else self.samples
            value = getattr(table, name)
            if value != getattr(type(table)(), name) and not use:
                raise OptionError(
                    f"{name} is {value!r} and does nothing", f"give {need}, or leave {name} out"
                )
        if self.mamba_from_attention and (
            self.model.backbone_mode != "hybrid" or self.model.mixer != "mamba2"
        ):
            raise OptionError("mamba_from_attention is on and there are not both", "give a hybrid of Mamba-2")
        if self.features and not self.losses.perceptual:
            raise OptionError(
                f"features is {self.features!r}, and perceptual 0", "give the losses a perceptual"
            )
        if self.samples.start or self.samples.bend:
            raise OptionError(
                "samples say start or bend", "leave it to the model, whose samples bring what it needs"
            )
        check_counts(self.batch, self.threads, self.workers)
        if self.losses.half_steps and self.model.refine == "patch":
            raise OptionError(
                f"half_steps is {self.losses.half_steps}, and patches are of the full size", "leave it at 0"
            )


def recipe_of(values: dict[str, Any], text: str) -> InterpolationRecipe:
    """Raises OptionError for anything in the file that no option is called by, DataError where it is no TOML.

    The table ``model`` changes options of ``size``, which is "nano", "small" or "base".
    """
    tables = take_tables(values, ("model", "samples", "losses", "loop"))
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
