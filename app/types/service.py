"""The finite set of things that can be counted by name."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.columns import LOCAL_OWNER
from app.database import transaction
from app.errors import TallyError
from app.extensions import db
from app.jobs.idempotency import Data, RequestKey, once
from app.types.models import ObjectType
from pipeline import contract

_SEEDED = ("name", "synonyms", "prompts", "colour", "min_area_px", "max_area_px")


def object_types(session: Session) -> list[contract.ObjectType]:
    """Return the set as the pipeline knows it, by name."""
    return [
        contract.ObjectType(
            row.name, tuple(row.synonyms), tuple(row.prompts), row.min_area_px, row.max_area_px
        )
        for row in session.scalars(select(ObjectType).order_by(ObjectType.name))
    ]


def seed_defaults() -> int:
    """Add the built-in types that are missing, and return how many; what people changed stays."""
    text = resources.files("pipeline").joinpath("data/object_types.json").read_text(encoding="utf-8")
    with transaction() as session:
        known = set(session.scalars(select(ObjectType.name).where(ObjectType.owner_id == LOCAL_OWNER)))
        missing = [entry for entry in json.loads(text) if entry["name"] not in known]
        session.add_all(
            ObjectType(**{name: entry[name] for name in _SEEDED if name in entry}) for entry in missing
        )
    return len(missing)


def list_types(first: int, size: int) -> tuple[list[Data], int]:
    """Return ``size`` types from number ``first``, by name, and how many there are in all."""
    total = db.session.scalar(select(func.count()).select_from(ObjectType)) or 0
    page = select(ObjectType).order_by(ObjectType.name, ObjectType.id).offset(first).limit(size)
    return [_describe(row) for row in db.session.scalars(page)], total


def create_type(values: dict[str, Any], request_key: RequestKey | None) -> Data:
    """Add a type.

    Raises:
        TallyError: TYPE_EXISTS, INVALID_REQUEST when its size limits contradict.
    """

    def work(session: Session) -> Data:
        row = ObjectType(**values)
        _check_limits(row)
        session.add(row)
        session.flush()
        return _describe(row)

    try:
        return once(request_key, 201, work)[0]
    except IntegrityError as error:
        raise _exists(values["name"]) from error


def change_type(type_id: str, values: dict[str, Any]) -> Data:
    """Change what is given of a type. Jobs that were counted before keep their results.

    Raises:
        TallyError: TYPE_NOT_FOUND, TYPE_EXISTS, INVALID_REQUEST.
    """
    try:
        with transaction() as session:
            row = session.get(ObjectType, type_id)
            if row is None:
                raise TallyError("TYPE_NOT_FOUND", "there is no such object type", field="type_id")
            for name, value in values.items():
                setattr(row, name, value)
            _check_limits(row)
            session.flush()
            return _describe(row)
    except IntegrityError as error:
        raise _exists(values["name"]) from error


def _check_limits(row: ObjectType) -> None:
    low, high = row.min_area_px, row.max_area_px
    if low is not None and high is not None and low > high:
        message = f"min_area_px: want at most max_area_px {high}, got {low}"
        raise TallyError("INVALID_REQUEST", message, field="min_area_px")


def _exists(name: str) -> TallyError:
    return TallyError("TYPE_EXISTS", f"there is a type named {name!r}; change it with PATCH", field="name")


def _describe(row: ObjectType) -> Data:
    return {
        "type_id": row.id,
        "name": row.name,
        "synonyms": row.synonyms,
        "prompts": row.prompts,
        "colour": row.colour,
        "min_area_px": row.min_area_px,
        "max_area_px": row.max_area_px,
    }
