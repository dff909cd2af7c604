"""How fast is the API (no inference) for 1,000 users, and what does a 10 MB upload cost?

Targets: p95 below 200 ms without errors; accepted within 0.5 s, web memory grows by less than 20 MB.

python -m bench.api_load [--quick] [--json PATH] [--users N] [--seconds S] [--think S] [--database-url URL]

A real gunicorn with gevent on two cores, a private Redis, SQLite unless told otherwise; no worker runs, so
that nothing is counted. Users keep their connections, and pause between requests as people and pages do.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from app.commands.db import upgrade_to_head
from app.config import Config
from app.embedded import redis_command, wait_for_redis
from bench.report import arguments, report
from tests.servers import free_port

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
WEB_CORES = 2
UPLOAD_BYTES = 10 * 10**6
BOUNDARY = "tally-bench"


@contextmanager
def running(command: Sequence[str], env: dict[str, str], cores: set[int]) -> Iterator[psutil.Process]:
    """Run a program on these cores for as long as the ``with``; nothing of it stays."""
    process = psutil.Popen(command, env=os.environ | env, cwd=ROOT, start_new_session=True)
    process.cpu_affinity(sorted(cores))
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def web_server(folder: Path, database_url: str) -> Iterator[tuple[int, psutil.Process]]:
    """Serve the application; yield its port and its master process."""
    cores = sorted(os.sched_getaffinity(0))
    web, port = set(cores[:WEB_CORES]), free_port()
    redis_url = f"unix://{folder / 'redis.sock'}"
    env = {
        "TALLY_DATABASE_URL": database_url or f"sqlite:///{folder / 'tally.sqlite3'}",
        "TALLY_REDIS_URL": redis_url,
        "TALLY_STORAGE_URL": str(folder / "media"),
        "TALLY_RATE_LIMIT_PER_MINUTE": "1000000",
        "TALLY_LOG_LEVEL": "ERROR",
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
    }
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py"]
    gunicorn += ["--bind", f"{HOST}:{port}", "--workers", str(WEB_CORES), "wsgi:application"]
    with ExitStack() as stack:
        stack.enter_context(running(redis_command(folder), {}, web))
        wait_for_redis(redis_url)
        upgrade_to_head(Config.from_env(env | {"TALLY_LOG_LEVEL": "WARNING"}))
        master = stack.enter_context(running(gunicorn, env, web))
        wait_until_healthy(port)
        yield port, master


def wait_until_healthy(port: int, limit_s: float = 30) -> None:
    """Return when /healthz is 200."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            if ask(port, "GET", "/healthz")[0] == 200:
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Return status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} if body else {}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def noise_png(n_bytes: int, seed: int) -> bytes:
    """Return a PNG of about ``n_bytes`` that cannot be compressed."""
    side = int((n_bytes / 3) ** 0.5)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=0)
    return out.getvalue()


def job_form(image: bytes) -> bytes:
    """Return the multipart body of POST /jobs with one image."""
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"{{}}\r\n\r\n'
    head = part.format("type", "") + "coin\r\n" + part.format("images", '; filename="noise.png"')
    return head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()


def submit(port: int, image: bytes) -> tuple[str, float]:
    """Return the id of a new job and the seconds until it was accepted."""
    form = job_form(image)
    started = time.perf_counter()
    status, content = ask(port, "POST", "/api/v1/jobs", form)
    seconds = time.perf_counter() - started
    if status != 202:
        raise RuntimeError(f"POST /jobs: want 202, got {status}: {content[:300]!r}")
    return json.loads(content)["data"]["job_id"], seconds


def resident_bytes(master: psutil.Process) -> int:
    """Return the memory of all web processes together."""
    return sum(process.memory_info().rss for process in [master, *master.children(recursive=True)])


def cpu_seconds(master: psutil.Process) -> float:
    """Return the processor time that all web processes have used."""
    times = [process.cpu_times() for process in [master, *master.children(recursive=True)]]
    return sum(t.user + t.system for t in times)


def measure_uploads(port: int, master: psutil.Process, n_uploads: int) -> dict[str, Any]:
    """Upload 10 MB files one after the other, and watch the memory meanwhile."""
    images = [noise_png(UPLOAD_BYTES, seed) for seed in range(n_uploads + WEB_CORES * 2)]
    for image in images[n_uploads:]:
        submit(port, image)  # the first ones import what decodes
    before, peak, done = resident_bytes(master), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], resident_bytes(master))

    watcher = threading.Thread(target=watch)
    watcher.start()
    seconds = [submit(port, image)[1] for image in images[:n_uploads]]
    done.set()
    watcher.join()
    return {
        "what": f"upload of {len(images[0]) / 1e6:.1f} MB accepted",
        "requests": n_uploads,
        "errors": 0,
        "p50_ms": statistics.median(seconds) * 1e3,
        "p95_ms": max(seconds) * 1e3,
        "memory_growth_mb": (peak[0] - before) / 1e6,
        "memory_kept_mb": (resident_bytes(master) - before) / 1e6,
    }


def measure_users(
    port: int, master: psutil.Process, n_users: int, seconds: float, think_s: float
) -> list[dict[str, Any]]:
    """Return one row for all requests together and one for each endpoint."""
    job_id, _ = submit(port, noise_png(50_000, 1))
    command = [
        sys.executable,
        "-m",
        "gevent.monkey",
        "--module",
        "bench.users",
        HOST,
        port,
        n_users,
        seconds,
        think_s,
        job_id,
    ]
    others = sorted(os.sched_getaffinity(0))[WEB_CORES:] or [0]
    used_s = cpu_seconds(master)
    done = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, others),
    )
    used_s = cpu_seconds(master) - used_s
    samples = json.loads(done.stdout)
    names = [None, *sorted({name for name, _, _ in samples})]
    rows = [latency_row(name, samples, n_users, seconds) for name in names]
    rows[0] |= {"web_cpu_ms_per_request": used_s * 1e3 / len(samples), "load_average": os.getloadavg()[0]}
    return rows


def latency_row(name: str | None, samples: list[Any], n_users: int, seconds: float) -> dict[str, Any]:
    """Return percentiles of one endpoint, or of all."""
    chosen = [sample for sample in samples if name in (None, sample[0])]
    times_ms = sorted(sample[1] * 1e3 for sample in chosen)
    cuts = statistics.quantiles(times_ms, n=100)
    return {
        "what": name or f"all requests of {n_users} users",
        "requests": len(chosen),
        "errors": sum(not good for _, _, good in chosen),
        "requests_per_s": len(chosen) / seconds,
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
    }


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__)
    parser.add_argument("--users", type=int, default=None, help="default 1000, quick 100")
    parser.add_argument("--seconds", type=float, default=None, help="default 60, quick 10")
    parser.add_argument("--think", type=float, default=5.0, help="mean pause between two requests of a user")
    parser.add_argument("--database-url", default="", help="a database to fill; default a new SQLite file")
    options = parser.parse_args()
    n_users = options.users or (100 if options.quick else 1000)
    seconds = options.seconds or (10.0 if options.quick else 60.0)
    with tempfile.TemporaryDirectory(prefix="tally-") as folder:
        with web_server(Path(folder), options.database_url) as (port, master):
            rows = measure_users(port, master, n_users, seconds, options.think)
            rows.append(measure_uploads(port, master, 3 if options.quick else 10))
    report("api_load", rows, options.json)


if __name__ == "__main__":
    main()
