"""The numbers of ``/metrics``: what the processes counted, and what is read when somebody asks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from time import perf_counter

import psutil
from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from app.jobs.models import Job
from app.jobs.queue import QUEUE_NAME, live_workers, queue_length
from app.jobs.states import LIVE
from app.monitoring.metrics import API_DURATION, API_REQUESTS

log = logging.getLogger(__name__)

NO_ROUTE = "none"
"""Label of requests that no route matches: addresses that people try out must not become labels."""


def init_app(app: Flask) -> None:
    """Count and time every request."""
    app.before_request(_start)
    app.after_request(_count)


def exposition() -> tuple[bytes, str]:
    """Return the metrics of all processes in Prometheus' text format, and its content type."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry = REGISTRY
    now = CollectorRegistry()
    now.register(_Now())
    return generate_latest(registry) + generate_latest(now), CONTENT_TYPE_LATEST


class _Now(Collector):
    """Values that are read, not counted. A database that does not answer leaves its own out."""

    def collect(self) -> Iterator[Metric]:
        """Give the values of this moment."""
        yield GaugeMetricFamily("cpu_usage_percent", "CPU of this machine", value=psutil.cpu_percent())
        memory = psutil.Process().memory_info().rss
        yield GaugeMetricFamily("memory_usage_bytes", "Memory of this web process", value=memory)
        try:
            active = select(func.count()).select_from(Job).where(Job.status.in_(LIVE))
            jobs, workers, waiting = db.session.scalar(active) or 0, live_workers(), queue_length()
        except SQLAlchemyError as error:
            log.warning("metrics without the database", extra={"reason": str(error)})
            return
        yield GaugeMetricFamily("active_jobs", "Jobs queued or processing", value=jobs)
        yield GaugeMetricFamily("active_workers", "Workers that reported lately", value=workers)
        queue = GaugeMetricFamily("queue_length", "Images that wait for a worker", labels=["queue"])
        queue.add_metric([QUEUE_NAME], waiting)
        yield queue


def _start() -> None:
    g.started = perf_counter()


def _count(response: Response) -> Response:
    endpoint = request.url_rule.rule if request.url_rule else NO_ROUTE
    method = request.method if request.url_rule else NO_ROUTE
    API_REQUESTS.labels(method, endpoint, str(response.status_code)).inc()
    if "started" in g:
        API_DURATION.labels(method, endpoint).observe(perf_counter() - g.started)
    return response
