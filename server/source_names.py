"""How a live source is named in a path"""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

SourceName = Annotated[
    str, Path(pattern="^[A-Za-z0-9_-]{1,64}$", description="The source's name.", examples=["door"])
]
