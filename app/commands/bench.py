"""``tally bench``: the scripts of ``bench/``, each answering one question with numbers."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

import click

BENCH = Path(__file__).resolve().parent.parent.parent / "bench"


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("name", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(name: str | None, arguments: tuple[str, ...]) -> None:
    """Run benchmark NAME with ARGUMENTS; without a name, list them."""
    scripts = {path.stem: path for path in sorted(BENCH.glob("*.py")) if "__main__" in path.read_text()}
    if name is None or name in {"-h", "--help"}:
        for stem, path in scripts.items():
            click.echo(
                f"{stem:14} {(ast.get_docstring(ast.parse(path.read_text())) or '').partition(chr(10))[0]}"
            )
        return
    if name not in scripts:
        raise click.ClickException(f"no benchmark {name!r}; there are: {', '.join(scripts) or 'none'}")
    sys.argv = [str(scripts[name]), *arguments]
    sys.path.insert(0, str(BENCH.parent))
    runpy.run_path(str(scripts[name]), run_name="__main__")
