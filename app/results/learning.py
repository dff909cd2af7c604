"""What human corrections of some images teach about the job's others: exemplars, for and against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import TallyError
from app.extensions import db
from app.jobs.models import Job
from app.jobs.states import ImageStatus
from app.results.edits import Edit
from app.results.objects import HUMAN, CountedObject
from app.results.recount import Recounted, corrections_of_images, edits_of
from app.results.service import each_current
from pipeline.contract import CountSettings, Exemplar
from pipeline.object_types import asks_for_everything, plain
from pipeline.ops.boxes import box_area, box_intersection
from pipeline.ops.exemplars import find_exemplar
from pipeline.settings import MAX_EXEMPLARS, settings_to_json

SAME_PLACE = 0.5
"""What a human removed and overlaps an object that stands by this share was a double, not another thing."""
FAR = 0.5
"""Corrections of other images that move a count by more than this share of it may have ruined it."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What the corrected images of a job say.

    Attributes:
        exemplars: ``config.exemplars``: those that people drew, and those of the corrected objects.
        n_positive, n_negative: how many of the latter.
        n_unseen: objects that humans added and no candidate stands for: they teach nothing.
        touched: ids of the images that a human corrected in any way: they stay as they are.
    """

    exemplars: list[dict[str, Any]]
    n_positive: int
    n_negative: int
    n_unseen: int
    touched: frozenset[str]


@dataclass(slots=True)
class _Seen:
    """One image's objects as exemplars, by what a human did with them, and how many added ones are none."""

    added: list[Exemplar]
    standing: list[Exemplar]
    not_meant: list[Exemplar]
    n_unseen: int


def learned(job: Job, settings: CountSettings) -> Learned:
    """Return what the corrected images of a job teach.

    Objects that humans added, and those they left standing in an image they edited, are exemplars; what
    they removed is a negative one, unless it was a double of an object that stands, and so is what they named
    otherwise than what is asked for. When there are too many, those that humans touched go first.

    Raises:
        TallyError: INVALID_STATE when no object of a counted image was corrected.
    """
    counted = [image for image in job.images if image.status == ImageStatus.COMPLETED]
    standing = zip(counted, corrections_of_images(db.session(), counted), strict=True)
    corrected = {image: corrections for image, corrections in standing if corrections}
    edits = {image: edits_of(corrections) for image, corrections in corrected.items()}
    edited = [image for image in corrected if edits[image]]
    seen = [
        _look(image.image_id, now, edits[image], _names_meant(job, settings, now))
        for image, now in zip(edited, each_current(job, edited), strict=True)
    ]
    if not seen:
        raise TallyError(
            "INVALID_STATE", "no object of this job was corrected: there is nothing to learn from"
        )
    drawn = [exemplar for exemplar in settings.exemplars if not exemplar.corrected]
    room = max(0, MAX_EXEMPLARS - len(drawn))
    certain = _thinned([e for one in seen for e in (*one.added, *one.not_meant)], room)
    taken = certain + _thinned([e for one in seen for e in one.standing], room - len(certain))
    n_negative = sum(not exemplar.positive for exemplar in taken)
    in_json = settings_to_json(CountSettings(exemplars=(*drawn, *taken)))["exemplars"]
    touched = frozenset(image.image_id for image in corrected)
    n_unseen = sum(one.n_unseen for one in seen)
    return Learned(in_json, len(taken) - n_negative, n_negative, n_unseen, touched)


def doubt_of(before: int, found: Recounted) -> str | None:
    """Say in words why a count by corrections of other images may be wrong; None where nothing shows it.

    Args:
        before: objects that the image counted so far.
        found: the image counted by what was learned.
    """
    after = len(found.objects)
    if before and not after:
        return "nothing would be left"
    if lost := found.instances.unmet_exemplars:
        return f"{lost} of the examples meet nothing that the engine sees"
    if abs(after - before) > FAR * before:
        return f"far {'fewer' if after < before else 'more'} would be counted"
    return None


def _names_meant(job: Job, settings: CountSettings, now: Recounted) -> frozenset[str] | None:
    """Return the names of what is asked for in an image; None where any name is."""
    if asks_for_everything(settings.count_what, job.type) or asks_for_everything("type", job.type):
        return None
    counted = (now.instances.labels[i] for i in now.instances.counted.tolist())
    return frozenset(plain(name) for name in (job.type, *now.candidates.type_probs.types[:1], *counted))


def _look(file_id: str, now: Recounted, edits: Sequence[Edit], meant: frozenset[str] | None) -> _Seen:
    """Sort the objects of one corrected image; ``meant`` as ``_names_meant`` gives it."""
    removed_ids = [identifier for identifier, why in now.rejected.items() if why == "human"]
    removed = {int(identifier[1:]) for identifier in removed_ids}
    usable = [found for found in now.objects if _is_seen(found, now, removed)]
    added = {edit["object_id"] for edit in edits if edit["op"] == "add"}
    n_added = sum(found.object_id in added for found in now.objects)
    boxes = np.array([found.bbox_xyxy for found in now.objects], np.float32).reshape(-1, 4)
    others = [i for i in sorted(removed) if not _is_double(now.candidates.batch.bbox_xyxy[i], boxes)]
    touched = [found for found in usable if found.source == HUMAN]
    renamed = [found for found in touched if meant is not None and plain(found.label) not in meant]
    boxes_not_meant = [tuple(now.candidates.batch.bbox_xyxy[i].tolist()) for i in others]
    boxes_not_meant += [found.bbox_xyxy for found in renamed]
    return _Seen(
        added=[_exemplar(file_id, found.bbox_xyxy) for found in touched if found not in renamed],
        standing=[_exemplar(file_id, found.bbox_xyxy) for found in usable if found.source != HUMAN],
        not_meant=[_exemplar(file_id, box, positive=False) for box in boxes_not_meant],
        n_unseen=n_added - sum(found.object_id in added for found in usable),
    )


def _is_seen(found: CountedObject, now: Recounted, removed: set[int]) -> bool:
    """Return whether the engine has a candidate for an object, other than one that a human took away."""
    index = find_exemplar(now.candidates.batch, _exemplar("", found.bbox_xyxy))
    return index is not None and index not in removed


def _is_double(box_xyxy: NDArray[np.float32], standing: NDArray[np.float32]) -> bool:
    shared = box_intersection(box_xyxy[None], standing)[0]
    smaller = np.minimum(box_area(standing), box_area(box_xyxy))
    return bool((shared > SAME_PLACE * smaller).any())


def _exemplar(file_id: str, box_xyxy: tuple[float, ...], *, positive: bool = True) -> Exemplar:
    x_min, y_min, x_max, y_max = box_xyxy
    box_xywh = (x_min, y_min, max(1.0, x_max - x_min), max(1.0, y_max - y_min))
    return Exemplar(bbox_xywh=box_xywh, positive=positive, file_id=file_id, corrected=True)


def _thinned(exemplars: Sequence[Exemplar], n: int) -> list[Exemplar]:
    """Return at most ``n``, evenly spread."""
    if len(exemplars) <= n:
        return list(exemplars)
    return [exemplars[i] for i in np.linspace(0, len(exemplars) - 1, n).astype(int).tolist()] if n > 0 else []
