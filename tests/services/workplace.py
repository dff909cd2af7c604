"""An application with a database of its own, jobs made of scripts, and real worker processes."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app import create_app
from app.columns import utcnow
from app.config import Config
from app.database import transaction
from app.events.models import JobEvent
from app.events.service import record, wake
from app.extensions import db
from app.jobs.models import Job, JobImage
from app.jobs.queue import announce_work
from app.jobs.states import TERMINAL, EventType
from app.results.models import Instance
from app.storage import storage
from app.storage.keys import image_key
from app.uploads.models import Image, Upload
from app.worker.director import CountBatch, Director
from tests.doubles import pipeline

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 60.0
ENGINE_KEY = "auto:"
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests of what does not depend on the database."""


class Workplace:
    """Submits scripted jobs, starts workers, and reads what became of them."""

    def __init__(self, database_url: str, redis_url: str, folder: Path, **settings: Any) -> None:
        quick = {"batch_window_ms": 0, "retry_delays_s": (0,), "lease_s": 2}
        values: dict[str, Any] = {
            "database_url": database_url,
            "redis_url": redis_url,
            "storage_url": str(folder / "media"),
            "log_level": "WARNING",
        }
        self.folder = folder
        self.config = Config(**(values | quick | settings))
        self.app = create_app(self.config)
        self._processes: list[subprocess.Popen[bytes]] = []
        with self.app.app_context():
            db.create_all()

    def close(self) -> None:
        """Kill what still runs and let go of the database."""
        for process in self._processes:
            process.kill()
            process.wait(LIMIT_S)
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()
        self.app.extensions["tally_redis"].close()

    def submit(
        self,
        *scripts: bytes,
        priority: int = 0,
        config: dict[str, Any] | None = None,
        file_ids: tuple[str, ...] = (),
        announce: bool = False,
    ) -> str:
        """Accept a job over these images (or over files that are there), as the API does."""
        with self.app.app_context():
            with transaction() as session:
                upload = Upload(expires_at=utcnow() + timedelta(days=7))
                session.add(upload)
                session.flush()
                ids = list(file_ids) or [self._store(upload.id, i, s) for i, s in enumerate(scripts)]
                job = Job(
                    upload_id=upload.id,
                    type="coin",
                    engine_key=ENGINE_KEY,
                    config=config or {},
                    priority=priority,
                    total_images=len(ids),
                )
                session.add(job)
                session.flush()
                session.add_all(
                    JobImage(job_id=job.id, image_id=f, position=i, engine_key=ENGINE_KEY, priority=priority)
                    for i, f in enumerate(ids)
                )
                record(session, job.id, EventType.JOB_QUEUED)
                job_id = job.id
            wake(job_id)
            if announce:
                announce_work(ENGINE_KEY)
            return job_id

    @staticmethod
    def _store(upload_id: str, position: int, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        storage().put(image_key(digest), io.BytesIO(data))
        image = Image(
            upload_id=upload_id,
            position=position,
            filename=f"photo-{position}.jpg",
            sha256=digest,
            format="jpeg",
            width=200,
            height=60,
            size_bytes=len(data),
        )
        db.session.add(image)
        db.session.flush()
        return image.id

    def director(
        self, count_batch: CountBatch = pipeline.count_batch, stopping: threading.Event | None = None
    ) -> Director:
        """Return a director in this process; call it inside ``app.app_context()``."""
        return Director(self.app, count_batch, stopping or threading.Event())

    def drain(self, count_batch: CountBatch = pipeline.count_batch) -> None:
        """Work in this process until nothing waits."""
        with self.app.app_context():
            director = self.director(count_batch)
            while director.work_any():
                pass

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start ``python -m <command>`` with this configuration in its environment."""
        defaults = Config()
        env = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
        for field in fields(Config):
            value = getattr(self.config, field.name)
            if value != getattr(defaults, field.name):
                text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
                env[f"TALLY_{field.name.upper()}"] = text
        with (self.folder / "processes.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=ROOT, env=env, stdout=log, stderr=log
            )
        self._processes.append(process)
        return process

    @staticmethod
    def run(*command: str) -> str:
        """Run a program to its end and return what it prints."""
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    def worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a real worker process with the scripted pipeline."""
        return self.start("tests.doubles.worker", *arguments)

    def logged(self) -> str:
        """Return what the processes have written so far."""
        path = self.folder / "processes.log"
        return path.read_text() if path.exists() else ""

    def job(self, job_id: str) -> Job:
        """Return a fresh copy of the job's row."""
        with self.app.app_context():
            return db.session.get_one(Job, job_id)

    def images(self, job_id: str) -> list[JobImage]:
        """Return fresh copies of the job's images, in order."""
        with self.app.app_context():
            rows = db.session.scalars(
                select(JobImage).where(JobImage.job_id == job_id).order_by(JobImage.position)
            )
            return list(rows)

    def events(self, job_id: str) -> list[JobEvent]:
        """Return the job's durable events, in order."""
        with self.app.app_context():
            rows = db.session.scalars(
                select(JobEvent).where(JobEvent.job_id == job_id).order_by(JobEvent.seq)
            )
            return list(rows)

    def n_instances(self, job_id: str) -> int:
        """Return how many counted objects are stored for the job."""
        with self.app.app_context():
            query = select(func.count(Instance.id)).join(JobImage, JobImage.id == Instance.job_image_id)
            return db.session.scalar(query.where(JobImage.job_id == job_id)) or 0

    def counts(self, job_id: str) -> list[int | None]:
        """Return the count of each image."""
        return [image.count for image in self.images(job_id)]

    def wait_end(self, job_id: str) -> Job:
        """Wait until the job has ended, and return it."""
        self.wait(lambda: self.job(job_id).status in TERMINAL, f"the end of {job_id}")
        return self.job(job_id)

    def wait(self, condition: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
        """Wait until the condition holds; a database that is away means it does not yet."""
        deadline = time.monotonic() + limit_s
        while True:
            with suppress(SQLAlchemyError):
                if condition():
                    return
            assert time.monotonic() < deadline, f"waited in vain for {what}\n{self.logged()[-4000:]}"
            time.sleep(0.02)
