"""Learns the few layers of `look`, by which a tracker tells its target from what looks like it.

The tracker's stem stays as it is. Each target brings pictures of itself (from other frames, with the box a
little off, cut by the frame's edge) and its own impostors: where the tracker itself finds the next best
place, near the target and elsewhere in the frame. In each step some of these stand for what is known (one to
three own looks, eight impostors); the others are to be told apart by their margin
(``engine/tracking/looks.py``).

    python examples/learn_looks.py CLIPS PICTURES OUT.safetensors [--more LABELLED] [--held-out A,B]

OUT holds the model's weights, those of `look` among them. LABELLED is what ``examples/label_clips.py`` wrote.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from framestate.bundles import load_bundle
from framestate.models import build_model, dump_weights, load_weights
from framestate.models.artrack_mamba import ArtrackMamba, look
from framestate.models.tracking.archives import read_archive
from framestate.models.tracking.clips import Clip, read_clips
from framestate.models.tracking.photometry import degrade
from framestate.plugins import eager_operators
from framestate.vision import Box, around, cut, normalise
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn import functional

Image = npt.NDArray[np.uint8]
Rng = np.random.Generator
DIM, FACTOR = 64, 1.5
FRAMES, BATCH = 36, 24
REFERENCES, QUERIES, BANK, STRANGERS = 3, 4, 8, 6
"""In a step, of each target: its own known looks and others, its known impostors and others."""


@dataclass(frozen=True, eq=False)
class Target:
    """Features of one target (n, C, 8, 8) and of its impostors (m, C, 8, 8), half precision."""

    own: Tensor
    others: Tensor


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    left, top = max(one.x, other.x), max(one.y, other.y)
    right, bottom = min(one.x + one.w, other.x + other.w), min(one.y + one.h, other.y + other.h)
    shared = max(0.0, right - left) * max(0.0, bottom - top)
    return shared / (one.w * one.h + other.w * other.h - shared)


def holds(box: Box, point: tuple[float, float]) -> bool:
    """Whether a point lies in a box."""
    return box.x < point[0] < box.x + box.w and box.y < point[1] < box.y + box.h


def off(box: Box, rng: Rng, place: float = 0.12, size: float = 0.15) -> Box:
    """A box as a tracker would give it."""
    cx, cy = box.centre
    wide, high = np.exp(rng.normal(0, size, 2)).tolist()
    dx, dy = rng.normal(0, place, 2).tolist()
    return Box.from_centre(cx + dx * box.w, cy + dy * box.h, box.w * wide, box.h * high)


def seen(image: Image, box: Box, rng: Rng, share: float = 0.3) -> Image:
    """What `look` sees of a box; in some of the cases the frame ends near it, or within it."""
    if rng.random() < share:
        cutoff, side = float(rng.uniform(-0.4, 0.5)), int(rng.integers(4))
        left = max(0, int(box.x + cutoff * box.w)) if side == 0 else 0
        top = max(0, int(box.y + cutoff * box.h)) if side == 1 else 0
        right = max(4, int(box.x + (1 - cutoff) * box.w)) if side == 2 else image.shape[1]
        bottom = max(4, int(box.y + (1 - cutoff) * box.h)) if side == 3 else image.shape[0]
        part = np.ascontiguousarray(image[top:bottom, left:right])
        low = max(box.x - left, 0.0), max(box.y - top, 0.0)
        high = min(box.x + box.w - left, part.shape[1]), min(box.y + box.h - top, part.shape[0])
        if min(part.shape[:2]) >= 4 and min(high[0] - low[0], high[1] - low[1]) >= 3:
            image, box = part, Box(low[0], low[1], high[0] - low[0], high[1] - low[1])
    return cut(image, around(box, FACTOR, look.VIEW))


class Maker:
    """Makes targets with the tracker whose `look` is learnt."""

    def __init__(self, model: ArtrackMamba, rng: Rng) -> None:
        self.model, self.rng = model, rng

    @torch.inference_mode()
    def features(self, views: list[Image]) -> Tensor:
        """What ``Look`` takes, half precision."""
        parts = [
            look.read(self.model.stem, torch.from_numpy(normalise(np.stack(views[start : start + 64]))))
            for start in range(0, len(views), 64)
        ]
        return torch.cat(parts).half() if parts else torch.zeros(0, look.CHANNELS, 8, 8).half()

    @torch.inference_mode()
    def found(self, state: dict[str, Tensor], image: Image, places: list[Box], count: int) -> list[list[Box]]:
        """The best ``count`` places that the tracker sees around each box, the best first."""
        c, n = self.model.config, len(places)
        crops = [around(place, c.search_factor, c.search_size) for place in places]
        search = torch.from_numpy(normalise(np.stack([cut(image, crop) for crop in crops])))
        rows = {name: value.expand(n, *value.shape[1:]).contiguous() for name, value in state.items()}
        maps, _ = self.model.step(search, torch.zeros(n), rows)
        score, cell = maps["score"][:, 0], c.stride
        peaks = score * (score >= functional.max_pool2d(score[:, None], 3, 1, 1)[:, 0])
        answer: list[list[Box]] = []
        for row, crop in enumerate(crops):
            answer.append([])
            for at in peaks[row].flatten().topk(count).indices.tolist():
                y, x = divmod(at, score.shape[-1])
                right, down = maps["offset"][row, :, y, x].tolist()
                wide, high = (maps["size"][row, :, y, x] * c.search_size).clamp_min(2).tolist()
                box = Box.from_centre((x + 0.5 + right) * cell, (y + 0.5 + down) * cell, wide, high)
                answer[-1].append(crop.to_image(box))
        return answer

    def state(self, image: Image, box: Box) -> dict[str, Tensor]:
        """Of the tracker, that is shown a target in a box that is a little off."""
        c = self.model.config
        shown = cut(image, around(off(box, self.rng, 0.03, 0.05), c.template_factor, c.template_size))
        with torch.inference_mode():
            return self.model.init(torch.from_numpy(normalise(shown[None])))

    def impostors(
        self, state: dict[str, Tensor], image: Image, box: Box, near: int, far: int
    ) -> tuple[list[Box], list[Box]]:
        """Boxes of what is not the target, and the box that the tracker gives of the target, if it does."""
        height, width = image.shape[:2]
        spots = [
            (float(self.rng.uniform(0, width)), float(self.rng.uniform(0, height))) for _ in range(far + 1)
        ]
        places = [box, *(Box.from_centre(*spot, box.w, box.h) for spot in spots[:far])]
        by_place = self.found(state, image, places, near + 1)
        seen_boxes = [*by_place[0], *(one for boxes in by_place[1:] for one in boxes[:2])]
        kept: list[Box] = []
        for one in [*seen_boxes, off(Box.from_centre(*spots[far], box.w, box.h), self.rng)]:
            cx, cy = one.centre
            inside = 0 <= cx <= width and 0 <= cy <= height and min(one.w, one.h) >= 3
            apart = overlap(one, box) <= 0.1 and not holds(box, one.centre) and not holds(one, box.centre)
            if inside and apart and all(overlap(one, known) < 0.5 for known in kept):
                kept.append(one)
        return kept[: near + far + 1], [one for one in seen_boxes if overlap(one, box) >= 0.5][:1]

    def of_clip(self, clip: Clip) -> Target:
        """A target of a real clip."""
        own: list[Image] = []
        others: list[Image] = []
        state: dict[str, Tensor] | None = None
        for at in clip.present[:: max(1, len(clip.present) // FRAMES)].tolist():
            image, box = clip.pixels(at), Box(*clip.boxes[at].tolist())
            if state is None or self.rng.random() < 0.25:
                state = self.state(image, box)
            away, tracked = self.impostors(state, image, box, 3, 4)
            own.append(seen(image, box, self.rng, 0.2))
            own += [seen(image, one, self.rng) for one in (off(box, self.rng), *tracked)]
            others += [seen(image, one, self.rng) for one in away]
        return Target(self.features(own), self.features(others))

    def of_picture(self, image: Image, box: Box, neighbours: list[Box]) -> Target:
        """An object of a picture, turned, scaled and recoloured."""
        height, width = image.shape[:2]
        own = [seen(image, box, self.rng, 0)]
        for _ in range(3):
            scale = float(np.exp(self.rng.normal(0, 0.15)))
            turn = cv2.getRotationMatrix2D(box.centre, float(self.rng.normal(0, 8)), scale)
            turned = np.asarray(
                cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8
            )
            shown = off(Box.from_centre(*box.centre, box.w * scale, box.h * scale), self.rng)
            detail = min(1.0, max(shown.w, shown.h) / 64)
            own.append(degrade(seen(turned, shown, self.rng), self.rng, detail=detail, grey=False))
        away, _ = self.impostors(self.state(image, box), image, box, 2, 2)
        away += [off(one, self.rng, 0.05, 0.08) for one in neighbours]
        views = [seen(image, one, self.rng) for one in away[:8]]
        others = [
            view if self.rng.random() < 0.5 else degrade(view, self.rng, detail=1.0, grey=False)
            for view in views
        ]
        return Target(self.features(own), self.features(others))

    def of_pictures(self, folder: Path, share: float) -> Iterator[Target]:
        """Up to two objects of each picture of a folder's ZIP archives; of a share of the pictures."""
        for path in sorted(folder.glob("*.zip")):
            for still in read_archive(path).stills:
                labels = still.label_map() if still.objects and self.rng.random() < share else None
                if labels is None:
                    continue
                boxes = []
                for value in still.objects:
                    ys, xs = np.nonzero(labels == value)
                    boxes.append(
                        Box(float(xs.min()), float(ys.min()), *(float(np.ptp(a) + 1) for a in (xs, ys)))
                    )
                for at in self.rng.permutation(len(boxes))[:2].tolist():
                    box, size = boxes[at], labels.shape
                    if min(box.w, box.h) >= 12 and box.w * box.h <= 0.4 * size[0] * size[1]:
                        apart = [one for one in boxes if overlap(one, box) < 0.1]
                        yield self.of_picture(still.pixels(), box, apart)


def learn(model: ArtrackMamba, clips: list[Target], pictures: list[Target], steps: int, seed: int) -> None:
    """Trains ``model.look`` in place: an InfoNCE loss on cosines, and a logistic one on margins."""
    rng = np.random.default_rng(seed)
    groups = [group for group in (clips, pictures) if group]
    some = torch.cat([one.own[:8] for group in groups for one in group[:200]]).float()
    mean, std = some.mean((0, 2, 3)), some.std((0, 2, 3)) + 1e-3
    sharp, scale, bias = (nn.Parameter(torch.tensor(value)) for value in (2.3, 8.0, 0.0))
    parameters = [*model.look.parameters(), sharp, scale, bias]
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1, step / 100) * (0.5 + 0.5 * float(np.cos(np.pi * step / steps)))
    )
    for step in range(steps):
        drawn = []
        for _ in range(BATCH):
            group = groups[int(rng.integers(len(groups)))]
            one = group[int(rng.integers(len(group)))]
            own = rng.choice(len(one.own), REFERENCES + QUERIES, replace=len(one.own) < REFERENCES + QUERIES)
            others, half = rng.permutation(len(one.others)), max(1, len(one.others) // 2)
            known, strange = others[:half], others[half:] if len(others) > 1 else others
            picked = [rng.choice(known, BANK), rng.choice(strange, STRANGERS)]
            drawn.append(torch.cat([one.own[own], one.others[np.concatenate(picked)]]))
        features = (torch.cat(drawn).float() - mean[:, None, None]) / std[:, None, None]
        vectors = model.look(functional.dropout2d(features, 0.1)).view(BATCH, len(drawn[0]), -1)
        looks, queries, bank, strangers = vectors.split([REFERENCES, QUERIES, BANK, STRANGERS], 1)
        looks = looks[:, : 1 + int(rng.integers(REFERENCES))]
        away = torch.cat([bank, strangers], 1) @ looks[:, 0, :, None]  # (B, n, 1)
        elsewhere = (looks[:, 0] @ queries[:, 0].T).masked_fill(torch.eye(BATCH, dtype=torch.bool), -9)
        wrong = torch.cat([away[..., 0], elsewhere], 1) * sharp.exp()
        right = (queries @ looks[:, 0, :, None])[..., 0] * sharp.exp()
        every = torch.cat([right[..., None], wrong[:, None].expand(-1, QUERIES, -1)], 2)
        contrast = (every.logsumexp(2) - right).mean()
        unlike = torch.cat([strangers, queries[:, :1].roll(1, 0)], 1)
        margins = [
            (asked @ looks.transpose(1, 2)).amax(2) - (asked @ bank.transpose(1, 2)).amax(2)
            for asked in (queries, unlike)
        ]
        logits = [scale * margin + bias for margin in margins]
        logistic = functional.softplus(-logits[0]).mean() + functional.softplus(logits[1]).mean()
        optimiser.zero_grad()
        (contrast + logistic).backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}: contrast {contrast:.3f}, margins {logistic:.3f}", flush=True)
    with torch.no_grad():  # the first layer takes features as they are
        weight = model.look.enter.weight
        weight /= std[:, None, None]
        bias_of = model.look.enter.bias
        assert bias_of is not None
        bias_of -= weight[..., 0, 0] @ mean


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="tracker-nano")
    parser.add_argument("--more", type=Path)
    parser.add_argument("--held-out", default="")
    parser.add_argument("--share", type=float, default=0.5, help="of the pictures")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    bundle = load_bundle(given.model)
    spec = replace(bundle.spec, config={**bundle.spec.config, "look_dim": DIM, "look_factor": FACTOR})
    model = build_model(spec, eager_operators())
    assert isinstance(model, ArtrackMamba)
    fresh = {name: value for name, value in dump_weights(model).items() if name.startswith("look.")}
    load_weights(model, {**bundle.weights(), **fresh})
    maker = Maker(model.eval(), np.random.default_rng(given.seed))
    clips = [clip for clip in read_clips(given.clips) if clip.name not in given.held_out.split(",")]
    clips += read_clips(given.more) if given.more else []
    of_clips = [target for target in map(maker.of_clip, clips) if len(target.others)]
    of_pictures = [
        target for target in maker.of_pictures(given.pictures, given.share) if len(target.others) > 2
    ]
    print(f"{len(of_clips)} targets of clips, {len(of_pictures)} of pictures", flush=True)
    learn(model, of_clips, of_pictures, given.steps, given.seed)
    save_file(dict(dump_weights(model)), given.out)


if __name__ == "__main__":
    main()
