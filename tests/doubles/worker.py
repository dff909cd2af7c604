"""The real worker with the scripted pipeline: ``python -m tests.doubles.worker [stall limit in seconds]``."""

from __future__ import annotations

import sys

from app import create_app
from app.worker.main import run_worker
from app.worker.progress import STALL_LIMIT_S
from tests.doubles.pipeline import count_batch

if __name__ == "__main__":
    limit_s = float(sys.argv[1]) if len(sys.argv) > 1 else STALL_LIMIT_S
    run_worker(create_app(), count_batch, max_batches=10_000, stall_limit_s=limit_s)
