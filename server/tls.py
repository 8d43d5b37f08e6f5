"""TLS of the server itself: certificate and key, checked at the start, and read again on demand"""

from __future__ import annotations

import ssl
from pathlib import Path

from ..errors import OptionError
from .settings import Settings


def tls_files(settings: Settings) -> tuple[Path, Path] | None:
    """Certificate and key; None where the server speaks plain HTTP. Raises OptionError for half a pair."""
    cert, key = settings.tls_cert, settings.tls_key
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        missing = "--tls-cert" if cert is None else "--tls-key"
        raise OptionError("TLS needs a certificate and its key", f"Give {missing}, too.")
    return cert, key


def load_pair(context: ssl.SSLContext, files: tuple[Path, Path]) -> None:
    """Makes connections from now on use these files. Raises OptionError where they are no pair."""
    cert, key = files
    for file in files:
        if not file.is_file():
            raise OptionError(f"there is no file {file}", "Give a certificate and its key in PEM form.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_no_password)
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise OptionError(
            f"{cert} and {key} are no certificate and its key ({error})",
            "Give a PEM certificate (chain) and its PEM key, without a password.",
        ) from error


def _no_password() -> bytes:
    raise ValueError("the key has a password")
