"""Keeps child processes alive: honcho runs and prints them, this restarts them and stops them in order."""

from __future__ import annotations

import json
import os
import queue
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from honcho.colour import get_colours
from honcho.printer import Message, Printer
from honcho.process import Process

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
    _events: queue.Queue[Any] = field(default_factory=queue.Queue)
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
        process = Process(
            "exec " + shlex.join(child.command), name=child.name, colour=self._colours[child.name]
        )
        threading.Thread(target=process.run, args=(self._events,), daemon=True).start()
        while child.pid is None and child.restart_at is None:
            self._next_event(1.0)

    def _next_event(self, timeout_s: float) -> None:
        """Take one message of a child: a line, its start, its end."""
        try:
            message = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return
        child = next(c for c in self.children if c.name == message.name)
        if message.type == "line":
            self.printer.write(message)
        elif message.type == "start":
            child.pid = message.data["pid"]
            self._write_record()
        else:
            self._on_death(child, message.data["returncode"])

    def _on_death(self, child: Child, status: int) -> None:
        child.pid = None
        self._write_record()
        if self._stopping:
            self._say(f"{child.name} stopped")
            return
        lived_s = time.monotonic() - child.started_at
        child.deaths = 1 if lived_s > HEALTHY_AFTER_S else child.deaths + 1
        if child.deaths >= GIVE_UP_AFTER:
            self._say(f"{child.name} died {child.deaths} times in a row; giving up")
            self._failed = True
            return
        delay_s = min(0.5 * 2**child.deaths, MAX_DELAY_S)
        child.restart_at = time.monotonic() + delay_s
        self._say(f"{child.name} died (exit status {status}); starting it again in {delay_s:.0f} s")

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

    def _say(self, text: str) -> None:
        self.printer.write(Message("line", text, datetime.now(), "system", None))

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
