"""GET /jobs/{id}/events: a job as server-sent events."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from sqlalchemy import select

from app.blueprint import Blueprint
from app.errors import TallyError
from app.events.stream import hub
from app.extensions import config, db
from app.jobs.models import Job
from app.jobs.states import TERMINAL

blp = Blueprint("events", __name__, description="Follow a job live.")

MAX_DIGITS = 100
_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "Number of the last event received; what came after it is sent first.",
    "schema": {"type": "integer", "minimum": 0},
}
_LAST_EVENT_ID_QUERY = _LAST_EVENT_ID | {"name": "last_event_id", "in": "query"}
_STREAM: dict[str, Any] = {
    "description": "The events, as they happen.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": "retry: 2000\n\nid: 3\nevent: image.completed\n"
            'data: {"job_id":"job_01jz","status":"processing","processed_images":1,"count":24}\n\n',
        }
    },
}


@blp.route("/jobs/<string:job_id>/events", methods=["GET"])
@blp.doc(
    operationId="followJob",
    parameters=[_LAST_EVENT_ID, _LAST_EVENT_ID_QUERY],
    responses={
        "200": _STREAM,
        "204": {"description": "The job has ended and there is nothing the client has not seen."},
    },
)
@blp.fails_with("JOB_NOT_FOUND")
def follow_job(job_id: str) -> Response:
    """Follow a job as server-sent events.

    Durable events carry an `id`; a client that comes back with `Last-Event-ID` misses none. `stage.progress`
    comes at most four times a second and has no id. The stream ends after `job.completed`, `job.failed` or
    `job.cancelled`; a stream that ends without one was cut off and should be opened again.
    """
    job = db.session.execute(select(Job.status, Job.event_seq).where(Job.id == job_id)).first()
    if job is None:
        raise TallyError("JOB_NOT_FOUND", f"there is no job {job_id}")
    after = min(_last_event_id(), job.event_seq)
    follower = hub().follow(job_id, after)
    db.session.remove()  # a stream may wait for hours: it must not keep a connection
    if job.status in TERMINAL and follower.last_seq == after:
        hub().leave(follower)
        return Response(status=204)
    response = Response(follower.frames(config().sse_heartbeat_s), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    leave = hub().leave
    response.call_on_close(lambda: leave(follower))
    return response


def _last_event_id() -> int:
    """Return the number the client has seen last, 0 for none; the header wins, as browsers send it."""
    text = request.headers.get("Last-Event-ID") or request.args.get("last_event_id") or "0"
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS:
        raise TallyError("INVALID_REQUEST", f"Last-Event-ID: want a number, got {text[:40]!r}")
    return int(text)
