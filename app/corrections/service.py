"""Human corrections: checked against the current count, kept for ever, never lost by a later recount."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.columns import utcnow
from app.corrections.models import Correction
from app.database import transaction
from app.errors import TallyError
from app.extensions import db
from app.ids import new_id
from app.jobs.counts import current_count, current_interval
from app.jobs.description import count_source, counted_as
from app.jobs.idempotency import Data, RequestKey, first_answer, once
from app.jobs.models import Job, JobImage
from app.jobs.service import get_job, lock_known_job
from app.jobs.status import rfc3339
from app.monitoring.metrics import CORRECTIONS, COUNT_ERROR
from app.results.description import describe_objects
from app.results.edits import Edit, EditError, Editor
from app.results.objects import CountedObject
from app.results.recount import (
    Recounted,
    bare_number,
    columns_of,
    edited,
    moves_of,
    settings_of,
    standing_corrections,
)
from app.results.service import (
    announce_change,
    change_image,
    counted_images,
    current,
    read_instances,
    replace_instances,
    version_conflict,
)
from app.uploads.service import display_name


def correct(body: Data, request_key: RequestKey | None) -> Data:
    """Apply a human's fix to one image, all of it or nothing.

    Args:
        body: ``CorrectionRequestSchema``: job_id, file_id, version, and count, edits or both.
        request_key: of an ``Idempotency-Key`` header.

    Raises:
        TallyError: JOB_NOT_FOUND, FILE_NOT_FOUND, RESULTS_NOT_READY; VERSION_CONFLICT when the result was
            changed since it was read; INVALID_REQUEST with every edit that cannot be done.
    """
    if request_key and (known := first_answer(request_key)):
        return known
    job = get_job(body["job_id"])
    image = counted_images(job, body["file_id"])[0]
    job_id, row_id, correction_id = job.id, image.id, new_id("cor")

    def work(session: Session) -> Data:
        lock_known_job(session, job_id)
        fresh = session.get_one(JobImage, row_id, populate_existing=True)
        if fresh.version != body["version"]:
            raise version_conflict(body["version"], fresh.version)
        return _apply(session, get_job(job_id), fresh, correction_id, body)

    data, is_new = once(request_key, 200, work)
    if is_new:
        _observe(image, data, body)
        announce_change(data["job_id"])
    return data


def revert(correction_id: str) -> Data:
    """Take one correction back; those before and after it stand.

    Raises:
        TallyError: CORRECTION_NOT_FOUND; INVALID_STATE when it was taken back before.
    """
    known = db.session.get(Correction, correction_id)
    if known is None:
        raise TallyError("CORRECTION_NOT_FOUND", f"there is no correction {display_name(correction_id)}")
    job_id = known.job_id
    with transaction() as session:
        lock_known_job(session, job_id)
        correction = session.get_one(Correction, correction_id, populate_existing=True)
        if correction.reverted_at is not None:
            raise TallyError("INVALID_STATE", "this correction was reverted before")
        image = session.get_one(JobImage, correction.job_image_id, populate_existing=True)
        before, was = current_count(image) or 0, standing_corrections(session, image)
        correction.reverted_at = utcnow()
        session.flush()
        found, standing = current(get_job(job_id), image), standing_corrections(session, image)
        _move(standing, moves_of(found, was), moves_of(found, standing))
        data = _write(session, image, found, bare_number(standing), correction_id, before)
    announce_change(data["job_id"])
    return data


def _move(corrections: Sequence[Correction], was: Mapping[str, int], now: Mapping[str, int]) -> None:
    """Change by how much edits move a number, where one that was reverted left them less, or more, to do."""
    for correction in corrections:
        if correction.human_count is None:
            correction.count_after += now[correction.id] - was[correction.id]


def list_corrections(
    job_id: str | None, file_id: str | None, first: int, size: int
) -> tuple[list[Data], int]:
    """Return ``size`` corrections from number ``first``, newest first, and how many there are in all."""
    conditions: list[ColumnElement[bool]] = []
    if job_id is not None:
        conditions.append(Correction.job_id == job_id)
    if file_id is not None:
        conditions.append(JobImage.image_id == file_id)
    joined = select(Correction, JobImage.image_id).join(JobImage, JobImage.id == Correction.job_image_id)
    total = db.session.scalar(select(func.count()).select_from(joined.where(*conditions).subquery())) or 0
    page = joined.where(*conditions).order_by(Correction.created_at.desc(), Correction.id.desc())
    rows = db.session.execute(page.offset(first).limit(size))
    return [_describe(correction, image_id) for correction, image_id in rows], total


def _apply(session: Session, job: Job, image: JobImage, correction_id: str, body: Data) -> Data:
    earlier = standing_corrections(session, image)
    now = current(job, image)
    completed, objects = _completed(now, body.get("edits", ()), _ids(correction_id))
    before = current_count(image) or 0
    correction = Correction(
        id=correction_id,
        job_id=job.id,
        job_image_id=image.id,
        kind=_kind(body),
        edits=completed,
        human_count=body.get("count"),
        count_before=before,
        count_after=before,
        version=image.version + 1,
    )
    correction.count_after = _count_after(correction, len(objects) - len(now.objects), before)
    found = edited(now, settings_of(image), objects) if completed else now
    session.add(correction)
    session.flush()
    return _write(session, image, found, bare_number([*earlier, correction]), correction_id, before)


def _count_after(correction: Correction, added: int, before: int) -> int:
    """Return what it makes of a count; below 0 where it removes more than a bare number leaves."""
    return before + added if correction.human_count is None else correction.human_count


def _completed(
    now: Recounted, edits: Sequence[Edit], new_object_id: Callable[[], str]
) -> tuple[list[Data], list[CountedObject]]:
    """Return the edits with all that decides their outcome, and the objects after them.

    Raises:
        TallyError: INVALID_REQUEST with every edit that cannot be done after those before it.
    """
    editor = Editor(now.objects, now.candidates)
    completed, wrong = [], []
    for i, edit in enumerate(edits):
        try:
            full = editor.complete(edit, new_object_id)
            editor.apply(full)
            completed.append(full)
        except EditError as error:
            wrong.append({"field": f"edits[{i}].{error.field}", "message": str(error)})
    if wrong:
        message = "; ".join(f"{w['field']}: {w['message']}" for w in wrong)
        raise TallyError("INVALID_REQUEST", message, field=wrong[0]["field"], details=wrong)
    return completed, editor.objects()


def _ids(correction_id: str) -> Callable[[], str]:
    """Return a source of ids for the objects that one correction draws."""

    def source() -> Iterator[str]:
        n = 0
        while True:
            n += 1
            yield f"h{correction_id[-10:]}_{n}"

    return source().__next__


def _write(
    session: Session, image: JobImage, found: Recounted, number: int | None, correction_id: str, before: int
) -> Data:
    """Store the new count of one image, and return what the API answers."""
    image_id = image.id
    change_image(session, image_id, image.version, columns_of(found, number))
    replace_instances(session, image_id, found.objects)
    session.refresh(image)
    objects = read_instances(session, image)
    return {
        "correction_id": correction_id,
        "job_id": image.job_id,
        "file_id": image.image_id,
        "version": image.version,
        "count": current_count(image),
        "count_before": before,
        "count_interval": current_interval(image),
        "count_source": count_source(image),
        "detections": describe_objects(image, objects, {counted_as(image): 0}),
    }


def _kind(body: Data) -> str:
    if "count" in body and "edits" in body:
        return "both"
    return "count" if "count" in body else "edits"


def _observe(image: JobImage, data: Data, body: Data) -> None:
    """Count the correction, and how far the model was from what the human says."""
    for kind in [edit["op"] for edit in body.get("edits", ())] + ["count"] * ("count" in body):
        CORRECTIONS.labels(kind).inc()
    counted = (image.result or {}).get("count", 0)
    COUNT_ERROR.observe(abs(counted - data["count"]) / max(data["count"], 1))


def _describe(correction: Correction, image_id: str) -> Data:
    return {
        "correction_id": correction.id,
        "job_id": correction.job_id,
        "file_id": image_id,
        "kind": correction.kind,
        "edits": correction.edits,
        "human_count": correction.human_count,
        "count_before": correction.count_before,
        "count_after": max(0, correction.count_after),
        "version": correction.version,
        "created_at": rfc3339(correction.created_at),
        "reverted_at": rfc3339(correction.reverted_at),
    }
