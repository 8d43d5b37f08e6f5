"""`/v1/videos`: whole files in, jobs with progress, results out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse

from ..vision import parse_box
from .documents import binary_body, described, problems
from .hub import Hub
from .jobs import Job
from .options import checked
from .problems import status_of
from .schemas import Problem, VideoAnswer, VideosAnswer
from .sessions_api import Options, options_in
from .videos import Videos

VideoId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="The video's id.")]
VIDEO = "application/octet-stream"
MOST_TARGETS = 16
MEDIA_TYPES = {".csv": "text/csv", ".mp4": "video/mp4", ".jsonl": "application/x-ndjson"}


def videos_api(hub: Hub, videos: Videos) -> APIRouter:
    """The routes, over the jobs."""
    api = APIRouter(prefix="/v1/videos", tags=["videos"])

    @api.post(
        "",
        status_code=202,
        response_model=VideoAnswer,
        responses=problems(400, 404, 408, 413, 422, 429, 503, 507),
        openapi_extra=binary_body("The video file: mp4, mkv, webm, avi, mov ...", VIDEO, "video/mp4"),
    )
    async def upload_video(
        request: Request,
        response: Response,
        box: Annotated[
            list[str] | None,
            Query(
                description="A target in the first frame, x,y,width,height in pixels; again for each more.",
                max_length=MOST_TARGETS,
                examples=[["240,160,80,60"]],
            ),
        ] = None,
        options: Options = "{}",
        task: Annotated[
            str | None, Query(max_length=200, description="The first model of this task, without a model.")
        ] = None,
        model: Annotated[str | None, Query(max_length=200, description="Without it, the first one.")] = None,
        annotate: Annotated[bool, Query(description="Also make a video with the boxes drawn in.")] = False,
        factor: Annotated[
            int | None,
            Query(ge=2, le=64, description="Frames for each, of interpolation; among the options."),
        ] = None,
    ) -> VideoAnswer:
        """Upload a video; it is worked on as soon as those before it are done."""
        hub.check_running()
        name, engine = hub.engine(model, task)
        boxes = [parse_box(text) for text in box or ()]
        given = options_in(options, None) | ({} if factor is None else {"factor": factor})
        for opened in [{**given, "box": one.xywh} for one in boxes] or [given]:
            checked(engine, opened)
        asked = {"boxes": [one.xywh for one in boxes], "annotate": annotate, "options": given}
        job = await videos.add(request, engine.task.name, name, asked, boxes)
        response.headers["location"] = f"/v1/videos/{job.id}"
        return answer(job)

    @api.get("", responses=problems())
    async def list_videos() -> VideosAnswer:
        """All videos, the oldest first."""
        return VideosAnswer(videos=[answer(job) for job in videos.all()])

    @api.get("/{video_id}", responses=problems(404, 422))
    async def read_video(video_id: VideoId) -> VideoAnswer:
        """How far a video is."""
        return answer(videos.get(video_id))

    @api.post("/{video_id}/cancel", responses=problems(404, 409, 422))
    async def cancel_video(video_id: VideoId) -> VideoAnswer:
        """Stop the work on a video; its record stays."""
        return answer(videos.cancel(video_id))

    @api.delete("/{video_id}", status_code=204, responses=problems(404, 422), response_class=Response)
    async def delete_video(video_id: VideoId) -> Response:
        """Delete a video and its results, and stop the work on it."""
        await videos.remove(video_id)
        return Response(status_code=204)

    @api.get(
        "/{video_id}/results/{name}",
        response_class=FileResponse,
        responses=described(200, "The file.", VIDEO) | problems(404, 422),
    )
    async def download_result(
        video_id: VideoId,
        name: Annotated[
            str, Path(max_length=80, description="One of the job's results.", examples=["boxes.csv"])
        ],
    ) -> FileResponse:
        """Download a result, such as boxes.csv, labels.csv, interpolated.mp4 or values.jsonl."""
        path = videos.result(video_id, name)
        media_type = MEDIA_TYPES.get(path.suffix, VIDEO)
        return FileResponse(path, media_type=media_type, filename=name)

    return api


def answer(job: Job) -> VideoAnswer:
    """A job as REST tells it."""
    problem = None
    if job.error is not None:
        from .. import errors

        kind = getattr(errors, job.error["code"], errors.FramestateError)
        problem = Problem(
            type=f"urn:framestate:problem:{kind.__name__}",
            title=(kind.__doc__ or "").splitlines()[0],
            status=status_of(kind),
            detail=f"{job.error['problem']}. {job.error['remedy']}",
            code=kind.__name__,
            problem=job.error["problem"],
            remedy=job.error["remedy"],
        )
    return VideoAnswer(
        id=job.id,
        task=job.task,
        model=job.model,
        state=job.state,
        frames=job.frames,
        frames_total=job.total,
        progress=min(1.0, job.frames / job.total) if job.total else None,
        attempts=job.attempts,
        created_at=job.created,
        updated_at=job.updated,
        results=list(job.results),
        error=problem,
        notes=list(job.notes),
    )
