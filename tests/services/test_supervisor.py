"""The supervisor keeps real processes alive and leaves none behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from app.supervisor import kill_leftovers

SCRIPT = """
import sys
from pathlib import Path
from app.supervisor import Child, Supervisor

arguments = [argument.split(":", 2) for argument in sys.argv[2:]]
children = [Child(name, ["sh", "-c", code], wave=int(wave)) for name, wave, code in arguments]
sys.exit(Supervisor(children, Path(sys.argv[1])).run())
"""


def wait_for(condition: Callable[[], bool], what: str, limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


class Supervised:
    """A supervisor in its own process, its output in a file."""

    def __init__(self, folder: Path) -> None:
        self.record = folder / "children.json"
        self.output = folder / "output"
        self.folder = folder
        self.preamble = ""
        self.process: subprocess.Popen[bytes]

    def start(self, *children: str) -> None:
        with self.output.open("wb") as out:
            script = self.preamble + SCRIPT
            command = [sys.executable, "-c", script, str(self.record), *children]
            self.process = subprocess.Popen(command, stdout=out, stderr=out, cwd=self.folder)

    def pids(self) -> list[int]:
        try:
            return [int(pid) for pid in json.loads(self.record.read_text())]
        except (FileNotFoundError, json.JSONDecodeError):
            return []

    def printed(self) -> str:
        return self.output.read_text()


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    run = Supervised(tmp_path)
    yield run
    run.process.kill()
    run.process.wait()
    kill_leftovers(run.record)


def test_a_child_that_dies_is_started_again(supervised: Supervised) -> None:
    supervised.start("mortal:1:echo life; sleep 0.1; exit 3")
    wait_for(lambda: supervised.printed().count("| life") >= 2, "a second life")
    assert "mortal died (exit status 3)" in supervised.printed()
    assert supervised.process.poll() is None


def test_a_child_killed_from_outside_is_started_again_and_the_others_are_left_alone(
    supervised: Supervised,
) -> None:
    supervised.start("one:1:sleep 60", "two:1:sleep 60")
    wait_for(lambda: len(supervised.pids()) == 2, "both children")
    one, two = supervised.pids()
    psutil.Process(one).kill()
    wait_for(lambda: len(set(supervised.pids()) - {one}) == 2, "a new first child")
    assert two in supervised.pids()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_later_waves_first_and_leaves_no_process(
    supervised: Supervised, number: signal.Signals
) -> None:
    last_words = "trap 'sleep 0.2; echo {0} ends; exit' TERM; echo {0} runs; while :; do sleep 0.05; done"
    supervised.start(f"base:0:{last_words.format('base')}", f"top:2:{last_words.format('top')}")
    wait_for(
        lambda: "top runs" in supervised.printed() and "base runs" in supervised.printed(), "both children"
    )
    children = [psutil.Process(pid) for pid in supervised.pids()]
    supervised.process.send_signal(number)
    assert supervised.process.wait(20) == 0
    printed = supervised.printed()
    assert printed.index("top ends") < printed.index("base ends")
    assert not [child for child in children if child.is_running()]


def test_a_child_that_cannot_live_ends_the_supervisor_with_status_1(
    supervised: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            sys.modules[__name__],
            "SCRIPT",
            f"import app.supervisor; app.supervisor.MAX_DELAY_S = 0.05\n{SCRIPT}",
        )
        supervised.start("broken:1:exit 9", "healthy:1:sleep 60")
    assert supervised.process.wait(30) == 1
    assert "giving up" in supervised.printed()
    assert supervised.pids() == []


def test_what_a_killed_supervisor_left_behind_is_found_and_killed(supervised: Supervised) -> None:
    supervised.start("orphan:1:sleep 60")
    wait_for(lambda: len(supervised.pids()) == 1, "the child")
    orphan = psutil.Process(supervised.pids()[0])
    supervised.process.kill()
    supervised.process.wait()
    assert orphan.is_running()
    assert kill_leftovers(supervised.record) == 1
    wait_for(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE, "its end")


def test_a_process_that_only_reuses_a_recorded_number_is_spared(tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
    record = tmp_path / "children.json"
    record.write_text(json.dumps({str(bystander.pid): psutil.Process(bystander.pid).create_time() - 1000}))
    assert kill_leftovers(record) == 0
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
