"""GET /metrics."""

from __future__ import annotations

from flask import Blueprint, Response

from app.monitoring import service

blp = Blueprint("monitoring", __name__)


@blp.get("/metrics")
def metrics() -> Response:
    """Return the metrics in Prometheus' text format."""
    body, content_type = service.exposition()
    return Response(body, content_type=content_type)
