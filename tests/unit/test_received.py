"""A file on its way in is hashed, bounded, on disk only, and gone when it is done with."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.storage import StorageError
from app.uploads.decode import Decoded, check_decodes
from app.uploads.received import ReceivedFile
from app.uploads.service import display_name
from pipeline.header import ImageHeader
from tests.doubles.painted import painted_png, row_of_discs


@pytest.fixture
def received() -> Iterator[ReceivedFile]:
    file = ReceivedFile(max_bytes=10)
    yield file
    file.close()


def test_what_is_written_is_hashed_and_lies_on_disk(received: ReceivedFile) -> None:
    for piece in (b"0123", b"", b"456789"):
        received.write(piece)
    assert received.path.read_bytes() == b"0123456789"
    assert received.sha256 == hashlib.sha256(b"0123456789").hexdigest()
    assert (received.size_bytes, received.is_too_large) == (10, False)


def test_what_is_too_large_is_counted_and_not_kept(received: ReceivedFile) -> None:
    for _ in range(5):
        received.write(b"12345678")
    assert (received.size_bytes, received.is_too_large) == (40, True)
    assert received.path.stat().st_size == 8


def test_the_temporary_file_ends_with_it() -> None:
    file = ReceivedFile(max_bytes=10)
    path = file.path
    assert path.exists()
    file.close()
    file.close()
    assert not path.exists()


@pytest.fixture
def tiny_disk() -> Iterator[None]:
    """Let no file of this process grow over 4 kB, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("tiny_disk")
def test_a_disk_that_fills_up_while_a_file_comes_in_is_a_storage_error() -> None:
    file = ReceivedFile(max_bytes=2**30)
    with pytest.raises(StorageError, match="cannot keep an upload"):
        file.write(b"x" * 100_000)
    file.close()


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("tray.jpg", "tray.jpg"),
        ("  a\tb\n.png ", "ab.png"),
        ("\u202egpj.exe", "gpj.exe"),
        ("\x00\x1f", "unnamed"),
        ("Münze 📷.jpg", "Münze 📷.jpg"),
        ("x" * 300 + ".png", ("x" * 300 + ".png")[-255:]),
    ],
)
def test_a_name_is_made_safe_to_show(sent: str, shown: str) -> None:
    assert display_name(sent) == shown


def test_what_a_child_process_does_not_answer_counts_as_undecodable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tmp_path / "good.png"
    good.write_bytes(painted_png(row_of_discs(1)))
    large = ImageHeader("png", 8192, 8192, 1)
    assert check_decodes([good, good], [large, large]) == [Decoded(160, 120)] * 2
    monkeypatch.setattr("app.uploads.decode.CHILD_LIMIT_S", 0.001)
    (late,) = check_decodes([good], [large])
    assert late.problem == "takes too much memory or time to decode"
