"""How long until 1,000 open event streams of one web process have an event, and what memory do they cost?

Targets: p95 below 1 s for each event to reach all streams; web process below 300 MB.

python -m bench.sse [--quick] [--json PATH] [--streams N]

A real gunicorn with gevent and one process; durable events are rows that this script writes, as a worker
does, transient ones go over Redis. The second row is the same without any Redis: rows polled twice a second.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from app import create_app
from app.commands.db import upgrade_to_head
from app.config import Config
from app.database import transaction
from app.embedded import redis_command, wait_for_redis
from app.events.service import publish_progress, record, wake
from app.jobs.service import cancel_job
from app.jobs.states import EventType
from bench.api_load import HOST, ROOT, noise_png, running, submit, wait_until_healthy
from bench.report import arguments, report
from tests.servers import free_port

EVENT_EVERY_S = 0.5
WEB_CORES = 2


def measure(n_streams: int, n_events: int, *, has_redis: bool) -> dict[str, Any]:
    """Open the streams, send the events, and return delays and memory."""
    with tempfile.TemporaryDirectory(prefix="tally-") as name, ExitStack() as stack:
        folder, port = Path(name), free_port()
        redis_url = f"unix://{folder / 'redis.sock'}" if has_redis else f"redis://{HOST}:{free_port()}/0"
        env = {
            "TALLY_DATABASE_URL": f"sqlite:///{folder / 'tally.sqlite3'}",
            "TALLY_REDIS_URL": redis_url,
            "TALLY_STORAGE_URL": str(folder / "media"),
            "TALLY_LOG_LEVEL": "CRITICAL",
        }
        cores = set(sorted(psutil.Process().cpu_affinity())[:WEB_CORES])
        if has_redis:
            stack.enter_context(running(redis_command(folder), {}, cores))
            wait_for_redis(redis_url)
        upgrade_to_head(Config.from_env(env))
        gunicorn = [sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py"]
        gunicorn += ["--bind", f"{HOST}:{port}", "--workers", "1", "wsgi:application"]
        master = stack.enter_context(running(gunicorn, env, cores))
        wait_until_healthy(port)
        job_id, _ = submit(port, noise_png(20_000, seed=1))
        (web,) = master.children()
        idle_mb = web.memory_info().rss / 1e6
        seen, opened_s = _follow(env, port, n_streams, job_id, n_events, has_redis=has_redis)
        peak_mb = web.memory_info().rss / 1e6
    return _summary(seen, n_events, has_redis=has_redis) | {
        "streams": n_streams,
        "open_all_s": opened_s,
        "idle_mb": idle_mb,
        "web_mb": peak_mb,
    }


def _follow(
    env: dict[str, str], port: int, n_streams: int, job_id: str, n_events: int, *, has_redis: bool
) -> tuple[list[list[tuple[int, float]]], float]:
    """Return what each stream saw, and the seconds until all were open."""
    command = [sys.executable, "-m", "bench.followers", HOST, str(port), str(n_streams), job_id]
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as clients:
        if clients.stdout is None or clients.stdout.readline() != "ready\n":
            raise RuntimeError("want all streams open, got an early end")
        opened_s = time.perf_counter() - started
        _send(Config.from_env(env), job_id, n_events)
        seen: list[list[tuple[int, float]]] = json.loads(clients.stdout.read())
    return seen, opened_s


def _send(config: Config, job_id: str, n_events: int) -> None:
    """Write durable events and publish as many transient ones between them; then end the job."""
    app = create_app(config)
    with app.app_context():
        for number in range(n_events):
            with transaction() as session:
                record(session, job_id, EventType.IMAGE_COMPLETED, _stamp(number))
            wake(job_id)
            time.sleep(EVENT_EVERY_S / 2)
            publish_progress(job_id, _stamp(n_events + number))
            time.sleep(EVENT_EVERY_S / 2)
        cancel_job(job_id)


def _stamp(number: int) -> dict[str, Any]:
    return {"number": number, "sent_at": time.time()}


def _summary(seen: list[list[tuple[int, float]]], n_events: int, *, has_redis: bool) -> dict[str, Any]:
    """Return the delays; a durable event that a stream did not get, or got twice, is an error."""
    durable = [[number for number, _ in stream if number < n_events] for stream in seen]
    broken = sum(numbers != list(range(n_events)) for numbers in durable)
    if broken:
        raise RuntimeError(f"want every durable event once and in order, {broken} streams differ")
    delays = sorted(delay for stream in seen for _, delay in stream)
    last: dict[int, float] = {}
    for stream in seen:
        for number, delay in stream:
            last[number] = max(last.get(number, 0.0), delay)
    reached_all = sorted(last.values())
    return {
        "messenger": "redis" if has_redis else "none, rows polled",
        "events": len(last),
        "p50_s": statistics.median(delays),
        "p95_s": delays[int(0.95 * len(delays))],
        "all_streams_p95_s": reached_all[int(0.95 * len(reached_all))],
        "all_streams_max_s": reached_all[-1],
    }


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--streams", type=int, help="open streams (default 1000, quick 100)")
    args = parser.parse_args()
    n_streams = args.streams or (100 if args.quick else 1000)
    n_events = 5 if args.quick else 30
    rows = [measure(n_streams, n_events, has_redis=has_redis) for has_redis in (True, False)]
    report("sse", rows, args.json)


if __name__ == "__main__":
    main()
