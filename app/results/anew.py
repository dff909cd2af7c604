"""Stored candidates under another type or other rules: what a new job would store of them, by no network."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic

from app.errors import TallyError
from app.jobs.asked import invalid_config, refuse, wrong_rules
from app.jobs.models import JobImage
from app.results.description import Data
from app.results.recount import settings_of, stored_candidates
from app.storage import StorageError, storage
from app.storage.keys import recounted_key
from pipeline.archive import write_candidates
from pipeline.contract import CountSettings, ObjectType, SettingsError
from pipeline.labels import relabelled
from pipeline.rules import follows, has_solver, with_rules
from pipeline.types import Candidates

log = logging.getLogger(__name__)

RULES_S = 20.0
"""Seconds after which no further image is reasoned about in one request."""

Anew = Mapping[str, Candidates]
"""By image id, for those images alone whose stored candidates will not do."""


def asked_anew(
    images: Sequence[JobImage],
    asked: Sequence[CountSettings],
    type_name: str | None,
    object_types: Sequence[ObjectType],
) -> Anew:
    """Return the candidates of images that another type or other rules decide on.

    Args:
        images: that are counted.
        asked: settings for each of them.
        type_name: what to count; None leaves it as it is.
        object_types: the finite set.

    Raises:
        TallyError: INVALID_CONFIG for a type that open_clip would have to look for, for wrong rules, and when
            the rules take longer than ``RULES_S``. StorageError.
    """
    deadline, anew = monotonic() + RULES_S, {}
    for image, settings in zip(images, asked, strict=True):
        rules = settings.rules
        is_new = rules is not None and rules != settings_of(image).rules
        if type_name is None and not is_new:
            continue
        candidates = stored = stored_candidates(image)
        try:
            if type_name is not None:
                candidates = relabelled(candidates, type_name, object_types, settings.count_what)
            if rules is not None and not follows(candidates.rule_effects, rules) and has_solver():
                candidates = _reasoned(candidates, rules, image.image.filename, deadline)
        except SettingsError as error:
            raise invalid_config(error.details) from error
        if candidates is not stored:
            anew[image.image_id] = candidates
    return anew


def _reasoned(candidates: Candidates, rules: str, filename: str, deadline: float) -> Candidates:
    """Return the candidates with what rules derive about them."""
    field = "config.symbolic_reasoning.rules"
    if monotonic() > deadline:
        message = f"these rules take more than {RULES_S:.0f} s for the images; a new job takes its time"
        raise invalid_config([{"field": field, "message": message}])
    try:
        return with_rules(candidates, rules)
    except SettingsError as error:
        refuse(wrong_rules(rules))  # whatever the image
        raise invalid_config(
            [{**d, "message": f"{filename}: {d['message']}"} for d in error.details]
        ) from error


@contextmanager
def stored_anew(images: Sequence[JobImage], anew: Anew) -> Iterator[Mapping[str, Data]]:
    """Store candidates beside those of before, give new columns by image id, and delete what is not needed.

    The block writes these: when somebody else changed a result meanwhile, or not all can be stored, the
    candidates of before stay.
    """
    changed = [image for image in images if image.image_id in anew]
    before = [image.candidates_key for image in changed if image.candidates_key]
    keys: dict[str, str] = {}
    try:
        for image in changed:
            key = keys[image.image_id] = recounted_key(image.job_id, image.image_id)
            storage().put(key, io.BytesIO(write_candidates(anew[image.image_id])))
        yield {image_id: {"candidates_key": key} for image_id, key in keys.items()}
    except (TallyError, StorageError):
        _delete(keys.values())
        raise
    _delete(before)


def _delete(keys: Iterable[str]) -> None:
    """Delete files that no result needs; what a failing store keeps goes with the job."""
    for key in keys:
        try:
            storage().delete(key)
        except (StorageError, OSError) as error:
            log.warning("unwanted candidates stay", extra={"key": key, "reason": str(error)})
