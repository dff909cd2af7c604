"""The current count of an image: a pure function of its candidates, its settings and the human edits.

Nothing here runs a model: a recount of a thousand candidates takes some tens of milliseconds.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.corrections.models import Correction
from app.errors import TallyError
from app.extensions import db
from app.jobs.asked import invalid_config
from app.jobs.models import Job, JobImage
from app.jobs.states import LIVE_IMAGE, ImageStatus
from app.results.edits import Edit, apply_edits
from app.results.objects import HUMAN, CountedObject, by_type, facts_of, objects_of, size_stats
from app.storage import StorageError, storage
from app.storage.keys import exemplar_key
from app.uploads.models import Image
from pipeline.archive import read_candidates, write_candidates
from pipeline.contract import (
    CountResult,
    CountSettings,
    ObjectType,
    PipelineError,
    Provenance,
    SettingsError,
)
from pipeline.count import Clustered, clustered, count, object_id, requested_type, summarise
from pipeline.settings import settings_from_json, settings_to_json
from pipeline.types import Candidates, Instances


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What counts with the same settings need of other images: read and worked out once for all of them.

    Attributes:
        candidates: of the images that exemplars and chosen groups lie in, and those of images of the job that
            hold in place of the stored ones; by image id.
        chosen_in: those of them whose chosen groups hold for the whole job.
    """

    candidates: Mapping[str, Candidates]
    chosen_in: Mapping[str, Clustered]


@dataclass(frozen=True, slots=True)
class Recounted:
    """One image counted again.

    Attributes:
        result: of the model and the settings alone. objects: with the human edits, numbered.
        rejected: object id -> why it is not counted; what a human removed is "human".
        synonyms: of the requested type, that held: its own may change later.
    """

    candidates: Candidates
    instances: Instances
    result: CountResult
    objects: list[CountedObject]
    is_edited: bool
    synonyms: tuple[str, ...]

    @property
    def rejected(self) -> dict[str, str]:
        """Every candidate that is not counted, with the reason."""
        counted = {found.object_id for found in self.objects}
        return {
            object_id(i): why or "human"
            for i, why in enumerate(self.instances.rejections)
            if object_id(i) not in counted
        }

    @property
    def group_of(self) -> dict[str, int]:
        """Visual group of each candidate that is in one; those that a human counts are in none."""
        ids = {object_id(i): group_id for i, group_id in enumerate(self.instances.group_ids.tolist())}
        ids |= {found.object_id: found.group_id for found in self.objects}
        return {name: group_id for name, group_id in ids.items() if group_id >= 0}


def settings_of(image: JobImage) -> CountSettings:
    """Return the settings that the image's current count was made with."""
    return settings_from_json((image.result or {})["provenance"]["settings"])


def stored_candidates(image: JobImage) -> Candidates:
    """Read the candidates of an image that was counted.

    Raises:
        TallyError: RESULTS_NOT_READY when it was not. StorageError: the file is missing or damaged.
    """
    if image.status != ImageStatus.COMPLETED or image.candidates_key is None:
        raise TallyError("RESULTS_NOT_READY", f"image {image.image_id} is {image.status}, not counted")
    return read_stored(image.candidates_key)


def read_stored(key: str) -> Candidates:
    """Read a candidates file; raises StorageError when it is missing or damaged."""
    try:
        with storage().open(key) as file:
            return read_candidates(file.read())
    except PipelineError as error:
        raise StorageError(f"stored candidates: {error}") from error


def recounted(
    image: JobImage,
    settings: CountSettings,
    object_types: Sequence[ObjectType],
    elsewhere: Elsewhere,
    edits: Sequence[Edit],
    *,
    keeps_type: bool = False,
) -> Recounted:
    """Count one image again, and replay what humans changed.

    Args:
        image: counted before.
        settings: to count with; engine and tiles in them have no effect here.
        object_types: the finite set as it is now.
        elsewhere: ``found_elsewhere`` for these settings.
        edits: completed edits, oldest first.
        keeps_type: size limits and synonyms of the current count hold: what PATCH /types changed is for
            later ones.

    Raises:
        TallyError: INVALID_CONFIG when an exemplar lies in an image without candidates, or with some that
            another classifier described; a chosen group is not there; rules were not run on this image.
    """
    candidates = elsewhere.candidates.get(image.image_id) or stored_candidates(image)
    before = image.result or {}
    source = candidates.classification.source
    known = elsewhere.candidates.items()
    others = {name: one for name, one in known if one.classification.source == source}
    others[image.image_id] = candidates
    started, settings = perf_counter(), settings.in_image(image.image_id)
    own = requested_type(candidates, object_types)
    if keeps_type:
        low, high = before["size_limits_px"]
        synonyms = tuple(before.get("synonyms", own.synonyms))
        own = replace(own, min_area_px=low, max_area_px=high, synonyms=synonyms)
    try:
        instances = count(candidates, settings, [own], others=others, chosen_in=elsewhere.chosen_in)
    except SettingsError as error:
        raise invalid_config(error.details) from error
    provenance = replace(Provenance(**before["provenance"]), settings=settings_to_json(settings))
    timings = before["timings_s"] | {"count": perf_counter() - started}
    result = summarise(candidates, instances, settings, timings, provenance, is_corrected=bool(edits))
    result = result.counted_twice(earlier_name(db.session(), image))
    objects = apply_edits(objects_of(candidates, instances), candidates, edits)
    return Recounted(candidates, instances, result, objects, bool(edits), own.synonyms)


def earlier_name(session: Session, image: JobImage) -> str | None:
    """Return the name of an earlier file of the job with the same bytes; None without one."""
    earlier = (JobImage.job_id == image.job_id, JobImage.position < image.position)
    query = select(Image.filename).join(JobImage, JobImage.image_id == Image.id).where(*earlier)
    same = query.where(Image.sha256 == image.image.sha256).order_by(JobImage.position)
    return session.scalars(same.limit(1)).first()


def edited(found: Recounted, settings: CountSettings, objects: list[CountedObject]) -> Recounted:
    """Return a count with the objects that humans leave, as ``recounted`` gives it after their edits."""
    result = found.result
    timings_s, provenance = result.timings_s, result.provenance
    result = summarise(found.candidates, found.instances, settings, timings_s, provenance, is_corrected=True)
    return replace(found, result=result, objects=objects, is_edited=True)


def found_elsewhere(
    job: Job, settings: CountSettings, anew: Mapping[str, Candidates] | None = None
) -> Elsewhere:
    """Return what counting images of a job with these settings needs of others.

    Args:
        job: of the images.
        settings: to count with.
        anew: candidates that hold in place of those stored of images of the job, by image id.

    Raises:
        TallyError: as ``exemplar_candidates``.
    """
    others = exemplar_candidates(job, settings) | dict(anew or {})
    return Elsewhere(others, clustered(settings, others))


def exemplar_candidates(job: Job, settings: CountSettings) -> dict[str, Candidates]:
    """Return the candidates of the images that exemplars lie in, by image id.

    Those of this job, else those that its worker made for exemplars alone, else those of a job with the same
    engine over the same file: a retry leaves counted images out. Images whose groups were chosen for the
    whole job are among them.

    Raises:
        TallyError: RESULTS_NOT_READY when one of them is an image of this job that is yet to be counted.
    """
    wanted = {exemplar.file_id for exemplar in settings.exemplars if exemplar.file_id}
    if settings.groups_scope == "job":
        wanted |= {choice.file_id for choice in settings.groups if choice.file_id}
    if not wanted:
        return {}
    counted = (JobImage.status == ImageStatus.COMPLETED, JobImage.engine_key == job.engine_key)
    runs = select(JobImage).where(JobImage.image_id.in_(wanted), *counted).order_by(JobImage.id)
    found = {run.image_id: run for run in db.session.scalars(runs)}
    own = {run.image_id: run for run in job.images if run.image_id in wanted and run.candidates_key}
    made = {image_id: exemplar_key(job.id, image_id) for image_id in wanted - own.keys()}
    helped = {image_id: read_stored(key) for image_id, key in made.items() if storage().exists(key)}
    for run in job.images:
        if run.image_id in wanted - found.keys() - helped.keys() and run.status in LIVE_IMAGE:
            message = f"an example lies in image {run.image_id}, which is {run.status}, not counted"
            raise TallyError("RESULTS_NOT_READY", message)
    return {image_id: stored_candidates(run) for image_id, run in (found | own).items()} | helped


def keep_exemplars(job: Job, elsewhere: Elsewhere) -> None:
    """Store with a job what its count needs of images of other jobs: those may be deleted, or counted anew.

    Args:
        job: that is counted again.
        elsewhere: ``found_elsewhere`` for its settings.
    """
    own = {run.image_id for run in job.images if run.candidates_key}
    for image_id in elsewhere.candidates.keys() - own:
        if not storage().exists(exemplar_key(job.id, image_id)):
            keep_exemplar(job.id, image_id, elsewhere.candidates[image_id])


def keep_exemplar(job_id: str, image_id: str, candidates: Candidates) -> None:
    """Store with a job the candidates of an image that it needs for its exemplars alone.

    A job that was deleted meanwhile leaves none: its row goes before its files.
    """
    key = exemplar_key(job_id, image_id)
    storage().put(key, io.BytesIO(write_candidates(candidates)))
    if db.session.scalar(select(Job.id).where(Job.id == job_id)) is None:
        storage().delete(key)


def standing_corrections(session: Session, image: JobImage) -> list[Correction]:
    """Return the corrections of an image that are not reverted, oldest first."""
    return corrections_of_images(session, [image])[0]


def corrections_of_images(session: Session, images: Sequence[JobImage]) -> list[list[Correction]]:
    """Return ``standing_corrections`` of several images with one query."""
    found: dict[int, list[Correction]] = {image.id: [] for image in images}
    query = select(Correction).where(Correction.job_image_id.in_(found), Correction.reverted_at.is_(None))
    for correction in session.scalars(query.order_by(Correction.version)):
        found[correction.job_image_id].append(correction)
    return [found[image.id] for image in images]


def edits_of(corrections: Sequence[Correction]) -> list[Edit]:
    """Return the edits of corrections in order."""
    return [edit for correction in corrections for edit in correction.edits]


def moves_of(found: Recounted, corrections: Sequence[Correction]) -> dict[str, int]:
    """Return by how many objects each correction changes a count, done one after the other; by its id."""
    moves, objects = {}, objects_of(found.candidates, found.instances)
    for correction in corrections:
        before = len(objects)
        objects = apply_edits(objects, found.candidates, correction.edits)
        moves[correction.id] = len(objects) - before
    return moves


def bare_number(corrections: Sequence[Correction]) -> int | None:
    """Return the number that humans gave: the last one, moved by the edits after it; None without."""
    number: int | None = None
    for correction in corrections:
        if correction.human_count is not None:
            number = correction.human_count
        elif number is not None:
            number = max(0, number + correction.count_after - correction.count_before)
    return number


def columns_of(found: Recounted, human_count: int | None) -> dict[str, Any]:
    """Return the columns of a job image that say what its count is now.

    The interval of an edited count is the model's, moved by what the edits changed: an added or removed
    object is certain. An image that a human corrected needs no more review.
    """
    low, high = found.result.count_interval
    moved = len(found.objects) - found.result.count
    certain = sum(one.source == HUMAN for one in found.objects)
    confidences = [one.confidence for one in found.objects]
    seen = found.is_edited or human_count is not None
    result = found.result.to_json()
    estimate = None if seen else result["density_estimate"]  # it is of the engine's count alone
    height, width = found.candidates.batch.size_hw
    stats = asdict(size_stats(found.objects, height * width))
    return {
        "count": len(found.objects),
        "count_low": min(len(found.objects), max(low + moved, certain)),
        "count_high": max(len(found.objects), high + moved),
        "human_count": human_count,
        "average_confidence": round(sum(confidences) / len(confidences), 4) if confidences else 0.0,
        "needs_review": found.result.needs_review and not seen,
        "review_reason": None if seen else (found.result.review_reason or "")[:255] or None,
        "result": result
        | facts_of(found.candidates)
        | {"groups": _groups_as_edited(found, result["groups"]), "synonyms": list(found.synonyms)}
        | {"by_type": by_type(found.objects), "stats": stats}
        | {"edited": found.is_edited, "density_estimate": estimate},
    }


def _groups_as_edited(found: Recounted, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the groups of the result; of those left out, what humans count is no more."""
    group_of = found.group_of
    kept_out = Counter(group_of.get(name) for name, why in found.rejected.items() if why != HUMAN)
    return [
        group
        if kept_out[group["id"]] == group["left_out"]
        else group | {"left_out": kept_out[group["id"]], "halves": None}
        for group in groups
    ]
