"""Keeps child processes alive: restarts them, prints their lines, stops them in order."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil
from honcho.colour import get_colours
from honcho.printer import Message, Printer

MAX_DELAY_S = 30.0
HEALTHY_AFTER_S = 30.0
GIVE_UP_AFTER = 6
"""So many deaths in a row without ``HEALTHY_AFTER_S`` of life end the supervisor: about one minute."""
STOP_LIMIT_S = 20.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Child:
    """One supervised program.

    Attributes:
        wave: programs of a higher wave start later and stop earlier.
        ready: returns when the next wave may start.
        pid: its process, which leads a process group of its own; None while it is not running.
    """

    name: str
    command: Sequence[str]
    wave: int = 1
    ready: Callable[[], None] | None = None
    pid: int | None = None
    deaths: int = 0
    started_at: float = 0.0
    restart_at: float | None = None


@dataclass
class Supervisor:
    """Start children in waves, print their lines, restart the dead with growing delays, stop in reverse.

    Attributes:
        record: file that names the running children, so that ``kill_leftovers`` finds them after a kill -9.
        on_tick: called about five times a second while all goes well.
    """

    children: list[Child]
    record: Path
    on_tick: Callable[[], None] = lambda: None
    printer: Printer = field(default_factory=lambda: Printer(sys.stdout))
    _events: queue.Queue[tuple[Child, bytes | int]] = field(default_factory=queue.Queue)
    _stop_signal: int | None = None
    _failed: bool = False

    def run(self) -> int:
        """Run until a stop signal or until a child cannot be kept alive; return the exit status."""
        names = ["system", *(child.name for child in self.children)]
        self.printer.width = max(map(len, names))
        self._colours = dict(zip(names[1:], get_colours(), strict=False))
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)
        try:
            self._start_all()
            while not self._stopping:
                self._next_event(0.2)
                self._restart_due()
                self.on_tick()
        finally:
            self._stop_all()
        return 1 if self._failed else 0

    @property
    def _stopping(self) -> bool:
        return self._stop_signal is not None or self._failed

    def _on_signal(self, number: int, _frame: object) -> None:
        self._stop_signal = number

    def _start_all(self) -> None:
        for child in sorted(self.children, key=lambda c: c.wave):
            if self._stopping:
                return
            self._start(child)
            if child.ready:
                child.ready()

    def _start(self, child: Child) -> None:
        child.restart_at, child.started_at = None, time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - our own command line
            child.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        child.pid = process.pid
        self._write_record()
        reader = threading.Thread(target=self._read, args=(child, process), daemon=True)
        reader.start()
        threading.Thread(target=self._wait, args=(child, process, reader), daemon=True).start()

    def _read(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        for line in process.stdout or ():
            self._events.put((child, line))

    def _wait(self, child: Child, process: subprocess.Popen[bytes], reader: threading.Thread) -> None:
        """Report the end of a child after its last line, and end what it started itself.

        That would hold a port or a lease, and the other end of the pipe that is read.
        """
        status = process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        reader.join(STOP_LIMIT_S)
        self._events.put((child, status))

    def _next_event(self, timeout_s: float) -> None:
        """Take one event of a child: a line it printed, or its exit status."""
        try:
            child, event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return
        if isinstance(event, int):
            self._on_death(child, event)
        else:
            self._print(child.name, event, self._colours[child.name])

    def _on_death(self, child: Child, status: int) -> None:
        child.pid = None
        self._write_record()
        if self._stopping:
            self._print("system", f"{child.name} stopped")
            return
        lived_s = time.monotonic() - child.started_at
        child.deaths = 1 if lived_s > HEALTHY_AFTER_S else child.deaths + 1
        if child.deaths >= GIVE_UP_AFTER:
            self._print("system", f"{child.name} died {child.deaths} times in a row; giving up")
            self._failed = True
            return
        delay_s = min(0.5 * 2**child.deaths, MAX_DELAY_S)
        child.restart_at = time.monotonic() + delay_s
        self._print(
            "system", f"{child.name} died (exit status {status}); starting it again in {delay_s:.0f} s"
        )

    def _restart_due(self) -> None:
        for child in self.children:
            if child.restart_at is not None and time.monotonic() >= child.restart_at:
                self._start(child)

    def _stop_all(self) -> None:
        self._stop_signal = self._stop_signal or signal.SIGTERM
        for wave in sorted({child.wave for child in self.children}, reverse=True):
            members = [child for child in self.children if child.wave == wave]
            self._signal(members, signal.SIGTERM)
            deadline = time.monotonic() + STOP_LIMIT_S
            while any(child.pid for child in members):
                if time.monotonic() > deadline:
                    self._signal(members, signal.SIGKILL)
                    deadline = time.monotonic() + STOP_LIMIT_S
                self._next_event(0.1)
        self.record.unlink(missing_ok=True)

    def _signal(self, members: Sequence[Child], number: signal.Signals) -> None:
        for child in members:
            if child.pid:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, number)

    def _print(self, name: str, text: str | bytes, colour: str | None = None) -> None:
        self.printer.write(Message("line", text, datetime.now(), name, colour))

    def _write_record(self) -> None:
        alive = {}
        for child in self.children:
            with suppress(psutil.NoSuchProcess):
                if child.pid:
                    alive[str(child.pid)] = psutil.Process(child.pid).create_time()
        self.record.write_text(json.dumps(alive))


def kill_leftovers(record: Path) -> int:
    """Kill the children that a killed supervisor left behind; return how many there were."""
    n_killed = 0
    with suppress(FileNotFoundError, json.JSONDecodeError):
        for pid, created in json.loads(record.read_text()).items():
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                if psutil.Process(int(pid)).create_time() == created:
                    os.killpg(int(pid), signal.SIGKILL)
                    n_killed += 1
    return n_killed
