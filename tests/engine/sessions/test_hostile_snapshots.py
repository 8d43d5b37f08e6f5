"""Nothing but a sound blob of the same bundle is taken: damage, noise and forgeries change nothing."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from framestate.engine import Engine, TrackingOptions
from framestate.engine.snapshot import FORMAT_VERSION, fingerprint
from framestate.errors import StateError
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

BOX = (12.0, 10.0, 16.0, 12.0)
Make = Callable[..., Any]


@pytest.fixture(scope="module")
def sound(open_runtime: Make, frame: Make) -> tuple[Engine, bytes]:
    """An engine with one free row and a session that looks on, and a blob that it takes."""
    engine = Engine(open_runtime(), capacity=2, options=TrackingOptions(refresh_every=1, refresh_sure=0))
    engine.open(frame(2, 0), box=BOX).push(frame(2, 1))
    with engine.open(frame(1, 0), box=BOX, session_id="it") as target:
        for index in range(1, 5):
            target.push(frame(1, index))
        return engine, target.snapshot()


def refused(sound: tuple[Engine, bytes], blob: bytes) -> str:
    """The blob has to be refused, and nothing changed; returns why."""
    engine = sound[0]
    store = engine.store
    assert store is not None
    before = [store.save_row(row) for row in range(3)]
    with pytest.raises(StateError) as caught:
        engine.restore(blob)
    engine.slots.check()
    assert engine.slots.num_used == 1
    for row, arrays in enumerate(before):
        found = store.save_row(row)
        assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert caught.value.remedy
    return str(caught.value)


@given(data=st.data())
def test_a_flipped_bit_or_a_cut_is_found(sound: tuple[Engine, bytes], data: st.DataObject) -> None:
    blob = bytearray(sound[1])
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(blob) - 1))
        blob[place] ^= 1 << data.draw(st.integers(0, 7))
        # JSON has harmless freedoms, such as the escape of a letter: then the content must still be the same.
        try:
            restored = sound[0].restore(bytes(blob))
        except StateError:
            pass
        else:
            again = restored.snapshot()
            restored.close()
            assert again == sound[1]
            return
    else:
        del blob[data.draw(st.integers(0, len(blob) - 1)) :]
    refused(sound, bytes(blob))


@given(blob=st.binary(max_size=200))
def test_noise_is_refused(sound: tuple[Engine, bytes], blob: bytes) -> None:
    refused(sound, blob)


def forged(sound: tuple[Engine, bytes], change: Callable[[dict[str, Any], dict[str, Any]], None]) -> bytes:
    """The blob with its tensors and its JSON changed, and the sha256 made anew."""
    tensors = dict(load(sound[1]))
    about = json.loads(tensors["session"].tobytes())
    change(tensors, about)
    if "session" in tensors:
        tensors["session"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    return save(tensors, {"framestate-session": f"{FORMAT_VERSION} {fingerprint(tensors)}"})


VALUES = [
    (("memory", "clock"), [1, 1, 0, 1]),
    (("memory", "clock", "width"), 0),
    (("memory", "clock", "pts"), -1),
    (("memory", "clock", "pts"), 10**400),
    (("memory", "clock", "pts"), True),
    (("memory", "clock", "time_base"), [1, 0]),
    (("memory", "clock", "time_base"), [2, 50]),
    (("about", "clock", "index"), 1.5),
    (("about", "clock", "height"), None),
    (("about", "frames"), -1),
    (("about", "ended"), "no"),
    (("about", "id"), "../up"),
    (("about", "queue"), 0),
    (("memory", "box", "w"), -5.0),
    (("memory", "box", "x"), 1e300),
    (("memory", "box"), "box"),
    (("memory", "box"), [0.0, 0.0, 5.0, 5.0]),
    (("memory", "frames"), -1),
    (("memory", "frames"), 1.5),
    (("memory", "status"), "found"),
    (("memory", "status"), ["lost"]),
    (("memory", "score"), None),
    (("memory", "score"), float("inf")),
    (("memory", "score"), float("nan")),
    (("memory", "usual_size"), [0.0, 1.0]),
    (("memory", "belief"), [[0.0] * 8]),
    (("memory", "belief", 0, 0, 2), -1.0),
    (("memory", "belief", 0, 0, 3), 1e9),
    (("memory", "belief", 0, 2, 0), 0.0),
    (("memory", "belief", 1, 4), -1.0),
    (("memory", "belief", 2), 0.5),
    (("memory", "recent"), [{"x": 0.0, "y": 0.0, "w": 1.0, "h": 1.0}]),
    (("memory", "first_view"), "1"),
    (("memory", "fill"), "0"),
    (("memory", "first_row"), 0),
    (("memory", "extra"), 1),
]


@pytest.mark.parametrize(("where", "value"), VALUES)
def test_an_impossible_memory_is_refused(
    sound: tuple[Engine, bytes], where: tuple[Any, ...], value: Any
) -> None:
    def change(_: Any, about: Any) -> None:
        for step in where[:-1]:
            about = about[step]
        about[where[-1]] = value

    refused(sound, forged(sound, change))


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("state.chain", np.zeros(3, np.float32)),
        ("state.chain", np.zeros(32, np.float64)),
        ("state.chain", np.full(32, np.nan, np.float32)),
        ("state.more", np.zeros(3, np.float32)),
        ("memory.0", np.zeros(3, np.uint8)),
        ("memory.0", np.zeros(3 * 16**2, np.float32)),
        ("memory.0", np.zeros((16, 16, 3), np.uint8)),
        ("memory.1", np.zeros(1)),
        ("memory.more", np.zeros(1)),
        ("more", np.zeros(3)),
    ],
)
def test_impossible_arrays_are_refused(sound: tuple[Engine, bytes], name: str, array: Any) -> None:
    def change(tensors: dict[str, Any], _: Any) -> None:
        tensors[name] = array

    refused(sound, forged(sound, change))


@pytest.mark.parametrize("name", ["state.chain", "memory.0", "session"])
def test_a_missing_tensor_is_refused(sound: tuple[Engine, bytes], name: str) -> None:
    refused(sound, forged(sound, lambda tensors, _: tensors.pop(name)))


@pytest.mark.parametrize("section", ["memory", "about", "bundle"])
def test_a_section_that_is_missing_or_of_another_kind_is_refused(
    sound: tuple[Engine, bytes], section: str
) -> None:
    refused(sound, forged(sound, lambda _, about: about.pop(section)))
    refused(sound, forged(sound, lambda _, about: about.update({section: [1]})))


def test_other_files_versions_and_types_are_refused(sound: tuple[Engine, bytes]) -> None:
    tensors = dict(load(sound[1]))
    assert "version '1'" in refused(sound, save(tensors, {"framestate-session": "1 "}))
    assert "sha256" in refused(sound, save(tensors, {"framestate-session": f"{FORMAT_VERSION} "}))
    assert "no snapshot" in refused(sound, save(tensors))
    assert "at most" in refused(sound, bytes(200_000))
    assert "bytes" in refused(sound, "text")  # type: ignore[arg-type]
    deep = b"[" * 60_000
    assert "no snapshot" in refused(sound, struct.pack("<Q", len(deep)) + deep)


def test_every_forgery_above_starts_from_a_blob_that_is_taken(sound: tuple[Engine, bytes]) -> None:
    sound[0].restore(forged(sound, lambda *_: None)).close()
