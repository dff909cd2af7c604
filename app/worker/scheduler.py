"""The scheduler: a reconciliation every few seconds, a purge every hour."""

from __future__ import annotations

import logging
import time

from flask import Flask

from app.columns import utcnow
from app.files.service import purge_expired
from app.worker.loop import guarded, stop_signals
from app.worker.reconcile import reconcile

log = logging.getLogger(__name__)

RECONCILE_S = 10.0
PURGE_S = 3600.0


def run_scheduler(app: Flask) -> None:
    """Reconcile and purge until a stop signal; a database or Redis that is away only delays it."""
    purge_at = time.monotonic()
    with app.app_context(), stop_signals() as stopping:
        log.info("scheduler started")
        while not stopping.is_set():
            guarded("reconcile", reconcile)
            if time.monotonic() >= purge_at:
                purge_at = time.monotonic() + PURGE_S
                guarded("purge", lambda: purge_expired(utcnow()))
            stopping.wait(RECONCILE_S)
    log.info("scheduler stopped")
