"""Certificates that are signed by themselves, made by OpenSSL."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def write_certificate(cert: Path, key: Path, name: str, *more: str) -> None:
    """A certificate of two days for ``name`` and its key; ``more`` are options. Skips without OpenSSL."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("there is no openssl here: apt-get install openssl")
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    where = ["-subj", f"/CN={name}", "-out", str(cert), "-keyout", str(key)]
    subprocess.run([program, *made, *where, *more], check=True, capture_output=True, timeout=60)
