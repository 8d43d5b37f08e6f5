"""The folder layouts of the public tracking data sets, and which one a folder has.

======================  ==============================================================================
``got10k``              ``{train,val,test}/list.txt``, ``<seq>/00000001.jpg``, ``<seq>/groundtruth.txt``,
                        ``<seq>/absence.label``, ``<seq>/cover.label``
``lasot``               ``<class>/<class>-1/img/00000001.jpg``, ``groundtruth.txt``, ``full_occlusion.txt``,
                        ``out_of_view.txt`` beside ``img``
``trackingnet``         ``TRAIN_0`` … ``TRAIN_11``, ``TEST``, each ``anno/<seq>.txt``, ``frames/<seq>/0.jpg``
``otb``                 ``<seq>/img/0001.jpg``, ``<seq>/groundtruth_rect.txt`` (``groundtruth_rect.1.txt`` …)
``uav123``, ``uav20l``  ``anno/UAV123/<seq>.txt`` (``anno/UAV20L``), ``data_seq/UAV123/<video>/000001.jpg``
``dtb70``               ``<seq>/img/00001.jpg``, ``<seq>/groundtruth_rect.txt``
``visdrone``            ``sequences/<seq>/img0000001.jpg``, ``annotations/<seq>.txt``
======================  ==============================================================================

Nothing is downloaded. A folder of another shape raises DataError saying what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ...errors import DataError, OptionError
from .sequence import Hidden, LabelledSequence
from .splits import OTB_FIRST, OTB_SPARE, lasot_test, read_names, uav123_part

PARTS = ("train", "val", "test", "all")


def tracking_sequences(layout: str, root: str | Path, part: str = "all") -> list[LabelledSequence]:
    """The sequences of a data set, in the order of its list or of their names.

    Args:
        layout: one of `LAYOUTS`.
        root: the folder as the data set's authors ship it.
        part: of data sets that have parts; the others are whole in any part. Of GOT-10k, the folder of one
            part may be given as ``root`` too.

    Raises:
        OptionError: there is no such layout or part.
        DataError: the folder is missing, or not of that layout. Truth and images are read later.
    """
    folder = Path(root)
    if layout not in LAYOUTS:
        raise OptionError(f"There is no layout {layout!r}", f"Choose from {', '.join(LAYOUTS)}.")
    if part not in PARTS:
        raise OptionError(f"There is no part {part!r}", "Choose train, val, test or all.")
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", f"Give the folder of {layout}: {_EXPECTED[layout]}.")
    found = LAYOUTS[layout](folder, part)
    if not found:
        raise DataError(
            f"{folder} holds no sequence of {layout} (part {part})", f"Expected {_EXPECTED[layout]}."
        )
    return found


def detect_layout(root: str | Path) -> str | None:
    """The layout that a folder has, by what lies in it; None where it is none of `LAYOUTS`.

    OTB and DTB70 look alike and are read alike: both are found as ``otb``.
    """
    folder = Path(root)
    if any((folder / part / "list.txt").is_file() for part in ("", "train", "val", "test")):
        return "got10k"
    if (folder / "anno").is_dir() and (folder / "data_seq").is_dir():
        return "uav123" if (folder / "anno" / "UAV123").is_dir() else "uav20l"
    if (folder / "annotations").is_dir() and (folder / "sequences").is_dir():
        return "visdrone"
    if any(folder.glob("T*/anno")):
        return "trackingnet"
    if any(folder.glob("*/groundtruth_rect*.txt")):
        return "otb"
    if any(folder.glob("*/*-*/groundtruth.txt")):
        return "lasot"
    return None


def _got10k(root: Path, part: str) -> list[LabelledSequence]:
    if (root / "list.txt").is_file():
        parts = [root]
    else:
        names = ("train", "val", "test") if part == "all" else (part,)
        parts = [root / name for name in names if (root / name / "list.txt").is_file()]
    found = []
    for folder in parts:
        for name in read_names(folder / "list.txt"):
            inside = folder / _plain(name, folder / "list.txt")
            labels = (Hidden(inside / "absence.label", 1), Hidden(inside / "cover.label", 0))
            hidden = tuple(label for label in labels if label.path.is_file())
            withheld = folder.name == "test"
            found.append(
                LabelledSequence(name, inside, inside / "groundtruth.txt", hidden=hidden, withheld=withheld)
            )
    return found


def _lasot(root: Path, part: str) -> list[LabelledSequence]:
    test = lasot_test()
    found = []
    for truth in _by_name(root.glob("*/*-*/groundtruth.txt")):
        folder = truth.parent
        if part == "all" or (folder.name in test) == (part == "test"):
            labels = [folder / name for name in ("full_occlusion.txt", "out_of_view.txt")]
            hidden = tuple(Hidden(path, 1) for path in labels if path.is_file())
            found.append(LabelledSequence(folder.name, folder / "img", truth, hidden=hidden))
    return [] if part == "val" else found


def _trackingnet(root: Path, part: str) -> list[LabelledSequence]:
    pattern = {"all": "T*", "train": "TRAIN_*", "test": "TEST"}.get(part)
    found = []
    for folder in _by_name(root.glob(pattern)) if pattern else ():
        for truth in _by_name((folder / "anno").glob("*.txt")):
            images = folder / "frames" / truth.stem
            found.append(LabelledSequence(truth.stem, images, truth, withheld=folder.name == "TEST"))
    return found


def _otb(root: Path, part: str) -> list[LabelledSequence]:
    found = []
    for folder in _by_name(path for path in root.iterdir() if path.is_dir()):
        truths = [path for path in _by_name(folder.glob("groundtruth_rect*.txt")) if path.stat().st_size > 2]
        for number, truth in enumerate(truths, start=1):
            name = folder.name if len(truths) == 1 else f"{folder.name}.{number}"
            skip, spare = OTB_FIRST.get(folder.name, 1) - 1, folder.name in OTB_SPARE
            found.append(LabelledSequence(name, folder / "img", truth, skip=skip, spare=spare))
    return found


def _uav(root: Path, part: str, *, version: str) -> list[LabelledSequence]:
    found = []
    for truth in _by_name((root / "anno" / version).glob("*.txt")):
        video, first = uav123_part(truth.stem) if version == "UAV123" else (truth.stem, 1)
        images = root / "data_seq" / "UAV123" / video
        found.append(
            LabelledSequence(
                truth.stem, images, truth, skip=first - 1, spare=(video, first) != (truth.stem, 1)
            )
        )
    return found


def _visdrone(root: Path, part: str) -> list[LabelledSequence]:
    truths = _by_name((root / "annotations").glob("*.txt"))
    return [LabelledSequence(truth.stem, root / "sequences" / truth.stem, truth) for truth in truths]


def _uav123(root: Path, part: str) -> list[LabelledSequence]:
    return _uav(root, part, version="UAV123")


def _uav20l(root: Path, part: str) -> list[LabelledSequence]:
    return _uav(root, part, version="UAV20L")


def _by_name(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if not path.name.startswith((".", "_")))


def _plain(name: str, place: Path) -> str:
    """A name out of a list, where it is no path to elsewhere. Raises DataError."""
    if "/" in name or "\\" in name or name.startswith("."):
        raise DataError(f"{place} names {name!r}", "Get an undamaged copy of the data set.")
    return name


LAYOUTS: dict[str, Callable[[Path, str], list[LabelledSequence]]] = {
    "got10k": _got10k,
    "lasot": _lasot,
    "trackingnet": _trackingnet,
    "otb": _otb,
    "uav123": _uav123,
    "uav20l": _uav20l,
    "dtb70": _otb,
    "visdrone": _visdrone,
}
"""Layouts by name, each with what opens it."""

_EXPECTED = {
    "got10k": "train/list.txt (or val, test) with a folder a sequence, each with groundtruth.txt and images",
    "lasot": "<class>/<class>-<number>/groundtruth.txt with img/ beside it",
    "trackingnet": "TRAIN_<number> or TEST, each with anno/<sequence>.txt and frames/<sequence>/",
    "otb": "<sequence>/groundtruth_rect.txt with img/ beside it",
    "uav123": "anno/UAV123/<sequence>.txt and data_seq/UAV123/<video>/",
    "uav20l": "anno/UAV20L/<sequence>.txt and data_seq/UAV123/<video>/",
    "dtb70": "<sequence>/groundtruth_rect.txt with img/ beside it",
    "visdrone": "annotations/<sequence>.txt and sequences/<sequence>/",
}
