"""The public test sets of frame interpolation: triples of images, two to see and one to make.

=====================  ===============================================================================
``vimeo-triplet``      ``tri_testlist.txt``, ``sequences/00001/0001/im1.png`` … ``im3.png``, or ``target/…``
``vimeo-septuplet``    ``sep_testlist.txt``, ``im1.png`` … ``im7.png``: 1 and 7 are seen, 4 is made
``snu-film``           ``test-easy.txt``, ``-medium``, ``-hard``, ``-extreme`` (there or in ``eval_modes``):
                       lines of three paths, first, middle, last
``ucf101``             ``<number>/frame_00.png``, ``frame_01_gt.png``, ``frame_02.png``
``middlebury``         ``other-data/<scene>/frame10.png``, ``frame11.png``,
                       ``other-gt-interp/<scene>/frame10i11.png``
``x-test``             ``<type>/<scene>/0000.png`` … ``0032.png`` (there or in ``test``), seven are made
=====================  ===============================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...errors import DataError, OptionError
from ..images import by_number, decode_image
from ..pixels import Image

XTEST_FRAMES = 33
XTEST_STEP = 4
SNU_LEVELS = ("easy", "medium", "hard", "extreme")


@dataclass(frozen=True)
class Moment:
    """Three images of a scene: both ends, the one to make, and its time between them, in (0, 1).

    ``name`` says which one it is; what comes before its last slash groups it.
    """

    first: Path
    target: Path
    second: Path
    t: float
    name: str = ""

    def pictures(self) -> list[Image]:
        """first, target and second, RGB, uint8. Raises DataError where one is missing or of another size."""
        found = [read_picture(path) for path in (self.first, self.target, self.second)]
        if len({picture.shape for picture in found}) > 1:
            raise DataError(
                f"{self.first.parent} holds images of different sizes", "get an undamaged copy of it"
            )
        return found


def read_picture(path: Path) -> Image:
    """An image file, RGB, uint8. Raises DataError where there is none, ImageError where it is damaged."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror})", "get a complete copy of the data"
        ) from error
    return decode_image(content)


def read_list(path: Path) -> list[str]:
    """The sequences that a list names, such as ``00001/0001``; blank lines are passed over.

    Raises DataError where the list is missing, empty, or names a path outside the data set.
    """
    try:
        names = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({error})", "point at the folder that holds the lists and 'sequences'"
        ) from error
    bad = [name for name in names if any(p.startswith("/") or ".." in Path(p).parts for p in name.split())]
    if bad or not names:
        raise DataError(
            f"{path} names {bad[0]!r}" if bad else f"{path} is empty", "get an undamaged copy of it"
        )
    return names


def moments_of(layout: str, root: str | Path) -> list[Moment]:
    """The moments of a test set. Images are looked for when they are read.

    Raises OptionError for a layout that is none of `MOMENT_LAYOUTS`, DataError for a folder of another shape.
    """
    if layout not in MOMENT_LAYOUTS:
        raise OptionError(f"There is no layout {layout!r}", f"Choose from {', '.join(MOMENT_LAYOUTS)}.")
    folder = Path(root)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", f"give the folder of {layout}")
    return MOMENT_LAYOUTS[layout](folder)


def vimeo(
    root: Path,
    part: Literal["train", "test"],
    form: Literal["triplet", "septuplet"] = "triplet",
    *,
    any_time: bool = False,
) -> list[Moment]:
    """The moments of Vimeo-90K. With ``any_time``, five a septuplet instead of its middle.

    Raises DataError where a list is missing or damaged. Images are looked for when they are read.
    """
    prefix, last = ("tri", 3) if form == "triplet" else ("sep", 7)
    targets = range(2, last) if any_time else ((1 + last) // 2,)
    moments = []
    # the test set of triplets that is offered by itself has them in another folder
    apart = not (root / "sequences").is_dir() and (root / "target").is_dir()
    for name in read_list(root / f"{prefix}_{part}list.txt"):
        folder = root / ("target" if apart else "sequences") / name
        for target in targets:
            ends = (folder / "im1.png", folder / f"im{last}.png")
            t = (target - 1) / (last - 1)
            label = f"{name.replace('/', '-')}{f'-{target}' if any_time else ''}"
            moments.append(Moment(ends[0], folder / f"im{target}.png", ends[1], t, label))
    return moments


def snu_film(root: Path) -> list[Moment]:
    """SNU-FILM, grouped by difficulty.

    The lists name files by a path of their authors' machine (``data/SNU-FILM/test/…``); what follows ``test``
    is looked for in ``root/test`` and in ``root``, where the path does not hold as it is.
    """
    lists = [folder / f"test-{level}.txt" for folder in (root, root / "eval_modes") for level in SNU_LEVELS]
    found = [path for path in lists if path.is_file()]
    if not found:
        raise DataError(f"{root} holds no test-easy.txt, nor eval_modes/", "point at the folder of the lists")
    moments = []
    for path in found:
        level = path.stem.removeprefix("test-")
        place: Callable[[str], Path] | None = None
        for number, line in enumerate(read_list(path), start=1):
            parts = line.split()
            if len(parts) != 3:
                raise DataError(
                    f"{path}, line {number}: {line[:80]!r} is not three paths", "get an undamaged copy of it"
                )
            place = place or _snu_form(root, parts[0])
            first, target, second = map(place, parts)
            moments.append(Moment(first, target, second, 0.5, f"{level}/{number:04d}"))
    return moments


def ucf101(root: Path) -> list[Moment]:
    """The triplets of UCF101 as cut by the authors of deep voxel flow (``ucf101_interp_ours``)."""
    folders = sorted(
        {path.parent for path in root.glob("*/frame_01_gt.png")}, key=lambda p: by_number(p.name)
    )
    if not folders:
        raise DataError(f"{root} holds no <number>/frame_01_gt.png", "point at ucf101_interp_ours")
    return [
        Moment(path / "frame_00.png", path / "frame_01_gt.png", path / "frame_02.png", 0.5, path.name)
        for path in folders
    ]


def middlebury(root: Path) -> list[Moment]:
    """The scenes of Middlebury's OTHER set whose middle frame is public."""
    moments = []
    for truth in sorted((root / "other-gt-interp").glob("*/frame10i11.png")):
        folder = root / "other-data" / truth.parent.name
        ends = folder / "frame10.png", folder / "frame11.png"
        moments.append(Moment(ends[0], truth, ends[1], 0.5, truth.parent.name))
    if not moments:
        raise DataError(
            f"{root} holds no other-gt-interp/<scene>/frame10i11.png",
            "point at the folder that holds other-data and other-gt-interp",
        )
    return moments


def x4k_test(root: Path) -> list[Moment]:
    """X-TEST: seven moments a scene, between its frames 0 and 32. Raises DataError where frames lack."""
    moments = []
    base = root / "test" if (root / "test").is_dir() else root
    for folder in sorted(base.glob("*/*")):
        if not folder.is_dir():
            continue
        frames = sorted(folder.glob("*.png"))
        if len(frames) < XTEST_FRAMES:
            raise DataError(
                f"{folder} has {len(frames)} frames, not {XTEST_FRAMES}", "get a complete copy of X-TEST"
            )
        for place in range(XTEST_STEP, XTEST_FRAMES - 1, XTEST_STEP):
            t = place / (XTEST_FRAMES - 1)
            name = f"{folder.name}/{place:04d}"
            moments.append(Moment(frames[0], frames[place], frames[XTEST_FRAMES - 1], t, name))
    if not moments:
        raise DataError(f"{root} holds no test/<type>/<scene>", "point at the folder that holds 'test'")
    return moments


def _snu_form(root: Path, example: str) -> Callable[[str], Path]:
    """How listed paths lie below ``root``, by the first of them. Raises DataError where it is not there."""
    forms: tuple[Callable[[str], Path], ...] = (
        lambda path: root / path,
        lambda path: root / "test" / _after_test(path),
        lambda path: root / _after_test(path),
    )
    for form in forms:
        if form(example).is_file():
            return form
    raise DataError(
        f"{root} holds neither {example} nor what follows 'test/' in it", "put the images beside the lists"
    )


def _after_test(path: str) -> str:
    return f"/{path}".partition("/test/")[2] or path


def _vimeo_triplet(root: Path) -> list[Moment]:
    return vimeo(root, "test", "triplet")


def _vimeo_septuplet(root: Path) -> list[Moment]:
    return vimeo(root, "test", "septuplet")


MOMENT_LAYOUTS: dict[str, Callable[[Path], list[Moment]]] = {
    "vimeo-triplet": _vimeo_triplet,
    "vimeo-septuplet": _vimeo_septuplet,
    "snu-film": snu_film,
    "ucf101": ucf101,
    "middlebury": middlebury,
    "x-test": x4k_test,
}
"""Test sets by name, each with what opens it."""
