"""``tally media``: the stored files."""

from __future__ import annotations

import click

from app.config import Config


@click.group()
def media() -> None:
    """Look after stored files."""


@media.command()
def purge() -> None:
    """Delete uploads whose time is over, as the scheduler does every hour."""
    from app import create_app
    from app.columns import utcnow
    from app.files.service import purge_expired

    with create_app(Config.from_env()).app_context():
        click.echo(f"deleted {purge_expired(utcnow())} images")
