"""`StrictConnection`: h11's, without what it takes beyond RFC 9112 and proxies may understand differently."""

from __future__ import annotations

import re
from typing import Any

import h11

_END = re.compile(rb"\n\r?\n")
_LINE = re.compile(rb"\r?\n")
_FIRST = re.compile(rb"HTTP/1\.[0-9]$")


class StrictConnection(h11.Connection):
    """Refuses requests whose length or lines are not plain: bare line feeds, folded lines, two lengths."""

    def next_event(self) -> Any:
        """As h11 has it. Raises RemoteProtocolError."""
        if self.their_state is h11.IDLE:
            check_head(self.trailing_data[0])
        return super().next_event()


def check_head(held: bytes) -> None:
    """Raises RemoteProtocolError for a head that is not plain; one that is not whole is looked at later."""
    end = _END.search(held)
    head = held if end is None else held[: end.end()]
    if re.search(rb"(?<!\r)\n", head):
        raise h11.RemoteProtocolError("a line ends with a line feed alone (RFC 9112, 2.2)")
    if end is None:
        return
    if re.search(rb"\r\n[ \t]", head):
        raise h11.RemoteProtocolError("a header is folded (RFC 9112, 5.2)")
    first, *lines = _LINE.split(head)
    if not _FIRST.search(first):
        raise h11.RemoteProtocolError("the version is another one than HTTP/1 (RFC 9112, 2.3)")
    names = [line.partition(b":")[0].strip().lower() for line in lines]
    if b"transfer-encoding" in names and (b"content-length" in names or not first.endswith(b"HTTP/1.1")):
        raise h11.RemoteProtocolError("the request has two lengths (RFC 9112, 6.3)")
