"""One stream's inbox: in order, nothing twice, bounded, and never silent."""

from __future__ import annotations

import itertools
import json

from app.events.stream import MAX_WAITING, Follower, encode
from app.jobs.states import EventType


def frames(follower: Follower) -> list[bytes]:
    """Return what the stream would send, up to its end."""
    follower.end()
    return list(follower.frames(heartbeat_s=5))[1:-1]


def test_a_durable_event_that_comes_twice_is_sent_once() -> None:
    follower = Follower("job_1", last_seq=2)
    for seq in (2, 3, 4, 3, 4, 5):  # the replay and the hub may both bring an event
        follower.push(b"%d" % seq, seq)
    assert frames(follower) == [b"3", b"4", b"5"]


def test_a_stream_starts_with_the_time_to_retry_and_ends_with_a_terminal_event() -> None:
    follower = Follower("job_1", last_seq=0)
    follower.push(b"one", 1)
    follower.push(b"end", 2, is_terminal=True)
    follower.push(b"late", 3)
    assert list(follower.frames(heartbeat_s=5)) == [b"retry: 2000\n\n", b"one", b"end"]


def test_a_quiet_stream_sends_comments() -> None:
    follower = Follower("job_1", last_seq=0)
    sent = list(itertools.islice(follower.frames(heartbeat_s=0.01), 3))
    assert sent[1:] == [b": heartbeat\n\n"] * 2


def test_a_client_that_does_not_read_keeps_durable_events_and_loses_progress() -> None:
    follower = Follower("job_1", last_seq=0)
    for _ in range(2 * MAX_WAITING):
        follower.push(b"progress", None)
    follower.push(b"durable", 1)
    sent = frames(follower)
    assert len(sent) == MAX_WAITING + 1
    assert sent[-1] == b"durable"


def test_an_event_is_one_line_of_data_and_only_durable_ones_have_an_id() -> None:
    data = {"job_id": "job_1", "filename": "two\nlines \u00e9"}
    durable = encode(EventType.IMAGE_COMPLETED, data, 7).decode()
    head, event, body, end, rest = durable.split("\n")
    assert (head, event, end, rest) == ("id: 7", "event: image.completed", "", "")
    assert json.loads(body.removeprefix("data: ")) == data
    assert "id:" not in encode(EventType.STAGE_PROGRESS, {}).decode()
