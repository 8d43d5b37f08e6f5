"""What schemathesis does not know by itself: SDP, pictures that hold the box of the examples, bytes."""

from __future__ import annotations

from typing import Any

import schemathesis
from framestate.vision import encode_image
from framestate.vision.synthetic import demo_clip
from hypothesis import strategies


@schemathesis.serializer("application/sdp")
def sdp(_: Any, value: Any) -> bytes:
    """Offers are text, or whatever is made up for it."""
    return value if isinstance(value, bytes) else str(value).encode()


((IMAGE, *_),) = demo_clip(0, 1, (640, 360))
for kind in ("jpeg", "png", "webp"):
    schemathesis.openapi.media_type(f"image/{kind}", strategies.just(encode_image(IMAGE, kind)))
schemathesis.openapi.media_type("application/octet-stream", strategies.just(b'{"inputs": []}'))
