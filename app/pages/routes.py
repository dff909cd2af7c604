"""The browser's pages: one shell for every address of the single-page app, its assets, and error pages."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, current_app, render_template, request, send_from_directory
from flask.blueprints import BlueprintSetupState

from app.pages.shell import ASSETS, DIST, entry_files
from pipeline.formats import taken_formats

blp = Blueprint("pages", __name__)

ASSET_MAX_AGE_S = 365 * 24 * 3600
"""Asset names carry a hash of their content, so they never change."""
ICON_MAX_AGE_S = 24 * 3600

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' blob:",  # blob: thumbnails of photos that are not uploaded yet
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
"""Stricter than the API's own: our pages need no inline styles."""


@blp.record_once
def _set_up(state: BlueprintSetupState) -> None:
    state.app.config.setdefault("FRONTEND_DIST", DIST)


@blp.get("/")
@blp.get("/jobs")
@blp.get("/jobs/<job_id>")
def shell(job_id: str | None = None) -> tuple[Response, int]:
    """Return the page shell; the app in it reads the address. 503 when the frontend is not built."""
    if entry_files(_dist()) is None:
        title, message = "The pages are not built yet", "Run `make setup`, or `npm run build` in frontend/."
        return _page("error.html", title=title, message=message), 503
    return _page("shell.html", formats=" ".join(taken_formats())), 200


@blp.get("/assets/<path:name>")
def asset(name: str) -> Response:
    """Return a hashed file of the built frontend, cacheable for ever."""
    response = send_from_directory(_dist() / ASSETS, name, max_age=ASSET_MAX_AGE_S)
    response.cache_control.public = True
    response.cache_control.immutable = True
    return response


@blp.get("/favicon.svg")
def icon() -> Response:
    """Return the icon."""
    return send_from_directory(_dist(), "favicon.svg", max_age=ICON_MAX_AGE_S)


@blp.after_app_request
def explain_to_people(response: Response) -> Response:
    """Turn an error payload into a page where a browser asked for one; the API keeps its JSON."""
    if response.status_code < 400 or not response.is_json or not _wants_page():
        return response
    error = (response.get_json(silent=True) or {}).get("error")
    if not isinstance(error, dict):
        return response
    title = "There is no such page" if response.status_code == 404 else "That did not work"
    page = _page("error.html", title=title, message=error.get("message"), request_id=error.get("request_id"))
    response.data = page.data
    response.mimetype = "text/html"
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


def _dist() -> Path:
    folder: Path = current_app.config["FRONTEND_DIST"]
    return folder


def _wants_page() -> bool:
    if request.path.startswith(("/api/", "/assets/")):
        return False
    best = request.accept_mimetypes.best_match(["application/json", "text/html"])
    return best == "text/html"


def _page(template: str, **values: object) -> Response:
    response = current_app.make_response(render_template(template, entry=entry_files(_dist()), **values))
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Cache-Control"] = "no-cache"
    return response
