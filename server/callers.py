"""How much each caller may ask: requests and streams by address and by key, and how many wrong keys"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import TooManyError
from .flow import Rate
from .keys import Key
from .settings import Settings

MOST_CALLERS = 10_000
"""Addresses and keys that are remembered; the one that was heard of longest ago is forgotten first."""
PROVEN = 16
"""Good keys of one address that still work there while it is locked out."""


@dataclass
class Caller:
    """An address, or a key.

    Attributes:
        rate: of its requests.
        wrong: of its wrong keys.
        streams: that it has open.
        proven: hashes of good keys that came from there, the latest last.
    """

    rate: Rate
    wrong: Rate
    streams: int = 0
    locked: bool = False
    proven: list[bytes] = field(default_factory=list)


class Callers:
    """Everybody who asks, within the limits of the settings. Lives on the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._callers: OrderedDict[str, Caller] = OrderedDict()

    def asks(self, address: str) -> Caller:
        """One more request of an address. Raises TooManyError."""
        caller = self._find(address, self._settings.address_per_second)
        _within(caller, f"{address} sends more than {caller.rate.per_second:g} requests a second")
        return caller

    def wrong(self, caller: Caller) -> bool:
        """Notes a wrong key; True where the address is locked out from now on."""
        before, caller.locked = caller.locked, not caller.wrong.allows()
        return caller.locked and not before

    def check_key(self, caller: Caller, key: Key | None) -> None:
        """Raises TooManyError while the address is locked out, unless the key was good there before.

        Whether the key is good makes no difference then, so that a guess learns nothing.
        """
        if caller.locked and caller.wrong.room < 1:
            if key is None or key.digest not in caller.proven:
                limit = self._settings.wrong_keys_per_minute
                raise TooManyError(
                    f"more than {limit:g} wrong keys came from this address in a minute", "wait a minute"
                )
        else:
            caller.locked = False

    def uses(self, caller: Caller, key: Key) -> None:
        """One more request with a good key. Raises TooManyError."""
        if key.digest in caller.proven:
            caller.proven.remove(key.digest)
        caller.proven = [*caller.proven[1 - PROVEN :], key.digest]
        own = self._key(key)
        _within(own, f"the key {key.name!r} sends more than {own.rate.per_second:g} requests a second")

    def connects(self, address: str, key: Key | None) -> Callable[[], None]:
        """One more stream; returns what is called at its end. Raises TooManyError."""
        settings = self._settings
        held = [(self._find(address, settings.address_per_second), settings.address_streams, address)]
        if key is not None:
            own = self._key(key)
            held.append((own, key.streams or settings.key_streams, f"the key {key.name!r}"))
        for caller, most, name in held:
            if caller.streams >= most:
                raise TooManyError(f"{name} has {most} streams open", "end one of them first")
        for caller, _, _ in held:
            caller.streams += 1

        def ended() -> None:
            for caller, _, _ in held:
                caller.streams -= 1

        return ended

    def _key(self, key: Key) -> Caller:
        name = f"key {key.digest.hex()}"  # two keys may have one name, and limits of their own
        return self._find(name, key.per_second or self._settings.key_per_second)

    def _find(self, name: str, per_second: float) -> Caller:
        caller = self._callers.pop(name, None)
        if caller is None:
            limit = self._settings.wrong_keys_per_minute
            caller = Caller(Rate(per_second), Rate(limit / 60, burst=limit))
        elif caller.rate.per_second != per_second:  # the key file was read again
            caller.rate = Rate(per_second)
        self._callers[name] = caller
        while len(self._callers) > MOST_CALLERS:
            oldest = next((one for one, held in self._callers.items() if not held.streams), None)
            if oldest is None or oldest == name:
                break
            del self._callers[oldest]
        return caller


def _within(caller: Caller, problem: str) -> None:
    if not caller.rate.allows():
        raise TooManyError(problem, "send more slowly")


def address_of(client: object) -> str:
    """Whom a limit by address is for: of IPv6 the first 64 bits, which one household has."""
    host = client[0] if isinstance(client, tuple | list) and client else ""
    try:
        address = ipaddress.ip_address(str(host))
    except ValueError:
        return str(host)[:64] or "nobody"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)
