"""Snapshots lie in a folder or at an address, whole or not at all, and leave with the session that ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from framestate.cluster.keeper import Keeper
from framestate.cluster.vault import Vault, open_vault
from framestate.engine import Engine
from framestate.errors import OptionError, SessionError
from framestate.vision import Box, decode_image


@pytest.fixture(params=["folder", "memory://", "file://"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Vault:
    if request.param == "folder":
        return open_vault(str(tmp_path / "v"), "sessions", "x")
    pytest.importorskip("fsspec")
    return open_vault(f"{request.param}{tmp_path}/v", "sessions", "x")


def test_what_was_written_is_read(vault: Vault) -> None:
    assert vault.read("a") is None
    assert vault.keys() == []
    vault.write("a", b"one")
    vault.write("b", b"two")
    vault.write("a", b"three")
    assert vault.read("a") == b"three"
    assert vault.keys() == ["a", "b"]
    vault.remove("a")
    vault.remove("a")
    assert vault.read("a") is None
    assert vault.keys() == ["b"]


def test_a_place_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="cannot be made"):
        open_vault(str(tmp_path / "file"), "sessions")
    pytest.importorskip("fsspec")
    with pytest.raises(OptionError, match="cannot be used"):
        open_vault("no-such-scheme://x")


def test_a_folder_that_goes_away_is_a_typed_error(tmp_path: Path) -> None:
    vault = open_vault(str(tmp_path / "v"))
    (tmp_path / "v").rmdir()
    with pytest.raises(SessionError, match="cannot be written"):
        vault.write("a", b"one")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine.load("tracker-nano", runtime="onnx", device="cpu", threads=1, capacity=4) as one:
        yield one


@pytest.fixture
def keeper(engine: Engine, tmp_path: Path) -> Keeper:
    return Keeper(engine, open_vault(str(tmp_path)), every_s=60)


Open = Callable[[str], object]


def test_a_session_is_written_when_it_has_moved_on(
    engine: Engine, keeper: Keeper, film: tuple[list[bytes], Box]
) -> None:
    image = decode_image(film[0][0])
    with engine.open(image, box=film[1], session_id="k") as session:
        assert keeper.save() == 1
        assert keeper.save() == 0
        session.push(image)
        assert keeper.save() == 1
        blob = keeper.read("k")
        assert blob is not None
        keeper.hold("k")  # it moves: somebody else writes it now
        session.push(image)
        assert keeper.save() == 0
        assert keeper.read("k") == blob
        keeper.taken("k")  # it stays after all
        assert keeper.save() == 1
    assert keeper.read("k") is not None
    keeper.ended("k")
    assert keeper.read("k") is None


def test_a_round_that_fails_says_so_and_the_next_one_heals(
    engine: Engine, keeper: Keeper, film: tuple[list[bytes], Box], tmp_path: Path
) -> None:
    with engine.open(decode_image(film[0][0]), box=film[1], session_id="f"):
        tmp_path.rmdir()
        keeper.round()
        assert isinstance(keeper.failure, SessionError)
        tmp_path.mkdir()
        keeper.round()
        assert keeper.failure is None
        assert keeper.read("f") is not None
