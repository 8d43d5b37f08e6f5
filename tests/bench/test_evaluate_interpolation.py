from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from framestate.bench.evaluate_interpolation import Progress, between, evaluate_interpolation
from framestate.bench.fidelity import rounded
from framestate.bench.interpolation_clips import find_layout, load_clips
from framestate.bench.interpolation_ours import EngineMiddles, ModelMiddles
from framestate.bench.interpolation_peers import Blend, Image, Made, MiddleMaker, open_interpolation_peer
from framestate.bench.interpolation_report import (
    clip_table,
    interpolation_table,
    published_table,
    quality_plot,
)
from framestate.bench.run_store import KeptFolder
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.errors import DataError, OptionError
from framestate.vision.datasets import MOMENT_LAYOUTS
from rich.console import Console


def moving(place: float, width: int = 128, height: int = 96) -> Image:
    """Smooth colours that go two pixels to the right each frame."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin((columns - 2 * place) / scale + rows / 9) for scale in (7, 11, 17)]
    return np.asarray(np.rint(120 + 90 * np.stack(waves, -1)), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two groups: a clip of 7 frames, and a triplet."""
    for name, count in (("clips/waves", 7), ("triplets/wave", 3)):
        inner = tmp_path / "data" / name
        inner.mkdir(parents=True)
        for place in range(count):
            cv2.imwrite(str(inner / f"im{place}.png"), moving(place)[..., ::-1])
    return tmp_path / "data"


class Cheat:
    """Knows the truth, and fails in the second clip."""

    def __init__(self) -> None:
        self.calls = 0

    def middles(self, images: Sequence[Image]) -> Iterator[Made]:
        self.calls += 1
        for place in range(len(images) - 1):
            if self.calls == 2:
                raise ValueError("no more")
            yield moving(2 * place + 1), 0.5


def test_odd_frames_are_withheld_and_scored(folder: Path) -> None:
    seen: list[Progress] = []
    methods: dict[str, MiddleMaker] = {"cheat": Cheat(), "blend": Blend()}
    results = evaluate_interpolation(methods, load_clips(folder), progress=seen.append)["methods"]
    cheat, blend = results["cheat"], results["blend"]
    assert cheat["clips"]["clips/waves"] == {
        "psnr_db": 100.0,
        "ssim": pytest.approx(1),
        "gmsd": 0.0,
        "haarpsi": pytest.approx(1),
        "worst_patch": 0.0,
        "fps": 2,
        "frames": 3,
    }
    assert cheat["clips"]["triplets/wave"]["error"] == "frame 1: ValueError: no more"
    assert (cheat["failures"], cheat["psnr_db"], cheat["groups"]["clips"]["psnr_db"]) == (1, 100, 100)
    assert math.isnan(cheat["groups"]["triplets"]["psnr_db"])
    assert blend["failures"] == 0
    assert 20 < blend["psnr_db"] < 60
    assert blend["psnr_db"] == pytest.approx(
        (blend["groups"]["clips"]["psnr_db"] + blend["groups"]["triplets"]["psnr_db"]) / 2
    )
    assert [(one.method, one.clip) for one in seen[:4]] == [
        ("cheat", "clips/waves"), ("blend", "clips/waves"),
        ("cheat", "triplets/wave"), ("blend", "triplets/wave"),
    ]  # fmt: skip
    assert seen[-1].done == seen[-1].total == 4


@pytest.mark.parametrize("name", ["dis", "minterpolate"])
def test_peers_follow_motion(folder: Path, name: str) -> None:
    methods = {name: open_interpolation_peer(name), "blend": Blend()}
    results = evaluate_interpolation(methods, load_clips(folder))["methods"]
    assert results[name]["failures"] == 0, results[name]["clips"]
    assert [clip["frames"] for clip in results[name]["clips"].values()] == [3, 1]
    assert results[name]["psnr_db"] > results["blend"]["psnr_db"]
    assert results[name]["fps"] > 0


@pytest.mark.parametrize(("lanes", "live"), [(1, False), (2, False), (1, True)])
def test_our_engine_is_a_method(folder: Path, tiny_interpolator: Bundle, lanes: int, live: bool) -> None:
    with Engine.load(tiny_interpolator, threads=1, capacity=1) as engine:
        methods = {"tiny": EngineMiddles(engine, lanes=lanes, live=live)}
        results = evaluate_interpolation(methods, load_clips(folder))["methods"]["tiny"]
    assert results["failures"] == 0
    assert results["psnr_db"] > 15


def test_a_clip_that_cannot_be_read_does_not_end_the_run(folder: Path) -> None:
    (folder / "clips" / "broken").mkdir()
    (folder / "clips" / "broken" / "video.mp4").write_bytes(b"nothing")
    (folder / "clips" / "short").mkdir()
    cv2.imwrite(str(folder / "clips" / "short" / "0.png"), moving(0))
    result = evaluate_interpolation({"blend": Blend()}, load_clips(folder))["methods"]["blend"]
    assert result["failures"] == 2
    assert "VideoError" in result["clips"]["clips/broken"]["error"]
    assert "has 1 frames" in result["clips"]["clips/short"]["error"]
    assert result["groups"]["clips"]["num_clips"] == 1
    assert math.isfinite(result["psnr_db"])


def test_folders(folder: Path, tmp_path: Path) -> None:
    assert [clip.name for clip in load_clips(folder)] == ["clips/waves", "triplets/wave"]
    assert [clip.name for clip in load_clips(folder / "clips")] == ["waves"]
    assert [clip.name for clip in load_clips(folder / "clips" / "waves")] == ["waves"]
    assert [clip.name for clip in load_clips(folder, ["triplets/wave"])] == ["triplets/wave"]
    with pytest.raises(OptionError, match="no clip nope"):
        load_clips(folder, ["nope"])
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(DataError):
            load_clips(path)
    with pytest.raises(OptionError, match="no method 'guess'"):
        open_interpolation_peer("guess")
    with pytest.raises(OptionError, match="rife needs weights"):
        open_interpolation_peer("rife")
    with pytest.raises(OptionError):
        evaluate_interpolation({}, load_clips(folder))


def test_an_even_number_of_frames_leaves_the_last_one(folder: Path) -> None:
    cv2.imwrite(str(folder / "clips" / "waves" / "im7.png"), moving(7))
    assert [len(clip.images()) for clip in load_clips(folder)] == [7, 3]


def test_a_report(folder: Path, tmp_path: Path) -> None:
    methods: dict[str, MiddleMaker] = {"cheat": Cheat(), "blend": Blend()}
    results = evaluate_interpolation(methods, load_clips(folder))
    table = interpolation_table(results)
    assert [str(column.header) for column in table.columns][:2] == ["method", "clips dB"]
    assert list(table.columns[0].cells) == ["cheat", "blend"]
    assert clip_table(results).row_count == 2
    assert quality_plot(results, tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.data
def test_known_figures(shared_data: Path) -> None:
    """On a real triplet: what the peers reach is known, and nothing of ours may change it."""
    clips = load_clips(shared_data / "interpolation", ["triplets/ucf101_01"])
    methods = {name: open_interpolation_peer(name) for name in ("blend", "dis")}
    results = evaluate_interpolation(methods, clips)["methods"]
    assert results["blend"]["psnr_db"] == pytest.approx(40.21, abs=0.02)
    assert results["dis"]["psnr_db"] == pytest.approx(44.50, abs=0.1)


class Halver:
    """Pictures hold their place in time as a number: the middle is the mean, not rounded."""

    def middles(self, images: Sequence[Image]) -> Iterator[Made]:
        for one, other in pairwise(images):
            yield ((one.astype(np.float32) + other) / 2).astype(np.float32), 0.25


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_frames_between_are_made_by_halves_in_order(factor: int) -> None:
    images = [np.full((2, 2, 3), place, np.uint8) for place in (0, 80, 160)]
    made = list(between(Halver(), images, factor))
    places = [float(frame[0, 0, 0]) for frame, _ in made]
    step = 80 / factor
    assert places == [step * i for i in range(1, 2 * factor) if i % factor]
    assert sum(seconds for _, seconds in made) == 0.25 * 2 * (factor - 1)
    with pytest.raises(OptionError, match="power of two"):
        list(between(Halver(), images, 3))


@pytest.mark.parametrize("layout", sorted(MOMENT_LAYOUTS))
def test_public_test_sets_are_scored_as_published(tiny_set: Callable[[str], Path], layout: str) -> None:
    root = tiny_set(layout)
    assert find_layout(root, "auto") == layout
    clips = load_clips(root, layout=layout)
    methods: dict[str, MiddleMaker] = {"blend": Blend(), "halver": Halver()}
    results = evaluate_interpolation(methods, clips, published=True)["methods"]
    blend, halver = results["blend"], results["halver"]
    assert blend["failures"] == halver["failures"] == 0
    assert list(blend["clips"]) == [clip.name for clip in clips]
    frames = {one["frames"] for one in blend["clips"].values()}
    assert frames == ({7} if layout == "x-test" else {1})
    assert blend["psnr_unrounded_db"] == blend["psnr_db"]  # OpenCV rounds
    assert halver["psnr_unrounded_db"] != halver["psnr_db"]
    assert halver["psnr_unrounded_db"] == pytest.approx(halver["psnr_db"], abs=0.1)
    assert 0 < halver["ssim_matlab"] < 1
    assert halver["interpolation_error"] > 0
    if layout == "snu-film":
        assert list(blend["groups"]) == ["easy", "medium", "hard"]
        levels = [blend["groups"][level]["ssim_matlab"] for level in ("easy", "medium", "hard")]
        assert levels == sorted(levels, reverse=True)
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(published_table(evaluate_interpolation(methods, clips[:1], published=True)))
    assert "not rounded" in console.export_text()


def test_x_test_may_be_shrunk(tiny_set: Callable[[str], Path]) -> None:
    clips = load_clips(tiny_set("x-test"), layout="x-test-2k")
    assert [clip.name for clip in clips] == ["TEST01_003_f0433", "TEST06_001_f0273"]
    assert clips[0].factor == 8
    images = clips[0].images()
    assert len(images) == 9
    assert images[0].shape == (1080, 2048, 3)


def test_layouts_of_test_sets_are_named(tiny_set: Callable[[str], Path], folder: Path) -> None:
    assert find_layout(folder, "auto") == "framestate"
    with pytest.raises(OptionError, match="no layout 'xiph'"):
        find_layout(folder, "xiph")
    root = tiny_set("ucf101")
    assert [clip.name for clip in load_clips(root, ["11"], layout="ucf101")] == ["11"]
    with pytest.raises(OptionError, match="no clip 12"):
        load_clips(root, ["12"], layout="ucf101")


def test_an_image_that_does_not_decode_is_counted(tiny_set: Callable[[str], Path]) -> None:
    root = tiny_set("ucf101")
    (root / "2" / "frame_02.png").write_bytes(b"no image")
    results = evaluate_interpolation({"blend": Blend()}, load_clips(root, layout="ucf101"), published=True)
    blend = results["methods"]["blend"]
    assert blend["failures"] == 1
    assert "ImageError" in blend["clips"]["2"]["error"]
    assert math.isfinite(blend["ssim_matlab"])


def test_the_model_alone_makes_what_a_session_does() -> None:
    """On a pair without a cut, rounding aside; and its frames are not rounded."""
    images = [moving(place, 96, 64) for place in (0, 2, 4)]
    with Engine.load("interp-nano", runtime="onnx", threads=1, capacity=1) as engine:
        alone = [frame for frame, _ in ModelMiddles(engine).middles(images)]
        session = [frame for frame, _ in EngineMiddles(engine, live=True).middles(images)]
    assert alone[0].dtype == np.float32
    assert (alone[0] != np.rint(alone[0])).mean() > 0.9
    for one, other in zip(alone, session, strict=True):
        np.testing.assert_array_equal(rounded(one), other)


class Counted(Blend):
    """Stops the whole evaluation at its ``last`` clip."""

    def __init__(self, last: int = 99) -> None:
        self.calls, self.last = 0, last

    def middles(self, images: Sequence[Image]) -> Iterator[Made]:
        self.calls += 1
        if self.calls == self.last:
            raise KeyboardInterrupt
        yield from super().middles(images)


def test_a_stopped_evaluation_goes_on(folder: Path, tmp_path: Path) -> None:
    clips = load_clips(folder)
    straight = evaluate_interpolation({"blend": Blend()}, clips)["methods"]["blend"]
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        evaluate_interpolation({"blend": Counted(last=2)}, clips, kept=KeptFolder(out, {"of": 1}))
    again = Counted()
    found = evaluate_interpolation({"blend": again}, clips, kept=KeptFolder(out, {"of": 1}))
    assert again.calls == 1
    for name, one in straight["clips"].items():
        other = found["methods"]["blend"]["clips"][name]
        assert {**one, "fps": 0} == {**other, "fps": 0}
    third = Counted()
    assert evaluate_interpolation({"blend": third}, clips, kept=KeptFolder(out, {"of": 1})) == found
    assert third.calls == 0
    with pytest.raises(OptionError, match="of was 1 and is 2"):
        KeptFolder(out, {"of": 2})
    kept = out / "blend" / "clips%2Fwaves.json"
    kept.write_text(kept.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    with pytest.raises(DataError, match="no run of a method"):
        evaluate_interpolation({"blend": third}, clips, kept=KeptFolder(out, {"of": 1}))
    cv2.imwrite(str(folder / "triplets" / "wave" / "im1.png"), moving(40)[::-1])
    kept.unlink()
    with pytest.raises(OptionError, match="other data of triplets/wave"):
        evaluate_interpolation({"blend": third}, clips, kept=KeptFolder(out, {"of": 1}))
