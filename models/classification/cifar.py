"""CIFAR-10 and CIFAR-100 from a folder, in any of the layouts in which they come.

The official binary files, the official Python files, and JPEG scans that share one header:

    data_batch_1.bin … test_batch.bin, batches.meta.txt          CIFAR-10, binary
    train.bin, test.bin, fine_label_names.txt                    CIFAR-100, binary
    data_batch_1 … test_batch, batches.meta                      CIFAR-10, Python
    train, test, meta                                            CIFAR-100, Python
    header.bin, <split>_scans.bin, _offsets.npy, _labels.npy, classes.txt

The Python files are pickles, which can run anything when they are loaded as usual; see ``pickles`` for how
they are read here. Where there is a choice, take the binary ones: as large, and nothing but numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import DataError
from .pickles import read_table

SIDE = 32
PIXELS = 3 * SIDE * SIDE
SUBFOLDERS = ("", "cifar-10-batches-bin", "cifar-10-batches-py", "cifar-100-binary", "cifar-100-python")


@dataclass(frozen=True)
class Pictures:
    """One split: images (N, 32, 32, 3) RGB uint8 and labels (N,) int64, which number ``names``."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels) or not len(self.images):
            raise DataError(
                f"{len(self.images)} pictures have {len(self.labels)} labels", "give the whole data set"
            )
        if self.labels.min() < 0 or self.labels.max() >= len(self.names):
            raise DataError(
                f"labels go from {self.labels.min()} to {self.labels.max()}, for {len(self.names)} names",
                "give labels and names of one data set",
            )

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> Pictures:
        """The first ``count`` pictures, or all for 0. Raises DataError where there are fewer."""
        if count > len(self):
            raise DataError(f"{count} pictures are asked for, and there are {len(self)}", "ask for fewer")
        return self if count == 0 else Pictures(self.images[:count], self.labels[:count], self.names)


def read_cifar(folder: Path) -> tuple[Pictures, Pictures]:
    """The training and the test split of the data set in a folder, or in its official sub-folder.

    Raises DataError where there is none, or a file of it is damaged.
    """
    for sub in SUBFOLDERS:
        for marker, read in LAYOUTS:
            if (folder / sub / marker).is_file():
                return read(folder / sub)
    raise DataError(
        f"{folder} holds no CIFAR-10 or CIFAR-100",
        f"give a folder with one of {', '.join(marker for marker, _ in LAYOUTS)}",
    )


def read_bytes(path: Path) -> bytes:
    """A file's bytes. Raises DataError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})", "give the whole data set") from error


def read_names(path: Path) -> tuple[str, ...]:
    """Names of classes, one a line. Raises DataError for what is no text."""
    try:
        lines = read_bytes(path).decode().splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text ({error.reason})", "give one name a line") from error
    return tuple(line.strip() for line in lines if line.strip())


def from_planes(planes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Rows of 3,072 bytes, a plane a colour -> (N, 32, 32, 3)."""
    return np.ascontiguousarray(planes.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))


def read_binary(paths: list[Path], names: tuple[str, ...], label_bytes: int) -> Pictures:
    """Records of ``label_bytes`` labels, of which the last counts, and 3,072 bytes of pixels."""
    record = label_bytes + PIXELS
    parts = []
    for path in paths:
        data = read_bytes(path)
        if not data or len(data) % record:
            raise DataError(
                f"{path} has {len(data)} bytes, which are no records of {record}", "download it again"
            )
        parts.append(np.frombuffer(data, np.uint8).reshape(-1, record))
    rows = np.concatenate(parts)
    return Pictures(from_planes(rows[:, label_bytes:]), rows[:, label_bytes - 1].astype(np.int64), names)


def read_binary10(folder: Path) -> tuple[Pictures, Pictures]:
    """The official binary CIFAR-10."""
    names = read_names(folder / "batches.meta.txt")
    train = [folder / f"data_batch_{index}.bin" for index in range(1, 6)]
    return read_binary(train, names, 1), read_binary([folder / "test_batch.bin"], names, 1)


def read_binary100(folder: Path) -> tuple[Pictures, Pictures]:
    """The official binary CIFAR-100, by its fine labels."""
    names = read_names(folder / "fine_label_names.txt")
    return read_binary([folder / "train.bin"], names, 2), read_binary([folder / "test.bin"], names, 2)


def read_python(paths: list[Path], names: tuple[str, ...], key: bytes) -> Pictures:
    """Official Python files: a table of ``data`` (N, 3072) and labels under ``key``."""
    images, labels = [], []
    for path in paths:
        table = read_table(path)
        data, numbers = table.get(b"data"), table.get(key)
        pixels = isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.shape[1:] == (PIXELS,)
        if not pixels or not isinstance(numbers, list) or not all(type(n) is int for n in numbers):
            raise DataError(f"{path} holds no pictures with {key.decode()}", "download it again")
        assert isinstance(data, np.ndarray)
        images.append(data)
        labels += numbers
    return Pictures(from_planes(np.concatenate(images)), np.array(labels, np.int64), names)


def python_names(path: Path, key: bytes) -> tuple[str, ...]:
    """Names of classes in an official Python file of meta data."""
    names = read_table(path).get(key)
    if not isinstance(names, list) or not all(isinstance(name, bytes) for name in names):
        raise DataError(f"{path} holds no list of {key.decode()}", "download it again")
    return tuple(name.decode("utf-8", "replace") for name in names)


def read_python10(folder: Path) -> tuple[Pictures, Pictures]:
    """The official Python CIFAR-10."""
    names = python_names(folder / "batches.meta", b"label_names")
    train = [folder / f"data_batch_{index}" for index in range(1, 6)]
    return read_python(train, names, b"labels"), read_python([folder / "test_batch"], names, b"labels")


def read_python100(folder: Path) -> tuple[Pictures, Pictures]:
    """The official Python CIFAR-100, by its fine labels."""
    names = python_names(folder / "meta", b"fine_label_names")
    train = read_python([folder / "train"], names, b"fine_labels")
    return train, read_python([folder / "test"], names, b"fine_labels")


def read_scans(folder: Path) -> tuple[Pictures, Pictures]:
    """JPEG files whose header is kept once: scan i lies between offsets i and i + 1."""
    names, header = read_names(folder / "classes.txt"), read_bytes(folder / "header.bin")
    return scans_of(folder, "train", header, names), scans_of(folder, "test", header, names)


def scans_of(folder: Path, split: str, header: bytes, names: tuple[str, ...]) -> Pictures:
    """One split of JPEG scans. Raises DataError for offsets, labels or scans that are damaged."""
    scans = read_bytes(folder / f"{split}_scans.bin")
    offsets, labels = (read_numbers(folder / f"{split}_{what}.npy") for what in ("offsets", "labels"))
    if len(offsets) != len(labels) + 1 or (np.diff(offsets) < 0).any() or offsets[0] < 0:
        raise DataError(f"offsets of {split} in {folder} are not in order", "give the whole data set")
    if offsets[-1] > len(scans):
        raise DataError(f"{split}_scans.bin in {folder} is cut short", "give the whole data set")
    images = np.empty((len(labels), SIDE, SIDE, 3), np.uint8)
    for index, image in enumerate(images):
        data = header + scans[offsets[index] : offsets[index + 1]]
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None or decoded.shape != image.shape:
            raise DataError(
                f"picture {index} of {split} in {folder} does not decode", "give the whole data set"
            )
        image[:] = decoded[..., ::-1]
    return Pictures(images, labels, names)


def read_numbers(path: Path) -> npt.NDArray[np.int64]:
    """A vector of integers from a ``.npy`` file without objects. Raises DataError for anything else."""
    try:
        numbers = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error})", "give the whole data set") from error
    if not isinstance(numbers, np.ndarray) or numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise DataError(f"{path} holds no vector of integers", "give the whole data set")
    return numbers.astype(np.int64)


LAYOUTS: tuple[tuple[str, Callable[[Path], tuple[Pictures, Pictures]]], ...] = (
    ("header.bin", read_scans),
    ("batches.meta.txt", read_binary10),
    ("fine_label_names.txt", read_binary100),
    ("batches.meta", read_python10),
    ("meta", read_python100),
)
"""What tells a layout, and how it is read."""
