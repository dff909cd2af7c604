"""Follow jobs live: replay from the database, then one Redis subscription for all streams of a process.

Redis only wakes. Durable events are read from their rows, once a process and not once a stream, and with
Redis away the same rows are polled twice a second. No connection of either kind belongs to a stream.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import Any

from flask import Flask, current_app
from redis import Redis, RedisError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.events.service import CHANNEL, events_after
from app.extensions import db, redis_client
from app.jobs.models import Job
from app.jobs.states import TERMINAL, TERMINAL_EVENTS, EventType
from app.monitoring.metrics import SSE_CONNECTIONS

log = logging.getLogger(__name__)

RETRY_MS = 2000
POLL_S = 0.5
"""How often rows are looked at while Redis is away."""

SAFETY_POLL_S = 5.0
"""How often they are looked at anyway: a message may be lost in a flush or a fail-over."""

PROGRESS_S = 0.25
"""At most one transient event a job in this time; those that come sooner are dropped."""

MAX_WAITING = 100
"""Transient events are not added to the inbox of a client that reads so slowly."""


@dataclass(eq=False)
class Follower:
    """One stream's inbox. ``last_seq`` is the newest durable event in it."""

    job_id: str
    last_seq: int
    _inbox: Queue[tuple[bytes, bool]] = field(default_factory=Queue)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def push(self, frame: bytes, seq: int | None, *, is_terminal: bool = False) -> None:
        """Add an event; a durable one that is already there is left out."""
        with self._lock:
            if seq is None:
                if self._inbox.qsize() >= MAX_WAITING:
                    return
            elif seq <= self.last_seq:
                return
            else:
                self.last_seq = seq
            self._inbox.put((frame, is_terminal))

    def end(self) -> None:
        """End the stream without an event: the job is deleted, or the client has seen its last one."""
        self._inbox.put((b"", True))

    def frames(self, heartbeat_s: float) -> Iterator[bytes]:
        """Give the stream's bytes until a terminal event; a comment whenever nothing happens for a while."""
        yield f"retry: {RETRY_MS}\n\n".encode()
        is_terminal = False
        while not is_terminal:
            try:
                frame, is_terminal = self._inbox.get(timeout=heartbeat_s)
            except Empty:
                frame = b": heartbeat\n\n"
            yield frame


class Hub:
    """All followers of this process, and the one thread that feeds them while there are any."""

    def __init__(self, app: Flask) -> None:
        """Start nothing yet: a process that serves no stream needs no thread."""
        self._app = app
        self._lock = threading.Lock()
        self._followers: dict[str, set[Follower]] = {}
        self._thread: threading.Thread | None = None
        self._progress_at: dict[str, float] = {}

    def follow(self, job_id: str, after: int) -> Follower:
        """Return an inbox that holds every durable event after number ``after``, and gets what follows."""
        follower = Follower(job_id, after)
        with self._lock:
            self._followers.setdefault(job_id, set()).add(follower)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tally-events", daemon=True)
                self._thread.start()
        SSE_CONNECTIONS.inc()
        try:
            for row in events_after(db.session(), {job_id: after}):
                _push_row(row, [follower])
        except BaseException:
            self.leave(follower)
            raise
        return follower

    def leave(self, follower: Follower) -> None:
        """Forget a follower whose stream has ended; safe to repeat."""
        with self._lock:
            others = self._followers.get(follower.job_id, set())
            if follower not in others:
                return
            others.discard(follower)
            if not others:
                self._followers.pop(follower.job_id)
                self._progress_at.pop(follower.job_id, None)
        SSE_CONNECTIONS.dec()

    def _run(self) -> None:
        with self._app.app_context():
            client = redis_client()
        is_away = False
        while self._is_needed():
            try:
                self._listen(client)
                is_away = False
            except (RedisError, OSError) as error:
                if not is_away:
                    log.warning("redis unavailable, polling for events", extra={"reason": str(error)})
                is_away = True
                self._poll()
                time.sleep(POLL_S)
            except Exception:
                log.exception("event hub failed, starting again")
                time.sleep(POLL_S)

    def _is_needed(self) -> bool:
        with self._lock:
            if self._followers:
                return True
            self._thread = None
            return False

    def _listen(self, client: Redis) -> None:
        """Deliver what the channel says until nobody follows any more."""
        with closing(client.pubsub()) as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(CHANNEL)
            poll_at = 0.0
            while self._followers:
                woken, message = set[str](), channel.get_message(timeout=POLL_S)
                while message is not None:
                    if message["type"] == "subscribe":  # what happened before this moment was not heard
                        poll_at = 0.0
                    elif message["type"] == "message":
                        woken |= self._read(json.loads(message["data"]))
                    message = channel.get_message(timeout=0)
                if time.monotonic() >= poll_at:
                    poll_at = time.monotonic() + SAFETY_POLL_S
                    self._poll()
                elif woken:
                    self._deliver(woken)

    def _read(self, body: dict[str, Any]) -> set[str]:
        """Pass a transient event on; return the jobs whose rows should be looked at."""
        job_id = body["job_id"]
        if "data" not in body:
            return {job_id}
        with self._lock:
            followers = list(self._followers.get(job_id, ()))
        now = time.monotonic()
        if followers and now - self._progress_at.get(job_id, 0.0) >= PROGRESS_S:
            self._progress_at[job_id] = now
            frame = encode(EventType.STAGE_PROGRESS, body["data"])
            for follower in followers:
                follower.push(frame, None)
        return set()

    def _poll(self) -> None:
        """Look at every followed job, and let those streams go that have nothing more to wait for."""
        followers = self._deliver(self._followers.keys())
        try:
            with self._app.app_context():
                last_seq = _last_seqs(list(followers))
        except SQLAlchemyError:
            return
        for job_id, those in followers.items():
            for follower in those:
                if follower.last_seq >= last_seq.get(job_id, 0):
                    follower.end()

    def _deliver(self, job_ids: Collection[str]) -> dict[str, list[Follower]]:
        """Read the rows that followers of these jobs lack, hand them out, and return the followers."""
        with self._lock:
            wanted = self._followers.keys() & set(job_ids)
            followers = {job_id: list(self._followers[job_id]) for job_id in wanted}
        after = {job_id: min(f.last_seq for f in those) for job_id, those in followers.items()}
        try:
            with self._app.app_context():
                rows = events_after(db.session(), after)
        except SQLAlchemyError as error:
            log.warning("database unavailable, events come later", extra={"reason": str(error)})
            return {}
        for row in rows:
            _push_row(row, followers[row["job_id"]])
        return followers


def _last_seqs(job_ids: list[str]) -> dict[str, float]:
    """Return the number of the last event there will be: infinite for live jobs, none for deleted ones."""
    rows = db.session.execute(select(Job.id, Job.status, Job.event_seq).where(Job.id.in_(job_ids)))
    return {row.id: row.event_seq if row.status in TERMINAL else math.inf for row in rows}


def hub() -> Hub:
    """Return the running application's hub."""
    found: Hub = current_app.extensions.setdefault(
        "tally_hub",
        Hub(current_app._get_current_object()),  # type: ignore[attr-defined]
    )
    return found


def encode(event: str, data: dict[str, Any], seq: int | None = None) -> bytes:
    """Return one event in the grammar of server-sent events; only durable ones have an id."""
    head = "" if seq is None else f"id: {seq}\n"
    return f"{head}event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def _push_row(row: dict[str, Any], followers: list[Follower]) -> None:
    frame = encode(row["type"], row["data"], row["seq"])
    for follower in followers:
        follower.push(frame, row["seq"], is_terminal=row["type"] in TERMINAL_EVENTS)
