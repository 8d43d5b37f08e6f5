"""The text messages of a stream, one class each: checked when they are made, whichever side makes them."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Literal

from ..errors import FramestateError
from .answers import Timings
from .fields import Check, a_box, a_flag, a_number, a_table, a_text, an_integer, fail, one_of, optional

POLICIES = ("WAIT", "DROP_OLDEST", "DROP_LATEST")
Encoding = Literal["rgb", "jpeg", "png", "webp"]
ENCODINGS: tuple[Encoding, ...] = ("rgb", "jpeg", "png", "webp")
"""How a picture is held; the place in this tuple is the number on the wire."""


def _field(check: Check, default: Any = MISSING) -> Any:
    """A field with its check; one without a default has to be in the message."""
    if default is MISSING:
        return field(metadata={"check": check})
    if default is dict:
        return field(default_factory=dict, metadata={"check": check})
    return field(default=default, metadata={"check": check})


@dataclass(frozen=True, slots=True)
class Message:
    """What all text messages share: a ``type``, and fields that are checked when one is made."""

    type: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for one in fields(self):
            object.__setattr__(self, one.name, one.metadata["check"](one.name, getattr(self, one.name)))


def build(kind: type[Message], table: dict[str, Any]) -> Message:
    """A message from its members, all of them known and none missing."""
    known = {one.name: one for one in fields(kind)}
    strange = sorted(set(table) - set(known))
    if strange:
        fail(f"{kind.type or kind.__name__} has no {strange[0][:40]!r}", f"it has {', '.join(known)}")
    missing = [
        name for name, one in known.items()
        if one.default is one.default_factory is MISSING and name not in table
    ]  # fmt: skip
    if missing:
        fail(f"{kind.type or kind.__name__} lacks {missing[0]!r}", f"it needs {', '.join(missing)}")
    return kind(**table)


def plain(message: Message) -> dict[str, Any]:
    """A message's members as JSON has them."""
    members = {one.name: getattr(message, one.name) for one in fields(message)}
    return {
        name: plain(one) if isinstance(one, Message) else one.plain if isinstance(one, Timings) else one
        for name, one in members.items()
    }


def _part(kind: type[Message]) -> Check:
    """A message within a message: one that is made already, or its members."""

    def check(name: str, value: Any) -> Message:
        if isinstance(value, kind):
            return value
        if not isinstance(value, dict):
            fail(f"{name} is a {type(value).__name__}", "give a JSON object")
        return build(kind, value)

    return check


def _timings(name: str, value: Any) -> Timings:
    """Milliseconds of each stage; what they come to together may be there, and is computed again."""
    if isinstance(value, Timings):
        return value
    stages = {key: one for key, one in a_table(name, value).items() if key != "total_ms"}
    strange = sorted(set(stages) - {one.name for one in fields(Timings)})
    if strange:
        fail(f"{name} has no {strange[0][:40]!r}", "name the stages as docs/wire.md does")
    return Timings(**{key: a_number(0)(key, one) for key, one in stages.items()})


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """Client, first of all: which version it speaks, and what it wants.

    ``model``, or the first one for ``task``, or the server's first. ``last_index`` is the last frame it has
    an answer for: the server tells from it how many frames were lost, and which answers to send again.
    Pictures of answers come in ``encoding``, but given frames as they were sent. ``token`` is that of an
    earlier ``Welcome``: with it the session is taken over from a connection that still counts as there.
    """

    type: ClassVar[str] = "hello"
    version: int = _field(an_integer(1))
    model: str | None = _field(optional(a_text(200)), None)
    task: str | None = _field(optional(a_text(200)), None)
    last_index: int | None = _field(optional(an_integer(0)), None)
    encoding: Encoding = _field(one_of(*ENCODINGS), "jpeg")  # noqa: RUF009 - a field
    quality: int = _field(an_integer(1, 100), 90)
    token: str | None = _field(optional(a_text(200)), None)


@dataclass(frozen=True, slots=True)
class Limits(Message):
    """What the server takes; part of ``Welcome``. None: no limit."""

    message_bytes: int = _field(an_integer(1))
    pixels: int = _field(an_integer(1))
    frames_per_second: float | None = _field(optional(a_number(0)), None)
    idle_seconds: float | None = _field(optional(a_number(0)), None)


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """Server, in answer to ``Hello``.

    ``opens_on_frame``: ``Open`` is followed by the first frame. ``resumed``: a session of this id is open,
    and frames go on after ``last_index``, the last one in its memory; otherwise the client opens it now.
    ``frames_lost``: answered frames that this memory lacks. ``answers_from``: answers to frames from this
    index on, as far as the client lacks them, follow; older ones are lost. ``token``: what the client shows
    to take the session over from a connection of its own that has died unseen.
    """

    type: ClassVar[str] = "welcome"
    version: int = _field(an_integer(1))
    session: str = _field(a_text(64))
    task: str = _field(a_text(200))
    model: str = _field(a_text(200))
    runtime: str = _field(a_text(200))
    policy: str = _field(one_of(*POLICIES))
    limits: Limits = _field(_part(Limits))  # noqa: RUF009 - frozen, so may be shared
    opens_on_frame: bool = _field(a_flag, False)
    resumed: bool = _field(a_flag, False)
    last_index: int | None = _field(optional(an_integer(0)), None)
    frames_lost: int = _field(an_integer(0), 0)
    answers_from: int | None = _field(optional(an_integer(0)), None)
    token: str | None = _field(optional(a_text(200)), None)


@dataclass(frozen=True, slots=True)
class Open(Message):
    """Client: open a session. ``options`` are its task's, as ``box`` or ``factor``. None: the default."""

    type: ClassVar[str] = "open"
    options: dict[str, Any] = _field(a_table, dict)  # noqa: RUF009 - a field
    policy: str | None = _field(optional(one_of(*POLICIES)), None)
    deadline_ms: float | None = _field(optional(a_number(0)), None)
    queue: int | None = _field(optional(an_integer(1)), None)


@dataclass(frozen=True, slots=True)
class Ack(Message):
    """Server: the session is open; ``index`` is the frame that it was opened on, where its task wants one."""

    type: ClassVar[str] = "ack"
    index: int | None = _field(optional(an_integer(0)), None)


@dataclass(frozen=True, slots=True)
class Answer(Message):
    """Server: what frame ``index`` came to, see ``kinds``.

    ``parts``: pictures and tensors that belong to it, each a binary message that came before this one.
    ``dropped``: frames since the last answer. ``ended``: it is what was still held when ``bye`` came.
    """

    type: ClassVar[str] = "answer"
    index: int = _field(an_integer(0))
    kind: str = _field(a_text(80))
    values: dict[str, Any] = _field(a_table, dict)  # noqa: RUF009 - a field
    parts: int = _field(an_integer(0), 0)
    dropped: int = _field(an_integer(0), 0)
    timings: Timings = _field(_timings, Timings())  # noqa: RUF009 - frozen, so may be shared
    ended: bool = _field(a_flag, False)


@dataclass(frozen=True, slots=True)
class Drop(Message):
    """Server: frame ``index`` was dropped, as the session's queue policy says."""

    type: ClassVar[str] = "drop"
    index: int = _field(an_integer(0))
    policy: str = _field(one_of(*POLICIES))


@dataclass(frozen=True, slots=True)
class Failure(Message):
    """Server: an error. ``code`` is its class in ``framestate.errors``; ``index`` the frame, if it was one.

    ``closing``: the connection ends after this; otherwise the session goes on as if the message had not come.
    """

    type: ClassVar[str] = "error"
    code: str = _field(a_text(80))
    title: str = _field(a_text(200))
    problem: str = _field(a_text(2000))
    remedy: str = _field(a_text(2000))
    index: int | None = _field(optional(an_integer(0)), None)
    closing: bool = _field(a_flag, False)

    @classmethod
    def of(cls, error: FramestateError, *, index: int | None = None, closing: bool = False) -> Failure:
        """A typed error as the wire has it; texts that are too long are cut."""
        title = (type(error).__doc__ or type(error).__name__).splitlines()[0]
        return cls(
            type(error).__name__, _fit(title, 200), _fit(error.problem), _fit(error.remedy), index, closing
        )


@dataclass(frozen=True, slots=True)
class Correct(Message):
    """Client: the target is in ``box``, in the frame that was sent last; ``index`` may be its number."""

    type: ClassVar[str] = "correct"
    box: tuple[float, float, float, float] = _field(a_box)
    index: int | None = _field(optional(an_integer(0)), None)


@dataclass(frozen=True, slots=True)
class Corrected(Message):
    """Server, in answer to ``Correct``: what frame ``index`` comes to by now, or why nothing has changed.

    They come in the order in which they were asked for, after the answers to all frames sent before.
    """

    type: ClassVar[str] = "corrected"
    index: int | None = _field(optional(an_integer(0)), None)
    kind: str = _field(a_text(80), "none")
    values: dict[str, Any] = _field(a_table, dict)  # noqa: RUF009 - a field
    error: Failure | None = _field(optional(_part(Failure)), None)  # noqa: RUF009 - a field


@dataclass(frozen=True, slots=True)
class Bye(Message):
    """Either side: no more after this. From the server, ``resumable`` says whether the session is kept."""

    type: ClassVar[str] = "bye"
    reason: str = _field(a_text(200), "done")
    resumable: bool = _field(a_flag, False)


STREAM_MESSAGES: tuple[type[Message], ...] = (
    Hello, Welcome, Open, Ack, Answer, Drop, Failure, Correct, Corrected, Bye
)  # fmt: skip
"""What may come as a message of its own."""


def _fit(text: str, length: int = 2000) -> str:
    """Cut to what a field takes, without characters that UTF-8 cannot hold."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= length else text[: length - 1] + "…"
