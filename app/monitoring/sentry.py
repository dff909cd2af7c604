"""Errors to Sentry, when there is a DSN: release, request and job id; nothing of people or files."""

from __future__ import annotations

from typing import Any

from flask import g, has_request_context, request

from app.config import Config
from app.version import VERSION

_KEPT_HEADERS = frozenset({"Content-Type", "Content-Length", "User-Agent", "X-Request-Id"})


def start(config: Config, **options: Any) -> None:
    """Send unexpected errors from now on; nothing happens without ``TALLY_SENTRY_DSN``.

    Args:
        config: of this process.
        options: passed on to ``sentry_sdk.init``, for example a transport.
    """
    if not config.sentry_dsn:
        return
    import sentry_sdk

    sentry_sdk.init(
        dsn=config.sentry_dsn,
        release=f"tally@{VERSION}",
        include_local_variables=False,
        max_request_body_size="never",
        before_send=scrub,
        before_breadcrumb=lambda crumb, hint: None,
        **options,
    )


def scrub(event: Any, hint: Any) -> Any:
    """Return the event with our ids as tags, and without addresses, cookies, bodies and query strings."""
    event.pop("user", None)
    asked = event.get("request", {})
    for name in ("cookies", "data", "env", "query_string"):
        asked.pop(name, None)
    asked["headers"] = {
        name: value for name, value in asked.get("headers", {}).items() if name in _KEPT_HEADERS
    }
    asked["url"] = asked.get("url", "").partition("?")[0]
    event.setdefault("tags", {}).update(_ids())
    return event


def _ids() -> dict[str, str]:
    if not has_request_context():
        return {}
    ids = {"request_id": g.get("request_id", ""), "job_id": (request.view_args or {}).get("job_id", "")}
    return {name: value for name, value in ids.items() if value}
