"""Training samples for trackers: one template crop and a few search crops in time order, with the true boxes.

Three sources are mixed: objects cut out by their mask and pasted over moving backgrounds, objects (or plain
regions) moved within their own picture, and real clips with boxes. Sample ``i`` is a pure function of
``(seed, i)``, so a resumed run sees exactly what an uninterrupted one would.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import DataError, ImageError, OptionError
from ...vision.box import Box
from ...vision.crop import SquareCrop, around, cut
from ..datasets.footage import TRIES, Footage, FootageMix
from .archives import Archive, Still
from .clips import Clip
from .photometry import colour_curve, degrade, recolour
from .poses import SampleConfig, next_pose, place_in_search, template_pose
from .views import Array, Pose, background, ellipse, outline, paste, place, warp

Pixels = npt.NDArray[np.uint8]
Sample = dict[str, npt.NDArray[Any]]


@dataclass
class SampleSource:
    """Makes samples by index; safe to share between loader processes after a fork.

    Raises DataError when there is neither a picture nor a clip.
    """

    config: SampleConfig
    archives: list[Archive]
    clips: list[Clip]
    seed: int = 0
    mix: FootageMix | None = None  # data sets that real samples are drawn from, in place of the clips
    _objects: list[tuple[Still, int]] = field(init=False, repr=False)
    _cumulative: npt.NDArray[np.float64] = field(init=False, repr=False)
    _plain: list[Still] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.archives and not self.clips and self.mix is None:
            raise DataError("there is nothing to make samples from", "give archives, clips or data sets")
        if self.config.absent and self.config.absent_elsewhere and not self._is_real:
            raise OptionError(
                f"absent_elsewhere is {self.config.absent_elsewhere} and there is no clip",
                "give clips or data sets, or leave it at 0: other places are shown then",
            )
        stills = [still for archive in self.archives for still in archive.stills]
        self._objects = [(still, value) for still in stills for value in still.objects]
        weights = [
            archive.object_weight
            for archive in self.archives
            for still in archive.stills
            for _ in still.objects
        ]
        self._cumulative = np.cumsum(weights) / max(sum(weights), 1e-9)
        self._plain = stills

    @property
    def _is_real(self) -> bool:
        return bool(self.clips) or self.mix is not None

    def _object(self, rng: np.random.Generator) -> tuple[Still, int]:
        """A picture and the label of one of its objects, archives weighted by the root of their size."""
        place = int(np.searchsorted(self._cumulative, rng.random()))
        return self._objects[min(place, len(self._objects) - 1)]

    def __getitem__(self, index: int) -> Sample:
        """Sample ``index`` as named arrays.

        template (S_z, S_z, 3) and search (K, S_x, S_x, 3) uint8 RGB, boxes (K, 4) float32 as x, y, w, h in
        pixels of the search crop, visible (K,) bool.
        """
        rng = np.random.default_rng((self.seed, index))
        c = self.config
        draw = rng.random()
        if self._objects and draw < c.share_pasted:
            sample = self._pasted(rng)
        elif self._objects and draw < c.share_pasted + c.share_in_place:
            sample = self._in_place(rng, masked=True)
        elif not self._is_real or (
            self._plain and draw < c.share_pasted + c.share_in_place + c.share_regions
        ):
            sample = self._in_place(rng, masked=False)
        elif self.mix is None:
            clip = self.clips[rng.integers(len(self.clips))]
            return self._finish(self._views(clip, rng), rng, clip)
        else:
            return self._mixed(self.mix, rng)
        return self._finish(sample, rng)

    def _without_target(self, clip: Footage | None, rng: np.random.Generator) -> Pixels | None:
        """A search crop of something else: around the target of another clip, or any part of a picture."""
        c = self.config
        if c.absent_elsewhere and rng.random() < c.absent_elsewhere:
            other = self._other(clip, rng)
            if other is not None:
                index = int(rng.choice(other.present))
                return cut(other.pixels(index), search_crop(Box(*other.boxes[index]), rng, c))
        if not self._plain:
            return None
        return background(self._plain[rng.integers(len(self._plain))].pixels(), rng, c.search_size)[0]

    def _other(self, clip: Footage | None, rng: np.random.Generator) -> Footage | None:
        """Any footage whose frames are not those of ``clip``; None where there is hardly any."""
        if self.mix is not None:
            drawn = (self.mix.draw(rng) for _ in range(TRIES))
            return next((other for other in drawn if clip is None or other.name != clip.name), None)
        frames = clip.frames if isinstance(clip, Clip) else None
        others = [other for other in self.clips if other.frames is not frames]
        return others[rng.integers(len(others))] if others else None

    def _finish(self, sample: Sample, rng: np.random.Generator, clip: Footage | None = None) -> Sample:
        """What is common to all sources: absence, mirror images, colour, sharpness."""
        c = self.config
        if rng.random() < c.absent and c.searches > 1:  # one search crop without the target
            k = int(rng.integers(c.searches))
            other = self._without_target(clip, rng)
            if other is not None:
                sample["search"][k], sample["visible"][k] = other, False
        curve, saturation = colour_curve(rng, 0.7)
        grey = rng.random() < 0.15
        detail = rng.uniform(0.2, 0.7) if rng.random() < 0.35 else 1.0
        order = rng.permutation(3) if rng.random() < 0.1 else np.arange(3)

        def finish(image: Pixels) -> Pixels:
            outside = ~image.any(-1)  # padding stays exactly black, as the engine's crops have it
            image = recolour(np.ascontiguousarray(image[..., order]), curve, saturation)
            image = degrade(image, rng, detail=detail, grey=grey)
            image[outside] = 0
            return image

        sample["template"] = finish(sample["template"])
        sample["search"] = np.stack([finish(image) for image in sample["search"]])
        return sample

    def _in_place(self, rng: np.random.Generator, *, masked: bool) -> Sample:
        """Template and searches are views of one picture."""
        if masked:
            still, value = self._object(rng)
            image, labels = still.pixels(), still.label_map()
            assert labels is not None
            points = outline(labels == value)
        else:
            image = self._plain[rng.integers(len(self._plain))].pixels()
            height, width = image.shape[:2]
            extent = np.exp(rng.uniform(np.log(28), np.log(0.55 * min(height, width) + 10)))
            ratio = np.exp(rng.normal(0, 0.35))
            w, h = min(extent * ratio, 0.8 * width), min(extent / ratio, 0.8 * height)
            points = ellipse(rng.uniform(0, width - w), rng.uniform(0, height - h), w, h)
        # No reflection here: it would show the target twice.
        border = cv2.BORDER_REPLICATE if rng.random() < 0.2 else cv2.BORDER_CONSTANT
        c = self.config
        pose = template_pose(rng, c)
        matrix, _ = place(points, pose)
        template = warp(image, matrix, c.template_size, border)
        searches, boxes = [], []
        for _ in range(c.searches):
            pose = next_pose(rng, c, pose)
            matrix, box = place(points, pose)
            view = warp(image, matrix, c.search_size, border)
            searches.append(self._occlude(view, box, rng))
            boxes.append(box)
        return self._pack(template, searches, boxes)

    def _cut_out(self, rng: np.random.Generator) -> tuple[Pixels, Array]:
        """An object as RGBA with soft edges, cropped to its box, and its outline there."""
        still, value = self._object(rng)
        labels = still.label_map()
        assert labels is not None
        region = labels == value
        ys, xs = np.nonzero(region)
        top, left, bottom, right = max(ys.min() - 2, 0), max(xs.min() - 2, 0), ys.max() + 3, xs.max() + 3
        image = still.pixels()[top:bottom, left:right]
        region = region[top:bottom, left:right]
        height, width = min(image.shape[0], region.shape[0]), min(image.shape[1], region.shape[1])
        region = region[:height, :width]
        alpha = cv2.GaussianBlur(region.astype(np.uint8) * 255, (0, 0), 0.8)
        return np.dstack([image[:height, :width], alpha]), outline(region)

    def _pasted(self, rng: np.random.Generator) -> Sample:
        """An object over a background that moves on its own, with distractors and occluders."""
        c = self.config
        target, points = self._cut_out(rng)
        distractor = self._cut_out(rng) if rng.random() < 0.5 else None
        if rng.random() < 0.25:
            distractor = (target, points)  # its own twin, mirrored and recoloured: the hardest case
        scene = self._plain[rng.integers(len(self._plain))].pixels()
        pose = template_pose(rng, c)
        backdrop, _ = background(scene, rng, c.template_size)
        matrix, _ = place(points, pose)
        template = paste(backdrop, target, matrix)
        searches, boxes = [], []
        backdrop, camera = background(scene, rng, c.search_size)
        for k in range(c.searches):
            if k:
                camera = camera.copy()
                camera[:, 2] += rng.normal(0, 0.08, 2) * c.search_size
                backdrop = warp(scene, camera, c.search_size, cv2.BORDER_REFLECT_101)
            pose = next_pose(rng, c, pose)
            matrix, box = place(points, pose)
            view = backdrop
            if distractor is not None:
                away = (
                    np.asarray(pose.centre) + rng.choice([-1, 1], 2) * rng.uniform(0.5, 1.3, 2) * pose.extent
                )
                other = Pose(
                    pose.angle + rng.normal(0, 0.3),
                    pose.aspect,
                    not pose.mirror,
                    (float(away[0]), float(away[1])),
                    pose.extent * float(np.exp(rng.normal(0, 0.2))),
                )
                pixels = distractor[0]
                if distractor[0] is target:
                    curve, saturation = colour_curve(rng, 0.7)
                    pixels = np.dstack(
                        [recolour(np.ascontiguousarray(target[..., :3]), curve, saturation), target[..., 3]]
                    )
                view = paste(view, pixels, place(distractor[1], other)[0])
            view = paste(view, target, matrix)
            searches.append(self._occlude(view, box, rng))
            boxes.append(box)
        return self._pack(template, searches, boxes)

    def _occlude(self, view: Pixels, box: Array, rng: np.random.Generator) -> Pixels:
        """Sometimes hides up to half of the target behind a patch of something else."""
        if rng.random() > 0.2 or not self._objects:
            return view
        pixels, points = self._cut_out(rng)
        side = rng.choice([-1, 1], 2) * rng.uniform(0.25, 0.6, 2)
        centre = box[:2] + box[2:] / 2 + side * box[2:]
        extent = float(np.sqrt(box[2] * box[3])) * rng.uniform(0.4, 0.8)
        pose = Pose(rng.uniform(-3, 3), 1.0, False, (float(centre[0]), float(centre[1])), extent)
        return paste(view, pixels, place(points, pose)[0])

    def _mixed(self, mix: FootageMix, rng: np.random.Generator) -> Sample:
        """Frames of a sequence of a data set; where one of them does not decode, those of another."""
        for _ in range(TRIES):
            clip = mix.draw(rng)
            try:
                return self._finish(self._views(clip, rng), rng, clip)
            except ImageError:
                mix.skip()
        raise DataError(f"pictures of {TRIES} drawn sequences do not decode", "get undamaged copies of them")

    def _views(self, clip: Footage, rng: np.random.Generator) -> Sample:
        """The template from one frame, searches from later (or earlier) ones, in order."""
        c = self.config
        first = int(rng.integers(len(clip.present)))
        step = 1 if rng.random() < 0.7 else -1
        chosen = [clip.present[first]]
        position = first
        for k in range(c.searches):
            gap = int(rng.integers(1, c.max_gap if k == 0 else 6))
            position = int(np.clip(position + step * gap, 0, len(clip.present) - 1))
            chosen.append(clip.present[position])
        mirror = rng.random() < 0.5
        views: list[Pixels] = []
        boxes: list[Array] = []
        for k, index in enumerate(chosen):
            image, (x, y, w, h) = clip.pixels(int(index)), clip.boxes[index]
            if k == 0:
                crop = around(Box(x, y, w, h), c.template_factor, c.template_size)
                view = cut(image, crop)
            else:
                crop = search_crop(Box(x, y, w, h), rng, c)
                view = cut(image, crop)
                box = crop.to_crop(Box(x, y, w, h))
                left = c.search_size - box.x - box.w if mirror else box.x
                boxes.append(np.array([left, box.y, box.w, box.h]))
            views.append(np.ascontiguousarray(view[:, ::-1]) if mirror else view)
        return self._pack(views[0], views[1:], boxes)

    def _pack(self, template: Pixels, searches: list[Pixels], boxes: list[Array]) -> Sample:
        return {
            "template": template,
            "search": np.stack(searches),
            "boxes": np.stack(boxes).astype(np.float32),
            "visible": np.ones(len(boxes), bool),
        }


def search_crop(box: Box, rng: np.random.Generator, config: SampleConfig) -> SquareCrop:
    """A crop that has the target where, and as large as, a tracker would leave it."""
    centre, extent = place_in_search(rng, config)
    scale = extent / np.sqrt(box.w * box.h)
    return SquareCrop(
        cx=box.x + box.w / 2 - (centre[0] - config.search_size / 2) / scale,
        cy=box.y + box.h / 2 - (centre[1] - config.search_size / 2) / scale,
        side=config.search_size / scale,
        size=config.search_size,
    )
