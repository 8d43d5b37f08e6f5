"""A made-up data set of a few pictures, written in each of the layouts in which CIFAR comes."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

NAMES10 = ("plane", "car", "bird")
NAMES100 = ("apple", "bear", "whale")
WriteSet = Callable[[Path, str], Path]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def split(seed: int, count: int) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """Pictures (N, 32, 32, 3) of smooth colour, and labels."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    images = np.stack([cv2.resize(one, (32, 32), interpolation=cv2.INTER_LINEAR) for one in coarse])
    return images.astype(np.uint8), [index % 3 for index in range(count)]


def rows(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def python2_string(text: bytes) -> bytes:
    """A string as Python 2 pickles it."""
    return b"T" + struct.pack("<i", len(text)) + text


def python2_batch(images: npt.NDArray[np.uint8], key: bytes, labels: list[int]) -> bytes:
    """A batch as the official files have it: protocol 2, strings of Python 2, an array of NumPy's."""
    data = rows(images)
    shape = b"J" + struct.pack("<i", data.shape[0]) + b"J" + struct.pack("<i", data.shape[1]) + b"\x86"
    dtype = (
        b"cnumpy\ndtype\n" + python2_string(b"u1") + b"K\x00K\x01\x87R"
        b"(K\x03" + python2_string(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
        + python2_string(b"b") + b"\x87R(K\x01" + shape + dtype + b"\x89"
        + python2_string(data.tobytes()) + b"tb"
    )  # fmt: skip
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    table = python2_string(b"data") + array + python2_string(key) + numbers
    return b"\x80\x02}(" + table + b"u."


def python2_names(key: bytes, names: tuple[str, ...]) -> bytes:
    items = b"".join(python2_string(name.encode()) for name in names)
    return b"\x80\x02}(" + python2_string(key) + b"](" + items + b"eu."


@pytest.fixture
def write_set() -> WriteSet:
    """Writes five training and two test pictures, the same in every layout; JPEG ones are close to them."""

    def write(folder: Path, layout: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (train, labels), (test, test_labels) = split(0, 10), split(1, 4)
        if layout == "binary10":
            (folder / "batches.meta.txt").write_text("\n".join(NAMES10) + "\n\n")
            for index in range(5):
                part = slice(2 * index, 2 * index + 2)
                data = np.hstack([np.array(labels[part], np.uint8)[:, None], rows(train[part])])
                (folder / f"data_batch_{index + 1}.bin").write_bytes(data.tobytes())
            data = np.hstack([np.array(test_labels, np.uint8)[:, None], rows(test)])
            (folder / "test_batch.bin").write_bytes(data.tobytes())
        elif layout == "binary100":
            (folder / "fine_label_names.txt").write_text("\n".join(NAMES100) + "\n")
            for name, images, numbers in (("train", train, labels), ("test", test, test_labels)):
                both = np.stack([np.full(len(images), 9), np.array(numbers)], 1).astype(np.uint8)
                (folder / f"{name}.bin").write_bytes(np.hstack([both, rows(images)]).tobytes())
        elif layout == "python10":
            (folder / "batches.meta").write_bytes(python2_names(b"label_names", NAMES10))
            for index in range(5):
                part = slice(2 * index, 2 * index + 2)
                content = python2_batch(train[part], b"labels", labels[part])
                (folder / f"data_batch_{index + 1}").write_bytes(content)
            (folder / "test_batch").write_bytes(python2_batch(test, b"labels", test_labels))
        elif layout == "python100":
            (folder / "meta").write_bytes(python2_names(b"fine_label_names", NAMES100))
            (folder / "train").write_bytes(python2_batch(train, b"fine_labels", labels))
            again: dict[bytes, Any] = {b"data": rows(test), b"fine_labels": test_labels}
            (folder / "test").write_bytes(pickle.dumps(again, protocol=2))  # as Python 3 writes it
        else:
            write_scans(folder, {"train": (train, labels), "test": (test, test_labels)})
        return folder

    return write


def write_scans(folder: Path, splits: dict[str, tuple[npt.NDArray[np.uint8], list[int]]]) -> None:
    """JPEG files of one size and quality without their header, which is written once."""
    (folder / "classes.txt").write_text("\n".join(NAMES10))
    for name, (images, labels) in splits.items():
        coded = [
            cv2.imencode(".jpg", one[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
            for one in images
        ]
        header = coded[0][: coded[0].index(b"\xff\xda")]
        assert all(one.startswith(header) for one in coded)
        (folder / "header.bin").write_bytes(header)
        scans = [one[len(header) :] for one in coded]
        np.save(folder / f"{name}_offsets.npy", np.cumsum([0, *map(len, scans)]))
        np.save(folder / f"{name}_labels.npy", np.array(labels, np.uint8))
        (folder / f"{name}_scans.bin").write_bytes(b"".join(scans))
