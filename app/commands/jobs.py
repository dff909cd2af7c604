"""``tally jobs``: the jobs in the database."""

from __future__ import annotations

from dataclasses import asdict

import click

from app.config import Config


@click.group()
def jobs() -> None:
    """Look after jobs."""


@jobs.command()
def reconcile() -> None:
    """Take back images of dead workers, end what is done, send wake-ups again; as the scheduler does."""
    from app import create_app
    from app.worker.reconcile import reconcile as run_round

    with create_app(Config.from_env()).app_context():
        for what, n_found in asdict(run_round()).items():
            click.echo(f"{what.replace('_', ' '):12} {n_found}")
