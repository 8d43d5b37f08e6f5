"""Made-up copies of the public data sets, a few small pictures each, in their authors' own layouts."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

SIZE = 96, 64  # width, height
FRAMES = 8


def picture(index: int, seed: int = 0) -> np.ndarray:
    """BGR frame ``index``: a bright textured square over a dim ground, at ``box(index)``."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    x, y, w, h = box(index)
    image[y : y + h, x : x + w] = rng.integers(120, 255, (h, w, 3), dtype=np.uint8)
    return image


def box(index: int) -> tuple[int, int, int, int]:
    """x, y, w, h of the square of a frame."""
    return 10 + 2 * index, 8 + index, 16, 16


def lines(count: int, separator: str = ",") -> str:
    return "".join(separator.join(map(str, box(index))) + "\n" for index in range(count))


def write_images(folder: Path, names: str, numbers: range) -> None:
    """``names`` is a format such as ``{:08d}.jpg``; a number's picture is that of its place in the range."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, number in enumerate(numbers):
        cv2.imwrite(str(folder / names.format(number)), picture(place))


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_tracking_set(layout: str, root: Path) -> Path:
    """A copy of one tracking data set: two sequences or more of eight frames, one with a hidden target."""
    if layout == "got10k":
        for part, prefix in (("train", "Train"), ("val", "Val"), ("test", "Test")):
            names = [f"GOT-10k_{prefix}_{number:06d}" for number in (1, 2)]
            write_text(root / part / "list.txt", "\n".join(names) + "\n")
            for name in names:
                folder = root / part / name
                write_images(folder, "{:08d}.jpg", range(1, FRAMES + 1))
                write_text(folder / "groundtruth.txt", lines(1 if part == "test" else FRAMES))
                if part != "test":
                    write_text(folder / "absence.label", "0\n0\n0\n1\n0\n0\n0\n0\n")
                    write_text(folder / "cut_by_image.label", "0\n" * FRAMES)
                    write_text(folder / "cover.label", "8\n8\n0\n0\n8\n8\n7\n8\n")
                    write_text(folder / "meta_info.ini", f"[METAINFO]\nresolution: ({SIZE[0]}, {SIZE[1]})\n")
    elif layout == "lasot":
        for name in ("airplane-1", "airplane-2", "zebra-10"):
            folder = root / name.split("-")[0] / name
            write_images(folder / "img", "{:08d}.jpg", range(1, FRAMES + 1))
            write_text(folder / "groundtruth.txt", lines(FRAMES))
            write_text(folder / "full_occlusion.txt", "0,0,0,1,0,0,0,0")
            write_text(folder / "out_of_view.txt", "0,0,0,0,0,1,0,0")
    elif layout == "trackingnet":
        for part in ("TRAIN_0", "TRAIN_11", "TEST"):
            name = f"{part.lower()}-video_1"
            write_images(root / part / "frames" / name, "{}.jpg", range(2, 2 + FRAMES))  # 2 comes before 10
            write_text(root / part / "anno" / f"{name}.txt", lines(1 if part == "TEST" else FRAMES))
    elif layout in ("otb", "dtb70"):
        pair = ("Basketball", "Car4") if layout == "otb" else ("Animal1", "BMX2")
        for name, separator in zip(pair, ("\t" if layout == "otb" else ",", ","), strict=True):
            write_images(root / name / "img", "{:04d}.jpg", range(1, FRAMES + 1))
            write_text(root / name / "groundtruth_rect.txt", lines(FRAMES, separator))
        if layout == "otb":
            write_images(root / "Jogging" / "img", "{:04d}.jpg", range(1, FRAMES + 1))
            for number in (1, 2):
                write_text(root / "Jogging" / f"groundtruth_rect.{number}.txt", lines(FRAMES))
            write_images(root / "Human4" / "img", "{:04d}.jpg", range(1, FRAMES + 1))
            write_text(root / "Human4" / "groundtruth_rect.1.txt", "")
            write_text(root / "Human4" / "groundtruth_rect.2.txt", lines(FRAMES))
            write_images(root / "Football1" / "img", "{:04d}.jpg", range(1, FRAMES + 3))
            write_text(root / "Football1" / "groundtruth_rect.txt", lines(FRAMES))
    elif layout in ("uav123", "uav20l"):
        version = layout.upper()
        write_images(root / "data_seq" / "UAV123" / "bike1", "{:06d}.jpg", range(1, FRAMES + 1))
        rows = lines(FRAMES).splitlines()
        rows[4] = "NaN,NaN,NaN,NaN"
        write_text(root / "anno" / version / "bike1.txt", "\n".join(rows) + "\n")
        if layout == "uav123":
            folder = root / "data_seq" / "UAV123" / "car16"  # its second part begins at frame 415
            write_images(folder, "{:06d}.jpg", range(415, 415 + FRAMES))
            for number in range(1, 415):
                (folder / f"{number:06d}.jpg").write_bytes(b"")
            write_text(root / "anno" / version / "car16_2.txt", lines(FRAMES))
    elif layout == "visdrone":
        for name in ("uav0000016_00000_s", "uav0000184_00625_s"):
            write_images(root / "sequences" / name, "img{:07d}.jpg", range(1, FRAMES + 1))
            write_text(root / "annotations" / f"{name}.txt", lines(FRAMES))
    elif layout == "coco":
        write_images(root / "train2017", "{:012d}.jpg", range(1, 4))
        images = [{"id": n, "file_name": f"{n:012d}.jpg", "width": 96, "height": 64} for n in (1, 2, 3)]
        objects = [{"id": n, "image_id": n, "bbox": list(box(n - 1)), "iscrowd": 0} for n in (1, 2, 3)]
        objects.append({"id": 9, "image_id": 1, "bbox": [0, 0, 90, 60], "iscrowd": 1})
        objects.append({"id": 10, "image_id": 2, "bbox": [0, 0, 2, 2], "iscrowd": 0})
        text = json.dumps({"images": images, "annotations": objects})
        write_text(root / "annotations" / "instances_train2017.json", text)
    else:
        raise ValueError(layout)
    return root


def write_moments(layout: str, root: Path) -> Path:
    """A copy of one interpolation test set."""
    if layout in ("vimeo-triplet", "vimeo-septuplet"):
        short, last = ("tri", 3) if layout == "vimeo-triplet" else ("sep", 7)
        for name in ("00001/0001", "00001/0002"):
            write_images(root / "sequences" / name, "im{}.png", range(1, last + 1))
        write_text(root / f"{short}_testlist.txt", "00001/0001\n00001/0002\n\n")
    elif layout == "snu-film":
        write_images(root / "test" / "GOPRO_test" / "GOPR0384_11_00", "{:06d}.png", range(1, 8))
        base = "data/SNU-FILM/test/GOPRO_test/GOPR0384_11_00"
        for level, gap in (("easy", 1), ("medium", 2), ("hard", 3)):
            text = " ".join(f"{base}/{number:06d}.png" for number in (4 - gap, 4, 4 + gap))
            write_text(root / f"test-{level}.txt", text + "\n")
    elif layout == "ucf101":
        for number in (1, 11, 2):
            folder = root / str(number)
            folder.mkdir(parents=True)
            for place, name in enumerate(("frame_00", "frame_01_gt", "frame_02")):
                cv2.imwrite(str(folder / f"{name}.png"), picture(place))
    elif layout == "middlebury":
        for scene in ("Beanbags", "Venus"):
            for place, name in enumerate(("frame10", "frame11")):
                path = root / "other-data" / scene
                path.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path / f"{name}.png"), picture(2 * place))
            path = root / "other-gt-interp" / scene
            path.mkdir(parents=True)
            cv2.imwrite(str(path / "frame10i11.png"), picture(1))
    elif layout == "x-test":
        for scene in ("Type1/TEST01_003_f0433", "Type2/TEST06_001_f0273"):
            write_images(root / "test" / scene, "{:04d}.png", range(33))
    else:
        raise ValueError(layout)
    return root


def write_cifar(folder: Path) -> Path:
    """Ten pictures to train on and two to test with, of three classes, as CIFAR-10's binary files."""
    folder.mkdir(parents=True)
    (folder / "batches.meta.txt").write_text("cat\ndog\nsea\n")
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{index}.bin" for index in range(1, 6)), "test_batch.bin"]:
        records = rng.integers(0, 256, (2, 3073), dtype=np.uint8)
        records[:, 0] %= 3
        (folder / name).write_bytes(records.tobytes())
    return folder
