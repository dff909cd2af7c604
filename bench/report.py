"""What every benchmark shares: its two flags, the table on the screen and the JSON beside it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "opencv-python-headless", "scikit-image", "scipy", "onnxruntime", "torch", "torchvision")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with ``--quick`` and ``--json PATH``; a benchmark may add its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller runs: does it work at all")
    parser.add_argument(
        "--json", type=Path, metavar="PATH", help="also write rows, machine, commit, versions"
    )
    return parser


def timed(run: Callable[[], object], repeats: int) -> dict[str, float]:
    """Return median, quartiles and number of runs in seconds, after one run that is not counted.

    ``cpu_s`` is the median of this process's processor time, which a busy machine stretches less.
    """
    run()
    seconds, cpu_seconds = [], []
    for _ in range(repeats):
        started, cpu_started = time.perf_counter(), time.process_time()
        run()
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu_started)
    low, _, high = statistics.quantiles(seconds, n=4) if repeats > 1 else seconds * 3
    return {
        "median_s": statistics.median(seconds),
        "q1_s": low,
        "q3_s": high,
        "cpu_s": statistics.median(cpu_seconds),
        "repeats": repeats,
    }


def report(name: str, rows: Sequence[Mapping[str, Any]], json_path: Path | None, **more: Any) -> None:
    """Print rows as a table; with a path, write them and ``more`` as JSON with where they were measured."""
    print(f"{name}\n{table(rows)}")
    if json_path:
        content = {"name": name, "rows": list(rows), **environment(), **more}
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(content, indent=1) + "\n")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as aligned text, one column a key, in the order the keys first appear."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [keys, *([_cell(row.get(key)) for key in keys] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(keys))]
    return "\n".join("  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)) for line in cells)


def environment() -> dict[str, Any]:
    """Return machine, commit and package versions."""
    return {
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "system": platform.platform(terse=True),
            "python": platform.python_version(),
            "load_1_min": round(os.getloadavg()[0], 1),  # above the cores: the times are too long
        },
        "commit": _commit(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def _commit() -> str:
    root = Path(__file__).resolve().parent
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
