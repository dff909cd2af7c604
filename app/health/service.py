"""What this process needs from others, looked at one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from redis import RedisError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import config, db, redis_client
from app.jobs.queue import live_workers
from app.storage import StorageError, storage
from pipeline.weights import manifest, state

log = logging.getLogger(__name__)

Check = Callable[[], str]
"""Returns a note for the operator, "" for none; raises when the dependency does not do its work."""


class DegradedError(Exception):
    """The dependency answers, but something is missing; the message says what."""


REQUIRED = ("database", "storage")
"""Without these nothing can be accepted. Without the others jobs are accepted and wait: Redis only
carries wake-ups, and workers may be scaled to zero."""


def readiness() -> tuple[bool, dict[str, dict[str, str]]]:
    """Return whether requests can be served, and each dependency's state (ok, degraded, failed)."""
    checks = {name: _safely(name, check) for name, check in _CHECKS.items()}
    return all(checks[name]["status"] == "ok" for name in REQUIRED), checks


def _safely(name: str, check: Check) -> dict[str, str]:
    try:
        note, state = check(), "ok"
    except DegradedError as error:
        note, state = str(error), "degraded"
    except (SQLAlchemyError, RedisError, StorageError, OSError) as error:
        log.warning("dependency does not answer", extra={"dependency": name, "reason": str(error)})
        note, state = "does not answer; the log says more", "failed" if name in REQUIRED else "degraded"
    return {"status": state} | ({"message": note} if note else {})


def _database() -> str:
    db.session.execute(select(1))
    return ""


def _redis() -> str:
    redis_client().ping()
    return ""


def _storage() -> str:
    storage().check()
    return ""


def _worker() -> str:
    if not live_workers():
        raise DegradedError("no live worker: jobs are accepted and wait")
    return ""


def _weights() -> str:
    """Say what the files of the manifest are known to be, without reading them: the workers do that."""
    folder = Path(config().weights_dir)
    states = {entry.name: state(entry, folder / entry.file, read=False) for entry in manifest().values()}
    words = {"genuine": "found", "unread": "not verified yet", "damaged": "refused (tally doctor says why)"}
    groups = {word: [name for name, is_ in states.items() if is_ == known] for known, word in words.items()}
    note = "; ".join(f"{word}: {', '.join(names)}" for word, names in groups.items() if names)
    if "damaged" in states.values():
        raise DegradedError(note)
    return note or "none: the embedded engines count"


_CHECKS: dict[str, Check] = {
    "database": _database,
    "redis": _redis,
    "storage": _storage,
    "worker": _worker,
    "weights": _weights,
}
