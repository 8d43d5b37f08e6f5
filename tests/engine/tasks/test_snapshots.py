"""Snapshots of every kind of session: going on bit for bit, elsewhere too; going back; and hostile ones."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.engine import Engine, Session
from framestate.engine.snapshot import FORMAT_VERSION, fingerprint
from framestate.errors import DataError, FramestateError, SessionError, StateError
from framestate.vision import Frame
from safetensors.numpy import load, save

from .kinds import KINDS, Kind, frame, plain


@pytest.mark.parametrize("pushed", [0, 1, 4])
def test_a_restored_session_goes_on_bit_for_bit(kind: Kind, models: Path, pushed: int) -> None:
    with kind.engine(models) as engine, kind.engine(models) as other:
        kind.open(other, 9)  # so that the row is another one
        session = kind.open(engine, session_id="it")
        for index in range(1, 1 + pushed):
            session.push(frame(0, index))
        blob = session.snapshot()
        assert session.snapshot() == blob
        assert len(blob) <= engine.most_snapshot_bytes
        restored = other.restore(blob)
        assert (restored.id, restored.standing.frames) == ("it", session.standing.frames)
        assert restored.snapshot() == blob
        with pytest.raises(SessionError, match="already"):
            other.restore(blob)
        for index in range(1 + pushed, 8 + pushed):
            assert plain(restored.push(frame(0, index))) == plain(session.push(frame(0, index)))
        image = frame(0, 8 + pushed).image  # counts from the last frame, whose time is in the blob
        assert plain(restored.push(image)) == plain(session.push(image))
        assert plain(restored.flush()) == plain(session.flush())
        assert restored.snapshot() == session.snapshot()
        with pytest.raises(SessionError, match="flushed"):
            other.restore(session.snapshot(), session_id="ended").push(frame(0, 30))


def test_a_session_goes_back_to_a_snapshot_as_a_whole_or_not_at_all(kind: Kind, models: Path) -> None:
    with kind.engine(models) as engine, kind.open(engine) as session:
        session.push(frame(0, 1))
        blob = session.snapshot()
        expected = [plain(session.push(frame(0, index))) for index in (2, 3, 4)]
        memory, later = session.memory, session.snapshot()
        for damaged in (blob[:-1], b"", blob[:100] + bytes([blob[100] ^ 1]) + blob[101:]):
            with pytest.raises(StateError):
                session.replace(damaged)
            assert session.memory is memory
            assert session.snapshot() == later
        session.replace(blob)
        assert session.snapshot() == blob
        assert [plain(session.push(frame(0, index))) for index in (2, 3, 4)] == expected
        engine.service.start()
        session.replace_nowait(blob).result()
        assert [plain(session.push(frame(0, index))) for index in (2, 3, 4)] == expected


SCRIPT = """
import sys
from pathlib import Path
from tests.engine.tasks.kinds import KINDS, frame, plain
folder = Path(sys.argv[1])
for kind in KINDS:
    with kind.engine(folder / "models") as engine:
        session = engine.restore((folder / kind.name).read_bytes())
        found = [plain(session.push(frame(0, index))) for index in range(4, 8)]
        (folder / f"{kind.name}.found").write_text(repr([*found, plain(session.flush()), session.snapshot()]))
"""


def test_another_process_goes_on_bit_for_bit(models: Path, tmp_path: Path, checkout: Path) -> None:
    """All kinds at once, as a process takes seconds to start."""
    (tmp_path / "models").symlink_to(models)
    expected = {}
    for kind in KINDS:
        with kind.engine(models) as engine, kind.open(engine) as session:
            for index in range(1, 4):
                session.push(frame(0, index))
            (tmp_path / kind.name).write_bytes(session.snapshot())
            found = [plain(session.push(frame(0, index))) for index in range(4, 8)]
            expected[kind.name] = repr([*found, plain(session.flush()), session.snapshot()])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path], cwd=checkout, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert {kind.name: (tmp_path / f"{kind.name}.found").read_text() for kind in KINDS} == expected


def test_a_snapshot_of_another_kind_is_refused(models: Path) -> None:
    blobs = {}
    for kind in KINDS:
        with kind.engine(models) as engine, kind.open(engine) as session:
            blobs[kind.name] = session.snapshot()
    for kind in KINDS:
        with kind.engine(models) as engine:
            for name, blob in blobs.items():
                if name.split("-ahead")[0] != kind.name.split("-ahead")[0]:
                    with pytest.raises(StateError, match=r"restore it with the bundle|bytes"):
                        engine.restore(blob)


HOSTILE: list[Any] = [None, True, -1, 0, 2**70, 1.5, -1e300, "1", [], [0], {}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a plain value, itself included."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def changed(whole: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    """A copy of a plain value, changed at a place: ``change`` is told what holds it, and under which key."""
    whole = copy.deepcopy(whole)
    part = whole
    for key in path[:-1]:
        part = part[key]
    change(part, path[-1])
    return whole


def put(value: Any) -> Callable[[Any, Any], None]:
    return lambda part, key: part.__setitem__(key, value)


def forgeries(blob: bytes) -> Iterator[bytes]:
    """The snapshot with one thing changed in each, and its sha256 made anew."""
    tensors = dict(load(blob))
    about = json.loads(tensors.pop("session").tobytes())

    def whole(arrays: dict[str, Any], plain: Any) -> bytes:
        text = np.frombuffer(json.dumps(plain).encode(), np.uint8)
        every = {name: np.ascontiguousarray(array) for name, array in {**arrays, "session": text}.items()}
        return save(every, {"framestate-session": f"{FORMAT_VERSION} {fingerprint(every)}"})

    for path in places(about):
        if path:
            yield from (whole(tensors, changed(about, path, put(value))) for value in HOSTILE)
            yield whole(tensors, changed(about, path, lambda part, key: part.pop(key)))
    for name, array in tensors.items():
        yield whole({one: value for one, value in tensors.items() if one != name}, about)
        wrong = [array[..., None], array.astype(np.float64), np.zeros((0,), array.dtype), array[:-1]]
        wrong += [array[:, :-1]] if array.ndim > 1 else []
        if array.dtype.kind == "f":
            wrong += [np.full_like(array, np.nan), np.full_like(array, 3e38)]
        else:
            wrong += [np.full_like(array, 255)]
        for value in wrong:
            yield whole({**tensors, name: value}, about)
    yield whole({**tensors, "memory.99": np.zeros(3)}, about)


def test_a_forged_snapshot_is_refused_or_makes_a_session_that_works(kind: Kind, models: Path) -> None:
    """Whatever it says: nothing but typed errors, no row lost, and the session beside it goes on as alone."""
    with kind.engine(models, capacity=2) as engine:
        beside = kind.open(engine, 1)
        with kind.open(engine, session_id="it") as session:
            for index in range(1, 4):
                session.push(frame(0, index))
            blob = session.snapshot()
        refused = taken = 0
        for forged in forgeries(blob):
            if tries(engine, forged):
                taken += 1
            else:
                refused += 1
            assert engine.slots.num_used == 1
        assert refused > 5 * taken > 0
        assert plain(beside.push(frame(1, 1))) == kind.alone(models, 1, [1])[0]
        engine.slots.check()


def tries(engine: Engine, forged: bytes) -> bool:
    """Whether the snapshot was taken; then the session works."""
    try:
        session = engine.restore(forged, session_id="forged")
    except StateError:
        return False
    with session:
        failure = None
        for later in (1, 10**6, 2**40):  # its memory may say that it was later
            try:
                answer = session.push(following(session, later))
            except FramestateError as error:
                failure = error
            else:
                assert answer.frame_index >= 0
                break
        else:  # it has ended; or sizes do not agree; or its numbers are such that no model stands them
            known = ("is flushed", "model failed", "not finite")
            assert isinstance(failure, StateError | DataError) or any(one in str(failure) for one in known)
        session.snapshot()
    return True


def following(session: Session[Any], later: int) -> Frame:
    """A frame of the session's size, some ticks later."""
    clock, image = session.clock, frame(0, 5).image
    if clock is None:
        return frame(0, later)
    height, width = min(clock.height, 2000), min(clock.width, 2000)
    image = np.ascontiguousarray(np.resize(image, (height, width, 3)))
    return Frame(image, clock.pts + later, clock.time_base, clock.index + 1)
