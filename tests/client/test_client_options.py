"""What the client refuses before it connects, how codes become errors, and what it does not need."""

from __future__ import annotations

import subprocess
import sys

import pytest
from framestate import errors
from framestate.client import Client
from framestate.client.results import error_of


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:8000", "ftp://host", "http://", "http://host:99999", "http://host:0"]
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(errors.OptionError, match="address"):
        Client(address)


def test_options_that_cannot_be() -> None:
    limits = ({"quality": 0}, {"reconnect_s": -1}, {"timeout_s": 0})
    for options in ({"encoding": "gif"}, {"api_key": "ü"}, *limits):
        with pytest.raises(errors.OptionError):
            Client("http://127.0.0.1:9", **options)
    Client("http://127.0.0.1:9", reconnect_s=0, timeout_s=0.1).close()  # the edges that are allowed
    with pytest.raises(TypeError, match="colour"):
        Client("http://127.0.0.1:9", colour=1)


def test_every_code_becomes_its_error() -> None:
    for name in errors.__all__:
        error = error_of(name, "a problem", "Do something.")
        assert type(error) is getattr(errors, name)
        assert error.remedy == "Do something."
    assert type(error_of("os.system", "a problem", "Do something.")) is errors.RunError


def test_the_client_needs_no_engine() -> None:
    script = """
import sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnxruntime", "fastapi") or name.startswith((
            "framestate.engine", "framestate.server", "framestate.runtimes", "framestate.bundles")):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Wall())
from framestate.client import Client
Client("http://127.0.0.1:9").close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
