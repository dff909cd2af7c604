"""What the worker's and the scheduler's loops share: they stop on signals and outlive the database."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db

log = logging.getLogger(__name__)

T = TypeVar("T")


def guarded(what: str, step: Callable[[], T]) -> T | None:
    """Run a step and give the connection back; return None, and log why, when it fails."""
    try:
        return step()
    except SQLAlchemyError as error:
        log.warning("database unavailable", extra={"step": what, "reason": str(error)})
    except Exception:
        log.exception("step failed", extra={"step": what})
    finally:
        with suppress(SQLAlchemyError):
            db.session.remove()
    return None


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set, so that what is in work can be finished."""
    stopping = threading.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in numbers}
    try:
        yield stopping
    finally:
        for number, action in before.items():
            signal.signal(number, action)
