"""Wake workers up over RQ. Messages may be lost, doubled or late: the rows are the truth."""

from __future__ import annotations

import logging
import time
from typing import Any

from redis import Redis, RedisError
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import distinct, func, select

from app.columns import utcnow
from app.extensions import db, redis_client
from app.jobs.models import JobImage
from app.jobs.states import ImageStatus

log = logging.getLogger(__name__)

QUEUE_NAME = "tally"
MESSAGE_TTL_S = 3600
"""A message nobody took for so long is dropped; the reconciler sends another."""

WORKERS_KEY = "tally:workers"
ALIVE_S = 30
"""A worker that has not reported for so long is not counted as alive."""


def announce_work(engine_key: str) -> None:
    """Tell the workers that images of this engine key wait; without Redis one warning, no error."""
    _enqueue("app.worker.director.work", engine_key)


def announce_render(job_id: str) -> None:
    """Tell the workers that pictures of this job show an older version than its rows."""
    _enqueue("app.worker.render.work", job_id)


def message_queue(client: Redis) -> Queue:
    """Return the queue that web and workers share; payloads are JSON, never pickle."""
    return Queue(QUEUE_NAME, connection=client, serializer=JSONSerializer)


def report_alive(worker: str) -> None:
    """Note that a worker lives, for ``ALIVE_S`` seconds. Raises RedisError."""
    with redis_client().pipeline() as pipe:
        pipe.zremrangebyscore(WORKERS_KEY, 0, time.time())
        pipe.zadd(WORKERS_KEY, {worker: time.time() + ALIVE_S})
        pipe.execute()


def report_gone(worker: str) -> None:
    """Forget a worker that stops in an orderly way. Raises RedisError."""
    redis_client().zrem(WORKERS_KEY, worker)


def live_workers() -> int:
    """Return how many workers reported lately; without Redis, how many hold a lease now."""
    try:
        reported: Any = redis_client().zcount(WORKERS_KEY, time.time(), "inf")
        return int(reported)
    except RedisError as error:
        log.warning("redis unavailable, counting workers by their leases", extra={"reason": str(error)})
    query = select(func.count(distinct(JobImage.lease_owner))).where(
        JobImage.status == ImageStatus.PROCESSING, JobImage.lease_until > utcnow()
    )
    return db.session.scalar(query) or 0


def queue_length() -> int:
    """Return how many images wait for a worker."""
    query = select(func.count()).select_from(JobImage).where(JobImage.status == ImageStatus.QUEUED)
    return db.session.scalar(query) or 0


def _enqueue(function: str, argument: str) -> None:
    try:
        message_queue(redis_client()).enqueue(
            function,
            argument,
            job_timeout=-1,  # leases limit the work, not a signal in the middle of a transaction
            ttl=MESSAGE_TTL_S,
            result_ttl=0,
            failure_ttl=MESSAGE_TTL_S,
        )
    except RedisError as error:
        log.warning(
            "redis unavailable, workers will find the rows themselves",
            extra={"function": function, "reason": str(error)},
        )
