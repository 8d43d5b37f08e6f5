"""How well many objects were followed: HOTA, MOTA, IDF1, switches of ids, as `trackeval` computes them.

HOTA: Luiten et al. 2021 (IJCV), the geometric mean of detection and association, over 19 thresholds of
overlap. MOTA: Bernardin and Stiefelhagen 2008. IDF1: Ristani et al. 2016. The last two at an overlap of 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.scene.overlap import overlaps
from ..errors import OptionError
from .scenes import SceneTruth

Numbers = npt.NDArray[np.float64]
Found = Sequence[tuple[Sequence[int], Numbers]]
"""For each frame: ids, and boxes (N, 4)."""

REMEDY = "pip install 'framestate[bench]', then pip install --no-deps trackeval trackers"


@dataclass(frozen=True, slots=True)
class SceneScores:
    """Scores in percent, and counts.

    Attributes:
        hota, deta, assa: HOTA, and its shares of detection and of association.
        mota, idf1: see the module.
        switches: changes of id of a followed object.
        false, missed: boxes that show nothing, and objects without a box, at an overlap of 0.5.
    """

    hota: float
    deta: float
    assa: float
    mota: float
    idf1: float
    switches: int
    false: int
    missed: int

    def to_json(self) -> dict[str, float]:
        """As ``eval scenes --json`` prints it."""
        return asdict(self)


def score_scenes(
    scenes: Sequence[SceneTruth], found: Mapping[str, Found], metrics: Mapping[str, Any]
) -> tuple[dict[str, SceneScores], SceneScores]:
    """The scores of each scene, and of all together, boxes weighted alike; ``metrics`` are those below."""
    results: dict[str, dict[str, Any]] = {name: {} for name in metrics}
    for scene in scenes:
        data = _data(scene, found[scene.name])
        for name, metric in metrics.items():
            results[name][scene.name] = metric.eval_sequence(data)
    each = {scene.name: _scores({name: results[name][scene.name] for name in metrics}) for scene in scenes}
    whole = {name: metric.combine_sequences(results[name]) for name, metric in metrics.items()}
    return each, _scores(whole)


def open_metrics() -> dict[str, Any]:
    """Those of `trackeval`. Raises OptionError: it is not installed."""
    try:
        from trackeval.metrics import CLEAR, HOTA, Identity
    except ImportError as error:
        raise OptionError(f"scores of scenes need trackeval ({error})", REMEDY) from error
    quiet = {"PRINT_CONFIG": False}
    return {"hota": HOTA(), "clear": CLEAR(quiet), "identity": Identity(quiet)}


def _scores(found: Mapping[str, Mapping[str, Any]]) -> SceneScores:
    hota, clear, identity = found["hota"], found["clear"], found["identity"]
    return SceneScores(
        100 * float(np.mean(hota["HOTA"])),
        100 * float(np.mean(hota["DetA"])),
        100 * float(np.mean(hota["AssA"])),
        100 * float(clear["MOTA"]),
        100 * float(identity["IDF1"]),
        int(clear["IDSW"]),
        int(clear["CLR_FP"]),
        int(clear["CLR_FN"]),
    )


def _data(scene: SceneTruth, found: Found) -> dict[str, Any]:
    """What trackeval takes: ids counted from 0, and how similar boxes are in each frame."""
    true_ids = {one: place for place, one in enumerate(sorted({int(i) for ids in scene.ids for i in ids}))}
    own_ids = {one: place for place, one in enumerate(sorted({int(i) for ids, _ in found for i in ids}))}
    truth = [np.array([true_ids[int(one)] for one in ids], int) for ids in scene.ids]
    own = [np.array([own_ids[int(one)] for one in ids], int) for ids, _ in found]
    return {
        "num_timesteps": len(scene),
        "num_gt_ids": len(true_ids),
        "num_tracker_ids": len(own_ids),
        "num_gt_dets": sum(map(len, truth)),
        "num_tracker_dets": sum(map(len, own)),
        "gt_ids": truth,
        "tracker_ids": own,
        "similarity_scores": [
            overlaps(np.asarray(boxes, float).reshape(-1, 4), np.asarray(there, float).reshape(-1, 4))
            for boxes, (_, there) in zip(scene.boxes, found, strict=True)
        ],
    }
