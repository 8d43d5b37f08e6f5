"""A training recipe: one TOML file that says model, data and optimisation, and nothing else decides a run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ...errors import DataError, OptionError
from ..artrack_mamba import ArtrackMambaConfig
from ..datasets.opening import open_footage
from ..training.config import LoopConfig
from ..training.tables import build, check_counts, check_used, take_tables
from .archives import Archive, read_archive
from .clips import read_clips
from .poses import SampleConfig
from .samples import SampleSource

OF_SETS = {"ratio": "sets", "held_out_sets": "sets"}
IN_PLACE_OF_CLIPS = {"clips": "sets", "more_clips": "sets", "held_out": "sets"}
"""What of a tracker's data says nothing without public data sets, or with them; for ``check_used``."""


@dataclass(frozen=True)
class TrackerRecipe:
    """``images`` is a folder of ZIP archives, ``clips`` one of sequences; paths are relative to ``data``.

    ``sets`` are public data sets in place of ``clips``, as ``kind:folder`` or ``kind/part:folder`` (see
    ``datasets.opening``), each drawn as often as its share of ``ratio`` says. Empty ``images`` means none.
    """

    name: str
    model: ArtrackMambaConfig
    samples: SampleConfig
    loop: LoopConfig
    architecture: str = "artrack_mamba"
    batch: int = 16
    seed: int = 0
    workers: int = 1
    threads: int = 1
    images: str = ""
    clips: str = "training/tracking"
    held_out: tuple[str, ...] = ()  # clips kept for choosing among models; never trained on
    teacher: str = ""  # ONNX file of a feature backbone, relative to the data folder, or absolute
    teacher_head: str = ""  # ONNX file of the head that belongs to it: its answers are learned too
    distil: LoopConfig | None = None  # a first stage, in which the stem learns the teacher's features
    distil_batch: int = 16
    sets: tuple[str, ...] = ()
    ratio: tuple[float, ...] = ()
    held_out_sets: tuple[str, ...] = ()  # data sets for choosing among models, such as got10k/val:GOT-10k
    more_clips: tuple[str, ...] = ()  # further folders of sequences, relative to the data folder
    options: dict[str, Any] = field(default_factory=dict)  # thresholds that the bundle asks the engine for
    start: str = ""  # weights (safetensors) to start from, such as pruning left; the first stage is over then
    start_share: float = 0.0  # of those weights in the final ones, which are a mean of both; see ``blend``
    notes: str = ""
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.start and self.distil:
            raise OptionError("the recipe has both start and a first stage", "leave out one of them")
        if not 0 <= self.start_share < 1 or (self.start_share and not self.start):
            raise OptionError(
                f"start_share is {self.start_share} and start {self.start!r}",
                "give a start, and a share of it from 0 up to below 1",
            )
        check_used(self, {**OF_SETS, "distil_batch": "distil"}, IN_PLACE_OF_CLIPS)
        check_counts(self.batch, self.threads, self.workers)
        check_crops(self.model, self.samples)
        if (self.distil or self.teacher_head) and not self.teacher:
            raise OptionError("the recipe learns from a teacher and names none", "give teacher, an ONNX file")


def check_crops(model: object, samples: SampleConfig) -> None:
    """Raises OptionError unless model and samples agree on the crops."""
    for name in ("template_size", "template_factor", "search_size", "search_factor"):
        ours, theirs = getattr(model, name), getattr(samples, name)
        if ours != theirs:
            raise OptionError(f"{name} is {ours} in model and {theirs} in samples", "give both the same")


def recipe_of(values: dict[str, Any], text: str) -> TrackerRecipe:
    """Raises OptionError for anything in the file that no option is called by."""
    staged = "distil" in values
    tables = take_tables(values, ("model", "samples", "loop", "distil"))
    parts = {
        "model": build(ArtrackMambaConfig, tables["model"], "model"),
        "samples": build(SampleConfig, tables["samples"], "samples"),
        "loop": build(LoopConfig, tables["loop"], "loop"),
    }
    if staged:
        parts["distil"] = build(LoopConfig, tables["distil"], "distil")
    return build(TrackerRecipe, {**values, **parts, "text": text}, "recipe")


class Sources(Protocol):
    """What a recipe of any tracker says of its data; see ``TrackerRecipe``."""

    @property
    def samples(self) -> SampleConfig:
        """What samples look like."""

    @property
    def seed(self) -> int:
        """Of the samples."""

    @property
    def images(self) -> str:
        """Folder of ZIP archives; empty is none."""

    @property
    def clips(self) -> str:
        """Folder of sequences, where there are no sets."""

    @property
    def more_clips(self) -> tuple[str, ...]:
        """Further folders of sequences."""

    @property
    def held_out(self) -> tuple[str, ...]:
        """Names of clips that are never trained on."""

    @property
    def sets(self) -> tuple[str, ...]:
        """Public data sets, in place of clips."""

    @property
    def ratio(self) -> tuple[float, ...]:
        """How often each set is drawn."""

    @property
    def held_out_sets(self) -> tuple[str, ...]:
        """Data sets for choosing among models."""


def open_sources(recipe: Sources, data: Path) -> tuple[SampleSource, SampleSource | None, dict[str, Any]]:
    """Training samples, held-out samples (real clips only), and what was read, for the manifest."""
    archives = open_archives(data / recipe.images) if recipe.images else []
    only_real = replace(recipe.samples, share_pasted=0.0, share_in_place=0.0, share_regions=0.0, absent=0.0)
    report: dict[str, Any] = {
        "images": {
            a.path.name: {"stills": len(a.stills), "objects": a.num_objects, "skipped": a.skipped}
            for a in archives
        },
    }
    if recipe.sets:
        mix, found = open_footage(data, recipe.sets, recipe.ratio)
        training = SampleSource(recipe.samples, archives, [], recipe.seed, mix)
        if not recipe.held_out_sets:
            return training, None, {**report, **found}
        others, _ = open_footage(data, recipe.held_out_sets)
        held_out = SampleSource(only_real, [], [], recipe.seed + 1, others)
        return training, held_out, {**report, **found, "held_out": list(recipe.held_out_sets)}
    clips = read_clips(data / recipe.clips)
    for more in recipe.more_clips:
        clips += read_clips(data / more)
    missing = sorted(set(recipe.held_out) - {clip.name for clip in clips})
    if missing:
        raise DataError(
            f"held-out clips {', '.join(missing)} are not in {data / recipe.clips}", "correct the recipe"
        )
    kept = [clip for clip in clips if clip.name not in recipe.held_out]
    held = [clip for clip in clips if clip.name in recipe.held_out]
    report |= {
        "clips": len(kept),
        "frames": sum(len(clip.frames) for clip in kept),
        "held_out": [clip.name for clip in held],
    }
    training = SampleSource(recipe.samples, archives, kept, recipe.seed)
    return training, (SampleSource(only_real, [], held, recipe.seed + 1) if held else None), report


def open_archives(folder: Path) -> list[Archive]:
    """The archives of a folder. Raises DataError where there is none, or one holds no usable image."""
    paths = sorted(folder.glob("*.zip"))
    if not paths:
        raise DataError(
            f"{folder} holds no ZIP archive of images", "point --data at the folder that holds it"
        )
    return [read_archive(path) for path in paths]
