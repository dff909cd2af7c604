"""The batch director: claim images of any jobs, count them together, write each result once."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from flask import Flask, current_app
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from app.database import transaction
from app.events.service import wake
from app.extensions import config, db
from app.jobs.queue import announce_work
from app.monitoring.metrics import BATCH_SIZE
from app.types.service import object_types
from app.worker import persist
from app.worker.claims import ClaimedImage, claim, is_waiting, next_engine_key
from app.worker.exemplars import keep_exemplars
from app.worker.progress import STALL_LIMIT_S, Heartbeat
from app.worker.requests import Batch, prepared
from pipeline.contract import CountRequest, ErrorCode, ObjectType, PipelineError, unforeseen
from pipeline.run import ImageOutcome
from pipeline.types import Candidates

log = logging.getLogger(__name__)

DATABASE_PATIENCE_S = 300.0
"""A finished result waits so long for a database that went away."""

DATABASE_RETRY_S = 0.5


class CountBatch(Protocol):
    """The pipeline: ``pipeline.run.count_batch``."""

    def __call__(
        self,
        requests: Sequence[CountRequest],
        *,
        object_types: Sequence[ObjectType],
        on_progress: Callable[[str, str, float], None],
        wanted: Callable[[str], bool],
        known: dict[str, Candidates],
        on_outcome: Callable[[ImageOutcome], None],
    ) -> list[ImageOutcome]:
        """Count every image, handing out outcomes as they come."""


def work(engine_key: str) -> None:
    """Count one batch of an engine key. RQ calls this by its dotted name inside a running worker."""
    director: Director = current_app.extensions["tally_director"]
    director.work(engine_key)


class Director:
    """One worker's part in the work: one batch at a time, with models that stay warm in the process."""

    def __init__(
        self,
        app: Flask,
        count_batch: CountBatch,
        stopping: threading.Event,
        *,
        stall_limit_s: float = STALL_LIMIT_S,
    ) -> None:
        """Count with ``count_batch``; once ``stopping`` is set, begin no further image."""
        self._app, self._count_batch, self._stopping = app, count_batch, stopping
        self._stall_limit_s = stall_limit_s
        self.name = f"{socket.gethostname()[:24]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.n_batches = 0

    def work_any(self) -> bool:
        """Count one batch of whatever has waited longest; return False when nothing waits."""
        engine_key = next_engine_key(db.session())
        db.session.remove()
        return engine_key is not None and self.work(engine_key) > 0

    def work(self, engine_key: str) -> int:
        """Count one batch of this engine key; return how many images it had, 0 when none waited."""
        owner = f"{self.name}:{self.n_batches}"
        try:
            images = self._claim(engine_key, owner)
            if not images:
                return 0
            self.n_batches += 1
            BATCH_SIZE.observe(len(images))
            self._tell_others(engine_key, images)
            with Heartbeat(self._app, owner, images, self._stopping, self._stall_limit_s) as heartbeat:
                work = (self._app, self._count_batch, engine_key, owner, images, heartbeat, self._stopping)
                _BatchRun(*work).run()
            return len(images)
        finally:
            db.session.remove()

    def _claim(self, engine_key: str, owner: str) -> list[ClaimedImage]:
        """Claim a batch; when it is not full, wait a moment for more to come."""
        settings = config()
        with transaction() as session:
            images = claim(session, engine_key, settings.batch_max, owner, settings.lease_s)
        n_free = settings.batch_max - len(images)
        if images and n_free and images[0].attempts == 1 and settings.batch_window_ms:
            self._stopping.wait(settings.batch_window_ms / 1000)
            with transaction() as session:
                images += claim(session, engine_key, n_free, owner, settings.lease_s, fresh_only=True)
        return images

    @staticmethod
    def _tell_others(engine_key: str, images: Iterable[ClaimedImage]) -> None:
        """Wake followers of the jobs, and another worker when more images wait."""
        for job_id in {image.job_id for image in images}:
            wake(job_id)
        if is_waiting(db.session(), engine_key):
            announce_work(engine_key)
        db.session.remove()


class _BatchRun:
    """One batch on its way through the pipeline and into the database.

    A thread writes what is counted while the next image is; its lease is looked after until it is written.
    """

    def __init__(
        self,
        app: Flask,
        count_batch: CountBatch,
        engine_key: str,
        owner: str,
        images: Sequence[ClaimedImage],
        heartbeat: Heartbeat,
        stopping: threading.Event,
    ) -> None:
        self._app = app
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="tally-writer")
        self._count_batch, self._engine_key, self._owner = count_batch, engine_key, owner
        self._heartbeat, self._stopping = heartbeat, stopping
        self._open = {image.key: image for image in images}
        self._helpers: frozenset[str] = frozenset()

    def run(self) -> None:
        """Bring every image of the batch to its end: written, failed, put back, or given up as lost."""
        with self._writer, prepared(list(self._open.values())) as batch:
            self._helpers = frozenset(batch.helpers)
            for key, error in batch.errors.items():
                self._finish(ImageOutcome(key, error=error))
            types = object_types(db.session())
            db.session.remove()  # a forward pass may last minutes: it must not keep a connection
            self._count(batch, list(batch.requests.values()), types)

    def _count(self, batch: Batch, requests: Sequence[CountRequest], types: Sequence[ObjectType]) -> None:
        """Count some images; when the whole call fails, each of the unfinished ones alone."""
        if not requests:
            return
        try:
            outcomes = self._count_batch(
                [*batch.helpers.values(), *requests],
                object_types=types,
                on_progress=self._heartbeat.report,
                wanted=self._is_wanted,
                known=batch.known,
                on_outcome=self._finish,
            )
        except Exception as error:
            left = [request for request in requests if request.image_id in self._open]
            failure = _as_pipeline_error(error)
            if len(requests) > 1 and failure.code != ErrorCode.MODEL_LOAD_ERROR:
                log.warning("batch failed, counting each image alone", exc_info=error)
                for request in left:
                    self._count(batch, [request], types)
                return
            about = {"images": [request.image_id for request in left]}
            log.exception("counting failed", exc_info=error, extra=about)
            outcomes = [ImageOutcome(request.image_id, error=failure) for request in left]
        for outcome in outcomes:
            self._finish(outcome)

    def _is_wanted(self, key: str) -> bool:
        """Helpers are always wanted; they only serve the others."""
        return key not in self._open or self._heartbeat.is_wanted(key)

    def _finish(self, outcome: ImageOutcome) -> None:
        """Have one outcome written, once; of a helper only its candidates are kept, for later batches."""
        image = self._open.pop(outcome.image_id, None)
        if image is not None:
            self._writer.submit(self._end, image, outcome)
        elif outcome.image_id in self._helpers and outcome.candidates is not None:
            self._writer.submit(self._keep, outcome.image_id, outcome.candidates)

    def _keep(self, key: str, candidates: Candidates) -> None:
        """Store a helper's candidates, in the writer's thread."""
        try:
            with self._app.app_context():
                keep_exemplars(key, candidates)
        except SQLAlchemyError as error:
            log.warning("exemplars' candidates may stay", extra={"key": key, "reason": str(error)})

    def _end(self, image: ClaimedImage, outcome: ImageOutcome) -> None:
        """Write one outcome, in the writer's thread."""
        if not self._heartbeat.is_ours(image.key):
            log.warning("image cancelled or taken back, result dropped", extra=image.about)
            return
        try:
            with self._app.app_context():
                self._patiently(lambda: self._write(image, outcome))
        except Exception:
            log.exception("result lost, the lease will run out", extra=image.about)
        self._heartbeat.close(image.key)

    def _write(self, image: ClaimedImage, outcome: ImageOutcome) -> None:
        if outcome.skipped:
            persist.release(image, self._owner, self._engine_key)
        elif outcome.error is not None:
            persist.fail(image, self._owner, outcome.error)
        else:
            try:
                persist.save(image, self._owner, outcome)
            except PipelineError as error:
                persist.fail(image, self._owner, error)

    def _patiently(self, write: Callable[[], None]) -> None:
        """Write, and while the database is away try again: the result has cost more than the wait.

        The transaction is guarded, so that a commit whose answer was lost is not repeated.
        """
        give_up_at = time.monotonic() + DATABASE_PATIENCE_S
        while True:
            try:
                return write()
            except (OperationalError, InterfaceError) as error:
                if self._stopping.is_set() or time.monotonic() > give_up_at:
                    raise
                log.warning("database unavailable, the result waits", extra={"reason": str(error.orig)})
                self._stopping.wait(DATABASE_RETRY_S)


def _as_pipeline_error(error: Exception) -> PipelineError:
    """Return what may be told of any failure; the rest of it is for the log."""
    if isinstance(error, PipelineError):
        return error
    if isinstance(error, MemoryError):
        return PipelineError(ErrorCode.OUT_OF_MEMORY, "the batch does not fit into memory")
    return unforeseen()
