"""`Sources`: the live sources of a server, by name: those that it was started with, and those added since"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from ..engine import Tracking
from ..engine.session_options import check_id
from ..errors import CapacityError, FramestateError, OptionError, SessionBusyError, UnknownItemError
from .allowed_sources import AllowedSources
from .detecting import Detecting
from .hub import Hub
from .kept_sources import KeptSources
from .live import Address, parse_source
from .logs import logger
from .source import Source
from .source_readings import readings


class Sources:
    """All sources of a server, by name.

    Args:
        texts: those that it was started with, ``name=address``.

    Raises:
        OptionError: an address, or a place of ``allow_sources``, cannot be used, or a name is there twice.
    """

    def __init__(self, hub: Hub, texts: Sequence[str]) -> None:
        self._hub = hub
        self._allowed = AllowedSources(hub.settings.allow_sources)
        self._kept = KeptSources(hub.settings.state_dir)
        self._ending: set[asyncio.Task[None]] = set()
        self.by_name: dict[str, Source] = {}
        self._detecting = Detecting(hub.settings)
        if self._detecting.every:
            hub.engine(None, Tracking.name)  # somebody has to follow what is found
        for text in texts:
            try:
                self._take(parse_source(text))
            except (SessionBusyError, CapacityError) as error:
                raise OptionError(error.problem, error.remedy) from None
        hub.metrics.read_from(lambda: readings(self.by_name.values()))

    def _restore(self) -> None:
        """Those that were added before, once the state folder is this server's alone."""
        for name, where in self._kept.load().items():
            try:
                address = parse_source(f"{name}={where}")
                self._allowed.check(address)
                self._take(address)
            except FramestateError as error:  # the list, or the command line, is another one by now
                logger().error("source not restored", extra={"source": name, "error": error.problem})

    def get(self, name: str) -> Source:
        """A source. Raises UnknownItemError."""
        if name not in self.by_name:
            known = ", ".join(self.by_name) or "there is none; start the server with --source"
            raise UnknownItemError(f"there is no source {name[:80]!r}", f"the sources: {known}")
        return self.by_name[name]

    def add(self, name: str, where: str) -> Source:
        """Reads an address from now on.

        Raises:
            OptionError: it is no name or no address, or it cannot be kept.
            ForbiddenError: nobody allowed it.
            SessionBusyError: there is a source of this name.
            CapacityError: there are as many as there may be.
        """
        check_id(name)
        address = Address(name, where)
        self._allowed.check(address)  # first of all: whether a file is there is told to nobody
        address = parse_source(f"{name}={where}")
        source = self._take(address)
        try:
            self._kept.add(name, where)
        except FramestateError:
            del self.by_name[name]
            raise
        source.start()
        logger().info("source added", extra={"source": name, "kind": address.scheme})
        return source

    async def remove(self, name: str) -> None:
        """Reads a source no more, and ends its session. Raises UnknownItemError, OptionError."""
        source = self.get(name)
        self._kept.remove(name)
        del self.by_name[name]
        if source.entry is not None:
            self._hub.end(source.entry, "the source was removed")
        logger().info("source removed", extra={"source": name})
        await source.stop()

    def replace(self, before: Sequence[str], after: Sequence[str]) -> None:
        """Another list takes the place of a given one. Raises OptionError, and then nothing has changed."""
        fresh = [parse_source(text) for text in after if text not in before]
        gone = {text.partition("=")[0] for text in before if text not in after}
        stay = self.by_name.keys() - gone
        names = [address.name for address in fresh]
        twice = [name for name in names if name in stay or names.count(name) > 1]
        if twice:
            raise OptionError(f"there are two sources {twice[0]!r}", "name them differently")
        most = self._hub.settings.max_sources
        if len(stay) + len(fresh) > most:
            raise OptionError(f"there may be {most} sources, and more are given", "remove some")

        async def exchange() -> None:
            for name in gone & self.by_name.keys():
                with told_of(name):
                    await self.remove(name)
            for address in fresh:
                with told_of(address.name):
                    self._take(address).start()

        task = asyncio.get_running_loop().create_task(exchange(), name="sources")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _take(self, address: Address) -> Source:
        if address.name in self.by_name:
            raise SessionBusyError(f"there is a source {address.name!r} already", "name them differently")
        most = self._hub.settings.max_sources
        if len(self.by_name) >= most:
            raise CapacityError(f"there are {most} sources, as many as there may be", "remove one first")
        source = self.by_name[address.name] = Source(self._hub, address, self._detecting)
        return source

    def close(self) -> None:
        """Ends the detector's thread, when all sources have ended."""
        self._detecting.close()

    def _quit(self) -> None:
        for source in self.by_name.values():
            source.reader.quit()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The sources while the server runs."""
        self._restore()
        self._hub.drain.on_start(self._quit)
        for source in self.by_name.values():
            source.start()
        try:
            yield
        finally:
            await asyncio.gather(*self._ending, *(source.stop() for source in self.by_name.values()))


@contextmanager
def told_of(name: str) -> Iterator[None]:
    """Logs what keeps one source of a list from being as it says, so that the others are."""
    try:
        yield
    except FramestateError as error:
        logger().error("source not as listed", extra={"source": name, "error": error.problem})
