"""The ``tally`` command: a table of subcommands, each imported only when it is called."""

from __future__ import annotations

import importlib
from typing import Any

import click

from app.config import ConfigError
from app.version import VERSION

COMMANDS: dict[str, tuple[str, str]] = {
    "count": ("app.commands.count:count", "Count objects in image files."),
    "up": ("app.commands.up:up", "Run everything: web, worker, scheduler and a private Redis."),
    "worker": ("app.commands.worker:worker", "Run one counting worker."),
    "scheduler": ("app.commands.worker:scheduler", "Run the scheduler: reconcile, time-outs, purge."),
    "doctor": ("app.commands.doctor:doctor", "Check this machine and say what is missing."),
    "db": ("app.commands.db:db", "Bring the database up to date."),
    "jobs": ("app.commands.jobs:jobs", "Look after jobs."),
    "media": ("app.commands.media:media", "Look after stored files."),
    "weights": ("app.commands.weights:weights", "List, download and verify model weights."),
    "bench": ("app.commands.bench:bench", "Run one of the benchmarks of this repository."),
}
"""Name -> (``module:attribute`` of the click command, line for ``tally --help``)."""


class LazyGroup(click.Group):
    """A group that knows its subcommands' names and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in {"app", "pipeline"}:
                raise
            raise click.ClickException(_missing_extra(cmd_name, error.name)) from None
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand; a malformed setting ends it with a sentence."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise click.ClickException(str(error)) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _missing_extra(command: str, module: str | None) -> str:
    return f"`tally {command}` needs the Python package {module}; `tally doctor` says how to get it."


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="tally")
def main() -> None:
    """Count objects in photos: in a browser, over HTTP, or here."""
