"""GET /healthz: does this process run. GET /readyz: can it serve."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from app.health import service

blp = Blueprint("health", __name__)


@blp.get("/healthz")
def healthz() -> Response:
    """Say that the process answers; looks at nothing else."""
    return jsonify(status="ok")


@blp.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Say which dependencies answer; 503 only when a request could not be served."""
    ready, checks = service.readiness()
    return jsonify(status="ok" if ready else "failed", checks=checks), 200 if ready else 503
