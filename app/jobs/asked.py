"""What a new job is asked for: type and config, checked, with the saved template that they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from app.columns import LOCAL_OWNER
from app.errors import TallyError
from app.extensions import db
from app.templates.models import Template
from app.uploads.models import Image
from app.uploads.service import display_name
from pipeline.contract import CountSettings, Exemplar, SettingsError
from pipeline.rules import has_solver, rules_text, try_rules
from pipeline.settings import settings_from_json

Data = dict[str, Any]
Fault = dict[str, Any]
"""One detail of INVALID_CONFIG: ``field`` and ``message``."""

MAX_TYPE_CHARS = 100
MAX_NAMES_SHOWN = 20

IDS_BEFORE_A_COUNT = "POST /inference/upload gives ids before anything is counted"

NOT_BUILT = {"webhook_url": "webhooks are not supported yet; follow the job's events instead"}

NOT_FOR_NEW_JOBS = {
    "groups": "groups exist once images are counted: POST /jobs/{id}/recount chooses among them",
    "groups_scope": "groups exist once images are counted: POST /jobs/{id}/recount chooses among them",
} | NOT_BUILT


@dataclass(frozen=True, slots=True)
class Asked:
    """What to count, and how. ``config`` is as it was sent, with what its template adds."""

    type_name: str
    config: Data
    settings: CountSettings


def asked_for(
    type_name: str | None, sent: Data, n_images: int, file_ids: Collection[str] = (), *, otherwise: str = ""
) -> Asked:
    """Return what a new job is asked for.

    Args:
        type_name: None means the template's, else ``otherwise``.
        sent: the request's config.
        n_images: that are counted.
        file_ids: of them, where they are known.
        otherwise: what is counted when nobody says what.

    Raises:
        TallyError: INVALID_REQUEST for the type; INVALID_CONFIG with every bad field.
    """
    config = with_template(sent)
    with template_named_for(sent):
        settings = _settings_of_new_job(config, n_images, file_ids)
    if type_name is None:
        type_name = template_named(settings.template).type if settings.template else otherwise
    return Asked(checked_type(type_name), config, settings)


def _settings_of_new_job(config: Data, n_images: int, file_ids: Collection[str]) -> CountSettings:
    """Return settings whose files, places and rules are right; raise INVALID_CONFIG with every bad field."""
    not_for_new = unsupported(config, NOT_FOR_NEW_JOBS)
    try:
        settings = settings_from_json(config)
    except SettingsError as error:
        raise invalid_config([*error.details, *not_for_new]) from error
    misplaced = misplaced_in(settings, file_ids, several=n_images > 1)
    missing, wrong = missing_files(settings.exemplars), wrong_rules(settings.rules)
    refuse([*not_for_new, *misplaced, *missing, *wrong])
    return settings


def checked_settings(sent: Any) -> CountSettings:
    """Return the settings a request asks for.

    Raises:
        TallyError: INVALID_CONFIG with every bad field.
    """
    try:
        return settings_from_json(sent)
    except SettingsError as error:
        raise invalid_config(error.details) from error


def checked_type(sent: str, field: str = "type") -> str:
    """Return what to count: a type's name or any other words, which are then only a label.

    Args:
        sent: the words.
        field: of the request that they came in.

    Raises:
        TallyError: INVALID_REQUEST when they are empty, too long, or hold what is not shown.
    """
    name = " ".join(sent.split())
    if not name or len(name) > MAX_TYPE_CHARS or display_name(name) != name:
        got = f"{len(name)}: {name[:MAX_TYPE_CHARS]!r}"
        message = f"{field}: want 1 to {MAX_TYPE_CHARS} printable characters, got {got}"
        raise TallyError("INVALID_REQUEST", message, field=field)
    return name


def with_template(sent: Data) -> Data:
    """Return the config with the settings and exemplars of the template it names; its own keys win.

    Raises:
        TallyError: INVALID_CONFIG when there is no such template.
    """
    if not isinstance(sent, dict) or not isinstance(sent.get("template"), str):
        return sent
    return merged(_saved(sent["template"]), sent)


def _saved(name: str) -> Data:
    """Return the config that a template adds."""
    template = template_named(name)
    return template.config | ({"exemplars": template.exemplars} if template.exemplars else {})


def template_named_for(sent: Data) -> AbstractContextManager[None]:
    """Have faults of what a template adds to a config told of the template: nobody sent the rest."""

    def renamed(fault: Fault) -> Fault:
        path = fault["field"].removeprefix("config.")
        key = re.split(r"[.\[]", path)[0]
        if not isinstance(sent.get("template"), str) or key in sent or key not in _saved(sent["template"]):
            return fault
        message = f"the template {sent['template']!r}, {path}: {fault['message']}"
        return {"field": "config.template", "message": message}

    return faults_renamed(renamed)


@contextmanager
def faults_renamed(rename: Callable[[Fault], Fault]) -> Iterator[None]:
    """Tell the faults of a config under other names."""
    try:
        yield
    except TallyError as error:
        if error.code != "INVALID_CONFIG" or not error.details:
            raise
        raise invalid_config([rename(fault) for fault in error.details]) from error


def merged(below: Data, above: Data) -> Data:
    """Return ``below`` with the keys of ``above`` in it; objects are merged one level deep."""
    return below | {
        key: {**below[key], **value}
        if isinstance(value, dict) and isinstance(below.get(key), dict)
        else value
        for key, value in above.items()
    }


def template_named(name: str) -> Template:
    """Return a template.

    Raises:
        TallyError: INVALID_CONFIG, which says which there are.
    """
    own = select(Template).where(Template.owner_id == LOCAL_OWNER)
    found = db.session.scalar(own.where(Template.name == name))
    if found is None:
        listed = db.session.scalars(own.order_by(Template.name).limit(MAX_NAMES_SHOWN)).all()
        known = ", ".join(template.name for template in listed) or "none is saved"
        message = f"want the name of a template ({known}), got {display_name(name)!r}"
        raise invalid_config([{"field": "config.template", "message": message}])
    return found


def unsupported(config: Data, keys: dict[str, str]) -> list[dict[str, str]]:
    """Return what is wrong with a config that has some of these keys: key -> why not."""
    return [{"field": f"config.{key}", "message": keys[key]} for key in keys if config.get(key)]


def wrong_rules(rules: str | None) -> list[Fault]:
    """Return what is wrong with rules whatever the image; takes up to ``TRIAL_CPU_S``, so not inside a write.

    Without a solver here only what the text itself shows; the worker then refuses the rest.
    """
    if rules is None:
        return []
    try:
        (try_rules if has_solver() else rules_text)(rules)
    except SettingsError as error:
        return error.details
    return []


def missing_files(exemplars: Sequence[Exemplar], *, hold: bool = False) -> list[dict[str, str]]:
    """Return what is wrong with exemplars that lie in files which are unknown or deleted.

    Args:
        exemplars: of a config.
        hold: until the transaction ends, so that a purge either came before, or sees who needs the files.
    """
    wanted = {exemplar.file_id for exemplar in exemplars if exemplar.file_id}
    kept = select(Image.id).where(Image.id.in_(wanted), Image.purged_at.is_(None)).order_by(Image.id)
    kept = kept.with_for_update() if hold else kept
    lost = wanted - set(db.session.scalars(kept)) if wanted else set()
    return [
        {
            "field": f"config.exemplars[{i}].file_id",
            "message": f"want a file that is there, got {display_name(exemplar.file_id or '')}",
        }
        for i, exemplar in enumerate(exemplars)
        if exemplar.file_id in lost
    ]


def misplaced_in(
    settings: CountSettings, file_ids: Collection[str], *, several: bool, hint: str = IDS_BEFORE_A_COUNT
) -> list[Fault]:
    """Return what is wrong with exemplars and regions that lie in no image, or in none that is counted.

    Args:
        settings: of a config.
        file_ids: of the images that are counted, where they are known.
        several: images are counted by them, so a box alone is no place.
        hint: where ids are told.
    """
    want = "want the id of the image that it lies in, got none: "
    unanchored = [
        {"field": f"config.exemplars[{i}].file_id", "message": want + hint}
        for i, exemplar in enumerate(settings.exemplars)
        if several and exemplar.file_id is None
    ]
    return unanchored + [
        {
            "field": f"config.roi[{i}].file_id",
            "message": f"want an image that is counted, got {display_name(region.file_id)}",
        }
        for i, region in enumerate(settings.roi)
        if region.file_id is not None and region.file_id not in file_ids
    ]


def refuse(wrong: Iterable[dict[str, str]]) -> None:
    """Raise INVALID_CONFIG when anything is wrong."""
    if details := list(wrong):
        raise invalid_config(details)


def invalid_config(details: Sequence[dict[str, str]]) -> TallyError:
    """Return the error of a config with these bad fields."""
    text = "; ".join(f"{detail['field']}: {detail['message']}" for detail in details)
    return TallyError(
        "INVALID_CONFIG", text, field=details[0]["field"], details=[dict(detail) for detail in details]
    )
