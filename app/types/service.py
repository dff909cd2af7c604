"""The finite set of things that can be counted by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.columns import LOCAL_OWNER
from app.database import transaction
from app.errors import TallyError
from app.extensions import db
from app.jobs.asked import checked_type
from app.jobs.idempotency import Data, RequestKey, once
from app.types.models import ObjectType
from pipeline import contract
from pipeline.object_types import find_type, finder, is_called

_SEEDED = ("name", "synonyms", "prompts", "colour", "min_area_px", "max_area_px")


def object_types(session: Session) -> list[contract.ObjectType]:
    """Return the set as the pipeline knows it, by name."""
    return [
        contract.ObjectType(
            row.name, tuple(row.synonyms), tuple(row.prompts), row.min_area_px, row.max_area_px
        )
        for row in session.scalars(select(ObjectType).order_by(ObjectType.name))
    ]


def meaning_the_same(word: str, others: Iterable[str]) -> list[str]:
    """Return the words that name the same type as ``word``, or the same free text in any case and number."""
    find = finder(object_types(db.session()))
    meant = find(word)

    def is_same(other: str) -> bool:
        found = find(other)
        return found == meant if found or meant else is_called(contract.ObjectType(word), other)

    return [other for other in others if is_same(other)]


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
        TallyError: TYPE_EXISTS when one of its words means another type; INVALID_REQUEST for a word that no
            job can ask for, and when its size limits contradict.
    """

    def work(session: Session) -> Data:
        return _write(session, ObjectType(), values)

    try:
        return once(request_key, 201, work)[0]
    except IntegrityError as error:
        raise _taken("name", values["name"], values["name"]) from error


def change_type(type_id: str, values: dict[str, Any]) -> Data:
    """Change what is given of a type. Jobs that were counted before keep their results.

    Raises:
        TallyError: TYPE_NOT_FOUND; TYPE_EXISTS and INVALID_REQUEST as for ``create_type``.
    """
    try:
        with transaction() as session:
            row = session.get(ObjectType, type_id)
            if row is None:
                raise TallyError("TYPE_NOT_FOUND", "there is no such object type", field="type_id")
            return _write(session, row, values)
    except IntegrityError as error:
        raise _taken("name", values["name"], values["name"]) from error


def _write(session: Session, row: ObjectType, values: dict[str, Any]) -> Data:
    """Set what is given, once its words and the whole are checked."""
    others = [other for other in object_types(session) if other.name != row.name]
    if "name" in values:
        values = values | {"name": _checked_word("name", values["name"], [row.name], others)}
    if "synonyms" in values:
        kept, sent = row.synonyms or [], enumerate(values["synonyms"])
        synonyms = [_checked_word(f"synonyms.{i}", word, kept, others) for i, word in sent]
        values = values | {"synonyms": synonyms}
    for name, value in values.items():
        setattr(row, name, value)
    _check_limits(row)
    session.add(row)
    session.flush()
    return _describe(row)


def _checked_word(field: str, sent: str, kept: Sequence[str], others: Sequence[contract.ObjectType]) -> str:
    """Return a word of a type: one that jobs can ask for and that means none of the others.

    Args:
        field: of the request.
        sent: the word as it came.
        kept: what the type has in this place already may stay, also where it clashes.
        others: all types but this one.
    """
    if sent in kept:
        return sent
    word = checked_type(sent, field)
    if (other := find_type(word, others)) is not None:
        raise _taken(field, word, other.name)
    return word


def _check_limits(row: ObjectType) -> None:
    low, high = row.min_area_px, row.max_area_px
    if low is not None and high is not None and low > high:
        message = f"min_area_px: want at most max_area_px {high}, got {low}"
        raise TallyError("INVALID_REQUEST", message, field="min_area_px")


def _taken(field: str, word: str, name: str) -> TallyError:
    message = f"{field}: want a word that means no other type, got {word!r}, which means the type {name!r}"
    return TallyError("TYPE_EXISTS", message, field=field)


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
