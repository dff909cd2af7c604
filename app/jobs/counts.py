"""The counts that hold now: of one image, and of all images of a job together, by its row or in SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, func

from app.jobs.models import Job, JobImage
from pipeline.ops.interval import total_interval


def current_count(image: JobImage) -> int | None:
    """Return the count that holds: a human's bare number, else the objects; None before there is one."""
    return image.count if image.human_count is None else image.human_count


def current_interval(image: JobImage) -> list[int]:
    """Return the inclusive 90 % interval of the count that holds; a human's number is exact."""
    if image.human_count is not None:
        return [image.human_count, image.human_count]
    count = image.count or 0
    return [
        count if image.count_low is None else image.count_low,
        count if image.count_high is None else image.count_high,
    ]


def job_totals(job: Job) -> dict[str, Any]:
    """Return the ``count`` of a job over its counted images, and its ``count_interval``."""
    counted = [image for image in job.images if current_count(image) is not None]
    return {
        "count": sum(current_count(image) or 0 for image in counted),
        "count_interval": total_interval(map(current_interval, counted)),
    }


def total_columns() -> tuple[ColumnElement[Any], ...]:
    """Return what a SELECT over images sums up for ``totals_of``, grouped by job or of one."""
    count, human = JobImage.count, JobImage.human_count
    return (
        func.sum(func.coalesce(human, count)).label("total"),
        func.sum(func.coalesce(human, JobImage.count_low, count)).label("total_low"),
        func.sum(func.coalesce(human, JobImage.count_high, count)).label("total_high"),
    )


def totals_of(row: Row[Any] | None) -> dict[str, Any]:
    """Return the same as ``job_totals``, from a row with ``total_columns``, or of no image at all."""
    if row is None or row.total is None:
        return {"count": 0, "count_interval": None}
    return {"count": int(row.total), "count_interval": [int(row.total_low), int(row.total_high)]}
