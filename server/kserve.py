"""KServe v2: is the server well, and what does it run; beside it ``/healthz`` and ``/metrics``."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Path, Response

from ..engine import Engine
from .documents import described, problems
from .hub import Hub
from .metrics import CONTENT_TYPE
from .schemas import Live, ModelMetadata, Ready, ServerMetadata, TensorMetadata

ModelName = Annotated[str, Path(max_length=200, description="The model's name.", examples=["tracker-nano"])]
DATATYPES = {"float32": "FP32", "float16": "FP16", "int64": "INT64", "int32": "INT32", "uint8": "UINT8"}


def kserve_api(hub: Hub) -> APIRouter:
    """The routes, over a hub."""
    api = APIRouter(tags=["server"])

    @api.get("/v2/health/live", responses=problems())
    async def live() -> Live:
        """The process answers."""
        return Live(live=True)

    @api.get("/v2/health/ready", responses=problems(503))
    async def ready() -> Ready:
        """Every engine works, and the server is not stopping; 503 otherwise."""
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
        extensions = ["framestate_sessions", "framestate_streams", "framestate_videos"]
        return ServerMetadata(name="framestate", version=version("framestate"), extensions=extensions)

    @api.get("/v2/models/{model}", responses=problems(404))
    async def model_metadata(model: ModelName) -> ModelMetadata:
        """A model: what its step takes and gives, and what a session of it holds."""
        name, engine = hub.engine(model)
        return metadata(name, engine)

    @api.get("/v2/models/{model}/ready", responses=problems(404, 503))
    async def model_ready(model: ModelName) -> Ready:
        """A model takes frames."""
        hub.engine(model)
        hub.probe()
        return Ready(ready=True)

    @api.get(
        "/metrics",
        response_class=Response,
        responses=described(200, "Prometheus' text form.", "text/plain") | problems(),
    )
    async def metrics() -> Response:
        """Every number that the server counts, for Prometheus."""
        return Response(hub.metrics.render(), media_type=CONTENT_TYPE)

    return api


def metadata(name: str, engine: Engine) -> ModelMetadata:
    """A model as KServe tells it."""
    spec = engine.runtime.spec
    step = spec.functions.get("step") or spec.functions.get("interpolate")

    def tensors(specs: object) -> list[TensorMetadata]:
        return [
            TensorMetadata(
                name=one.name,
                datatype=DATATYPES.get(one.dtype, one.dtype.upper()),
                shape=[size if isinstance(size, int) else -1 for size in one.shape],
            )
            for one in (specs or ())  # type: ignore[attr-defined]
        ]

    return ModelMetadata(
        name=name,
        versions=["1"],
        platform=f"{engine.runtime.name}_{engine.runtime.device}",
        inputs=tensors(step.inputs if step else ()),
        outputs=tensors(step.outputs if step else ()),
        task=spec.task,
        state_bytes=engine.capacity.state_bytes if spec.is_sized else 0,  # else it goes by the frames
        sessions={"used": engine.slots.num_used, "total": engine.slots.capacity},
    )
