"""What REST answers, as pydantic models: the OpenAPI document is made of these, examples included."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .entry import Entry
from .hub import Hub

BOX = [240.0, 160.0, 80.0, 60.0]
ID = "2f9c5c0e8a0d4f6f9a4b5d1c7e3a9b10"


def example(**values: Any) -> ConfigDict:
    """A model's configuration with one example."""
    return ConfigDict(json_schema_extra={"examples": [values]})


class Problem(BaseModel):
    """An error as RFC 9457 has it. ``code`` is a class of ``framestate.errors``, or ``Http<status>``."""

    model_config = example(
        type="urn:framestate:problem:UnknownSessionError",
        title="There is no session of this id, or no longer",
        status=404,
        detail="there is no session 'x'. open a new one",
        code="UnknownSessionError",
        problem="there is no session 'x'",
        remedy="open a new one",
    )
    type: str = Field(description="A URI that names the kind of problem.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="This problem, and what to do about it.")
    code: str
    problem: str | None = Field(None, description="The value that was seen and the rule it breaks.")
    remedy: str | None = Field(None, description="What to do about it.")


class TimingsAnswer(BaseModel):
    """Milliseconds that a frame spent at the server."""

    model_config = example(
        decode_ms=2.1, queue_ms=0.1, prepare_ms=0.4, model_ms=8.7, finish_ms=0.2, total_ms=11.6
    )
    decode_ms: float
    queue_ms: float
    prepare_ms: float
    model_ms: float
    finish_ms: float
    total_ms: float = Field(description="From receiving the frame until its answer was there.")


class FrameAnswer(BaseModel):
    """What a frame came to. Beside these members are those of its kind; docs/wire.md has them."""

    model_config = ConfigDict(extra="allow") | example(
        session=ID, index=1, kind="track", box=[241.5, 161.0, 80.0, 60.0], score=0.93, status="tracking",
        dropped=0, timings={"decode_ms": 2.1, "queue_ms": 0.1, "prepare_ms": 0.4, "model_ms": 8.7,
                            "finish_ms": 0.2, "total_ms": 11.6},
    )  # fmt: skip
    session: str
    index: int = Field(description="The frame's number.")
    kind: str = Field(description="track, classification, made, output, or the class of a task of one's own.")
    dropped: int = Field(description="Frames of this session that were dropped since the last answer.")
    timings: TimingsAnswer


class SessionAnswer(BaseModel):
    """An open session."""

    model_config = example(
        session=ID, model="tracker-nano", task="tracking", policy="WAIT", deadline_ms=100.0, queue=4,
        width=640, height=480, last_index=0, last_seconds=0.0, connected=False, restored=False,
        opened_at=1760000000.0, seconds_left=300.0,
    )  # fmt: skip
    session: str = Field(description="Its id.")
    model: str
    task: str
    policy: Literal["WAIT", "DROP_OLDEST", "DROP_LATEST"]
    deadline_ms: float
    queue: int = Field(description="Frames that may wait.")
    width: int | None = Field(description="Of its frames; null before the first one.")
    height: int | None
    last_index: int | None = Field(description="The number of the last frame that it took.")
    last_seconds: float | None = Field(description="The time of that frame in its video.")
    connected: bool = Field(description="Whether a stream is connected to it.")
    restored: bool = Field(description="Whether it comes from a snapshot.")
    opened_at: float = Field(description="Seconds since 1970.")
    seconds_left: float | None = Field(description="Until it ends if nothing is heard; null: it is in use.")


class SessionsAnswer(BaseModel):
    """The sessions that are open."""

    model_config = example(sessions=[], slots_used=0, slots_total=16)
    sessions: list[SessionAnswer]
    slots_used: int
    slots_total: int


class VideoAnswer(BaseModel):
    """A video as a job."""

    model_config = example(
        id=ID, task="tracking", model="tracker-nano", state="running", frames=120, frames_total=300,
        progress=0.4, attempts=1, created_at=1760000000.0, updated_at=1760000012.5, results=[], error=None,
        notes=[],
    )  # fmt: skip
    id: str
    task: str
    model: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    frames: int = Field(description="Frames done.")
    frames_total: int | None = Field(description="Frames to expect; null where the video does not say.")
    progress: float | None = Field(description="0 to 1; null where the video does not say how long it is.")
    attempts: int = Field(description="How often it was begun; more than 1 after a restart.")
    created_at: float = Field(description="Seconds since 1970.")
    updated_at: float
    results: list[str] = Field(description="What can be downloaded as /v1/videos/{id}/results/{name}.")
    error: Problem | None = Field(description="Why it failed.")
    notes: list[str] = Field(
        [],
        description="What the results lack of the video: that it ends early, or what was broken.",
    )


class VideosAnswer(BaseModel):
    """All jobs."""

    model_config = example(videos=[])
    videos: list[VideoAnswer]


class SourceAnswer(BaseModel):
    """A live source."""

    model_config = example(
        name="door", state="live", width=1280, height=720, frames=5120, fps=25.0, age_seconds=0.02,
        reconnects=1, viewers=2, session="source-door", targets=3, problem=None,
    )  # fmt: skip
    name: str
    state: Literal["connecting", "live", "away", "ended"]
    width: int | None
    height: int | None
    frames: int = Field(description="Frames received.")
    fps: float = Field(description="Frames a second, of late.")
    age_seconds: float | None = Field(description="Since the last frame came; null before the first.")
    reconnects: int
    viewers: int
    session: str | None = Field(description="The session that its frames go to; null: there is none.")
    targets: int | None = Field(
        None, description="How many it follows, lost ones too; null where no tracker has its frames."
    )
    problem: str | None = Field(description="Why it is away.")


class TargetAnswer(BaseModel):
    """A target that a live source follows."""

    model_config = example(id=3, box=BOX, score=0.93, status="tracking", label="person", looks=41, frame=5120)
    id: int = Field(description="Stable; never given twice in a scene.")
    box: list[float] = Field(description="x, y, width, height in pixels; of a lost one, where it would be.")
    score: float
    status: Literal["tracking", "uncertain", "lost"]
    label: str = Field(description="Its class, or name; empty where nobody said.")
    looks: int = Field(description="How often the model has looked at it.")
    frame: int | None = Field(description="The number of the frame that this is true of.")


class TargetsAnswer(BaseModel):
    """All targets of a live source, in the order of their ids."""

    model_config = example(targets=[])
    targets: list[TargetAnswer]


class DetectionsAnswer(BaseModel):
    """Detections that the next frame of a live source is met with."""

    model_config = example(frame=5120, detections=1)
    frame: int = Field(description="The number of the frame that they are of.")
    detections: int


class SourcesAnswer(BaseModel):
    """All live sources."""

    model_config = example(sources=[])
    sources: list[SourceAnswer]


class LogLevelAnswer(BaseModel):
    """What is logged."""

    model_config = example(level="info")
    level: str


class EventsAnswer(BaseModel):
    """What happened. Beside id, type, time and number, an event has what docs/operations.md says."""

    model_config = example(
        events=[{"id": ID, "type": "zone.entered", "time": 1760000000.0, "session": "source-door",
                 "zone": "gate", "model": "tracker-nano", "frame": 812, "box": BOX, "score": 0.93,
                 "number": 41}], last=41,
    )  # fmt: skip
    events: list[dict[str, Any]]
    last: int = Field(description="Ask for what comes after this.")


class ServerMetadata(BaseModel):
    """What KServe's v2 protocol tells of a server."""

    model_config = example(name="framestate", version="0.1.0", extensions=["sequence", "binary_tensor_data"])
    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """One tensor; -1 stands for a dimension that is not fixed."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What KServe's v2 protocol tells of a model, and its state."""

    model_config = example(
        name="tracker-nano", versions=["1"], platform="onnx_cpu", task="tracking", opens_on_frame=True,
        state_bytes=185344,
        inputs=[{"name": "search", "datatype": "FP32", "shape": [-1, 3, 192, 192]}],
        outputs=[{"name": "score", "datatype": "FP32", "shape": [-1, 1, 12, 12]}],
        sessions={"used": 1, "total": 16},
    )  # fmt: skip
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    task: str
    opens_on_frame: bool = Field(description="Whether a session opens on its first frame.")
    state_bytes: int = Field(description="Of one session; 0 where it goes by the size of the frames.")
    sessions: dict[str, int]


class Live(BaseModel):
    """The server runs."""

    live: bool


class Ready(BaseModel):
    """The server takes requests."""

    ready: bool


def session_answer(entry: Entry, hub: Hub) -> SessionAnswer:
    """A session as REST tells it."""
    options, clock, left = entry.session.options, entry.session.clock, entry.seconds_left(hub.settings)
    return SessionAnswer(
        session=entry.id,
        model=entry.model,
        task=hub.task(entry).name,
        policy=str(options.policy),  # type: ignore[arg-type]
        deadline_ms=options.deadline_ms,
        queue=options.queue,
        width=None if clock is None else clock.width,
        height=None if clock is None else clock.height,
        last_index=entry.last_index,
        last_seconds=None if clock is None else clock.seconds,
        connected=entry.connection is not None,
        restored=entry.restored,
        opened_at=entry.opened_at,
        seconds_left=None if left == float("inf") else left,
    )
