"""Downloading against a real HTTP server that misbehaves on purpose."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contract import PipelineError
from pipeline.weights import WeightsFile
from pipeline.weights_download import ATTEMPTS, pull

BODY = np.random.default_rng(7).bytes(3_000_000)


class Publisher(ThreadingHTTPServer):
    """Serves BODY; ``faults`` are used up one a request: bytes after which the connection breaks."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = BODY
        self.ranges = True
        self.faults: list[int] = []
        self.offsets: list[int] = []
        self.status = 200


class _Handler(BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        wanted = self.headers.get("Range")
        offset = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        self.server.offsets.append(offset)
        if offset >= len(self.server.body):
            self.send_error(416)
            return
        self.send_response(206 if offset else 200)
        if offset:
            size = len(self.server.body)
            self.send_header("Content-Range", f"bytes {offset}-{size - 1}/{size}")
        rest = self.server.body[offset:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        with contextlib.suppress(ConnectionResetError):  # a client may hang up
            self.wfile.write(rest[: self.server.faults.pop(0)] if self.server.faults else rest)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    server = Publisher()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def entry_for(publisher: Publisher, size: int | None = len(BODY)) -> WeightsFile:
    url = f"http://127.0.0.1:{publisher.server_port}/toy.pth"
    return WeightsFile("toy", "toy.pth", url, size, hashlib.sha256(BODY).hexdigest(), "MIT", "tests")


def test_a_whole_download_is_verified_and_moved_into_place(publisher: Publisher, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    file = pull(entry_for(publisher), tmp_path / "new", lambda done, total: seen.append((done, total)))
    assert file.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert sorted(p.name for p in file.parent.iterdir()) == ["toy.pth"]


def test_a_truncated_answer_is_resumed_where_it_broke(publisher: Publisher, tmp_path: Path) -> None:
    publisher.faults = [1_000_000, 500_000]
    file = pull(entry_for(publisher), tmp_path, pause_s=0)
    assert file.read_bytes() == BODY
    assert publisher.offsets == [0, 1_000_000, 1_500_000]


def test_a_download_without_published_size_is_resumed_too(publisher: Publisher, tmp_path: Path) -> None:
    publisher.faults = [1_000_000]
    assert pull(entry_for(publisher, size=None), tmp_path, pause_s=0).read_bytes() == BODY
    assert publisher.offsets == [0, 1_000_000]


def test_a_part_left_by_a_killed_download_is_continued(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "toy.pth.part").write_bytes(BODY[:2_000_000])
    assert pull(entry_for(publisher), tmp_path).read_bytes() == BODY
    assert publisher.offsets == [2_000_000]


def test_a_server_without_ranges_starts_again_from_nothing(publisher: Publisher, tmp_path: Path) -> None:
    publisher.ranges = False
    (tmp_path / "toy.pth.part").write_bytes(b"x" * 2_000_000)
    assert pull(entry_for(publisher), tmp_path).read_bytes() == BODY


def test_a_part_longer_than_the_file_is_dropped(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "toy.pth.part").write_bytes(b"x" * (len(BODY) + 5))
    with pytest.raises(PipelineError, match="not the published file"):
        pull(entry_for(publisher), tmp_path)
    assert pull(entry_for(publisher), tmp_path).read_bytes() == BODY


def test_a_part_the_server_has_no_rest_of_starts_again(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "toy.pth.part").write_bytes(b"x" * (len(BODY) + 5))
    assert pull(entry_for(publisher, size=None), tmp_path, pause_s=0).read_bytes() == BODY


def test_corrupted_bytes_are_refused_and_not_resumed(publisher: Publisher, tmp_path: Path) -> None:
    publisher.body = BODY[:100] + b"!" + BODY[101:]
    with pytest.raises(PipelineError, match="is not the published file") as caught:
        pull(entry_for(publisher), tmp_path)
    assert caught.value.code == "MODEL_LOAD_ERROR"
    assert not (tmp_path / "toy.pth").exists()
    publisher.body = BODY
    assert pull(entry_for(publisher), tmp_path).read_bytes() == BODY
    assert publisher.offsets == [0, 0]


def test_an_answer_longer_than_published_is_stopped_early(publisher: Publisher, tmp_path: Path) -> None:
    publisher.body = BODY * 4
    with pytest.raises(PipelineError, match=r"not the published file \((3|4)\d{6} bytes"):
        pull(entry_for(publisher), tmp_path, pause_s=0)


def test_a_machine_without_a_way_out_is_told_which_file_to_put_where(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/toy.pth"  # nobody listens
        wanted = WeightsFile("toy", "toy.pth", url, 3, "0" * 64, "MIT", "tests")
        with pytest.raises(PipelineError) as caught:
            pull(wanted, tmp_path, pause_s=0)
    text = str(caught.value)
    for part in ("refused", url, "3 bytes", "0" * 64, str(tmp_path / "toy.pth"), "tally weights verify toy"):
        assert part in text


def test_a_missing_file_is_not_asked_for_again_and_again(publisher: Publisher, tmp_path: Path) -> None:
    publisher.status = 404
    with pytest.raises(PipelineError, match="404"):
        pull(entry_for(publisher), tmp_path, pause_s=60)


def test_a_server_that_never_brings_anything_is_given_up(publisher: Publisher, tmp_path: Path) -> None:
    publisher.faults = [0] * 50
    with pytest.raises(PipelineError, match="ended at 0 of 3000000"):
        pull(entry_for(publisher), tmp_path, pause_s=0)
    assert len(publisher.offsets) == ATTEMPTS
    assert list(tmp_path.iterdir()) == []  # no empty part


def test_nobody_waits_after_the_last_try(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    publisher.status = 503
    with pytest.raises(PipelineError, match="503"):
        pull(entry_for(publisher), tmp_path)
    assert waits == [1, 2, 4, 8]


def test_who_waited_for_a_puller_that_failed_fetches_the_file(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [tmp_path / "toy.pth.part"]
    lock = fcntl.flock

    def lock_late(*args: Any) -> None:
        while parts:
            parts.pop().unlink()  # by the one who held it, while this one waited
        lock(*args)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    assert pull(entry_for(publisher), tmp_path).read_bytes() == BODY


def test_a_genuine_file_is_not_fetched_again(publisher: Publisher, tmp_path: Path) -> None:
    pull(entry_for(publisher), tmp_path)
    pull(entry_for(publisher), tmp_path)
    assert publisher.offsets == [0]


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(
    publisher: Publisher, tmp_path: Path
) -> None:
    (tmp_path / "blocked").write_text("")
    with pytest.raises(PipelineError) as caught:
        pull(entry_for(publisher), tmp_path / "blocked")
    text = str(caught.value)
    for part in (
        "want a weights folder that can be written",
        str(tmp_path / "blocked"),
        "File exists",
        "runbook",
    ):
        assert part in text
    assert publisher.offsets == []


def test_a_genuine_file_in_a_folder_that_cannot_be_written_is_no_error(
    publisher: Publisher, tmp_path: Path
) -> None:
    pull(entry_for(publisher), tmp_path)
    (tmp_path / "toy.pth.part").mkdir()  # what would be opened
    assert pull(entry_for(publisher), tmp_path) == tmp_path / "toy.pth"


def test_two_pullers_at_once_fetch_the_file_once(publisher: Publisher, tmp_path: Path) -> None:
    threads = [threading.Thread(target=pull, args=(entry_for(publisher), tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "toy.pth").read_bytes() == BODY
    assert publisher.offsets == [0]
