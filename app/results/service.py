"""Counted objects ⇄ rows, and what the API tells of them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from app.jobs.models import JobImage
from app.results.models import Instance
from app.results.objects import CountedObject

MAX_LABEL_CHARS = 100


def write_instances(session: Session, job_image: JobImage, objects: Sequence[CountedObject]) -> None:
    """Replace all rows of one image by ``objects``, inside the caller's transaction."""
    session.execute(delete(Instance).where(Instance.job_image_id == job_image.id))
    if objects:
        session.execute(insert(Instance), [_row(job_image.id, found) for found in objects])


def read_instances(session: Session, job_image: JobImage) -> list[CountedObject]:
    """Return the current objects of one image in the order of their numbers."""
    rows = session.scalars(
        select(Instance).where(Instance.job_image_id == job_image.id).order_by(Instance.number)
    )
    return [_object(row) for row in rows]


def _row(job_image_id: int, found: CountedObject) -> dict[str, object]:
    x_min, y_min, x_max, y_max = found.bbox_xyxy
    return {
        "job_image_id": job_image_id,
        "object_id": found.object_id,
        "number": found.number,
        "label": found.label[:MAX_LABEL_CHARS],
        "confidence": found.confidence,
        "x_min": x_min,
        "y_min": y_min,
        "x_max": x_max,
        "y_max": y_max,
        "area": found.area,
        "group_id": found.group_id,
        "polygon": list(found.polygon),
        "source": found.source,
    }


def _object(row: Instance) -> CountedObject:
    return CountedObject(
        object_id=row.object_id,
        number=row.number,
        label=row.label,
        confidence=row.confidence,
        bbox_xyxy=(row.x_min, row.y_min, row.x_max, row.y_max),
        area=row.area,
        group_id=row.group_id,
        polygon=tuple(row.polygon),
        source=row.source,
    )
