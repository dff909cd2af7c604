"""Tables of the work: jobs, their images, and the keys that make a repeated POST harmless."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.columns import ID, LOCAL_OWNER, Base, UTCDateTime, utcnow
from app.ids import new_id
from app.jobs.states import ImageStatus, JobStatus
from app.uploads.models import Image


def _one_of(column: str, values: type[JobStatus] | type[ImageStatus]) -> str:
    return f"{column} IN ({', '.join(repr(v.value) for v in values)})"


class Job(Base):
    """Count ``type`` in some images. The row is the truth about the job.

    Attributes:
        config: the request's ``config`` (docs/settings.md), validated; changed by a recount.
        engine_key: images of jobs with one key may share a micro-batch.
        partial: completed, but at least one image failed.
        retry_of: the job whose unfinished images this one repeats.
        event_seq: number of the job's last durable event; raised in the transaction that writes it.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(_one_of("status", JobStatus), name="status"),
        Index("ix_jobs_status_created", "status", "created_at"),
        Index("ix_jobs_owner_created", "owner_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=lambda: new_id("job"))
    owner_id: Mapped[str] = mapped_column(ID, default=LOCAL_OWNER)
    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id"), index=True)
    type: Mapped[str] = mapped_column(String(100))
    config: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    engine_key: Mapped[str] = mapped_column(String(64))
    priority: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(16), default=JobStatus.QUEUED)
    total_images: Mapped[int]
    partial: Mapped[bool] = mapped_column(default=False)
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_message: Mapped[str | None] = mapped_column(Text)
    retry_of: Mapped[str | None] = mapped_column(ID)
    request_id: Mapped[str | None] = mapped_column(String(64))
    event_seq: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    completed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    images: Mapped[list[JobImage]] = relationship(
        back_populates="job", order_by="JobImage.position", cascade="all, delete-orphan"
    )


class JobImage(Base):
    """One image of one job: the unit of work, of leases and of results.

    Attributes:
        attempts: how often a worker has started on it. available_at: not before this time.
        lease_owner, lease_until: the worker that has it, and until when without a heartbeat.
        stage, progress: last heartbeat's stage and share of the image done, in [0, 1].
        count: objects counted now (candidates and human edits). human_count: a bare number a human
            gave; it wins over ``count``.
        result: ``CountResult.to_json()`` of the worker or of the last recount, and ``facts_of`` its
            candidates.
        candidates_key: storage key of the stored candidates.
        version: raised by every change of the result; human corrections must name it.
        pictures_version: version the overlay files show; smaller than ``version`` while re-rendering.
    """

    __tablename__ = "job_images"
    __table_args__ = (
        UniqueConstraint("job_id", "image_id"),
        CheckConstraint(_one_of("status", ImageStatus), name="status"),
        Index("ix_job_images_claim", "status", "engine_key", "available_at"),
        Index("ix_job_images_lease", "status", "lease_until"),
        Index("ix_job_images_review", "needs_review"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ID, default=LOCAL_OWNER)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), index=True)
    position: Mapped[int]
    engine_key: Mapped[str] = mapped_column(String(64))
    priority: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(16), default=ImageStatus.QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)
    available_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    stage: Mapped[str | None] = mapped_column(String(32))
    progress: Mapped[float] = mapped_column(default=0.0)
    count: Mapped[int | None]
    count_low: Mapped[int | None]
    count_high: Mapped[int | None]
    human_count: Mapped[int | None]
    average_confidence: Mapped[float | None]
    needs_review: Mapped[bool] = mapped_column(default=False)
    review_reason: Mapped[str | None] = mapped_column(String(255))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    candidates_key: Mapped[str | None] = mapped_column(String(255))
    version: Mapped[int] = mapped_column(default=0)
    pictures_version: Mapped[int] = mapped_column(default=0)
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_message: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    completed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    job: Mapped[Job] = relationship(back_populates="images")
    image: Mapped[Image] = relationship()


class IdempotencyKey(Base):
    """The first answer to a POST that carried this ``Idempotency-Key``."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("owner_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ID, default=LOCAL_OWNER)
    key: Mapped[str] = mapped_column(String(255))
    body_sha256: Mapped[str] = mapped_column(String(64))
    response_status: Mapped[int]
    response: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, index=True)
