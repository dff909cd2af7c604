"""The job's state machine: one enum a level, and the only transitions there are."""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """State of a job."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ImageStatus(StrEnum):
    """State of one image of a job. ``queued`` again after a transient failure or a lost lease."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE = (JobStatus.QUEUED, JobStatus.PROCESSING)
TERMINAL = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
LIVE_IMAGE = (ImageStatus.QUEUED, ImageStatus.PROCESSING)
DONE_IMAGE = (ImageStatus.COMPLETED, ImageStatus.FAILED)

TRANSITIONS: dict[JobStatus, tuple[JobStatus, ...]] = {
    JobStatus.QUEUED: (JobStatus.PROCESSING, JobStatus.FAILED, JobStatus.CANCELLED),
    JobStatus.PROCESSING: TERMINAL,
    JobStatus.COMPLETED: (),
    JobStatus.FAILED: (),
    JobStatus.CANCELLED: (),
}


class EventType(StrEnum):
    """Names of server-sent events. All but ``stage.progress`` are durable rows."""

    JOB_QUEUED = "job.queued"
    JOB_PROCESSING = "job.processing"
    STAGE_PROGRESS = "stage.progress"
    IMAGE_COMPLETED = "image.completed"
    IMAGE_FAILED = "image.failed"
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"


TERMINAL_EVENTS = frozenset({EventType.JOB_COMPLETED, EventType.JOB_FAILED, EventType.JOB_CANCELLED})
