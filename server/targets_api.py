"""`/v1/sources/{name}/targets`: many targets of a live source, put right and ended one by one"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from ..engine.scene import Known
from ..errors import OptionError
from ..vision import parse_box
from ..wire import MAX_INTEGER
from .documents import problems
from .hub import Hub
from .schemas import TargetAnswer, TargetsAnswer
from .sessions_api import BOX_PATTERN, Options, options_in
from .source import Source
from .source_names import SourceName
from .sources import Sources
from .zones import split_zones

TargetId = Annotated[int, Path(ge=1, le=MAX_INTEGER, description="The target's id.", examples=[1])]
Region = Annotated[
    str,
    Query(
        description="Where the target is: x,y,width,height in pixels.",
        pattern=BOX_PATTERN,
        examples=["240,160,80,60"],
    ),
]
Index = Annotated[
    int | None,
    Query(ge=0, le=MAX_INTEGER, description="Of the frame the box is in; the newest without. GET .../frame."),
]


def targets_api(hub: Hub, sources: Sources) -> APIRouter:
    """The routes, over the sources."""
    api = APIRouter(prefix="/v1/sources/{name}/targets", tags=["sources"])

    @api.get("", responses=problems(404, 422))
    async def list_targets(name: SourceName) -> TargetsAnswer:
        """What the source follows, lost ones too."""
        source = sources.get(name)
        return TargetsAnswer(targets=[told(source, one) for one in source.targets.all()])

    @api.post("", status_code=201, responses=problems(404, 409, 422, 503))
    async def add_target(
        name: SourceName,
        box: Region,
        response: Response,
        label: Annotated[str, Query(max_length=64, description="What to call it.")] = "",
        index: Index = None,
        model: Annotated[
            str | None, Query(max_length=200, description="Of the first one; without it, the first tracker.")
        ] = None,
        options: Options = "{}",
    ) -> TargetAnswer:
        """Follow one target more. Zones among the options take the place of the source's, for all targets."""
        hub.check_running()
        source = sources.get(name)
        given, zones = split_zones(asked := options_in(options, None))
        if given:
            raise OptionError(f"a target has no option {next(iter(given))[:40]!r}", "it may have zones")
        found = await source.targets.add(
            model, parse_box(box).xywh, label, index, zones if "zones" in asked else None
        )
        root = hub.settings.root_path.rstrip("/")
        response.headers["location"] = f"{root}/v1/sources/{name}/targets/{found.number}"
        return told(source, found)

    @api.patch("/{target}", responses=problems(404, 422, 503))
    async def correct_target(
        name: SourceName, target: TargetId, box: Region, index: Index = None
    ) -> TargetAnswer:
        """Put right where a target is; it keeps its id. From an earlier frame on it is searched for."""
        hub.check_running()
        source = sources.get(name)
        return told(source, await source.targets.correct(target, parse_box(box).xywh, index))

    @api.delete("/{target}", status_code=204, responses=problems(404, 422), response_class=Response)
    async def end_target(name: SourceName, target: TargetId) -> Response:
        """Follow a target no longer; its id is not given again."""
        await sources.get(name).targets.end(target)
        return Response(status_code=204)

    return api


def told(source: Source, known: Known) -> TargetAnswer:
    """A target as REST tells it."""
    return TargetAnswer(
        id=known.number,
        box=list(known.box.xywh),
        score=known.score,
        status=known.status,
        label=known.label,
        looks=known.looks,
        frame=None if source.entry is None else source.entry.last_index,
    )
