from __future__ import annotations

import cv2
import numpy as np
import pytest
from framestate.errors import OptionError
from framestate.vision import Box
from framestate.vision.synthetic import Scene, _seen, demo_clip


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(seed=0)


def test_the_clip_is_the_scene_at_whole_times(scene: Scene) -> None:
    found = list(demo_clip(seed=0, frames=3))
    again = Scene(seed=0, frames=3)
    assert len(found) == 3
    for t, (image, box, visible) in enumerate(found):
        assert image.shape == (360, 640, 3)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, again.render(t))
        assert box == again.box(t) == scene.box(t)
        assert visible == again.visible(t)


def test_seeds_differ() -> None:
    one, other = Scene(1).render(0).astype(int), Scene(2).render(0)
    assert abs(one - other).mean() > 5


@pytest.mark.parametrize("seed", range(8))
def test_the_target_moves_scales_and_hides_once(seed: int) -> None:
    scene = Scene(seed)
    visible = np.array([scene.visible(t) for t in range(120)])
    assert visible[:30].min() > 0.95
    assert visible[-20:].min() > 0.95
    hidden = np.flatnonzero(visible < 0.5)
    assert 4 <= len(hidden) <= 30
    assert hidden[-1] - hidden[0] < 35
    boxes = [scene.box(t) for t in range(120)]
    for box in boxes:
        assert box.clipped(640, 360) == box  # the whole target stays in the picture
    areas = [box.area for box in boxes]
    assert max(areas) > 1.4 * min(areas)
    centres = np.array([box.centre for box in boxes])
    steps = np.hypot(*np.diff(centres, axis=0).T)
    assert steps.mean() > 3
    assert steps.max() < 14


@pytest.mark.parametrize("t", [0.0, 10.0, 33.3, 80.0, 119.5])
def test_the_box_bounds_what_is_drawn_of_the_target(scene: Scene, t: float) -> None:
    cover = _seen(scene._target.picture[..., 3], scene._target_place(t), 0, 0, (640, 360))
    drawn = Box(*(float(value) for value in cv2.boundingRect((cover > 0.5).astype(np.uint8))))
    np.testing.assert_allclose(scene.box(t).xyxy, drawn.xyxy, atol=1.5)
    assert scene.box(t).iou(drawn) > 0.94


def test_any_moment_can_be_rendered(scene: Scene) -> None:
    """A frame half-way lies between its neighbours: nearer to each than they are to one another."""
    before, middle, after = (scene.render(t).astype(float) for t in (20.0, 20.5, 21.0))
    whole = abs(after - before).mean()
    assert 0 < abs(middle - before).mean() < whole
    assert 0 < abs(after - middle).mean() < whole
    ends = np.array([scene.box(t).xywh for t in (20.0, 21.0)])
    np.testing.assert_allclose(scene.box(20.5).xywh, ends.mean(0), atol=0.2)


def test_the_rival_is_somewhere_else(scene: Scene) -> None:
    assert all(scene.rival_box(t).iou(scene.box(t)) < 0.2 for t in range(120))


def test_other_sizes() -> None:
    for size in ((64, 64), (320, 240), (1280, 720)):
        image, box, visible = next(demo_clip(size=size, frames=1))
        assert image.shape == (size[1], size[0], 3)
        box.check(*size)
        assert 0.0 <= visible <= 1.0


def test_impossible_clips() -> None:
    with pytest.raises(OptionError, match="0 frames"):
        next(demo_clip(frames=0))
    with pytest.raises(OptionError, match="63 x 360"):
        Scene(size=(63, 360))
