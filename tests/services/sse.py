"""A client of server-sent events, over real HTTP, that can drop the connection."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

LIMIT_S = 30.0


@dataclass(frozen=True)
class Event:
    """One event as a browser would see it; ``comment`` is for lines that browsers drop."""

    id: int | None
    type: str
    data: dict[str, Any]
    comment: str = ""


@dataclass
class Stream:
    """An open stream."""

    response: httpx.Response
    retry_ms: int | None = None

    def __iter__(self) -> Iterator[Event]:
        """Give events and comments until the server ends the stream."""
        fields: dict[str, str] = {}
        for line in self.response.iter_lines():
            if line.startswith(":"):
                yield Event(None, "", {}, line[1:].strip())
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                number = int(fields["id"]) if "id" in fields else None
                yield Event(number, fields["event"], json.loads(fields["data"]))
                fields = {}
            elif "retry" in fields:
                self.retry_ms = int(fields.pop("retry"))

    def until(self, event_type: str, n: int = 1) -> list[Event]:
        """Return the events up to the ``n``-th of a type; the stream stays open."""
        found: list[Event] = []
        deadline = time.monotonic() + LIMIT_S
        for event in self.events():
            assert time.monotonic() < deadline, f"no {event_type}: {[e.type for e in found]}"
            found.append(event)
            n -= event.type == event_type
            if n == 0:
                return found
        raise AssertionError(f"the stream ended without {event_type}: {[e.type for e in found]}")

    def events(self) -> Iterator[Event]:
        """Return the one iterator over the stream, wherever it stands."""
        if not hasattr(self, "_iterator"):
            self._iterator = iter(self)
        return self._iterator


@contextmanager
def follow(base_url: str, job_id: str, last_event_id: int | None = None) -> Iterator[Stream]:
    """Open the stream of a job; leaving the block drops the connection."""
    headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
    url = f"{base_url}/api/v1/jobs/{job_id}/events"
    with httpx.stream("GET", url, headers=headers, timeout=LIMIT_S) as response:
        yield Stream(response)
