"""CIFAR in all its layouts, and files that are not what they claim to be."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from framestate.errors import DataError
from framestate.models.classification.cifar import read_cifar
from framestate.models.classification.pickles import read_table

from .conftest import NAMES10, NAMES100, split

WriteSet = Callable[[Path, str], Path]
LAYOUTS = ["binary10", "binary100", "python10", "python100", "scans"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_holds_the_same(tmp_path: Path, write_set: WriteSet, layout: str) -> None:
    train, test = read_cifar(write_set(tmp_path, layout))
    for found, (images, labels) in ((train, split(0, 10)), (test, split(1, 4))):
        assert found.labels.tolist() == labels
        assert found.names == (NAMES100 if layout.endswith("100") else NAMES10)
        if layout == "scans":
            assert np.abs(found.images.astype(int) - images).mean() < 3  # colours in their places
        else:
            assert np.array_equal(found.images, images)


@pytest.mark.parametrize("sub", ["cifar-10-batches-bin", "cifar-10-batches-py"])
def test_the_official_sub_folders_are_found(tmp_path: Path, write_set: WriteSet, sub: str) -> None:
    write_set(tmp_path / sub, "binary10" if sub.endswith("bin") else "python10")
    assert len(read_cifar(tmp_path)[0]) == 10


def test_the_first_few(tmp_path: Path, write_set: WriteSet) -> None:
    train, _ = read_cifar(write_set(tmp_path, "binary10"))
    assert train.first(0) is train
    assert np.array_equal(train.first(3).images, train.images[:3])
    with pytest.raises(DataError, match="11 pictures are asked for"):
        train.first(11)


def test_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no CIFAR"):
        read_cifar(tmp_path)


@pytest.mark.parametrize(
    ("layout", "name", "content", "problem"),
    [
        ("binary10", "data_batch_3.bin", None, "cannot be read"),
        ("binary10", "data_batch_3.bin", b"short", "5 bytes, which are no records of 3073"),
        ("binary10", "test_batch.bin", b"", "0 bytes"),
        ("binary10", "batches.meta.txt", b"plane\ncar", "labels go from 0 to 2, for 2 names"),
        ("binary100", "fine_label_names.txt", b"\xff\xfe", "is no text"),
        ("python10", "data_batch_2", b"\x80\x02", "no table of plain bytes"),
        ("python10", "data_batch_2", pickle.dumps([1], 2), "it is a list"),
        ("python10", "data_batch_2", pickle.dumps({b"data": 3}, 2), "no pictures with labels"),
        ("python100", "meta", pickle.dumps({b"fine_label_names": [3]}, 2), "no list of fine_label_names"),
        ("scans", "train_scans.bin", b"short", "cut short"),
        ("scans", "header.bin", b"no JPEG", "picture 0 of train .* does not decode"),
        ("scans", "test_labels.npy", b"no array", "cannot be read"),
    ],
)
def test_damaged_files(
    tmp_path: Path, write_set: WriteSet, layout: str, name: str, content: bytes | None, problem: str
) -> None:
    path = write_set(tmp_path, layout) / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=problem):
        read_cifar(tmp_path)


def test_offsets_out_of_order_and_objects_in_arrays(tmp_path: Path, write_set: WriteSet) -> None:
    folder = write_set(tmp_path, "scans")
    offsets = np.load(folder / "train_offsets.npy")
    np.save(folder / "train_offsets.npy", offsets[::-1])
    with pytest.raises(DataError, match="not in order"):
        read_cifar(folder)
    np.save(folder / "train_offsets.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        read_cifar(folder)


class Command:
    """A pickle that runs a command when it is loaded as usual."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("hidden", ["bare", "in a table", "in an array"])
def test_a_pickle_runs_nothing(tmp_path: Path, protocol: int, hidden: str) -> None:
    mark, path = tmp_path / "mark", tmp_path / "data_batch_1"
    command = Command(mark)
    array = np.array([command], object)
    content: object = {"bare": command, "in a table": {b"data": command}, "in an array": {b"data": array}}[
        hidden
    ]
    path.write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(DataError, match="no table of plain bytes and numbers"):
        read_table(path)
    assert not mark.exists()
    pickle.loads(path.read_bytes())  # noqa: S301  (it would have)
    assert mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        {b"data": np.zeros(3, np.float64)},
        {b"data": np.zeros(2, [("a", "u1")])},
        {b"data": {1, 2}.__class__},
        {b"data": np.float32(1)},
    ],
)
def test_a_pickle_holds_nothing_but_bytes_and_numbers(tmp_path: Path, content: object) -> None:
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps(content, 2))
    with pytest.raises(DataError, match="no table of plain bytes and numbers"):
        read_table(path)


def test_a_pickle_is_not_too_large(tmp_path: Path) -> None:
    path = tmp_path / "batch"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)  # no bytes are stored
    with pytest.raises(DataError, match="more than 1073741824 bytes"):
        read_table(path)


@pytest.mark.data
def test_the_whole_data_set(shared_data: Path) -> None:
    if not (shared_data / "cifar10").is_dir():
        pytest.skip("there is no cifar10 among the data")
    train, test = read_cifar(shared_data / "cifar10")
    assert (len(train), len(test)) == (50_000, 10_000)
    assert np.bincount(train.labels).tolist() == 10 * [5000]
    assert np.bincount(test.labels).tolist() == 10 * [1000]
    mean = train.images.mean((0, 1, 2)) / 255
    assert np.allclose(mean, (0.4914, 0.4822, 0.4465), atol=0.001)
