"""API keys and what each may do: a file with a key a line, which can be read again while the server runs"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ..errors import OptionError
from .settings import Settings, is_loopback

SCOPES = ("read", "stream", "admin")
"""What a key may do; each holds those before it. A key without any has the last."""
_KEY = re.compile(r"[\x21-\x7e]{16,256}")
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_REMEDY = (
    "Write 16 to 256 printable characters without spaces a line: openssl rand -hex 24 >> FILE. After a key "
    "may come name=NAME, scope=read|stream|admin, per_second=N and streams=N."
)


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Its text is not held, only its hash.

    Attributes:
        name: what logs call it; the beginning of its hash where the file gives it none.
        scope: one of ``SCOPES``.
        per_second: requests a second; None: as the settings have it.
        streams: streams at once; None: as the settings have it.
    """

    digest: bytes
    name: str
    scope: str = SCOPES[-1]
    per_second: float | None = None
    streams: int | None = None

    def may(self, scope: str) -> bool:
        """Whether it is good for what needs ``scope``."""
        return SCOPES.index(scope) <= SCOPES.index(self.scope)


class ApiKeys:
    """The keys that are good. Only their hashes are held, and all of them are compared every time.

    Args:
        keys: those that are good now.
        path: of the file that ``reload`` reads.
    """

    def __init__(self, keys: Iterable[Key], path: Path | None = None) -> None:
        self._keys = tuple(keys)
        self._path = path

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads keys, one a line; empty lines and those that start with # are passed over.

        Raises:
            OptionError: the file cannot be read, holds no key, a short one, or a word that is not known.
        """
        return cls(read_keys(path), path)

    def reload(self) -> Self:
        """Reads the file again. Raises OptionError as ``load`` does, and then all stays as it was."""
        if self._path is not None:
            self._keys = read_keys(self._path)
        return self

    def find(self, text: str) -> Key | None:
        """The key of this text, in a time that tells nothing about the others."""
        digest = digest_of(text)
        matches = [key for key in self._keys if hmac.compare_digest(digest, key.digest)]
        return matches[0] if matches else None

    def has(self, key: Key) -> bool:
        """Whether a key is still good."""
        return any(hmac.compare_digest(key.digest, one.digest) for one in self._keys)


def digest_of(text: str) -> bytes:
    """What is held of a key."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file. Raises OptionError."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"the key file {path} cannot be read ({error})", "Check its name.") from error
    words = [line.split() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not words:
        raise OptionError(f"{path} holds no key", _REMEDY)
    keys = []
    for number, (text, *rest) in enumerate(words, start=1):
        try:
            keys.append(_key(text, rest))
        except ValueError as error:
            raise OptionError(f"key {number} in {path} is no good{error}", _REMEDY) from None
    for index, key in enumerate(keys, start=1):
        if any(one.digest == key.digest for one in keys[: index - 1]):
            raise OptionError(f"key {index} in {path} is there twice", "Remove one of the lines.")
    return tuple(keys)


def _key(text: str, words: list[str]) -> Key:
    """One line. Raises ValueError, which says nothing of the key."""
    if not _KEY.fullmatch(text):
        raise ValueError
    given = dict.fromkeys(("name", "scope", "per_second", "streams"), "")
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in given or given[name] or not value:
            raise ValueError(f" ({name[:20]!r} is not known here, or is there twice)")
        given[name] = value
    digest = digest_of(text)
    name, scope = given["name"] or digest.hex()[:8], given["scope"] or SCOPES[-1]
    if not _NAME.fullmatch(name):
        raise ValueError(" (its name has other characters than letters, digits and _ . @ -)")
    if scope not in SCOPES:
        raise ValueError(f" (its scope is {scope[:20]!r}, not one of {', '.join(SCOPES)})")
    if not re.fullmatch(r"([1-9][0-9]{0,6}(\.[0-9]{1,3})?|0\.[0-9]{1,3})?", given["per_second"]):
        raise ValueError(f" (per_second is {given['per_second'][:20]!r}, no number above 0)")
    if not re.fullmatch(r"([1-9][0-9]{0,6})?", given["streams"]):
        raise ValueError(f" (streams is {given['streams'][:20]!r}, no number above 0)")
    return Key(
        digest, name, scope, float(given["per_second"] or 0) or None, int(given["streams"] or 0) or None
    )


def required_keys(settings: Settings) -> ApiKeys | None:
    """The keys of a server, or None where none are asked for.

    Raises:
        OptionError: the server would listen to other machines without any, or the file is no good.
    """
    if settings.api_key_file is not None:
        return ApiKeys.load(settings.api_key_file)
    if not is_loopback(settings.host):
        raise OptionError(
            f"the address {settings.host} can be reached from other machines, and there are no API keys",
            "Give --api-key-file, or listen on 127.0.0.1.",
        )
    return None
