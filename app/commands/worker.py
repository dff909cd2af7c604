"""``tally worker`` and ``tally scheduler``: the processes beside the web server."""

from __future__ import annotations

import os

import click

from app.config import Config


@click.command()
@click.option(
    "--max-batches",
    default=5000,
    show_default=True,
    type=click.IntRange(min=1),
    help="End after so many batches, so that the supervisor starts a fresh process.",
)
@click.option(
    "--metrics-port",
    default=None,
    type=click.IntRange(1, 65535),
    help="Serve Prometheus metrics here; not needed under `tally up`.",
)
def worker(max_batches: int, metrics_port: int | None) -> None:
    """Run one counting worker until a stop signal; start one for each GPU, or each two cores."""
    from app import create_app

    config = Config.from_env()
    app = create_app(config)
    os.environ.setdefault("OMP_NUM_THREADS", str(config.torch_threads))
    _serve_metrics(metrics_port)
    from app.worker.main import run_worker  # loads the pipeline
    from pipeline.run import count_batch

    _warm_up()
    run_worker(app, count_batch, max_batches=max_batches)


def _warm_up() -> None:
    """Load the default engine before the first image asks for it; one that is missing fails its images."""
    from pipeline.contract import PipelineError
    from pipeline.segment.registry import load

    try:
        load("auto")
    except PipelineError as error:
        click.echo(f"the default engine cannot be loaded: {error}", err=True)


@click.command()
@click.option("--metrics-port", default=None, type=click.IntRange(1, 65535), help="Serve metrics here.")
def scheduler(metrics_port: int | None) -> None:
    """Take back lost work, end overdue jobs, purge old uploads; safe to run more than once."""
    from app import create_app
    from app.worker.scheduler import run_scheduler

    app = create_app(Config.from_env())
    _serve_metrics(metrics_port)
    run_scheduler(app)


def _serve_metrics(port: int | None) -> None:
    """Serve this process's metrics; under ``PROMETHEUS_MULTIPROC_DIR`` the web process shows them all."""
    if port is None:
        return
    from prometheus_client import start_http_server

    start_http_server(port)
