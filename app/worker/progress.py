"""Heartbeat of a batch: keeps its leases, tells how far its images are, and notices which are lost."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Self

from flask import Flask
from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.columns import utcnow
from app.database import transaction
from app.events.service import publish_progress
from app.extensions import config
from app.jobs.models import JobImage
from app.jobs.states import ImageStatus
from app.jobs.transitions import execute
from app.worker.claims import ClaimedImage
from pipeline.contract import STAGES

log = logging.getLogger(__name__)

TICK_S = 0.5
"""Progress is written, published and asked for this often: twice a second, under the 4/s of the contract."""

STALL_LIMIT_S = 900.0
"""A forward pass that reports nothing for so long is hung: the process ends and its leases run out."""

STALLED_EXIT = 75

DECODING = STAGES[0]


class Heartbeat:
    """One batch while it is counted; a thread of its own, because a forward pass may last minutes.

    The pipeline's callbacks only take notes; the thread writes. It extends the leases as long as the
    pipeline has reported anything within ``stall_limit_s``.
    """

    def __init__(
        self,
        app: Flask,
        owner: str,
        images: Sequence[ClaimedImage],
        stopping: threading.Event,
        stall_limit_s: float = STALL_LIMIT_S,
    ) -> None:
        """Take a batch that ``owner`` has just claimed; ``stopping`` makes what has not begun unwanted."""
        self._app, self._owner, self._stopping = app, owner, stopping
        self._stall_limit_s = stall_limit_s
        self._open = {image.key: image for image in images}
        self._begun: set[str] = set()
        self._news: dict[str, tuple[str, float]] = {}
        self._reported_at = time.monotonic()
        self._extended_at = time.monotonic()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tally-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def report(self, key: str, stage: str, share: float) -> None:
        """Note which stage image ``key`` is in, and the share in [0, 1] of its work that is done."""
        with self._lock:
            self._reported_at = time.monotonic()
            self._news[key] = stage, share
            if stage != DECODING:
                self._begun.add(key)

    def is_wanted(self, key: str) -> bool:
        """Return whether image ``key`` should still be counted: not cancelled, not lost.

        When the worker stops, what has only been decoded is not wanted either; the rest is finished.
        """
        return key in self._open and (key in self._begun or not self._stopping.is_set())

    def is_ours(self, key: str) -> bool:
        """Return whether, as far as known, the lease on image ``key`` is still ours."""
        return key in self._open

    def close(self, key: str) -> None:
        """Stop looking after image ``key``: it is written, or lost."""
        with self._lock:
            self._open.pop(key, None)
            self._news.pop(key, None)
            self._reported_at = time.monotonic()

    def _run(self) -> None:
        while not self._ended.wait(TICK_S):
            if time.monotonic() - self._reported_at > self._stall_limit_s:
                log.critical("no progress, ending this process", extra={"limit_s": self._stall_limit_s})
                os._exit(STALLED_EXIT)
            try:
                with self._app.app_context():
                    self._beat()
            except SQLAlchemyError as error:
                log.warning("database unavailable, heartbeat missed", extra={"reason": str(error)})

    def _beat(self) -> None:
        with self._lock:
            images, news = dict(self._open), {k: n for k, n in self._news.items() if k in self._open}
            self._news.clear()
        lease_s = config().lease_s
        is_due = time.monotonic() - self._extended_at > min(lease_s / 4, 2.0)
        if not images or not (news or is_due):
            return
        self._extended_at = time.monotonic()
        with transaction() as session:
            ours = self._extend(session, [image.id for image in images.values()], lease_s)
            _write_progress(session, {images[key].id: found for key, found in news.items()}, ours)
        for key, image in images.items():
            if image.id not in ours:
                self.close(key)
        self._publish({images[key].job_id: (images[key], stage) for key, (stage, _) in news.items()})

    def _extend(self, session: Session, ids: list[int], lease_s: float) -> set[int]:
        """Extend the leases, and return which are still ours."""
        ours = (
            JobImage.id.in_(ids),
            JobImage.status == ImageStatus.PROCESSING,
            JobImage.lease_owner == self._owner,
        )
        until = utcnow() + timedelta(seconds=lease_s)
        if execute(session, update(JobImage).where(*ours).values(lease_until=until)) == len(ids):
            return set(ids)
        return set(session.scalars(select(JobImage.id).where(*ours)))

    @staticmethod
    def _publish(latest: dict[str, tuple[ClaimedImage, str]]) -> None:
        for job_id, (image, stage) in latest.items():
            publish_progress(job_id, {"file_id": image.image_id, "current_stage": stage})


def _write_progress(session: Session, news: dict[int, tuple[str, float]], ours: set[int]) -> None:
    rows = [
        {"row_id": row_id, "new_stage": stage, "new_progress": share}
        for row_id, (stage, share) in news.items()
        if row_id in ours
    ]
    if rows:
        table = JobImage.__table__
        statement = (
            update(JobImage)
            .where(table.c.id == bindparam("row_id"))
            .values(stage=bindparam("new_stage"), progress=bindparam("new_progress"))
        )
        session.connection().execute(statement, rows)
