"""`/v1/sessions`: opening, asking, ending, single frames, snapshots."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response

from ..errors import FrameError, OptionError, TooManyError, WireError
from ..vision import Frame, Image, parse_box
from ..wire import MAX_INTEGER
from ..wire.format import parse_object
from .bodies import read_body, refuse_body
from .documents import binary_body, described, problems
from .entry import Entry
from .frame_answers import MULTIPART, Pictures, answer_of
from .hub import Hub
from .live_scene import LiveScene
from .options import checked
from .pictures import Decoder
from .schemas import FrameAnswer, SessionAnswer, SessionsAnswer, session_answer
from .zones import split_zones

SNAPSHOT_TYPE = "application/octet-stream"
IMAGES = ("image/jpeg", "image/png", "image/webp")

SessionId = Annotated[
    str, Path(pattern="^[A-Za-z0-9_-]{1,64}$", description="The session's id.", examples=["my-session"])
]
BOX_PATTERN = r"^-?[0-9.]{1,24},-?[0-9.]{1,24},[0-9.]{1,24},[0-9.]{1,24}$"
Box = Annotated[
    str | None,
    Query(
        description="The target in the picture: x,y,width,height in pixels.",
        pattern=BOX_PATTERN,
        examples=["240,160,80,60"],
    ),
]
Options = Annotated[
    str,
    Query(
        description='What the model takes by its task, as a JSON object: of an interpolator, {"factor": 2}.',
        max_length=4096,
        examples=["{}"],
    ),
]
Pts = Annotated[
    int | None,
    Query(ge=0, le=MAX_INTEGER, description="The frame's time in ticks; without it, 1/25 s after the last."),
]
TimeBase = Annotated[
    str | None,
    Query(
        pattern="^[1-9][0-9]{0,8}/[1-9][0-9]{0,8}$",
        description="Seconds a tick, as a fraction; without it, that of the last frame, or 1/1000.",
        examples=["1/30"],
    ),
]
Index = Annotated[
    int | None,
    Query(ge=0, le=MAX_INTEGER, description="The frame's number; without it, one more than the last."),
]
Policy = Annotated[
    Literal["WAIT", "DROP_OLDEST", "DROP_LATEST"],
    Query(description="What happens to a frame that finds the session's queue full."),
]


def sessions_api(hub: Hub, decoder: Decoder) -> APIRouter:
    """The routes, over a hub."""
    api = APIRouter(prefix="/v1/sessions", tags=["sessions"])
    settings = hub.settings

    async def picture(request: Request) -> tuple[Image, float]:
        return await decoder.decode(await read_body(request, settings.max_frame_bytes, settings.body_s))

    @api.post(
        "",
        status_code=201,
        response_model=SessionAnswer,
        responses=problems(400, 404, 408, 409, 413, 422, 503),
        openapi_extra=binary_body(
            "The first frame, where the task opens on one: a JPEG, PNG or WebP image.",
            *IMAGES,
            required=False,
        ),
    )
    async def open_session(
        request: Request,
        response: Response,
        box: Box = None,
        options: Options = "{}",
        model: Annotated[str | None, Query(max_length=200, description="Without it, the first one.")] = None,
        task: Annotated[
            str | None, Query(max_length=200, description="The first model of this task, without a model.")
        ] = None,
        policy: Policy = "WAIT",
        deadline_ms: Annotated[
            float,
            Query(gt=0, le=3.6e6, allow_inf_nan=False, description="How soon a frame wants its answer."),
        ] = 100.0,
        queue: Annotated[int, Query(ge=1, le=256, description="Frames that may wait.")] = 4,
        pts: Pts = None,
        time_base: TimeBase = None,
        index: Index = None,
        x_session_id: Annotated[
            str | None,
            Header(pattern="^[A-Za-z0-9_-]{1,64}$", description="The id to give it; drawn without."),
        ] = None,
    ) -> SessionAnswer:
        """Open a session: of a tracker, to follow what the box holds in the picture of the body."""
        given = options_in(options, box)
        hub.check_running()
        name, engine = hub.engine(model, task)
        checked(engine, split_zones(given)[0])
        first = None
        if engine.task.opens_on_frame:
            image, _ = await picture(request)
            first = timed(image, None, pts, time_base, index)
        else:
            await refuse_body(
                request, settings.body_s, f"a session of {engine.task.name} opens without a picture",
                "send every picture to its /frames",
            )  # fmt: skip
        entry = await hub.open(
            first, model=name, key=x_session_id, options=given, policy=policy, deadline_ms=deadline_ms,
            queue=queue,
        )  # fmt: skip
        response.headers["location"] = f"/v1/sessions/{entry.id}"
        response.headers["x-session-id"] = entry.id
        return session_answer(entry, hub)

    @api.get("", responses=problems())
    async def list_sessions() -> SessionsAnswer:
        """The sessions that are open."""
        engines = hub.engines.values()
        return SessionsAnswer(
            sessions=[session_answer(entry, hub) for entry in hub.entries()],
            slots_used=sum(engine.slots.num_used for engine in engines),
            slots_total=sum(engine.slots.capacity for engine in engines),
        )

    @api.get("/{session_id}", responses=problems(404, 422))
    async def read_session(session_id: SessionId, response: Response) -> SessionAnswer:
        """One session."""
        response.headers["x-session-id"] = session_id
        return session_answer(hub.get(session_id), hub)

    @api.delete("/{session_id}", status_code=204, responses=problems(404, 422), response_class=Response)
    async def end_session(session_id: SessionId) -> Response:
        """End a session and free its slot. A stream that is connected to it is closed."""
        hub.end(hub.get(session_id), "deleted")
        return Response(status_code=204, headers={"x-session-id": session_id})

    @api.post(
        "/{session_id}/frames",
        response_model=FrameAnswer,
        responses=described(200, "The answer; with pictures, in parts.", MULTIPART)
        | problems(400, 404, 408, 409, 413, 422, 429, 500, 503),
        openapi_extra=binary_body("The next frame: one JPEG, PNG or WebP image.", *IMAGES),
    )
    async def send_frame(
        session_id: SessionId,
        request: Request,
        pts: Pts = None,
        time_base: TimeBase = None,
        index: Index = None,
        encoding: Annotated[
            Literal["jpeg", "png", "webp"], Query(description="Of the pictures of the answer.")
        ] = "jpeg",
        quality: Annotated[int, Query(ge=1, le=100, description="Of those that are jpeg or webp.")] = 90,
    ) -> Response:
        """What the next frame comes to. Frames come in order.

        The answer is a JSON object. Where it has pictures, or tensors too large for JSON, it is
        multipart/mixed: the JSON object first, then each of them as a part of its own, in order.
        """
        hub.check_running()
        rate = hub.get(session_id).rate
        if rate is not None and not rate.allows():
            limit = f"more than {rate.per_second:g} frames came in a second"
            raise TooManyError(limit, "send more slowly")
        received = time.monotonic()
        image, decode = await picture(request)
        entry = hub.get(session_id)
        frame = timed(image, entry, pts, time_base, index)
        answer = await hub.submit(entry, frame, received, decode)
        number = entry.last_index if answer is None else getattr(answer, "frame_index", entry.last_index)
        wanted = Pictures(encoding, quality)
        return await asyncio.to_thread(answer_of, entry, number or 0, answer, wanted)

    @api.post(
        "/{session_id}/correction",
        response_model=FrameAnswer,
        responses=problems(400, 404, 409, 422, 500, 503),
    )
    async def correct(
        session_id: SessionId,
        box: Annotated[
            str,
            Query(
                description="Where the target is in the frame that was answered last: x,y,width,height.",
                pattern=BOX_PATTERN,
                examples=["240,160,80,60"],
            ),
        ],
    ) -> Response:
        """Put right where the target is. The session keeps its id; its filter follows at once, its template
        with the next frame. It goes before frames that wait."""
        hub.check_running()
        entry = hub.get(session_id)
        answer = await asyncio.wrap_future(entry.session.correct_nowait(parse_box(box).xywh))
        return await asyncio.to_thread(answer_of, entry, answer.frame_index, answer, Pictures())

    @api.get(
        "/{session_id}/snapshot",
        response_class=Response,
        responses=described(200, "The session as one blob.", SNAPSHOT_TYPE) | problems(404, 409, 422),
    )
    async def take_snapshot(session_id: SessionId) -> Response:
        """The session as one blob, from which it goes on at another time, or in another process."""
        entry = hub.get(session_id)
        blob = await asyncio.wrap_future(entry.session.snapshot_nowait())
        return Response(blob, media_type=SNAPSHOT_TYPE, headers={"x-session-id": entry.id})

    @api.put(
        "/{session_id}/snapshot",
        response_model=SessionAnswer,
        responses=problems(400, 404, 408, 409, 413, 422, 503)
        | described(201, "It was restored as a new session.", model=SessionAnswer),
        openapi_extra=binary_body("A blob that GET gave.", SNAPSHOT_TYPE),
    )
    async def restore_snapshot(
        session_id: SessionId,
        request: Request,
        response: Response,
        model: Annotated[str | None, Query(max_length=200, description="Without it, the blob's own.")] = None,
    ) -> SessionAnswer:
        """Go on from a blob: a session that is open goes back to it (200), another is made of it (201)."""
        hub.check_running()
        limit = max(engine.most_snapshot_bytes for engine in hub.engines.values())
        entry = hub.find(session_id)
        held: object = None if entry is None else entry.session
        limit = held.most_snapshot_bytes if isinstance(held, LiveScene) else limit
        blob = await read_body(request, limit, settings.body_s)
        entry, is_new = await hub.put(session_id, blob, model)
        response.status_code = 201 if is_new else 200
        response.headers["x-session-id"] = entry.id
        return session_answer(entry, hub)

    return api


def options_in(text: str, box: str | None) -> dict[str, Any]:
    """What a session is to be opened with, from a query. Raises OptionError, BoxError."""
    try:
        given = parse_object(text, 4096)
    except WireError as error:
        raise OptionError(f"the options cannot be read ({error.problem})", "give a JSON object") from error
    return given if box is None else given | {"box": parse_box(box).xywh}


def timed(
    image: Image, entry: Entry | None, pts: int | None, time_base: str | None, index: int | None
) -> Frame | Image:
    """An image with the time and number that a request gives it; without any, the engine chooses both."""
    if pts is None and index is None and time_base is None:
        return image
    clock = entry.session.clock if entry else None
    base = Fraction(time_base) if time_base else clock.time_base if clock else Fraction(1, 1000)
    if pts is None:
        raise FrameError("the frame has a time base or a number, and no pts", "send pts with it")
    number = index if index is not None else clock.index + 1 if clock else 0
    return Frame(image, pts, base, number)
