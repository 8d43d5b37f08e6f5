"""NanoTrack v3's own files in this engine, beside the rule that its authors published."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from framestate.bench.sequences import load_sequences
from framestate.engine.tracking import TrackingOptions
from framestate.engine.tracking.cropping import Cropping
from framestate.engine.tracking.decode import open_decoder
from framestate.export.onnx_surgery import resized
from framestate.export.siamese import adopt_siamese
from framestate.runtimes import open_runtime
from framestate.vision import Box, SquareCrop


def peers() -> Path:
    """Where the public ONNX files are, in the folders of their repository."""
    return Path(os.environ.get("FRAMESTATE_PEERS", "peers"))


class PublishedRule:
    """NanoTrack as its authors run it, on crops that are cut for it: one template, no filter, no status.

    Of each point's score and box, in crop pixels from the middle: what differs in size or shape is held back,
    a Hann window is mixed in, the best is taken, and the size follows at a rate.
    """

    def __init__(self, backbone: Path, head: Path, *, window: float, penalty: float, rate: float) -> None:
        self.eyes, self.brain = (onnxruntime.InferenceSession(path) for path in (backbone, head))
        self.window, self.penalty, self.rate = window, penalty, rate

    def start(self, template: Any, box: Box) -> None:
        graph = resized(
            onnx.load(self.eyes._model_path), template.shape[2]
        )  # the file is of the search's size
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        (self.key,) = session.run(None, {session.get_inputs()[0].name: template})
        self.box = box

    def update(self, search: Any, crop: SquareCrop) -> tuple[Box, float]:
        """The best point's box, before the size is smoothed, and its score."""
        (seen,) = self.eyes.run(None, {self.eyes.get_inputs()[0].name: search})
        names = [one.name for one in self.brain.get_inputs()]
        classes, sides = self.brain.run(None, dict(zip(names, (self.key, seen), strict=True)))
        grid = classes.shape[2]
        logits = classes[0].reshape(2, -1).astype(np.float64)
        score = 1 / (1 + np.exp(logits[0] - logits[1]))
        line = (np.arange(grid) - grid // 2) * 16.0
        x, y = (each.ravel() for each in np.meshgrid(line, line))
        left, top, right, bottom = sides[0].reshape(4, -1).astype(np.float64)
        w, h = left + right, top + bottom
        width, height = self.box.w * crop.scale, self.box.h * crop.scale

        def extent(one: Any, other: Any) -> Any:
            pad = (one + other) / 2
            return np.sqrt((one + pad) * (other + pad))

        sized, shaped = extent(w, h) / extent(width, height), (width / height) / (w / h)
        change = np.maximum(sized, 1 / sized) * np.maximum(shaped, 1 / shaped)
        held = np.exp(-(change - 1) * self.penalty)
        hann = np.outer(np.hanning(grid), np.hanning(grid)).ravel()
        best = int((held * score * (1 - self.window) + hann * self.window).argmax())
        # from the crop's middle, which lies on whole pixels; the authors' code takes the box's middle
        cx = crop.left + (crop.size / 2 + x[best] + (right - left)[best] / 2) / crop.scale
        cy = crop.top + (crop.size / 2 + y[best] + (bottom - top)[best] / 2) / crop.scale
        found = Box.from_centre(cx, cy, w[best] / crop.scale, h[best] / crop.scale)
        share = held[best] * score[best] * self.rate
        self.box = Box.from_centre(
            cx,
            cy,
            *(
                side + share * (new - side)
                for side, new in zip(self.box.xywh[2:], found.xywh[2:], strict=True)
            ),
        )
        return found, float(score[best])


@pytest.mark.data
def test_nanotrack_v3_answers_as_its_files_do(tmp_path: Path, shared_data: Path) -> None:
    """The real files: each frame's best cell and box, by their published rule, and by bundle and decoder."""
    backbone, head = (peers() / "nanotrackv3" / f"nanotrack_{part}.onnx" for part in ("backbone", "head"))
    if not head.is_file():
        pytest.skip("FRAMESTATE_PEERS names no folder with NanoTrack v3's ONNX files")
    options: Any = {"window": 0.455, "change": 0.138, "size_ceiling": 0.348}
    adopted = adopt_siamese(
        backbone, head, tmp_path / "v3", name="v3", provenance={}, options=options
    )  # its own parity is checked here, in a batch of two
    [sequence] = load_sequences(shared_data / "tracking", ["davis_goat"])
    frames = sequence.frames()
    first, runtime = next(frames), open_runtime(adopted, "onnx", threads=1)
    cropping, decode = Cropping(adopted.spec), open_decoder(adopted.spec, TrackingOptions(**options))
    rule = PublishedRule(backbone, head, window=0.455, penalty=0.138, rate=0.348)
    fill, box = cropping.fill(first.image), sequence.first_box
    template = cropping.planes([cropping.view(first.image, cropping.template(box), fill)])
    _, state = runtime.call("init", {"template": template}, None)
    rule.start(template, box)
    overlaps = []
    for frame, truth in zip(frames, sequence.truth[1:], strict=True):
        crop = cropping.search(rule.box, 1.0)
        search = cropping.planes([cropping.view(frame.image, crop, fill)])
        maps, _ = runtime.call("step", {"search": search}, state)
        measured = decode({name: value[0] for name, value in maps.items()}, crop, rule.box)
        found, score = rule.update(search, crop)
        assert measured.box.xywh == pytest.approx(found.xywh, abs=0.02)
        assert measured.score == pytest.approx(score, abs=1e-4)
        overlaps.append(rule.box.iou(Box(*truth)))
    assert np.mean(overlaps) > 0.7  # it follows the goat, which is what the rule is for
