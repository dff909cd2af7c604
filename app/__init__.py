"""The web application: people, jobs and HTTP; no tensors."""

from __future__ import annotations

import importlib
import secrets
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app import database, errors, logging, models, security
from app.blueprint import ErrorSchema
from app.config import Config
from app.extensions import api, connect_redis, db, migrate
from app.monitoring import sentry
from app.monitoring import service as monitoring
from app.storage import open_storage
from app.uploads.received import UploadRequest
from app.version import API, VERSION

ROOT = Path(__file__).resolve().parent.parent
API_DOMAINS = ("jobs", "inference", "events", "results", "files", "corrections", "types", "templates")
"""Folders whose ``routes.blp`` is part of the versioned API."""
PAGE_DOMAINS = ("health", "monitoring", "docs", "pages")
"""Folders whose ``routes.blp`` stands at the root: health, docs, pages."""

DESCRIPTION = "Counts objects in photos. `/api/...` without a version is the newest one."
LICENCE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}

__all__ = ["create_app", "models"]


def create_app(config: Config | None = None) -> Flask:
    """Return the application: config, logging, extensions, errors, blueprints.

    Raises:
        ConfigError: a ``TALLY_`` variable is malformed.
    """
    config = config or Config.from_env()
    logging.configure(config.log_level)
    sentry.start(config)
    app = Flask("tally", root_path=str(ROOT), template_folder="templates", static_folder=None)
    app.request_class = UploadRequest
    app.config.from_mapping(_flask_settings(config))
    app.extensions["tally_config"] = config
    app.extensions["tally_redis"] = connect_redis(config.redis_connection_url)
    app.extensions["tally_storage"] = open_storage(config)
    _init_extensions(app, config)
    errors.init_app(app)
    security.init_app(app, config)
    monitoring.init_app(app)
    _register_blueprints(app)
    if config.trust_proxy:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _flask_settings(config: Config) -> dict[str, object]:
    return {
        "SECRET_KEY": config.secret_key or secrets.token_hex(32),
        "MAX_CONTENT_LENGTH": config.max_body_bytes,
        "SQLALCHEMY_DATABASE_URI": config.sqlalchemy_url,
        # Logs and Sentry get statements, never the values in them: those are names and labels of people.
        "SQLALCHEMY_ENGINE_OPTIONS": database.engine_options(config.database_url) | {"hide_parameters": True},
        "API_TITLE": "Tally",
        "API_VERSION": VERSION,
        "API_SPEC_OPTIONS": {"info": {"description": DESCRIPTION, "license": LICENCE}},
        "OPENAPI_VERSION": "3.1.0",
    }


def _init_extensions(app: Flask, config: Config) -> None:
    db.init_app(app)
    migrate.init_app(app, db, directory=str(ROOT / "migrations"))
    api.ERROR_SCHEMA = ErrorSchema
    api.init_app(app)
    if config.sqlite_path:
        with app.app_context():
            database.prepare(db.engine, config.sqlite_path)


def _register_blueprints(app: Flask) -> None:
    for domain in API_DOMAINS:
        api.register_blueprint(importlib.import_module(f"app.{domain}.routes").blp, url_prefix=API)
    for domain in PAGE_DOMAINS:
        app.register_blueprint(importlib.import_module(f"app.{domain}.routes").blp)
