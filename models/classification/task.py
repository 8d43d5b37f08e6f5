"""Training a classifier: pictures into batches, soft targets, the accuracy on pictures held out.

All that is random in a step follows from the seed and the number of the sample or the step, and travels in
the batch; so a resumed run sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from ...errors import TrainingError
from ...vision.views import standardise
from ..training.loaders import batches_of
from .augment import AugmentConfig, augment
from .cifar import Pictures
from .mixing import drop_paths, mix, targets_of
from .model import MambaClassifier

AT_ONCE = 250
"""Pictures of one batch of an evaluation."""
VIEWS = ((0, 0, False), (0, 0, True), (1, 1, False), (-1, -1, True), (1, -1, False))
"""Of test-time augmentation: pixels down and to the right, and whether mirrored."""


class SampleDataset(Dataset[dict[str, Any]]):
    """Augmented pictures by the number of the sample: every epoch has all of them, in its own order."""

    def __init__(
        self,
        pictures: Pictures,
        model: MambaClassifier,
        config: AugmentConfig,
        seed: int,
        first: int,
        count: int,
    ) -> None:
        self.pictures, self.config, self.seed = pictures, config, seed
        self.mean, self.std = model.config.mean, model.config.std
        self.first, self.count = first, count
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= self.count:
            raise IndexError(index)
        number = self.first + index
        epoch, place = divmod(number, len(self.pictures))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.pictures))
        chosen = self._order[place]
        rng = np.random.default_rng((self.seed, 1, number))
        image = augment(self.pictures.images[chosen], rng, self.config, self.mean, self.std)
        return {"image": image, "label": self.pictures.labels[chosen]}


@dataclass
class ClassifierTask:
    """The training task of a ``MambaClassifier``. ``tick`` is told how much of a validation is done."""

    model: MambaClassifier
    train: Pictures
    held_out: Pictures
    batch: int = 128
    steps: int = 1000
    workers: int = 1
    seed: int = 0
    augmenting: AugmentConfig = field(default_factory=AugmentConfig)
    tick: Callable[[float], None] = lambda share: None

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """The batches of a run from step ``start`` to its end.

        image (B, 3, S, S) and target (B, K), mixed or not, label (B,), and perhaps kept (layers, 2, B).
        """
        data = SampleDataset(
            self.train,
            self.model,
            self.augmenting,
            self.seed,
            start * self.batch,
            (self.steps - start) * self.batch,
        )
        config, chosen = self.model.config, self.augmenting
        for step, batch in enumerate(batches_of(data, self.batch, self.workers), start):
            rng = np.random.default_rng((self.seed, 2, step))
            images, labels = batch["image"], batch["label"]
            targets = targets_of(labels, len(config.labels), chosen.smoothing)
            if rng.random() < chosen.mixing:
                images, targets = mix(rng, images, targets, chosen.mixup, chosen.cutmix)
            kept = drop_paths(rng, config.layers, len(images), config.drop_path)
            yield {
                "image": images,
                "target": targets,
                "label": labels,
                "step": torch.tensor(step),
                **({} if kept is None else {"kept": kept}),
            }

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy with the targets. Raises TrainingError when it is not finite."""
        logits = self.model(batch["image"], batch.get("kept")).float()
        loss = functional.cross_entropy(logits, batch["target"])
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss at step {int(batch['step'])} is {loss.item()}", "lower the learning rate"
            )
        right = (logits.argmax(1) == batch["label"]).float().mean()
        return loss, {"loss": loss.item(), "train_accuracy": right.item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Accuracy on the held-out pictures."""
        assert isinstance(model, MambaClassifier)
        return evaluate(model, self.held_out, tick=self.tick)


@torch.no_grad()
def evaluate(
    model: MambaClassifier,
    pictures: Pictures,
    *,
    views: bool = False,
    tick: Callable[[float], None] = lambda share: None,
) -> dict[str, float]:
    """Shares of the pictures whose label comes first: ``accuracy``.

    With more than ten labels also ``top5``, of those whose label is among the first five. With ``views`` also
    ``accuracy_tta``, of the mean probabilities of five views of each. ``tick`` is told the share done.
    """
    right = top = tta = 0
    device = model.pos_embed.device
    for first in range(0, len(pictures), AT_ONCE):
        part = pictures.images[first : first + AT_ONCE]
        labels = torch.from_numpy(pictures.labels[first : first + AT_ONCE]).to(device)
        images = torch.from_numpy(
            np.stack([standardise(image, model.config.mean, model.config.std) for image in part])
        ).to(device)
        logits = model(images)
        right += int((logits.argmax(1) == labels).sum())
        top += int((logits.topk(min(5, logits.shape[1])).indices == labels[:, None]).sum())
        if views:
            tta += int((mean_of_views(model, images).argmax(1) == labels).sum())
        tick(min(1.0, (first + AT_ONCE) / len(pictures)))
    counts = {"accuracy": right}
    if len(pictures.names) > 10:
        counts["top5"] = top
    if views:
        counts["accuracy_tta"] = tta
    return {name: round(count / len(pictures), 4) for name, count in counts.items()}


def mean_of_views(model: MambaClassifier, images: Tensor) -> Tensor:
    """Probabilities (B, K), the mean over shifted and mirrored forms of images (B, 3, S, S)."""
    total = torch.zeros(len(images), len(model.config.labels), device=images.device)
    for down, right, mirrored in VIEWS:
        seen = functional.pad(images, (1, 1, 1, 1), mode="replicate")
        height, width = images.shape[2:]
        seen = seen[:, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width]
        total += torch.softmax(model(seen.flip(3) if mirrored else seen).float(), dim=1)
    return total / len(VIEWS)
