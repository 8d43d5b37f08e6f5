"""A recipe of an ARTrackMamba with a trajectory head: one TOML file for model, data and optimisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...errors import OptionError
from ..tracking.poses import SampleConfig
from ..tracking.recipe import IN_PLACE_OF_CLIPS, OF_SETS, check_crops
from ..training.config import LoopConfig
from ..training.tables import build, check_counts, check_used, take_tables
from .config import ArtrackMambaV2Config, base, small, tiny
from .model import ARCHITECTURE
from .sequence import SequenceConfig

SIZES = {"tiny": tiny, "small": small, "base": base}


@dataclass(frozen=True)
class TrajectoryRecipe:
    """Data as in a ``TrackerRecipe``: paths are relative to the data folder.

    With ``sequence``, the model learns from whole stretches that it follows itself, in place of pairs.
    """

    name: str
    model: ArtrackMambaV2Config
    samples: SampleConfig
    loop: LoopConfig
    sequence: SequenceConfig | None = None
    architecture: str = ARCHITECTURE
    batch: int = 16
    seed: int = 0
    workers: int = 1
    threads: int = 1
    images: str = ""
    clips: str = ""
    more_clips: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()  # clips kept for choosing among models; never trained on
    sets: tuple[str, ...] = ()
    ratio: tuple[float, ...] = ()
    held_out_sets: tuple[str, ...] = ()
    start: str = ""  # weights (safetensors) of an earlier phase, where the command runs
    vim: str = ""  # weights of Vision Mamba, relative to the data folder; see ``vim_weights``
    trunk_share: float = 1.0  # of the learning rate, for what starts from Vim
    carry_share: float = 0.5  # of crops that go on from the one before
    options: dict[str, Any] = field(default_factory=dict)  # thresholds that the bundle asks the engine for
    notes: str = ""
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        check_used(self, {**OF_SETS, "trunk_share": "vim"}, IN_PLACE_OF_CLIPS)
        check_counts(self.batch, self.threads, self.workers)
        check_crops(self.model, self.samples)
        if self.start and self.vim:
            raise OptionError("the recipe names start and vim", "give one of them: start has it all")
        for name in ("trunk_share", "carry_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} is {getattr(self, name)}", "give a share from 0 to 1")
        if not (self.sets or self.clips or self.images):
            raise OptionError("the recipe names no data", "give sets, clips or images")
        if self.sequence is not None and not (self.sets or self.clips):
            raise OptionError("sequences are learned from, and the recipe names none", "give sets or clips")


def recipe_of(values: dict[str, Any], text: str) -> TrajectoryRecipe:
    """Raises OptionError for anything in the file that no option is called by, DataError where it is no TOML.

    The table ``model`` changes options of ``size``: "tiny", "small" or "base".
    """
    by_sequence = "sequence" in values
    tables = take_tables(values, ("model", "samples", "loop", "sequence"))
    size = tables["model"].pop("size", "tiny")
    if size not in SIZES:
        raise OptionError(f"size is {size!r}", f"choose one of {', '.join(SIZES)}")
    chosen = {**SIZES[size]().to_dict(), **tables["model"]}
    if "mixer" in tables["model"] and "states" not in tables["model"]:
        chosen["states"] = 0  # the mixer's own
    model = ArtrackMambaV2Config.from_dict(chosen)
    crops = ("template_size", "template_factor", "search_size", "search_factor")
    same = {name: getattr(model, name) for name in crops}  # samples are cut for the model
    parts: dict[str, Any] = {
        "model": model,
        "samples": build(SampleConfig, {**same, **tables["samples"]}, "samples"),
        "loop": build(LoopConfig, tables["loop"], "loop"),
    }
    if by_sequence:
        parts["sequence"] = build(SequenceConfig, tables["sequence"], "sequence")
    return build(TrajectoryRecipe, {**values, **parts, "text": text}, "recipe")
