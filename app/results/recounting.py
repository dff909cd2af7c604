"""A recount as a request: other settings, chosen groups, or what humans corrected; no model runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import select, update

from app.database import transaction
from app.errors import TallyError
from app.extensions import db
from app.jobs.asked import (
    NOT_BUILT,
    Fault,
    checked_settings,
    checked_type,
    merged,
    misplaced_in,
    refuse,
    template_named_for,
    unsupported,
    with_template,
)
from app.jobs.counts import current_count, current_interval
from app.jobs.models import Job, JobImage
from app.jobs.service import get_job, lock_known_job
from app.jobs.states import LIVE, ImageStatus
from app.jobs.transitions import execute
from app.results.anew import asked_anew, stored_anew
from app.results.description import Data, describe_groups
from app.results.learning import Learned, doubt_of, learned
from app.results.objects import CountedObject
from app.results.recount import (
    Recounted,
    bare_number,
    columns_of,
    corrections_of_images,
    edits_of,
    found_elsewhere,
    keep_exemplars,
    recounted,
    settings_of,
)
from app.results.service import (
    announce_change,
    change_image,
    counted_images,
    replace_instances,
    version_conflict,
)
from app.types.service import object_types
from app.uploads.service import display_name
from pipeline.contract import CountSettings
from pipeline.labels import OPEN_CLIP
from pipeline.ops.interval import total_interval
from pipeline.settings import MAX_EXEMPLARS, settings_to_json

DECIDED_BEFORE = ("engine", "model", "mode", "sahi", "pages", "mask_background")
"""Settings that decide which candidates there are: a recount cannot change them."""

OF_ONE_IMAGE = frozenset({"groups", "roi"})
"""Settings that a job keeps of a recount of one image alone, where they name it."""


def recount(job_id: str, body: Data) -> Data:
    """Decide again on the stored candidates; human edits are kept.

    What an image learned from corrections stays with it, unless ``config`` names ``exemplars``.

    Args:
        job_id: its images that are counted are counted again.
        body: ``RecountRequestSchema``: ``config`` keys that change, the others stay as the job has them;
            ``file_id`` for this image only: the others stay as it is counted with, or as the job has them
            with ``from_job_config``, and the job's own config then keeps its chosen groups and own regions
            alone; ``type`` for what is counted from now on, in all images;
            ``from_corrections`` takes what humans corrected as exemplars, for images that nobody corrected
            and that are not counted so already; ``file_ids`` for these of them only, and the job's own config
            stays as it is;
            ``versions`` of the results that were looked at; ``dry_run`` changes nothing.

    Raises:
        TallyError: JOB_NOT_FOUND, FILE_NOT_FOUND, RESULTS_NOT_READY, INVALID_CONFIG, INVALID_REQUEST for the
            type; INVALID_STATE while the job is live, or when nothing was corrected; VERSION_CONFLICT when
            somebody changed a result meanwhile, or since it was looked at.
    """
    with template_named_for(body["config"]):
        return _recount(job_id, body)


def _recount(job_id: str, body: Data) -> Data:
    job, file_id, dry_run = get_job(job_id), body["file_id"], body["dry_run"]
    if job.status in LIVE and not dry_run:
        raise TallyError("INVALID_STATE", f"want a job that has ended, this one is {job.status}")
    images, sent = counted_images(job, file_id), _anchored(job, body["config"], file_id)
    _refuse_stale(images, body["versions"])
    lesson: Learned | None = None
    is_own = file_id is not None and not body["from_job_config"]
    below = settings_to_json(settings_of(images[0])) if is_own else job.config
    merged_with = partial(_merged, below, job=job, several=file_id is None and len(job.images) > 1)
    config, settings = merged_with(sent)
    if sent.get("count_what") == "text":
        refuse(_without_text(images))
    if body["from_corrections"]:
        lesson = learned(job, settings)
        config, settings = merged_with(sent | {"exemplars": lesson.exemplars})
        images = _that_learn(_named(images, body["file_ids"]), lesson, settings)
    keeps_lessons = not lesson and "exemplars" not in sent
    asked = [_with_its_lesson(settings, image) if keeps_lessons else settings for image in images]
    every = tuple(exemplar for one in (settings, *asked) for exemplar in one.exemplars)
    type_name = None if body["type"] is None else checked_type(body["type"])
    types = object_types(db.session())
    anew = asked_anew(images, asked, type_name, types)
    elsewhere = found_elsewhere(job, replace(settings, exemplars=every), anew)
    corrections = corrections_of_images(db.session(), images)
    found = [
        recounted(image, own, types, elsewhere, edits_of(standing))
        for image, own, standing in zip(images, asked, corrections, strict=True)
    ]
    columns = [columns_of(f, bare_number(c)) for f, c in zip(found, corrections, strict=True)]
    answer: Data = {"job_id": job_id} | _describe(images, found, columns, dry_run=dry_run)
    if lesson:
        answer["exemplars"] = {"positive": lesson.n_positive, "negative": lesson.n_negative}
        answer["unseen_additions"] = lesson.n_unseen
        for described, f in zip(answer["images"], found, strict=True):
            described["doubt"] = doubt_of(described["count_before"], f)
    if not dry_run:
        keep_exemplars(job, elsewhere)
        with stored_anew(images, anew) as stored:
            changes = [
                (image.id, image.version, c | stored.get(image.image_id, {}))
                for image, c in zip(images, columns, strict=True)
            ]
            _write(job_id, type_name, _config_after(body, sent, config), changes, [f.objects for f in found])
    return answer


def _config_after(body: Data, sent: Data, config: Data) -> Callable[[Data], Data]:
    """Return what turns a job's config into that after a recount: into ``config`` where all take part."""
    if body["file_id"] is not None:
        return partial(_with_choices_of, sent=sent, file_id=body["file_id"])
    return (lambda _: config) if body["file_ids"] is None else (lambda before: before)


def _named(images: Sequence[JobImage], file_ids: Sequence[str] | None) -> list[JobImage]:
    """Return those of the counted images that are named; all where none are.

    Raises:
        TallyError: FILE_NOT_FOUND when one of them is no counted image of the job.
    """
    unknown = set(file_ids or ()) - {image.image_id for image in images}
    if unknown:
        raise TallyError("FILE_NOT_FOUND", f"this job has no counted file {display_name(min(unknown))}")
    return [image for image in images if file_ids is None or image.image_id in file_ids]


def _that_learn(images: Sequence[JobImage], lesson: Learned, settings: CountSettings) -> list[JobImage]:
    """Return the images that no human touched and that are not counted with these settings already."""
    return [
        image
        for image in images
        if image.image_id not in lesson.touched
        and _heard_in(image, settings_of(image)) != _heard_in(image, settings)
    ]


def _heard_in(image: JobImage, settings: CountSettings) -> CountSettings:
    """Return settings without the regions, and the choices among groups, that hold in other images alone."""
    settings = settings.in_image(image.image_id)
    if settings.groups_scope == "job":
        return settings
    return replace(
        settings, groups=tuple(one for one in settings.groups if one.file_id in (None, image.image_id))
    )


def _with_its_lesson(settings: CountSettings, image: JobImage) -> CountSettings:
    """Return settings with what this image learned from corrections, as far as drawn ones leave room."""
    own = tuple(exemplar for exemplar in settings_of(image).exemplars if exemplar.corrected)
    drawn = tuple(exemplar for exemplar in settings.exemplars if not exemplar.corrected)
    return replace(settings, exemplars=(drawn + own)[:MAX_EXEMPLARS])


def _refuse_stale(images: Sequence[JobImage], seen: Mapping[str, int]) -> None:
    for image in images:
        if (version := seen.get(image.image_id, image.version)) != image.version:
            raise version_conflict(version, image.version, f"{image.image.filename}: ")


def _with_choices_of(config: Data, sent: Data, file_id: str) -> Data:
    """Return a job's config with one image's chosen groups and own regions, in place of those of before."""
    changed = {}
    for key in OF_ONE_IMAGE & sent.keys():
        others = [one for one in config.get(key, ()) if one.get("file_id") != file_id]
        changed[key] = others + [one for one in sent[key] if one.get("file_id") == file_id]
    return config | changed


def _anchored(job: Job, sent: Data, file_id: str | None) -> Data:
    """Return the config sent, with its template's, and with the image that each chosen group lies in.

    Raises:
        TallyError: INVALID_CONFIG when that is not clear, or is no counted image of the job.
    """
    refuse(unsupported(sent, NOT_BUILT))
    sent = with_template(sent)
    choices = sent.get("groups")
    if not isinstance(choices, list):
        return sent
    only = file_id or (job.images[0].image_id if len(job.images) == 1 else None)
    anchored = [
        {**choice, "file_id": choice.get("file_id") or only} if isinstance(choice, dict) else choice
        for choice in choices
    ]
    counted = {image.image_id for image in job.images if image.status == ImageStatus.COMPLETED}
    refuse(
        {
            "field": f"config.groups[{i}].file_id",
            "message": f"want a counted image of this job, got {display_name(str(choice['file_id']))}",
        }
        for i, choice in enumerate(anchored)
        if isinstance(choice, dict) and str(choice["file_id"]) not in counted
    )
    return sent | {"groups": anchored}


def _without_text(images: Sequence[JobImage]) -> list[Fault]:
    """Return what is wrong with counting free text where no network that reads text saw the candidates."""
    if all(OPEN_CLIP in (image.result or {})["labelled_by"] for image in images):
        return []
    message = "want images that open_clip has named: a new job counts by free text, where its weights are"
    return [{"field": "config.count_what", "message": message}]


def _merged(below: Data, sent: Data, *, job: Job, several: bool) -> tuple[Data, CountSettings]:
    """Return the config of before with the sent keys in it, and its settings, for several images or one."""
    config = merged(below, sent)
    settings, before = checked_settings(config), checked_settings(below)
    names = {"sahi": "tiling"}
    message = "want it as the job has it: it decides before anything is counted; start a new job"
    changed = [
        {"field": f"config.{key}", "message": message}
        for key in DECIDED_BEFORE
        if getattr(settings, names.get(key, key)) != getattr(before, names.get(key, key))
    ]
    own = {image.image_id for image in job.images}
    hint = "GET /jobs/{id} lists the job's images with their ids"
    refuse([*changed, *misplaced_in(settings, own, several=several, hint=hint)])
    return config, settings


def _describe(
    images: Sequence[JobImage], found: Sequence[Recounted], columns: Sequence[Data], *, dry_run: bool
) -> Data:
    described: list[dict[str, Any]] = [
        {
            "file_id": image.image_id,
            "count": c["count"] if c["human_count"] is None else c["human_count"],
            "count_interval": [c["count_low"], c["count_high"]]
            if c["human_count"] is None
            else [c["human_count"]] * 2,
            "count_before": current_count(image),
            "count_interval_before": current_interval(image),
            "density_estimate": c["result"]["density_estimate"],
            "needs_review": c["needs_review"],
            "review_reason": c["review_reason"],
            "version": image.version if dry_run else image.version + 1,
            "counted": [one.object_id for one in f.objects],
            "rejected": f.rejected,
            "groups": describe_groups(c["result"], f.objects),
            "group_of": f.group_of,
            "stats": c["result"]["stats"],
        }
        for image, f, c in zip(images, found, columns, strict=True)
    ]
    totals: Data = {}
    for key in ("count", "count_before"):
        totals[key] = sum(image[key] for image in described)
    for key in ("count_interval", "count_interval_before"):
        totals[key] = total_interval(image[key] for image in described)
    return {"dry_run": dry_run, **totals, "images": described}


def _write(
    job_id: str,
    type_name: str | None,
    config_after: Callable[[Data], Data],
    changes: Sequence[tuple[int, int, Data]],
    objects: Sequence[Sequence[CountedObject]],
) -> None:
    """Write all images or none.

    Args:
        job_id: of the images.
        type_name: what the job counts from now on; None leaves it as it is.
        config_after: gives the job's config from what it is by then.
        changes: row id, version that was read, and new columns of each image.
        objects: of each image.
    """
    with transaction() as session:
        lock_known_job(session, job_id)
        for (image_id, version, columns), counted in zip(changes, objects, strict=True):
            change_image(session, image_id, version, columns)
            replace_instances(session, image_id, counted)
        config = config_after(session.scalars(select(Job.config).where(Job.id == job_id)).one())
        values = {"config": config} | ({"type": type_name} if type_name else {})
        execute(session, update(Job).where(Job.id == job_id).values(**values))
    announce_change(job_id)
