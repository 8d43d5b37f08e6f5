"""A recipe of a ViL-Tracker: one TOML file that says model, data, curriculum, losses and optimisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...errors import OptionError
from ..tracking.poses import SampleConfig
from ..tracking.recipe import IN_PLACE_OF_CLIPS, OF_SETS, check_crops
from ..training.config import LoopConfig
from ..training.tables import build, check_counts, check_used, take_tables
from .config import ARCHITECTURE, VilTrackerConfig, mini, small
from .curriculum import CurriculumConfig
from .losses import LossConfig

SIZES = {"small": small, "mini": mini}


@dataclass(frozen=True)
class VilRecipe:
    """Data as in a ``TrackerRecipe``: paths of it are relative to the folder ``data``."""

    name: str
    model: VilTrackerConfig
    samples: SampleConfig
    curriculum: CurriculumConfig
    losses: LossConfig
    loop: LoopConfig
    architecture: str = ARCHITECTURE
    batch: int = 32
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
    published: str = ""  # weights of vil-small, relative to the data folder; see ``official``
    freeze_shared: bool = False  # the shared expert of every mixture stays as it starts
    carry_share: float = 0.5  # of frames that go on from the temporal features of the one before
    teacher: str = ""  # ONNX file of a feature backbone, relative to the data folder, or absolute
    teacher_channels: int = 48
    options: dict[str, Any] = field(default_factory=dict)  # thresholds that the bundle asks the engine for
    notes: str = ""
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        check_used(self, {**OF_SETS, "teacher_channels": "teacher"}, IN_PLACE_OF_CLIPS)
        if self.losses.contrast and self.model.temporal == "none":
            raise OptionError(
                f"contrast is {self.losses.contrast}, of looks that a model without film does not have",
                "leave it out, or give the model temporal = 'film'",
            )
        check_counts(self.batch, self.threads, self.workers)
        check_crops(self.model, self.samples)
        if self.start and self.published:
            raise OptionError("the recipe names start and published", "give one of them: start has it all")
        if not 0 <= self.carry_share <= 1:
            raise OptionError(f"carry_share is {self.carry_share}", "give a share from 0 to 1")
        if not (self.sets or self.clips):
            raise OptionError("the recipe names no data", "give sets, or clips")


def recipe_of(values: dict[str, Any], text: str) -> VilRecipe:
    """Raises OptionError for anything in the file that no option is called by, DataError where it is no TOML.

    The table ``model`` changes options of ``size``, which is "small" or "mini".
    """
    tables = take_tables(values, ("model", "samples", "curriculum", "losses", "loop"))
    size = tables["model"].pop("size", "small")
    if size not in SIZES:
        raise OptionError(f"size is {size!r}", f"choose one of {', '.join(SIZES)}")
    model = VilTrackerConfig.from_dict({**SIZES[size]().to_dict(), **tables["model"]})
    crops = ("template_size", "template_factor", "search_size", "search_factor")
    same = {name: getattr(model, name) for name in crops}  # samples are cut for the model
    parts: dict[str, Any] = {
        "model": model,
        "samples": build(SampleConfig, {**same, **tables["samples"]}, "samples"),
        "curriculum": build(CurriculumConfig, tables["curriculum"], "curriculum"),
        "losses": build(LossConfig, tables["losses"], "losses"),
        "loop": build(LoopConfig, tables["loop"], "loop"),
    }
    return build(VilRecipe, {**values, **parts, "text": text}, "recipe")
