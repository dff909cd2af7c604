"""What every response carries: ids, versions, security headers, CORS; and how often one may ask."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from flask import Flask, Request, Response, current_app, g, request
from flask_cors import CORS
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from redis import RedisError

from app.config import Config
from app.extensions import ANSWER_S
from app.ids import new_id
from app.version import API, API_VERSION

API_ROOT = "/api/"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_VERSIONED = re.compile(r"/api/v\d+(/|$)")
_EXEMPT = re.compile(rf"{API}/(files/|jobs/[^/]+/events$)")

TAKES_FILES = frozenset({"jobs.create_job", "inference.upload"})
"""Endpoints whose bodies may have ``TALLY_MAX_BODY_BYTES``."""

MAX_PLAIN_BODY_BYTES = 16 * 2**20
"""Largest body of all others: a thousand edits with outlines."""

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # style attributes of Svelte and Swagger UI; scripts never
        "img-src 'self' data: blob:",
        "worker-src 'self' blob:",  # ReDoc's search
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
EXPOSED = [
    "ETag", "Location", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset",
    "X-API-Version", "X-Pagination", "X-Request-ID",
]  # fmt: skip
"""Headers that a page of an allowed origin may read."""


def init_app(app: Flask, config: Config) -> None:
    """Bind request ids, headers, CORS, the unversioned alias and the rate limit."""
    app.before_request(_name_request)
    app.before_request(_bound_body)
    app.after_request(_complete)
    CORS(app, origins=list(config.cors_origins), expose_headers=EXPOSED, max_age=3600, send_wildcard=False)
    app.wsgi_app = UnversionedAlias(app.wsgi_app)  # type: ignore[method-assign]
    app.extensions["tally_limiter"] = limiter = _limiter(config)
    limiter.init_app(app)


class UnversionedAlias:
    """WSGI middleware: ``/api/jobs`` is ``/api/v1/jobs``, the newest version. The one place for it."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        """Wrap ``application``."""
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Rewrite the path, nothing else."""
        path = environ.get("PATH_INFO", "")
        if path.startswith(API_ROOT) and not _VERSIONED.match(path):
            environ["PATH_INFO"] = f"{API}/{path.removeprefix(API_ROOT)}"
        return self._application(environ, start_response)


def _name_request() -> None:
    """Take the caller's request id when it is sane, else make one."""
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else new_id("req")


def _bound_body() -> None:
    """Let only files be large: they go to disk as they come, every other body is held in memory."""
    if request.endpoint not in TAKES_FILES:
        request.max_content_length = min(MAX_PLAIN_BODY_BYTES, current_app.config["MAX_CONTENT_LENGTH"])


def _complete(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.get("request_id") or new_id("req")
    response.headers["X-API-Version"] = API_VERSION
    _tell_limit(response)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if is_api(request) and "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def _tell_limit(response: Response) -> None:
    """Say how many requests are left, and on a 429 when to come back; silent when Redis just went away."""
    limiter: Limiter = current_app.extensions["tally_limiter"]
    with suppress(RedisError):
        if (limit := limiter.current_limit) is None:
            return
        reset_s = max(1, limit.reset_at - int(time.time()))
        response.headers["RateLimit-Limit"] = str(limit.limit.amount)
        response.headers["RateLimit-Remaining"] = str(limit.remaining)
        response.headers["RateLimit-Reset"] = str(reset_s)
        if response.status_code == 429:
            response.headers["Retry-After"] = str(reset_s)


def is_api(asked: Request) -> bool:
    """Whether a request is for the API, not for a page, an asset, health or metrics."""
    return asked.path.startswith(API_ROOT)


def is_unlimited(asked: Request) -> bool:
    """Whether a request does not count: no API, or files and event streams.

    A page of a hundred thumbnails is one action of one user, and a stream that comes back after a dropped
    connection must not be turned away.
    """
    return not is_api(asked) or bool(_EXEMPT.match(asked.path))


def _limiter(config: Config) -> Limiter:
    """Return the limiter: counted in Redis, in this process while Redis is away.

    A client is an address: there are no keys yet, and an unchecked one would be a way around the limit.
    """
    return Limiter(
        get_remote_address,
        application_limits=[f"{config.rate_limit_per_minute} per minute"],
        application_limits_exempt_when=lambda: is_unlimited(request),
        strategy="sliding-window-counter",
        storage_uri=_limits_url(config.redis_connection_url),
        storage_options={"socket_connect_timeout": ANSWER_S, "socket_timeout": ANSWER_S},
        in_memory_fallback_enabled=True,
        request_identifier=lambda: request.endpoint or "none",  # a 404 and a 405 count, too
        key_prefix="tally",
    )


def _limits_url(redis_url: str) -> str:
    """Return a Redis URL in the spelling of the ``limits`` package."""
    return redis_url.replace("unix://", "redis+unix://", 1) if redis_url.startswith("unix://") else redis_url
