"""``Idempotency-Key``: the same request twice is done once, and answered twice alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.columns import LOCAL_OWNER
from app.database import transaction
from app.errors import TallyError
from app.extensions import db
from app.jobs.models import IdempotencyKey

KEPT_FOR = timedelta(days=1)
MAX_KEY_CHARS = 255
Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A request that carries a key. ``body_sha256`` covers everything that makes it another request."""

    key: str
    body_sha256: str

    def __post_init__(self) -> None:
        """Raise INVALID_REQUEST unless the key is 1 to 255 printable characters."""
        if not 0 < len(self.key) <= MAX_KEY_CHARS or not self.key.isprintable():
            raise TallyError(
                "INVALID_REQUEST",
                f"Idempotency-Key: want 1 to {MAX_KEY_CHARS} printable characters, got {len(self.key)}",
                field="Idempotency-Key",
            )


def once(request_key: RequestKey | None, status: int, work: Callable[[Session], Data]) -> tuple[Data, bool]:
    """Run ``work`` in a transaction, once a key; return its answer and whether it ran now.

    The key's row is written first: of two requests at once the second waits for it, fails, and reads the
    answer of the first.

    Args:
        request_key: None runs it always.
        status: HTTP status of the answer.
        work: returns the answer's ``data``, inside the transaction.

    Raises:
        TallyError: IDEMPOTENCY_CONFLICT when the key was used with another body.
    """
    if request_key is None:
        with transaction() as session:
            return work(session), True
    if (known := first_answer(request_key)) is not None:
        return known, False
    try:
        with transaction() as session:
            row = IdempotencyKey(
                key=request_key.key, body_sha256=request_key.body_sha256, response_status=status, response={}
            )
            session.add(row)
            session.flush()
            row.response = work(session)
            return row.response, True
    except IntegrityError:
        if (known := first_answer(request_key)) is None:
            raise
        return known, False


def first_answer(request_key: RequestKey) -> Data | None:
    """Return what the first request with this key was answered, None when there was none.

    Raises:
        TallyError: IDEMPOTENCY_CONFLICT when that was another request.
    """
    db.session.rollback()  # ends a snapshot from before the first request's commit
    row = db.session.scalar(
        select(IdempotencyKey).where(
            IdempotencyKey.owner_id == LOCAL_OWNER, IdempotencyKey.key == request_key.key
        )
    )
    if row is None:
        return None
    if row.body_sha256 != request_key.body_sha256:
        raise TallyError(
            "IDEMPOTENCY_CONFLICT",
            "this Idempotency-Key was used with another request; want a fresh key",
            field="Idempotency-Key",
        )
    return dict(row.response)


def forget_old(session: Session, now: datetime) -> None:
    """Delete the keys that are older than ``KEPT_FOR``, inside the caller's transaction."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEPT_FOR))
