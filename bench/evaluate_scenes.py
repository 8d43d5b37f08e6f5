"""Scenes with detections at every Nth frame: ours beside multi-object trackers, on the same detections."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine import Engine
from ..engine.scene import Scene, SceneOptions
from .figures import new_figure
from .scene_peers import Ours, SceneTracker
from .scene_scores import Found, SceneScores, open_metrics, score_scenes
from .scenes import Noise, SceneTruth

Make = Callable[[SceneTruth, int], SceneTracker]


@dataclass(frozen=True, slots=True)
class SceneRow:
    """One tracker with detections at every Nth frame.

    Attributes:
        tracker: its name.
        every: N.
        scores: of all scenes together.
        scenes: of each.
        fps: frames a second of the tracker alone, side by side with whatever else ran.
        looks: of the model, a target and second; None for those without one.
    """

    tracker: str
    every: int
    scores: SceneScores
    scenes: Mapping[str, SceneScores]
    fps: float
    looks: float | None = None

    def to_json(self) -> dict[str, Any]:
        """An entry of ``rows`` as ``eval scenes --json`` prints it."""
        return asdict(self)


def evaluate_scenes(
    scenes: Sequence[SceneTruth],
    trackers: Mapping[str, Make],
    every: Sequence[int],
    noise: Noise,
    *,
    public: bool = True,
    tick: Callable[[str], None] = lambda what: None,
) -> list[SceneRow]:
    """Runs every tracker on every scene at every rate; each frame is decoded once.

    Args:
        scenes: of `scenes.load_scenes`.
        trackers: what makes one, for a scene and a rate, by name.
        every: numbers of frames from one round of detections to the next.
        noise: of a made detector.
        public: take the public detections where there are some.
        tick: told of each scene that is done.
    """
    metrics = open_metrics()  # what lacks is said before hours of work
    found: dict[tuple[str, int], dict[str, list[tuple[Sequence[int], npt.NDArray[np.float64]]]]] = {}
    seconds: dict[tuple[str, int], float] = {}
    looks: dict[tuple[str, int], int] = {}
    for scene in scenes:
        open_now = {(name, n): make(scene, n) for name, make in trackers.items() for n in every}
        for key in open_now:
            found.setdefault(key, {})[scene.name] = []
        for index, frame in enumerate(scene.frames()):
            given = scene.detections(index, noise, public)
            for (name, n), tracker in open_now.items():
                began = time.perf_counter()
                told = tracker.update(frame, given if index % n == 0 else None)
                seconds[name, n] = seconds.get((name, n), 0.0) + time.perf_counter() - began
                if told is not None:
                    found[name, n][scene.name].append(told)
        for key, tracker in open_now.items():
            found[key][scene.name] += tracker.rest()
            if isinstance(tracker, Ours):
                looks[key] = looks.get(key, 0) + tracker.looks
                tracker.scene.close()
        tick(scene.name)
    return [_row(scenes, key, found[key], seconds[key], looks.get(key), metrics) for key in sorted(found)]


def _row(
    scenes: Sequence[SceneTruth],
    key: tuple[str, int],
    found: Mapping[str, Found],
    seconds: float,
    looks: int | None,
    metrics: Mapping[str, Any],
) -> SceneRow:
    each, whole = score_scenes(scenes, found, metrics)
    frames = sum(map(len, scenes))
    rate = None
    if looks is not None:
        lasted = sum(
            sum(map(len, scene.ids)) * float(scene.seconds or 1 / 25) for scene in scenes
        )  # seconds of all objects together
        rate = looks / max(lasted, 1e-9)
    return SceneRow(key[0], key[1], whole, each, frames / max(seconds, 1e-9), rate)


def our_scenes(engine: Engine, options: SceneOptions | None = None, late: int = 0) -> Make:
    """What makes our tracker; its answers may come ``late`` frames late, see `Delayed`."""
    return lambda scene, every: Ours(Scene(engine, options), late)


def peer_of(make: Callable[[float], SceneTracker]) -> Make:
    """What makes a peer, told how many rounds of detections a second it gets."""
    return lambda scene, every: make(float(1 / scene.seconds) / every if scene.seconds else 25 / every)


def curve_plot(rows: Sequence[SceneRow], path: Path) -> None:
    """HOTA by the number of frames from one round of detections to the next, a line for each tracker."""
    figure = new_figure(path, (6.4, 3.6))
    axes = figure.subplots()
    for name in dict.fromkeys(row.tracker for row in rows):
        own = sorted((row.every, row.scores.hota) for row in rows if row.tracker == name)
        axes.plot(*zip(*own, strict=True), marker="o", label=name)
    every = sorted({row.every for row in rows})
    axes.set_xscale("log")
    axes.set_xticks(every, [str(one) for one in every])
    axes.minorticks_off()
    axes.set_xlabel("a detection every N frames")
    axes.set_ylabel("HOTA")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def curve_table(rows: Sequence[SceneRow]) -> Any:
    """The rows for a terminal."""
    from rich.table import Table

    table = Table()
    for heading in ("tracker", "every", "HOTA", "DetA", "AssA", "MOTA", "IDF1", "switches", "FPS", "looks/s"):
        table.add_column(heading, justify="left" if heading == "tracker" else "right")
    for row in rows:
        s = row.scores
        numbers = (f"{one:.1f}" for one in (s.hota, s.deta, s.assa, s.mota, s.idf1))
        looks = "" if row.looks is None else f"{row.looks:.2f}"
        table.add_row(row.tracker, str(row.every), *numbers, str(s.switches), f"{row.fps:,.0f}", looks)
    return table
