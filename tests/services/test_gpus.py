"""``gpu_utilization_percent``: there where NVIDIA's tool tells it, absent elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from app.monitoring.metrics import GPU_UTILIZATION
from app.worker import gpus
from app.worker.gpus import observe_gpus
from app.worker.main import run_worker
from tests.doubles.pipeline import count_batch, script
from tests.services.workplace import Workplace


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite alone: these tests are about a tool of the driver."""
    return f"sqlite:///{tmp_path / 'tally.sqlite3'}"


@pytest.fixture(autouse=True)
def forget() -> None:
    GPU_UTILIZATION.clear()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH: what lies in it is what is installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(machine: Path, commands: str) -> None:
    """Install an ``nvidia-smi`` of these shell commands."""
    program = machine / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{commands}\n")
    program.chmod(0o755)


def told() -> dict[str, float]:
    """Return percent by GPU, as scraped."""
    (metric,) = (m for m in REGISTRY.collect() if m.name == "gpu_utilization_percent")
    return {sample.labels["device"]: sample.value for sample in metric.samples}


def test_each_gpu_has_its_share_and_one_that_does_not_tell_has_none(machine: Path) -> None:
    install(machine, "echo '0, 37'; echo '1, [N/A]'; echo '2, 100'")
    assert observe_gpus()
    assert told() == {"0": 37.0, "2": 100.0}


def test_only_the_share_is_asked_for(machine: Path) -> None:
    install(machine, f'echo "$@" > {machine}/asked')
    observe_gpus()
    asked = (machine / "asked").read_text().split()
    assert asked == ["--query-gpu=index,utilization.gpu", "--format=csv,noheader,nounits"]


def test_without_the_tool_there_is_no_value_and_nobody_asks_again(machine: Path) -> None:
    assert not observe_gpus()
    assert told() == {}


@pytest.mark.parametrize("commands", ["exit 9", "while :; do :; done"], ids=["broken driver", "hung driver"])
def test_a_tool_that_fails_or_hangs_is_asked_again_later(
    machine: Path, monkeypatch: pytest.MonkeyPatch, commands: str
) -> None:
    monkeypatch.setattr(gpus, "LIMIT_S", 0.2)
    install(machine, commands)
    assert observe_gpus()
    assert told() == {}


def test_a_worker_tells_how_busy_its_gpus_are(workplace: Workplace, machine: Path) -> None:
    install(machine, "echo '0, 64'")
    job_id = workplace.submit(script(count=2))
    assert run_worker(workplace.app, count_batch, max_batches=1) == 1
    assert workplace.counts(job_id) == [2]
    assert told() == {"0": 64.0}
