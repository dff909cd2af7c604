"""Both storages keep the same promises; S3 speaks HTTP to moto's server."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config as BotoConfig
from moto.server import ThreadedMotoServer

from app.config import Config
from app.storage import NotFoundError, Storage, StorageError, UnsafeKeyError, open_storage, s3
from app.storage.keys import image_key
from app.storage.local import INCOMING, LocalStorage
from tests.servers import SilentServer, free_port


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port())
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    if request.param == "local":
        return open_storage(Config(storage_url=str(tmp_path / "media")))
    endpoint: str = request.getfixturevalue("s3_endpoint")
    for name, value in {
        "ACCESS_KEY_ID": "a",
        "SECRET_ACCESS_KEY": "b",
        "DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    bucket = f"tally-{os.urandom(4).hex()}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)
    return open_storage(Config(storage_url=f"s3://{bucket}/a/prefix", s3_endpoint_url=endpoint))


class Failing:
    """A stream that breaks after its first piece, like a client that goes away."""

    def __init__(self) -> None:
        self.pieces = [b"half"]

    def read(self, size: int = -1) -> bytes:
        if self.pieces:
            return self.pieces.pop()
        raise OSError(5, "gone")


def read(store: Storage, key: str, start: int = 0) -> bytes:
    with store.open(key, start) as file:
        return file.read()


def test_a_folder_that_cannot_be_deleted_is_told(tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied")

    store = LocalStorage(tmp_path)
    store.put("a/b", io.BytesIO(b"x"))
    monkeypatch.setattr("app.storage.local.shutil.rmtree", refused)
    with pytest.raises(StorageError, match="cannot delete a: Permission denied"):
        store.delete_prefix("a")


def test_what_is_put_comes_back_whole_and_from_a_place_on(store: Storage) -> None:
    store.put("candidates/j/i.npz", io.BytesIO(b"0123456789"))
    assert read(store, "candidates/j/i.npz") == b"0123456789"
    assert read(store, "candidates/j/i.npz", 8) == b"89"
    assert store.size("candidates/j/i.npz") == 10
    with store.local_path("candidates/j/i.npz") as path:
        assert path.read_bytes() == b"0123456789"


def test_a_file_larger_than_one_multipart_piece_comes_back(store: Storage) -> None:
    data = os.urandom(9 * 2**20)
    source = io.BytesIO(data)
    store.put("images/aa/big", source)
    assert not source.closed
    assert read(store, "images/aa/big") == data


def test_a_second_put_replaces_the_file(store: Storage) -> None:
    store.put("images/aa/b", io.BytesIO(b"old"))
    store.put("images/aa/b", io.BytesIO(b"new"))
    assert read(store, "images/aa/b") == b"new"


def test_a_stream_that_breaks_leaves_the_old_file_and_no_new_one(store: Storage) -> None:
    store.put("images/aa/kept", io.BytesIO(b"old"))
    for key in ("images/aa/kept", "images/aa/never"):
        with pytest.raises(StorageError):
            store.put(key, Failing())
    assert read(store, "images/aa/kept") == b"old"
    assert sorted(store.keys("images")) == ["images/aa/kept"]


def test_what_is_missing_is_named_as_missing(store: Storage) -> None:
    for attempt in (lambda: store.size("images/aa/no"), lambda: read(store, "images/aa/no")):
        with pytest.raises(NotFoundError):
            attempt()
    with pytest.raises(NotFoundError), store.local_path("images/aa/no"):
        pass
    assert not store.exists("images/aa/no")
    store.delete("images/aa/no")


def test_a_folder_of_keys_is_listed_and_deleted_alone(store: Storage) -> None:
    for key in ("pictures/j1/a.png", "pictures/j1/v1/b.png", "pictures/j10/c.png"):
        store.put(key, io.BytesIO(b"x"))
    assert sorted(store.keys("pictures/j1")) == ["pictures/j1/a.png", "pictures/j1/v1/b.png"]
    for _ in range(2):
        store.delete_prefix("pictures/j1")
        assert list(store.keys("pictures")) == ["pictures/j10/c.png"]


def test_check_passes_where_files_can_be_written(store: Storage) -> None:
    store.check()


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/.", "a/.b", "a\\b", "a/b\n", "a\0b"]
)
def test_a_key_that_could_leave_the_root_is_refused(store: Storage, key: str) -> None:
    with pytest.raises(UnsafeKeyError):
        store.put(key, io.BytesIO(b"x"))
    with pytest.raises(UnsafeKeyError):
        store.exists(key)


def test_a_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    store = LocalStorage(tmp_path)

    class Endless:
        def read(self, size: int = -1) -> bytes:
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        store.put(image_key("ab" * 32), Endless())
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert list((tmp_path / INCOMING).iterdir()) == []


def test_the_free_share_of_the_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(total=200, free=10))
    assert LocalStorage(tmp_path).free_share() == 0.05


def test_a_folder_that_cannot_be_made_fails_the_check(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        LocalStorage(tmp_path / "file").check()


@pytest.fixture
def any_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.mark.usefixtures("any_key")
def test_an_object_store_that_is_away_is_a_storage_error() -> None:
    store = open_storage(Config(storage_url="s3://b", s3_endpoint_url=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(StorageError, match="does not answer"):
        store.check()


@pytest.mark.usefixtures("any_key")
def test_an_object_store_that_hangs_is_asked_once_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3.HASTY.connect_timeout + s3.HASTY.read_timeout <= 5
    monkeypatch.setattr(s3, "HASTY", s3.HASTY.merge(BotoConfig(read_timeout=0.2)))
    server = SilentServer()
    store = open_storage(Config(storage_url="s3://b", s3_endpoint_url=f"http://{server.address}"))
    with pytest.raises(StorageError, match="does not answer"):
        store.check()
    assert len(server.asked) == 1
    server.close()
