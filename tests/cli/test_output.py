"""What the verbs share for writing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import typer
from framestate.cli.options import check_apart, check_new_folder, check_output, need
from framestate.cli.output import guarded, plain, print_json, replacing, sentence
from framestate.errors import OptionError, RunError, RuntimeUnavailableError


def test_numbers_that_are_not_finite_become_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": math.nan, "b": [math.inf, 1.5, (2,)], "c": {"d": -math.inf}, "e": Path("x")})
    found = json.loads(capsys.readouterr().out)
    assert found == {"a": None, "b": [None, 1.5, [2]], "c": {"d": None}, "e": "x"}
    assert plain(True) is True


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("give 1 or more", "Give 1 or more."),
        ("Give 1 or more.", "Give 1 or more."),
        ("choose one of a, b", "Choose one of a, b."),
        ("pip install 'framestate[ray]'", "pip install 'framestate[ray]'."),
        ("frame,id,x,y,w,h,...", "frame,id,x,y,w,h,..."),
        ("--out names it", "--out names it."),
        ("", "."),
    ],
)
def test_a_remedy_is_said_as_a_sentence(written: str, said: str) -> None:
    assert sentence(written) == said
    assert sentence(said) == said


def test_a_file_appears_whole(work: Path) -> None:
    target = work / "a.csv"
    with replacing(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "new"
    assert list(work.iterdir()) == [target]


def test_a_file_that_failed_leaves_the_old_one(work: Path) -> None:
    target = work / "a.csv"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), replacing(target) as temporary:  # noqa: PT012
        temporary.write_text("half", encoding="utf-8")
        raise KeyboardInterrupt
    assert target.read_text(encoding="utf-8") == "old"
    assert list(work.iterdir()) == [target]


def test_a_full_disk_is_a_failed_run(work: Path) -> None:
    with (
        pytest.raises(RunError, match=r"a\.csv cannot be written \(No space left"),
        replacing(work / "a.csv"),
    ):
        raise OSError(28, "No space left on device")


def test_outputs_are_checked_before_the_work(work: Path) -> None:
    check_output("--out", work / "a.mp4", (".mp4",))
    with pytest.raises(OptionError, match="is a folder"):
        check_output("--out", work)
    with pytest.raises(OptionError, match="there is no folder"):
        check_output("--out", work / "b" / "a.mp4")
    with pytest.raises(OptionError, match=r"suffix '\.gif'"):
        check_output("--out", work / "a.gif", (".mp4",))


def test_the_input_is_not_overwritten(work: Path) -> None:
    clip = work / "a.mp4"
    clip.touch()
    (work / "link.mp4").hardlink_to(clip)
    for output in (clip, work / "." / "a.mp4", work / "link.mp4"):
        with pytest.raises(OptionError, match="would overwrite the input"):
            check_apart("--out", output, clip)
    with pytest.raises(OptionError, match="would overwrite the input"):
        check_apart("--boxes", work / "1.png", work)
    check_apart("--out", work / "b.mp4", clip)
    check_apart("--out", work / "b.mp4", work)


def test_a_taken_folder_is_refused(work: Path) -> None:
    check_new_folder("--out", work / "new")
    check_new_folder("--out", work)
    (work / "manifest.json").touch()
    check_new_folder("--bundle", work, replace=True)
    with pytest.raises(OptionError, match="exists already"):
        check_new_folder("--out", work)
    (work / "manifest.json").rename(work / "thesis.txt")
    with pytest.raises(OptionError, match="exists already"):
        check_new_folder("--bundle", work, replace=True)


def test_missing_modules_are_named() -> None:
    need("training", "json")
    with pytest.raises(RuntimeUnavailableError, match=r"training needs no_such_module.*framestate\[torch\]"):
        need("training", "json", "no_such_module")


def test_too_little_memory_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught, guarded(False):
        raise MemoryError("Unable to allocate 3.01 MiB")
    assert caught.value.exit_code == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "3.01 MiB" in said
