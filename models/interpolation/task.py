"""Training an interpolator: samples into batches, the frame and the flow of every scale compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from ...errors import TrainingError
from ...vision.motion import MiddleFlow, Neighbour, PairFlow, bend_of, grey_of
from ..training.loaders import batches_of
from ..warp import warp_grid
from .cache import GAPS, CachedClip
from .flow import FLOW
from .hyper import HyperConnection
from .layers import enlarge, shrink
from .losses import charbonnier, edge_distance, flow_distance, laplacian_distance, log_error
from .model import HybridInterpolator
from .moments import MomentSource
from .samples import TEACHER_LEVEL, TripletConfig, TripletSource


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms, and the steps after which some end.

    Attributes:
        laplacian, charbonnier: of the finished frame.
        edges: of how gradients deviate, see ``edge_distance``.
        log_error: of the decimal logarithm of its mean squared error, a sample: a tenth of its PSNR.
        coarse: of the blend of each coarser scale, at a quarter of the size.
        warped: of each frame warped alone, beside that.
        perceptual: of the distance of features, which needs a network (the plan has 0.01).
        teacher: of the distance of the flow to the teacher's; falls to nothing over ``teacher_steps``.
        teacher_checked: whether the teacher counts only where its flow fits the real frame better than ours.
        half_steps: as long, the finished frame is compared at half its size, which is quicker.
    """

    laplacian: float = 1.0
    charbonnier: float = 0.5
    edges: float = 0.0
    log_error: float = 0.0
    coarse: float = 0.5
    warped: float = 0.15
    perceptual: float = 0.0
    teacher: float = 0.05
    teacher_steps: int = 3000
    teacher_checked: bool = False
    half_steps: int = 0


class SampleDataset(Dataset[dict[str, Any]]):
    """Samples by index, from ``first`` on."""

    def __init__(
        self,
        source: TripletSource | MomentSource,
        first: int,
        count: int,
        batch: int,
        curriculum: TripletConfig,
    ) -> None:
        self.source, self.first, self.count, self.batch = source, first, count, batch
        self.curriculum = curriculum

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= self.count:
            raise IndexError(index)
        number = self.first + index
        return self.source.sample(number, self.curriculum.crop_at(number // self.batch))


@dataclass
class InterpolationTask:
    """The training task of a ``HybridInterpolator``."""

    model: HybridInterpolator
    source: TripletSource | MomentSource
    held_out: list[CachedClip]
    batch: int = 8
    steps: int = 1000
    workers: int = 1
    losses: LossConfig = field(default_factory=LossConfig)
    curriculum: TripletConfig = field(default_factory=TripletConfig)
    freeze_backbone: int = 0
    perceptual: nn.Module | None = None

    @property
    def phases(self) -> dict[int, str]:
        """The steps from which on something is different, and what."""
        found = {
            step: f"crops of {crop}"
            for step, crop in zip(self.curriculum.crop_steps, self.curriculum.crops, strict=True)
        }
        for step, what in (
            (self.freeze_backbone, "the backbone learns too"),
            (self.losses.half_steps, "frames at full size"),
            (self.losses.teacher_steps if self.losses.teacher else 0, "without a teacher"),
        ):
            if step:
                found[step] = f"{found[step]}, {what}" if step in found else what
        return found

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """The batches of a run from step ``start`` to its end."""
        data = SampleDataset(
            self.source, start * self.batch, (self.steps - start) * self.batch, self.batch, self.curriculum
        )
        for index, batch in enumerate(batches_of(data, self.batch, self.workers)):
            yield {**batch, "step": torch.tensor(start + index)}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The weighted total, and every term by name. Raises TrainingError when it is not finite."""
        first, second, real = (picture(batch[name]) for name in ("first", "second", "target"))
        step, t, weights = int(batch["step"]), batch["t"], self.losses
        for part in (self.model.encoder, self.model.lgs32, self.model.lgs16, self.model.down):
            part.requires_grad_(step >= self.freeze_backbone)
        for module in self.model.modules():
            if isinstance(module, HyperConnection) and module.annealing:
                module.get_buffer("annealed").fill_(annealed(step / self.steps))
        ones, others = self.model.encode(first), self.model.encode(second)
        carried = self.carried(batch, ones)
        motion, found16 = self.model.motion(ones, others, carried, batch.get("start"), batch.get("bend"))
        times, real_here = 4, real
        if step < weights.half_steps:
            times, real_here = 2, shrink(real, 2)
            ones, others = ({**x, "image": shrink(x["image"], 2)} for x in (ones, others))
        made, _ = self.model.interpolate(ones, others, motion, t, times)
        terms = {
            "laplacian": laplacian_distance(made, real_here),
            "charbonnier": charbonnier(made, real_here),
        }
        if weights.edges:
            terms["edges"] = edge_distance(made, real_here)
        if weights.log_error:
            terms["log_error"] = log_error(made, real_here)
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual(made, real_here)
        found8 = torch.cat([motion["flow"], motion["hidden"][:, :1]], dim=1)
        small = [shrink(image, 4) for image in (first, second, real)]
        terms["coarse"], terms["warped"] = torch.zeros(()), torch.zeros(())
        share = t.view(-1, 1, 1, 1)  # of the time; the shift of ``retime`` is left out here
        for found, times in ((found16[:, : FLOW + 1], 4), (found8, 2)):
            flow = enlarge(found, times)
            one = warp_grid(small[0], flow[:, :2] * (2 * times * share))
            other = warp_grid(small[1], flow[:, 2:FLOW] * (2 * times * (1 - share)))
            blend = other + torch.sigmoid(flow[:, FLOW:]) * (one - other)
            terms["coarse"] = terms["coarse"] + (blend - small[2]).abs().mean()
            terms["warped"] = terms["warped"] + sum((x - small[2]).abs().mean() for x in (one, other))
        total = sum((getattr(weights, name) * value for name, value in terms.items()), torch.zeros(()))
        taught = weights.teacher * max(0.0, 1.0 - step / max(1, weights.teacher_steps))
        if taught:
            flow, known = batch["flow"], batch["known"]
            where = torch.ones_like(flow)
            if weights.teacher_checked:
                where = better_flow(flow, motion["flow"].detach(), small)
            terms["teacher"] = flow_distance(motion["flow"], flow, known, where)
            terms["teacher"] = terms["teacher"] + 2.0 * flow_distance(
                found16[:, :FLOW], shrink(flow, 2) * 0.5, known, shrink(where, 2)
            )
            total = total + taught * terms["teacher"]
        if not torch.isfinite(total):
            raise TrainingError(f"the loss at step {step} is {total.item()}", "lower the learning rate")
        psnr = -10.0 * torch.log10((made.detach() - real_here).square().mean((1, 2, 3)) + 1e-8).mean()
        return total, {"loss": total.item(), "psnr": psnr.item(), **{k: v.item() for k, v in terms.items()}}

    @torch.no_grad()
    def carried(self, batch: dict[str, Tensor], ones: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the pair before this one hands on: its motion, or nothing where it was not seen."""
        if "before" not in batch or not self.model.config.carry:
            return {}
        last, _ = self.model.motion(self.model.encode(picture(batch["before"])), ones, {})
        seen = {name: batch["seen"].view(-1, *[1] * (value.dim() - 1)) for name, value in last.items()}
        return {name: value * seen[name] for name, value in last.items()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """PSNR in dB of made frames on the held-out clips, neighbours 1 and 2 frames away.

        Where the model is told how the motion bends, ``live`` is without the pair that comes after.
        """
        return validated(model, self.held_out)


def validated(model: nn.Module, clips: list[CachedClip]) -> dict[str, float]:
    """See ``InterpolationTask.validate``."""
    assert isinstance(model, HybridInterpolator)
    scores: dict[str, float] = {}
    for gap in GAPS[:2] if clips else ():
        for live in (False, True) if model.config.bend else (False,):
            psnr, edges = quality_of_clips(model, clips, gap, live=live)
            ending = f"gap{gap}_live" if live else f"gap{gap}"
            scores |= {f"psnr_{ending}": round(psnr, 3), f"edges_{ending}": round(edges, 5)}
    return scores


def annealed(done: float) -> float:
    """How far mixing is annealed when a share of the run is done: from its middle on, wholly at its end."""
    return max(0.0, min(1.0, 2.0 * done - 1.0))


def picture(image: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) -> [0, 1]."""
    return image.contiguous().float().div(255.0)


def quality_of_clips(
    model: HybridInterpolator, clips: list[CachedClip], gap: int, each: int = 5, live: bool = False
) -> tuple[float, float]:
    """Means over clips of the mean PSNR and ``edge_distance`` of up to ``each`` frames, spread over the clip.

    The frames of the pairs before and, unless ``live``, after help where there are such.
    """
    means = []
    for clip in clips:
        middles = np.flatnonzero(clip.usable[:, GAPS.index(gap)])
        if not len(middles):
            continue
        picked = middles[np.linspace(0, len(middles) - 1, min(each, len(middles))).round().astype(int)]
        scores = []
        for middle in picked:
            first, real, second = (np.array(clip.frames[i]) for i in (middle - gap, middle, middle + gap))
            earlier, later = middle - 3 * gap, middle + 3 * gap
            before = np.array(clip.frames[earlier]) if earlier >= 0 else None
            after = np.array(clip.frames[later]) if later < len(clip.frames) and not live else None
            made = make_frame(model, first, second, before=before, after=after)
            error = np.mean((made.astype(np.float64) - real) ** 2)
            pair = [picture(torch.from_numpy(image).permute(2, 0, 1)[None]) for image in (made, real)]
            scores.append((-10 * np.log10(max(error, 1e-4) / 255**2), float(edge_distance(*pair))))
        means.append(np.mean(scores, axis=0))
    psnr, edges = np.mean(means, axis=0).tolist()
    return psnr, edges


def better_flow(taught: Tensor, own: Tensor, small: Sequence[Tensor]) -> Tensor:
    """Where a teacher's flow fits the frame to be made better than our own: 1, else 0, (B, 4, H/8, W/8).

    taught, own (B, 4, H/8, W/8) in pixels of that grid; first, second and real frame (B, 3, H/4, W/4).
    """
    errors = []
    for flow in (taught, own):
        larger = enlarge(flow, 2) * 2.0
        sides = (warp_grid(small[0], larger[:, :2]), warp_grid(small[1], larger[:, 2:]))
        errors.append([shrink((side - small[2]).abs().mean(1, keepdim=True), 2) for side in sides])
    better = [(ours > theirs).float() for theirs, ours in zip(*errors, strict=True)]
    return torch.cat([better[0], better[0], better[1], better[1]], dim=1)


@torch.no_grad()
def make_frame(
    model: HybridInterpolator, first: Any, second: Any, t: float = 0.5, before: Any = None, after: Any = None
) -> Any:
    """Two frames, uint8 (H, W, 3) of any size -> the one between them, padded for the model and cut back.

    ``before`` and ``after``, if there are such, are as far from the two as these from each other.
    """
    height, width = first.shape[:2]
    below, right = -height % model.config.multiple, -width % model.config.multiple
    device = next(model.parameters()).device
    pair = [picture(torch.from_numpy(image).permute(2, 0, 1)[None].to(device)) for image in (first, second)]
    padded = [functional.pad(image, (0, right, 0, below), mode="replicate") for image in pair]
    told: list[Tensor] = []
    if model.config.start_flow != "none":
        around = (before, after) if model.config.bend else (None, None)
        flows = start_between(
            around[0], first, second, around[1], model.config.multiple, model.config.start_flow
        )
        told = [torch.from_numpy(flow)[None].to(device) for flow in flows[: 1 + model.config.bend]]
    made = model(*padded, torch.full((1, 1), t, device=device), *told)[0, :, :height, :width]
    return (made * 255.0).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def start_between(
    before: Any, first: Any, second: Any, after: Any, multiple: int, way: str
) -> tuple[Any, Any]:
    """The flow that a model starts from and its bend, (4, H/8, W/8) each, of frames padded to a multiple."""
    height, width = first.shape[:2]
    pads = ((0, -height % multiple), (0, -width % multiple), (0, 0))
    down, across = (height + pads[0][1]) // TEACHER_LEVEL, (width + pads[1][1]) // TEACHER_LEVEL
    finder = MiddleFlow(way)

    def between(one: Any, other: Any) -> PairFlow | None:
        if one is None or other is None:
            return None
        greys = [grey_of(np.pad(image, pads, mode="edge")) for image in (one, other)]
        return finder.find(greys[0], greys[1], down, across)

    pair = between(first, second)
    assert pair is not None, "both are there"
    around = [between(before, first), between(second, after)]
    return pair.middle, bend_of(pair, *(None if flow is None else Neighbour(flow) for flow in around))
