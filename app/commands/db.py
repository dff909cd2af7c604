"""``tally db``: the database's schema."""

from __future__ import annotations

from dataclasses import replace

import click

from app.config import Config, ConfigError


@click.group()
def db() -> None:
    """Bring the database up to date."""


@db.command()
def upgrade() -> None:
    """Apply the migrations that are missing; safe to repeat."""
    prepare(Config.from_env())
    click.echo("the database is up to date")


def prepare(config: Config) -> None:
    """Migrate the configured database and add the built-in object types that are missing.

    Raises:
        ConfigError: the database does not answer.
    """
    from app import create_app
    from app.types.service import seed_defaults

    upgrade_to_head(config)
    with create_app(replace(config, log_level="WARNING")).app_context():
        seed_defaults()


def upgrade_to_head(config: Config) -> None:
    """Migrate the configured database to the newest schema.

    Raises:
        ConfigError: the database does not answer.
    """
    import flask_migrate
    from sqlalchemy.exc import OperationalError

    from app import create_app, extensions

    try:
        with create_app(replace(config, log_level="WARNING")).app_context():
            flask_migrate.upgrade()
            extensions.db.engine.dispose()
    except OperationalError as error:
        raise ConfigError(f"TALLY_DATABASE_URL: the database does not answer: {error.orig}") from None
