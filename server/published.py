"""`PublishedReader`: a live source whose pictures are brought to the server, by WHIP"""

from __future__ import annotations

from ..errors import SessionBusyError, VideoError
from ..vision import Image
from .live import PATIENCE_S, LiveReader


class PublishedReader(LiveReader):
    """Waits for one publisher at a time, and hands over what it brings. It has no thread of its own."""

    publisher = False

    def start(self) -> None:
        """There is nothing to begin."""

    def stop(self, seconds: float = 0.0) -> None:
        """Takes no more."""
        self.quit()
        self.state = "ended"

    def claim(self) -> None:
        """A publisher is there. Raises SessionBusyError where another one is."""
        if self.publisher:
            raise SessionBusyError(
                f"somebody publishes to source {self.address.name!r}", "wait until that has ended"
            )
        self.publisher = True

    def release(self) -> None:
        """The publisher is gone."""
        self.publisher, self._anchor = False, None
        self.silent("the publisher has gone")

    def silent(self, why: str = f"it has said nothing for {PATIENCE_S:g} s") -> None:
        """Nothing comes."""
        if self.state == "live":
            self.problem = why
            self._go_away()

    def bring(self, image: Image, seconds: float) -> None:
        """A picture, and its time in the publisher's clock. Raises VideoError for one that is too large."""
        height, width = image.shape[:2]
        if width * height > self._max_pixels:
            raise VideoError(f"{width} x {height} pixels came, above {self._max_pixels}", "send smaller ones")
        if self._stop.is_set():
            return
        if self.state != "live":
            self._come()
        self._hand_over(image, seconds)
