"""Every error that Framestate raises on purpose, in one tree.

::

    FramestateError                     problem + remedy
    ├── InputError                      exit code 2: what was handed over cannot be used
    │   ├── FrameError                  a frame: shape, dtype, order or time
    │   ├── BoxError                    a box: not finite, empty, or outside the frame
    │   ├── ImageError                  an encoded image: damaged, too large, unknown format
    │   ├── VideoError                  a video: missing, or nothing in it decodes
    │   ├── DataError                   a data set, ground truth or tensor file
    │   ├── BundleError                 a model bundle
    │   │   ├── UnknownModelError       no bundle has this name or path
    │   │   ├── BundleIntegrityError    damaged, tampered with, or unsafe to open
    │   │   └── BundleVersionError      written in a format this version cannot read
    │   ├── UnknownRuntimeError         no runtime has this name
    │   ├── RuntimeUnavailableError     a known runtime that this machine cannot use
    │   ├── StateError                  a state or snapshot that does not fit the model
    │   ├── OptionError                 an option, or a combination of options
    │   ├── SessionError                a session that is closed, unknown, or of another kind
    │   │   ├── UnknownSessionError     there is no session of this id
    │   │   └── SessionBusyError        somebody else is connected to it, or its id is taken
    │   ├── WireError                   a message of a stream that is not as docs/wire.md says
    │   └── RequestError                a request to a server
    │       ├── UnknownItemError        there is no video, source or result of this name
    │       ├── AccessError             the key is missing or wrong
    │       ├── ForbiddenError          the web page or host it comes from may not ask
    │       ├── TooLargeError           more bytes than the server takes
    │       ├── TooManyError            more messages a second than the server takes
    │       └── TooSlowError            it did not arrive, or nothing was heard, in time
    └── RunError                        exit code 1: the input was fine, the work failed
        ├── CapacityError               every session slot is in use, or a session's queue is full
        ├── UnavailableError            a server that is starting or stopping, or a source that is away
        ├── StorageError                a disk is full, or refuses what is to be kept
        ├── FrameDroppedError           a frame was dropped, as its session's queue policy says
        ├── StepError                   a model call failed or gave numbers that are not finite
        ├── ExportError                 a model could not be exported
        ├── ParityError                 two runtimes do not agree within the tolerance
        ├── TrainingError               training diverged or cannot go on
        └── VideoWriteError             a video could not be written

Everything is raised with two sentences' worth of text: the *problem* (the value that was seen and the rule it
breaks) and the *remedy* (what to do about it). A caller who wants one handler catches ``FramestateError``; a
caller who wants to tell a user's mistake from a failed run catches ``InputError`` and ``RunError``. Mistakes
inside Framestate itself are ``AssertionError`` and are not part of this tree.
"""

from __future__ import annotations

from typing import ClassVar


class FramestateError(Exception):
    """The root of the tree.

    Args:
        problem: the value that was seen and the rule it breaks, as a sentence without its full stop.
        remedy: what the reader can do about it, as a full sentence.
    """

    exit_code: ClassVar[int] = 1
    """What the ``framestate`` command exits with when this error ends it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)  # both in ``args``, so that the error survives pickling
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}. {self.remedy}"


class InputError(FramestateError):
    """What was handed over cannot be used; nothing was run."""

    exit_code: ClassVar[int] = 2


class FrameError(InputError):
    """A frame has the wrong shape, dtype, order or time."""


class BoxError(InputError):
    """A box is not finite, has no area, or lies outside the frame."""


class ImageError(InputError):
    """An encoded image is damaged, too large, or of an unknown format."""


class VideoError(InputError):
    """A video is missing, is not a video, or nothing in it decodes."""


class DataError(InputError):
    """A data set, a ground truth file or a tensor file cannot be used."""


class BundleError(InputError):
    """A model bundle, or a model specification, cannot be used."""


class UnknownModelError(BundleError):
    """No bundle has this name, and no folder lies at this path."""


class BundleIntegrityError(BundleError):
    """A bundle is damaged, was tampered with, or holds something that is unsafe to open."""


class BundleVersionError(BundleError):
    """A bundle was written in a format that this version of Framestate cannot read."""


class UnknownRuntimeError(InputError):
    """No runtime has this name."""


class RuntimeUnavailableError(InputError):
    """A runtime is known, but cannot be used on this machine or for this bundle."""


class StateError(InputError):
    """A state or a snapshot does not fit the model it was handed to."""


class OptionError(InputError):
    """An option is unknown or out of range, or two options contradict each other."""


class SessionError(InputError):
    """A session is closed, unknown, or of another kind than the call needs."""


class UnknownSessionError(SessionError):
    """There is no session of this id, or no longer."""


class SessionBusyError(SessionError):
    """A session's id is taken, or somebody else is connected to it."""


class RequestError(InputError):
    """A request to a server cannot be granted."""


class UnknownItemError(RequestError):
    """There is no video, source or result of this name, or no longer."""


class AccessError(RequestError):
    """An API key is missing or wrong."""


class ForbiddenError(RequestError):
    """A request comes from a web page, or is for a host, that may not ask."""


class TooLargeError(RequestError):
    """A request or a message has more bytes than the server takes."""


class TooManyError(RequestError):
    """More messages came in a second, or more work was asked for at once, than the server takes."""


class TooSlowError(RequestError):
    """A request did not arrive in time, or nothing was heard for too long."""


class WireError(InputError):
    """A message of a stream is not as the wire format has it."""


class RunError(FramestateError):
    """The input was usable, but a run or a check failed."""


class CapacityError(RunError):
    """Every session slot is in use, or a session's queue is full; there is room again once something ends."""


class UnavailableError(RunError):
    """A server is starting or stopping, its engine has ended, or a live source is away."""


class StorageError(RunError):
    """A disk is full, or does not take what is to be kept on it; nothing is left of what was sent."""


class FrameDroppedError(RunError):
    """A frame was dropped by its session's queue policy; the next answer counts it."""


class StepError(RunError):
    """A model call failed, or gave numbers that are not finite; the state before it still stands."""


class ExportError(RunError):
    """A model could not be exported."""


class ParityError(RunError):
    """Two runtimes do not agree within the stated tolerance."""


class TrainingError(RunError):
    """Training diverged or cannot go on."""


class VideoWriteError(RunError):
    """A video could not be written."""


__all__ = [
    "AccessError",
    "BoxError",
    "BundleError",
    "BundleIntegrityError",
    "BundleVersionError",
    "CapacityError",
    "DataError",
    "ExportError",
    "ForbiddenError",
    "FrameDroppedError",
    "FrameError",
    "FramestateError",
    "ImageError",
    "InputError",
    "OptionError",
    "ParityError",
    "RequestError",
    "RunError",
    "RuntimeUnavailableError",
    "SessionBusyError",
    "SessionError",
    "StateError",
    "StepError",
    "StorageError",
    "TooLargeError",
    "TooManyError",
    "TooSlowError",
    "TrainingError",
    "UnavailableError",
    "UnknownItemError",
    "UnknownModelError",
    "UnknownRuntimeError",
    "UnknownSessionError",
    "VideoError",
    "VideoWriteError",
    "WireError",
]
