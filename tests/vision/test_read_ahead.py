from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from framestate.errors import OptionError
from framestate.vision import VideoReader
from framestate.vision.read_ahead import ReadAhead


def threads() -> int:
    return sum(thread.name == "framestate-read-ahead" for thread in threading.enumerate())


def test_the_same_frames_in_the_same_order(make_clip: Callable[..., Path]) -> None:
    path = make_clip()
    with VideoReader(path) as reader:
        wanted = list(reader)
    with VideoReader(path) as reader, ReadAhead(reader, ahead=2) as frames:
        found = list(frames)
        assert list(frames) == []
    assert [(one.index, one.pts) for one in found] == [(one.index, one.pts) for one in wanted]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(found, wanted, strict=True))
    assert threads() == 0


def test_it_is_bounded_and_ends_when_it_is_left() -> None:
    taken: list[int] = []
    enough = threading.Event()

    def numbers() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            if number == 4:
                enough.set()
            yield number

    with ReadAhead(numbers(), ahead=2) as items:
        assert [next(items), next(items)] == [0, 1]
        assert enough.wait(10), "two wait, and one is in hand"
        enough.clear()
        assert not enough.wait(0.2)
        assert taken == [0, 1, 2, 3, 4]
    assert threads() == 0
    assert list(items) == []
    items.close()


def test_an_error_comes_where_its_item_would_have() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with ReadAhead(broken()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="no more"):
            next(items)
        assert list(items) == []
    assert threads() == 0


def test_no_room_makes_no_sense() -> None:
    with pytest.raises(OptionError, match="ahead is 0"):
        ReadAhead([1], ahead=0)
