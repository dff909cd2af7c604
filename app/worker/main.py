"""The worker: wait for messages, look at the rows when none come, outlive Redis and database."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flask import Flask
from redis import Redis, RedisError
from rq import SimpleWorker
from rq.exceptions import DequeueTimeout
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty

from app.extensions import config, connect_listener
from app.jobs.queue import message_queue, report_alive, report_gone
from app.worker import render
from app.worker.director import CountBatch, Director
from app.worker.gpus import observe_gpus
from app.worker.loop import guarded, stop_signals
from app.worker.progress import STALL_LIMIT_S

log = logging.getLogger(__name__)

POLL_S = 2
"""How long a worker waits for a message before it looks at the rows itself."""

REPORT_S = 10.0
"""A worker says this often that it lives; a third of the time after which it counts as dead."""


class MessageListener(SimpleWorker):
    """RQ's worker without its loop, which ends or sleeps up to a minute when Redis goes away.

    A message is executed in this process, without a time limit by signal: leases limit the work.
    """

    death_penalty_class = TimerDeathPenalty  # the signal one has no "never": it sets alarm(-1)

    def __init__(self, name: str, client: Redis) -> None:
        """Listen on the queue of this product under ``name``; connects at the first ``listen``."""
        super().__init__(
            [message_queue(client)],
            name=name,
            connection=client,
            serializer=JSONSerializer,
            worker_ttl=30,
            prepare_for_work=False,
        )
        self.hostname, self.pid = socket.gethostname(), os.getpid()
        self.log.setLevel(logging.WARNING)  # a message says nothing that the director does not log better

    def listen(self, timeout_s: int) -> bool:
        """Execute one message; return False when none came in time.

        Raises:
            RedisError: Redis is away, at whatever point.
        """
        if not self.connection.exists(self.key):  # first time, or Redis was flushed
            self.register_birth()  # type: ignore[no-untyped-call]
        self.heartbeat()
        if self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()  # type: ignore[no-untyped-call]
        try:
            found = self.queue_class.dequeue_any(
                self.queues, timeout_s, connection=self.connection, serializer=self.serializer
            )
        except DequeueTimeout:
            return False
        if found is not None:
            self.execute_job(*found)
        return found is not None

    def leave(self) -> None:
        """Sign off; nothing happens when Redis is away."""
        with suppress(RedisError):
            self.register_death()  # type: ignore[no-untyped-call]


def run_worker(
    app: Flask,
    count_batch: CountBatch,
    *,
    max_batches: int,
    stall_limit_s: float = STALL_LIMIT_S,
) -> int:
    """Count until a stop signal or ``max_batches``; return how many batches there were.

    Messages wake the worker at once; every ``POLL_S`` without one it looks at the rows itself, so a
    lost message costs seconds and a lost Redis nothing else.
    """
    with app.app_context(), stop_signals() as stopping:
        director = Director(app, count_batch, stopping, stall_limit_s=stall_limit_s)
        app.extensions["tally_director"] = director
        with _reporting(app, director.name):
            _run(director, stopping, max_batches)
    return director.n_batches


def _run(director: Director, stopping: threading.Event, max_batches: int) -> None:
    listener = MessageListener(director.name, connect_listener(config().redis_connection_url))
    log.info("worker started", extra={"worker": director.name})
    while not stopping.is_set() and director.n_batches < max_batches:
        _heard_or_looked(director, listener, stopping, max_batches)
    listener.leave()
    log.info("worker stopped", extra={"worker": director.name, "batches": director.n_batches})


def _heard_or_looked(
    director: Director, listener: MessageListener, stopping: threading.Event, max_batches: int
) -> None:
    """Take one message; without one, work through what the rows say."""
    try:
        if listener.listen(POLL_S):
            return
    except RedisError as error:
        log.warning("redis unavailable, looking at the rows", extra={"reason": str(error)})
        stopping.wait(POLL_S / 2)
    while not stopping.is_set() and director.n_batches < max_batches:
        if not guarded("work", director.work_any):
            break
    if not stopping.is_set():
        guarded("render", render.work_any)


@contextmanager
def _reporting(app: Flask, name: str) -> Iterator[None]:
    """Say every ``REPORT_S`` that the worker lives and its GPUs work, also in the middle of a long batch."""
    ended = threading.Event()

    def report() -> None:
        has_gpus = True
        while True:
            with app.app_context(), suppress(RedisError):
                report_alive(name)
            has_gpus = has_gpus and observe_gpus()
            if ended.wait(REPORT_S):
                return

    thread = threading.Thread(target=report, name="tally-report", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with app.app_context(), suppress(RedisError):
            report_gone(name)
