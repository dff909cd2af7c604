"""``tally weights``: list, download and verify the files of the models."""

from __future__ import annotations

from typing import Any

import click
from tqdm import tqdm

from pipeline.contract import PipelineError
from pipeline.weights import WeightsFile, check_file, entry, manifest, state, weights_dir
from pipeline.weights_download import Progress, pull


@click.group()
def weights() -> None:
    """List, download and verify model weights (in TALLY_WEIGHTS_DIR)."""


@weights.command("list")
def list_weights() -> None:
    """Show every known file, its licence, and whether it is here and genuine."""
    click.echo(f"Folder: {weights_dir().absolute()}")
    for wanted in manifest().values():
        size = f"{wanted.bytes / 1e6:.0f} MB" if wanted.bytes else "size not published"
        here = state(wanted, weights_dir() / wanted.file)
        click.echo(f"{wanted.name:20} {here:9} {size:>18}  {wanted.licence:12}  {wanted.used_for}")


@weights.command("pull")
@click.argument("names", nargs=-1, required=True)
def pull_weights(names: tuple[str, ...]) -> None:
    """Download files by name (see `tally weights list`), resuming and verifying; `all` for every one."""
    for wanted in _chosen(names):
        try:
            with tqdm(total=wanted.bytes, unit="B", unit_scale=True, desc=wanted.name) as bar:
                file = pull(wanted, weights_dir(), _shown_on(bar))
        except (PipelineError, OSError) as error:
            raise click.ClickException(str(error)) from None
        click.echo(f"{wanted.name}: verified, {file.absolute()}")


@weights.command("verify")
@click.argument("names", nargs=-1)
def verify_weights(names: tuple[str, ...]) -> None:
    """Read the files again and compare their sha256; without names, all that are here.

    \b
    Exit codes: 0  every file is genuine
                1  some are missing or not genuine
                2  the command itself was wrong, or no file is here
    """  # noqa: D301 - click reads the backspace as "keep these lines"
    chosen = _chosen(names or ("all",))
    if not names:
        chosen = [wanted for wanted in chosen if (weights_dir() / wanted.file).exists()]
    if not chosen:
        folder = weights_dir().absolute()
        raise click.UsageError(f"want weights in {folder}, found none; `tally weights pull NAME` fetches one")
    failed = False
    for wanted in chosen:
        file = weights_dir() / wanted.file
        try:
            check_file(wanted, file, rehash=True)
        except PipelineError as error:
            failed = True
            click.echo(f"{wanted.name}: {error}", err=True)
        else:
            click.echo(f"{wanted.name}: genuine, {file.absolute()}")
    if failed:
        raise SystemExit(1)


def _chosen(names: tuple[str, ...]) -> list[WeightsFile]:
    if "all" in names:
        return list(manifest().values())
    try:
        return [entry(name) for name in names]
    except PipelineError as error:
        raise click.UsageError(str(error)) from None


def _shown_on(bar: tqdm[Any]) -> Progress:
    def show(done: int, total: int | None) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show
