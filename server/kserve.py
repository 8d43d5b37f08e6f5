"""KServe v2: is the server well, what does it run, raw ``infer``; and ``/healthz`` and ``/metrics``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from importlib.metadata import version as version_of
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .bodies import read_body
from .documents import binary_body, described, problems
from .hub import Hub
from .infer import DATATYPES, HEADER, parse, told
from .infer_schema import REQUEST
from .metrics import CONTENT_TYPE
from .schemas import Live, ModelMetadata, Ready, ServerMetadata, TensorMetadata
from .sequences import Sequences

ModelName = Annotated[str, Path(max_length=200, description="The model's name.", examples=["tracker-nano"])]
EXTENSIONS = ["sequence", "binary_tensor_data", "model_configuration", "model_repository", "statistics",
              "framestate_sessions", "framestate_streams", "framestate_videos"]  # fmt: skip
KINDS = ("application/json", "application/octet-stream")
_VERSIONED = re.compile(r"(/v2/models/[^/]+)/versions/1(/.*)?")


class Versions:
    """ASGI middleware: every model has the version 1, and only that."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes the version out of a path."""
        found = _VERSIONED.fullmatch(scope.get("path", ""))
        if found is not None:
            scope = {**scope, "path": found[1] + (found[2] or "")}
        await self.app(scope, receive, send)


def kserve_api(hub: Hub) -> APIRouter:
    """The routes, over a hub."""
    api = APIRouter(tags=["server"])
    sequences = {name: Sequences(engine, hub.settings.idle_s) for name, engine in hub.engines.items()}

    @api.get("/v2/health/live", responses=problems())
    async def live() -> Live:
        """The process answers."""
        return Live(live=True)

    @api.get("/v2/health/ready", responses=problems(503))
    async def ready() -> Ready:
        """Every engine answered lately, and the server is not stopping; 503 otherwise."""
        hub.probe()
        return Ready(ready=True)

    @api.get("/healthz", responses=problems(503))
    async def healthz() -> Ready:
        """The same for orchestrators that know no KServe: 503 when the engine is broken."""
        hub.probe()
        return Ready(ready=True)

    @api.get("/v2", responses=problems())
    async def server() -> ServerMetadata:
        """The server."""
        return ServerMetadata(name="framestate", version=version_of("framestate"), extensions=EXTENSIONS)

    @api.get("/v2/models/stats", responses=problems())
    async def all_statistics() -> dict[str, Any]:
        """What the requests to ``infer`` came to, of each model."""
        return {"model_stats": [statistics(name, one) for name, one in sequences.items()]}

    @api.post("/v2/repository/index", responses=problems(422))
    async def repository() -> list[dict[str, str]]:
        """The models that can be asked. None can be loaded or unloaded."""
        return [{"name": name, "version": "1", "state": "READY", "reason": ""} for name in hub.engines]

    @api.get("/v2/models/{model}", responses=problems(404, 422))
    async def model_metadata(model: ModelName) -> ModelMetadata:
        """A model: what its step takes and gives, and what a session of it holds."""
        name, _ = hub.engine(model)
        return metadata(name, sequences[name])

    @api.get("/v2/models/{model}/ready", responses=problems(404, 422, 503))
    async def model_ready(model: ModelName) -> Ready:
        """A model takes frames."""
        hub.engine(model)
        hub.probe()
        return Ready(ready=True)

    @api.get("/v2/models/{model}/config", responses=problems(404, 422))
    async def model_config(model: ModelName) -> dict[str, Any]:
        """A model's configuration, in the form of Triton's."""
        name, _ = hub.engine(model)
        return configuration(name, sequences[name])

    @api.get("/v2/models/{model}/stats", responses=problems(404, 422))
    async def model_statistics(model: ModelName) -> dict[str, Any]:
        """What the requests to ``infer`` came to."""
        name, _ = hub.engine(model)
        return {"model_stats": [statistics(name, sequences[name])]}

    @api.post(
        "/v2/models/{model}/infer",
        response_class=Response,
        responses=described(200, "JSON, and after it the outputs that were asked for as bytes.", *KINDS)
        | problems(400, 404, 408, 413, 422, 500, 503),
        openapi_extra=binary_body(
            "JSON, and after it tensors as bytes, where a header says where they begin.",
            *KINDS,
            schemas={KINDS[0]: dict(REQUEST)},
        ),
    )
    async def infer(request: Request, model: ModelName) -> Response:
        """Run a model's step on raw tensors.

        The parameters ``sequence_id``, ``sequence_start`` and ``sequence_end`` carry its state from request
        to request; ``function`` names another function than its step; ``carry`` is a JSON object of state
        tensors that are taken from others before it. Without a sequence, state is zero.
        """
        hub.check_running()
        name, _ = hub.engine(model)
        body = await read_body(request, hub.settings.max_frame_bytes, hub.settings.body_s)
        asked = await asyncio.to_thread(parse, body, request.headers.get(HEADER))
        outputs = await sequences[name].run(
            asked.inputs, asked.function, asked.sequence,
            start=asked.start, end=asked.end, carry=asked.carry,
        )  # fmt: skip
        answer = await asyncio.to_thread(told, asked, name, outputs)
        if answer.json_bytes is None:
            return Response(answer.body, media_type=KINDS[0])
        return Response(answer.body, media_type=KINDS[1], headers={HEADER: str(answer.json_bytes)})

    @api.get(
        "/metrics",
        response_class=Response,
        responses=described(200, "Prometheus' text form.", "text/plain") | problems(),
    )
    async def metrics() -> Response:
        """Every number that the server counts, for Prometheus."""
        return Response(hub.metrics.render(), media_type=CONTENT_TYPE)

    return api


def tensors(specs: Iterable[Any]) -> list[TensorMetadata]:
    """Tensors as KServe tells them."""
    return [
        TensorMetadata(
            name=one.name,
            datatype=DATATYPES.get(one.dtype, one.dtype.upper()),
            shape=[size if isinstance(size, int) else -1 for size in one.shape],
        )
        for one in specs
    ]


def metadata(name: str, sequences: Sequences) -> ModelMetadata:
    """A model as KServe tells it."""
    engine = sequences.engine
    spec = engine.runtime.spec
    function = spec.functions[sequences.main]
    return ModelMetadata(
        name=name,
        versions=["1"],
        platform=f"{engine.runtime.name}_{engine.runtime.device}",
        inputs=tensors(function.inputs),
        outputs=tensors(function.outputs),
        task=engine.task.name,
        opens_on_frame=engine.task.opens_on_frame,
        state_bytes=spec.fixed_state_bytes or 0,
        sessions={"used": engine.slots.num_used, "total": engine.slots.capacity},
    )


def configuration(name: str, sequences: Sequences) -> dict[str, Any]:
    """A model's configuration as Triton tells it; batches are an axis of the tensors."""
    known = metadata(name, sequences)

    def described_as(one: TensorMetadata) -> dict[str, Any]:
        return {"name": one.name, "data_type": f"TYPE_{one.datatype}", "dims": one.shape}

    table = {
        "name": name,
        "platform": known.platform,
        "backend": "framestate",
        "max_batch_size": 0,
        "input": [described_as(one) for one in known.inputs],
        "output": [described_as(one) for one in known.outputs],
    }
    if sequences.engine.runtime.spec.state:
        idle = round(1e6 * sequences.idle_s)
        table["sequence_batching"] = {"direct": {}, "max_sequence_idle_microseconds": idle}
    return table


def statistics(name: str, sequences: Sequences) -> dict[str, Any]:
    """A model's counters as Triton tells them."""
    seen = sequences.statistics
    compute = max(0, seen.good_ns - seen.queue_ns)
    return {
        "name": name,
        "version": "1",
        "last_inference": seen.last_ms,
        "inference_count": seen.good,
        "execution_count": seen.good,
        "inference_stats": {
            "success": {"count": seen.good, "ns": seen.good_ns},
            "fail": {"count": seen.failed, "ns": seen.failed_ns},
            "queue": {"count": seen.good, "ns": seen.queue_ns},
            "compute_input": {"count": seen.good, "ns": 0},
            "compute_infer": {"count": seen.good, "ns": compute},
            "compute_output": {"count": seen.good, "ns": 0},
        },
        "batch_stats": [],
    }
