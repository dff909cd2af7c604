"""``tally up``: web, worker, scheduler and, where no other is configured, a private Redis."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import sys
import time
from pathlib import Path

import click

from app import embedded
from app.config import Config, ConfigError
from app.supervisor import Child, Supervisor, kill_leftovers

ROOT = Path(__file__).resolve().parent.parent.parent
GRACEFUL_S = 3


@click.command()
def up() -> None:
    """Run Tally on this machine until Ctrl-C; everything it starts ends with it."""
    config = Config.from_env()
    folder = embedded.private_folder(config)
    lock = _lock(folder / "up.lock")
    if kill_leftovers(folder / "children.json"):
        time.sleep(0.5)  # the kernel needs a moment to free the port
    _check_port(config.host, config.port)
    _prepare(config)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_empty_folder(folder / "metrics"))
    supervisor = Supervisor(_children(config, folder), folder / "children.json", _Announcement(config))
    status = supervisor.run()
    os.close(lock)
    sys.exit(status)


def _children(config: Config, folder: Path) -> list[Child]:
    tally = [sys.executable, "-m", "app"]
    children = [
        Child("web", _gunicorn(config), wave=2),
        Child("worker", [*tally, "worker"]),
        Child("scheduler", [*tally, "scheduler"]),
    ]
    if not config.redis_url:
        url = config.redis_connection_url
        children.append(
            Child("redis", embedded.redis_command(folder), wave=0, ready=lambda: embedded.wait_for_redis(url))
        )
    return children


def _gunicorn(config: Config) -> list[str]:
    """Return the command line of the web server; gevent, because an event stream stays open for hours."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    options = {
        "--config": str(ROOT / "deploy" / "gunicorn.conf.py"),
        "--bind": f"{host}:{config.port}",
        "--workers": str(config.web_workers),
        "--graceful-timeout": str(GRACEFUL_S),
        "--pythonpath": str(ROOT),
    }
    arguments = [part for pair in options.items() for part in pair]
    return [sys.executable, "-m", "gunicorn", *arguments, "wsgi:application"]


def _lock(path: Path) -> int:
    """Hold a lock for as long as this process lives: two supervisors would share one Redis socket."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            "Tally already runs in this folder; stop that one first (Ctrl-C in its terminal)"
        ) from None
    return handle


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                hint = f"choose another one, for example TALLY_PORT={port + 1} make run"
                raise ConfigError(f"port {port} on {host} is in use; {hint}") from None
            raise ConfigError(
                f"cannot listen on {host}:{port} (TALLY_HOST, TALLY_PORT): {error.strerror}"
            ) from None


def _prepare(config: Config) -> None:
    from app.commands.db import prepare  # imports Flask: not before the cheap checks

    prepare(config)


def _empty_folder(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


class _Announcement:
    """Says once where Tally can be opened, when it can be."""

    def __init__(self, config: Config) -> None:
        self._address = (config.host, config.port)
        self._done = False

    def __call__(self) -> None:
        if self._done:
            return
        host, port = self._address
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        try:
            socket.create_connection((reachable, port), timeout=0.2).close()
        except OSError:
            return
        self._done = True
        shown = f"[{reachable}]" if ":" in reachable else reachable
        click.secho(f"\n  Tally is ready: http://{shown}:{port}   (Ctrl-C stops it)\n", bold=True)
