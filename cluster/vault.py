"""`Vault`: where the snapshots of all servers lie: a shared folder, or any address that fsspec knows"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import OptionError, RuntimeUnavailableError, SessionError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ENDING = ".session"


class Vault(Protocol):
    """Blobs by the id of their session. Calls block; every one may raise SessionError where it fails."""

    def read(self, key: str) -> bytes | None:
        """A session's blob; None where there is none."""
        ...

    def write(self, key: str, blob: bytes) -> None:
        """Puts a blob in the place of the one before, whole or not at all."""
        ...

    def remove(self, key: str) -> None:
        """Forgets a session; harmless where there is none."""
        ...

    def keys(self) -> list[str]:
        """Sessions that have a blob."""
        ...


def open_vault(place: str, *parts: str) -> Vault:
    """A vault in ``place``: the path of a folder, or an address such as ``s3://bucket/state``.

    Raises:
        OptionError: it cannot be used.
        RuntimeUnavailableError: it is an address, and fsspec or what it needs for it is not installed.
    """
    if "://" not in place:
        return FolderVault(Path(place, *parts))
    return RemoteVault("/".join((place.rstrip("/"), *parts)))


class FolderVault:
    """Files in a folder. Raises OptionError when it cannot be made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(f"{folder} cannot be made ({error})", "Choose another folder.") from error

    def read(self, key: str) -> bytes | None:
        """See ``Vault``."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failed("read", self._path(key), error) from error

    def write(self, key: str, blob: bytes) -> None:
        """See ``Vault``; it is on disk when this returns."""
        scratch = self._folder / f".{key}.{os.getpid()}.tmp"
        try:
            with scratch.open("wb") as file:
                file.write(blob)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self._path(key))
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise failed("written", self._path(key), error) from error

    def remove(self, key: str) -> None:
        """See ``Vault``."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise failed("removed", self._path(key), error) from error

    def keys(self) -> list[str]:
        """See ``Vault``."""
        return sorted(path.name.removesuffix(ENDING) for path in self._folder.glob(f"*{ENDING}"))

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{ENDING}"


class RemoteVault:
    """Objects at an address, through fsspec. An object is replaced as a whole, as object stores do."""

    def __init__(self, address: str) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise RuntimeUnavailableError(
                f"{address} needs fsspec, which is not installed",
                "Install it: pip install 'framestate[ray]'; or give the path of a shared folder.",
            ) from error
        try:
            found: tuple[AbstractFileSystem, str] = fsspec.core.url_to_fs(address)
            self._files, self._root = found
            self._files.makedirs(self._root, exist_ok=True)
        except ImportError as error:
            raise RuntimeUnavailableError(
                f"{address} needs a package that is not installed ({error})", "Install it."
            ) from error
        except Exception as error:  # every file system has errors of its own
            raise OptionError(
                f"{address} cannot be used ({type(error).__name__}: {error})",
                "Check the address and its keys.",
            ) from error

    def read(self, key: str) -> bytes | None:
        """See ``Vault``."""
        try:
            blob: bytes = self._files.cat_file(self._path(key))
            return blob
        except FileNotFoundError:
            return None
        except Exception as error:
            raise failed("read", self._path(key), error) from error

    def write(self, key: str, blob: bytes) -> None:
        """See ``Vault``."""
        try:
            self._files.pipe_file(self._path(key), blob)
        except Exception as error:
            raise failed("written", self._path(key), error) from error

    def remove(self, key: str) -> None:
        """See ``Vault``."""
        try:
            self._files.rm_file(self._path(key))
        except FileNotFoundError:
            return
        except Exception as error:
            raise failed("removed", self._path(key), error) from error

    def keys(self) -> list[str]:
        """See ``Vault``."""
        try:
            self._files.invalidate_cache(self._root)
            names = [str(one).rsplit("/", 1)[-1] for one in self._files.ls(self._root, detail=False)]
        except FileNotFoundError:
            return []
        except Exception as error:
            raise failed("listed", self._root, error) from error
        return sorted(name.removesuffix(ENDING) for name in names if name.endswith(ENDING))

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}{ENDING}"


def failed(what: str, where: Any, error: Exception) -> SessionError:
    """What went wrong with a blob."""
    return SessionError(
        f"{where} cannot be {what} ({type(error).__name__}: {str(error)[:200]})", "Check the state folder."
    )
