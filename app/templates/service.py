"""Saved exemplars and settings: kept with the images that they refer to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload

from app.database import transaction
from app.errors import TallyError
from app.extensions import db
from app.jobs.asked import (
    Fault,
    checked_settings,
    checked_type,
    faults_renamed,
    misplaced_in,
    missing_files,
    refuse,
    unsupported,
    wrong_rules,
)
from app.jobs.description import describe_file
from app.jobs.idempotency import Data, RequestKey, once
from app.jobs.status import rfc3339
from app.templates.models import Template
from app.uploads.models import Image
from app.uploads.service import display_name
from pipeline.contract import SettingsError
from pipeline.settings import settings_from_json

NOT_SAVED = {
    "exemplars": "exemplars stand beside the config, not in it",
    "groups": "groups belong to the images of one job",
    "groups_scope": "groups belong to the images of one job",
    "template": "a template does not name another one",
    "webhook_url": "webhooks are not supported yet",
}


def list_templates(first: int, size: int) -> tuple[list[Data], int]:
    """Return ``size`` templates from number ``first``, by name, and how many there are in all."""
    total = db.session.scalar(select(func.count()).select_from(Template)) or 0
    page = select(Template).order_by(Template.name, Template.id).offset(first).limit(size)
    page = page.options(selectinload(Template.images))
    return [_describe(row) for row in db.session.scalars(page)], total


def show_template(template_id: str) -> Data:
    """Return one template.

    Raises:
        TallyError: TEMPLATE_NOT_FOUND.
    """
    return _describe(_get(db.session(), template_id))


def create_template(values: dict[str, Any], request_key: RequestKey | None) -> Data:
    """Save a template.

    Raises:
        TallyError: TEMPLATE_EXISTS, INVALID_CONFIG, INVALID_REQUEST.
    """
    refuse(_wrong_rules_in(values))

    def work(session: Session) -> Data:
        return _write(session, Template(), values)

    try:
        return once(request_key, 201, work)[0]
    except IntegrityError as error:
        raise _exists(values["name"]) from error


def change_template(template_id: str, values: dict[str, Any]) -> Data:
    """Change what is given of a template. Jobs that used it keep what they were counted with.

    Raises:
        TallyError: TEMPLATE_NOT_FOUND, TEMPLATE_EXISTS, INVALID_CONFIG, INVALID_REQUEST.
    """
    refuse(_wrong_rules_in(values))
    try:
        with transaction() as session:
            return _write(session, _held(session, template_id), values)
    except IntegrityError as error:
        raise _exists(values["name"]) from error


def delete_template(template_id: str) -> Data:
    """Delete a template; from now on retention takes its images as it takes others.

    Raises:
        TallyError: TEMPLATE_NOT_FOUND.
    """
    with transaction() as session:
        found = _held(session, template_id)
        session.execute(delete(Template).where(Template.id == found.id))
    return {"template_id": template_id, "deleted": True}


def _wrong_rules_in(values: dict[str, Any]) -> list[Fault]:
    """Return what is wrong with the rules of a config; ``_write`` finds whatever else is."""
    config = values.get("config", {})
    try:
        read = settings_from_json({key: config[key] for key in ("symbolic_reasoning",) if key in config})
    except SettingsError:
        return []
    return wrong_rules(read.rules)


def _write(session: Session, row: Template, values: dict[str, Any]) -> Data:
    """Set what is given, check the whole, and hold the images: a purge came before, or sees this."""
    for name, value in values.items():
        setattr(row, name, value)
    row.type = checked_type(row.type)
    refuse(unsupported(row.config, NOT_SAVED))
    with faults_renamed(_beside_the_config):
        settings = checked_settings(row.config | ({"exemplars": row.exemplars} if row.exemplars else {}))
        refuse(misplaced_in(settings, (), several=True))
        wanted = {exemplar.file_id for exemplar in settings.exemplars}
        row.images = list(session.scalars(select(Image).where(Image.id.in_(wanted)).with_for_update()))
        refuse(missing_files(settings.exemplars))
    session.add(row)
    session.flush()
    return _describe(row)


def _beside_the_config(fault: Fault) -> Fault:
    """Name exemplars as a template holds them."""
    field = fault["field"]
    return fault | {"field": field.removeprefix("config.") if field.startswith("config.exemplars") else field}


def _get(session: Session, template_id: str) -> Template:
    found = session.get(Template, template_id)
    if found is None:
        raise TallyError("TEMPLATE_NOT_FOUND", f"there is no template {display_name(template_id)}")
    return found


def _held(session: Session, template_id: str) -> Template:
    """Return a template that nobody else changes or deletes until the transaction ends."""
    session.execute(select(Template.id).where(Template.id == template_id).with_for_update())
    return _get(session, template_id)


def _exists(name: str) -> TallyError:
    return TallyError(
        "TEMPLATE_EXISTS", f"there is a template named {name!r}; change it with PATCH", field="name"
    )


def _describe(row: Template) -> Data:
    return {
        "template_id": row.id,
        "name": row.name,
        "type": row.type,
        "config": row.config,
        "exemplars": row.exemplars,
        "images": [describe_file(image) for image in row.images],
        "created_at": rfc3339(row.created_at),
    }
