"""What the API tells of jobs and their images: rows → plain JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, and_, case, func, select
from sqlalchemy.orm import Session

from app.jobs.counts import current_count, current_interval, job_totals, total_columns, totals_of
from app.jobs.models import Job, JobImage
from app.jobs.states import DONE_IMAGE, ImageStatus
from app.jobs.status import error_of, rfc3339
from app.uploads.models import Image
from app.version import API

PICTURES = ("annotated", "heatmap", "rejected")


def describe_job(job: Job) -> dict[str, Any]:
    """Return a job with its images."""
    return _job(job) | {
        "processed_images": sum(image.status in DONE_IMAGE for image in job.images),
        **job_totals(job),
        "needs_review": any(image.needs_review for image in job.images),
        "expires_at": rfc3339(job.images[0].image.upload.expires_at),
        "images": [describe_image(image) for image in job.images],
    }


def describe_jobs(session: Session, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Return jobs as a list shows them: sums instead of images. One query for all sums."""
    sums = _sums(session, [job.id for job in jobs])
    thumbnails = _first_files(session, [job.id for job in jobs])
    return [_job(job) | _summary(job, sums.get(job.id), thumbnails.get(job.id)) for job in jobs]


def describe_image(image: JobImage) -> dict[str, Any]:
    """Return one image of a job."""
    count = current_count(image)
    width, height = counted_size_wh(image)
    return describe_file(image.image) | {
        "width": width,
        "height": height,
        "status": image.status,
        "count": count,
        "count_interval": None if count is None else current_interval(image),
        "count_source": count_source(image),
        "by_type": (image.result or {}).get("by_type"),
        "stats": (image.result or {}).get("stats"),
        "version": image.version,
        "needs_review": image.needs_review,
        "review_reason": image.review_reason,
        "from_corrections": any(one.get("corrected") for one in _settings(image).get("exemplars", ())),
        "error": error_of(image.error_code, image.error_message),
        "urls": picture_urls(image),
    }


def describe_file(image: Image) -> dict[str, Any]:
    """Return an uploaded file."""
    return {
        "file_id": image.id,
        "filename": image.filename,
        "width": image.width,
        "height": image.height,
        "size_bytes": image.size_bytes,
        "format": image.format,
    }


def count_source(image: JobImage) -> str:
    """Return who the count is from: "human" after any correction, "model" before."""
    is_edited = image.human_count is not None or (image.result or {}).get("edited")
    return "human" if is_edited else "model"


def counted_size_wh(image: JobImage) -> tuple[int, int]:
    """Return the size of what results are in px of: of all pages of a TIFF as one, where they are counted."""
    width, height = (image.result or {}).get("size_wh") or (image.image.width, image.image.height)
    return width, height


def counted_as(image: JobImage) -> str:
    """Return the name that objects of the requested type carry: the job may have been asked for a synonym."""
    return (image.result or {}).get("type") or image.job.type


def picture_urls(image: JobImage) -> dict[str, str | None]:
    """Return the addresses of the pictures; those that are not made yet, or never, are None."""
    base = f"{API}/files/{image.image_id}"
    asked = f"?job_id={image.job_id}"
    is_done = image.status == ImageStatus.COMPLETED
    is_drawn = is_done and is_visualized(image)
    drawn = {name: f"{base}/{name}{asked}&v={image.version}" if is_drawn else None for name in PICTURES}
    return {
        "original": f"{base}/original{asked}",
        **drawn,
        "thumbnail": f"{base}/thumbnail{asked}" if is_done else None,
    }


def is_visualized(image: JobImage) -> bool:
    """Return whether pictures are drawn of an image's count, as its settings say."""
    return bool(_settings(image).get("visualization", {}).get("enabled", True))


def pages_of(image: JobImage) -> str:
    """Return which pages of a TIFF were counted: first or all."""
    return str(_settings(image).get("pages", "first"))


def _settings(image: JobImage) -> dict[str, Any]:
    found: dict[str, Any] = (image.result or {}).get("provenance", {}).get("settings", {})
    return found


def _job(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "upload_id": job.upload_id,
        "type": job.type,
        "status": job.status,
        "config": job.config,
        "created_at": rfc3339(job.created_at),
        "started_at": rfc3339(job.started_at),
        "completed_at": rfc3339(job.completed_at),
        "total_images": job.total_images,
        "partial": job.partial,
        "retry_of": job.retry_of,
        "error": error_of(job.error_code, job.error_message),
    }


def _summary(job: Job, sums: Row[Any] | None, file_id: str | None) -> dict[str, Any]:
    thumbnail = f"{API}/files/{file_id}/thumbnail?job_id={job.id}" if file_id else None
    return {
        "processed_images": int(sums.processed) if sums else 0,
        **totals_of(sums),
        "needs_review": bool(sums.needs_review) if sums else False,
        "thumbnail_url": thumbnail,
    }


def _sums(session: Session, job_ids: Sequence[str]) -> dict[str, Row[Any]]:
    rows = session.execute(
        select(
            JobImage.job_id,
            func.sum(case((JobImage.status.in_(DONE_IMAGE), 1), else_=0)).label("processed"),
            *total_columns(),
            func.max(case((JobImage.needs_review, 1), else_=0)).label("needs_review"),
        )
        .where(JobImage.job_id.in_(job_ids))
        .group_by(JobImage.job_id)
    )
    return {row.job_id: row for row in rows}


def _first_files(session: Session, job_ids: Sequence[str]) -> dict[str, str]:
    """Return each job's first counted image: one with a thumbnail."""
    first = (
        select(JobImage.job_id, func.min(JobImage.position).label("position"))
        .where(JobImage.job_id.in_(job_ids), JobImage.status == ImageStatus.COMPLETED)
        .group_by(JobImage.job_id)
        .subquery()
    )
    same = and_(JobImage.job_id == first.c.job_id, JobImage.position == first.c.position)
    rows = session.execute(select(JobImage.job_id, JobImage.image_id).join(first, same))
    return {job_id: image_id for job_id, image_id in rows}
