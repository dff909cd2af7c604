"""Files are served whole and in parts, and go when their time has come, but never too early."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from werkzeug.test import TestResponse

from app.columns import utcnow
from app.database import transaction
from app.files.service import SHORTENED, purge_expired
from app.storage import StorageError, storage
from app.storage.keys import image_key
from app.storage.local import LocalStorage
from app.uploads.models import Image, Upload
from tests.doubles.painted import painted_png, row_of_discs
from tests.servers import free_port
from tests.services.client import Client, error_of
from tests.services.conftest import MakeWorkplace

PHOTO = painted_png(row_of_discs(3))
OTHER = painted_png(row_of_discs(2), shade=9)


def original(client: Client, job: dict[str, Any], **headers: str) -> TestResponse:
    return client.get(f"/files/{job['images'][0]['file_id']}/original", headers=headers)


def purge(client: Client, days: float) -> int:
    """Purge as the scheduler would, so many days from now."""
    with client.workplace.app.app_context():
        return purge_expired(utcnow() + timedelta(days=days))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-3", PHOTO[:4]),
        ("bytes=10-", PHOTO[10:]),
        ("bytes=-7", PHOTO[-7:]),
        ("bytes=0-999999", PHOTO),
    ],
)
def test_a_range_is_answered_with_just_that_part(client: Client, asked: str, expected: bytes) -> None:
    answer = original(client, client.accepted(PHOTO), Range=asked)
    assert (answer.status_code, answer.data) == (206, expected)
    assert answer.headers["Content-Range"].endswith(f"/{len(PHOTO)}")
    assert answer.headers["Content-Length"] == str(len(expected))


def test_a_range_beyond_the_end_is_refused(client: Client) -> None:
    answer = original(client, client.accepted(PHOTO), Range=f"bytes={len(PHOTO)}-")
    assert (answer.status_code, error_of(answer)["code"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert answer.headers["Content-Range"] == f"bytes */{len(PHOTO)}"


@pytest.mark.parametrize(
    "asked",
    ["lines=1", "lines=0-3", "bytes=5-2", "bytes=x", "bytes", "bytes=0-1,5-6", f"bytes=-{len(PHOTO) + 1}"],
)
def test_a_range_that_is_none_gets_the_whole_file(client: Client, asked: str) -> None:
    answer = original(client, client.accepted(PHOTO), Range=asked)
    assert (answer.status_code, answer.data) == (200, PHOTO)
    assert (answer.headers["Accept-Ranges"], "Content-Range" in answer.headers) == ("bytes", False)


def test_a_known_file_is_not_sent_again(client: Client) -> None:
    job = client.accepted(PHOTO)
    etag = original(client, job).headers["ETag"]
    again = original(client, job, **{"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    stale = original(client, job, **{"If-Range": '"other"', "Range": "bytes=0-3"})
    assert (stale.status_code, stale.data) == (200, PHOTO)


def test_a_head_tells_the_size_alone(client: Client) -> None:
    job = client.accepted(PHOTO)
    answer = client.http.head(f"/api/files/{job['images'][0]['file_id']}/original")
    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (200, b"", str(len(PHOTO)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tray.png", "inline; filename=tray.png"),
        ("mün zen.png", "inline; filename=\"m_n zen.png\"; filename*=UTF-8''m%C3%BCn%20zen.png"),
        ("日本.png", "inline; filename=__.png; filename*=UTF-8''%E6%97%A5%E6%9C%AC.png"),
    ],
)
def test_any_name_fits_into_the_header(client: Client, name: str, expected: str) -> None:
    job = client.accepted(PHOTO, names=[name])
    assert original(client, job).headers["Content-Disposition"] == expected


def test_expired_uploads_lose_their_bytes_and_keep_their_results(client: Client) -> None:
    job = client.counted(PHOTO)
    left = datetime.fromisoformat(job["expires_at"]) - utcnow()
    assert timedelta(days=6.9) < left < timedelta(days=7.1)
    assert purge(client, 6.9) == 0
    assert purge(client, 7.1) == 1
    assert purge(client, 7.1) == 0
    assert error_of(original(client, job))["code"] == "FILE_NOT_FOUND"
    assert client.results(job["job_id"])["count"] == 3
    recount = client.post(f"/jobs/{job['job_id']}/recount", {"config": {"confidence_threshold": 0.95}})
    assert recount.status_code == 200
    gone = client.http.get(job["images"][0]["urls"]["annotated"])
    assert error_of(gone)["code"] == "FILE_NOT_FOUND", "its picture can never be drawn again"


def test_an_upload_that_a_live_job_needs_stays(client: Client) -> None:
    job = client.accepted(PHOTO)
    assert purge(client, 8) == 0
    client.work()
    assert purge(client, 8) == 1
    assert error_of(client.post(f"/jobs/{job['job_id']}/retry"))["code"] == "INVALID_STATE"


def test_bytes_that_a_younger_upload_shares_stay(client: Client) -> None:
    old, young = client.counted(PHOTO), client.counted(PHOTO)
    with client.workplace.app.app_context():
        with transaction() as session:
            upload_id = session.get_one(Image, young["images"][0]["file_id"]).upload_id
            session.get_one(Upload, upload_id).expires_at = utcnow() + timedelta(days=100)
    assert purge(client, 8) == 1
    assert error_of(original(client, old))["code"] == "FILE_NOT_FOUND"
    assert original(client, young).data == PHOTO


def test_bytes_that_vanish_while_the_same_file_is_sent_again_are_stored_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.counted(PHOTO)
    real = LocalStorage.exists
    seen: list[str] = []

    def purged_after_the_first_look(self: LocalStorage, key: str) -> bool:
        found = real(self, key)
        if not seen:
            seen.append(key)
            self.delete(key)
        return found

    monkeypatch.setattr(LocalStorage, "exists", purged_after_the_first_look)
    job = client.accepted(PHOTO)
    assert seen
    assert original(client, job).data == PHOTO


def test_a_deleted_jobs_upload_goes_at_the_next_purge(client: Client) -> None:
    job = client.counted(PHOTO)
    client.http.delete(f"/api/jobs/{job['job_id']}")
    assert purge(client, 0.01) == 1
    with client.workplace.app.app_context():
        assert list(storage().keys("images")) == []


@pytest.mark.parametrize("failing", ["delete_prefix", "delete"])
def test_files_of_a_deleted_job_that_the_storage_kept_go_at_the_next_purge(
    client: Client, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fails(self: LocalStorage, key: str) -> None:
        raise StorageError(f"cannot delete {key}")

    def left() -> list[str]:
        with client.workplace.app.app_context():
            return [key for part in ("candidates", "pictures", "thumbnails") for key in storage().keys(part)]

    job = client.counted(PHOTO)
    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, failing, fails)
        assert client.http.delete(f"/api/jobs/{job['job_id']}").status_code == 200
        assert left()
        assert client.get(f"/jobs/{job['job_id']}").status_code == 404
    purge(client, -1)
    assert left() == []


def test_a_thumbnail_that_is_shown_again_stays(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: LocalStorage, key: str) -> None:
        raise StorageError(f"cannot delete {key}")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "delete", fails)
        client.http.delete(f"/api/jobs/{client.counted(PHOTO)['job_id']}")
    job = client.counted(PHOTO)
    purge(client, -1)
    assert client.get(f"/files/{job['images'][0]['file_id']}/thumbnail").status_code == 200


def test_a_full_disk_shortens_the_time_of_old_uploads_only(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.counted(PHOTO)
    client.counted(OTHER)
    free = iter([0.01, 0.2])
    monkeypatch.setattr(LocalStorage, "free_share", lambda self: next(free))
    assert purge(client, 0.5) == 0, "younger than a day"
    assert purge(client, SHORTENED.days + 0.1) == 1, "the oldest goes, then there is room"


def test_a_retry_of_purged_images_is_refused(client: Client) -> None:
    job_id = client.accepted(PHOTO)["job_id"]
    client.post(f"/jobs/{job_id}/cancel")
    purge(client, 8)
    assert error_of(client.post(f"/jobs/{job_id}/retry"))["code"] == "FILE_NOT_FOUND"


def test_bytes_that_are_lost_are_named_as_missing(client: Client) -> None:
    job = client.accepted(PHOTO)
    with client.workplace.app.app_context():
        (key,) = storage().keys("images")
        assert key == image_key(key.rpartition("/")[2])
        storage().delete(key)
    answer = original(client, job)
    assert (answer.status_code, error_of(answer)["code"]) == (404, "FILE_NOT_FOUND")


def test_without_visualization_there_are_no_pictures_to_wait_for(client: Client) -> None:
    job = client.counted(PHOTO, config={"visualization": {"enabled": False}})
    assert job["images"][0]["urls"]["annotated"] is None
    answer = client.get(f"/files/{job['images'][0]['file_id']}/annotated")
    assert error_of(answer)["code"] == "FILE_NOT_FOUND"


def test_a_picture_that_could_not_be_drawn_before_the_purge_is_gone(client: Client) -> None:
    job = client.counted(PHOTO)
    purge(client, 8)
    with client.workplace.app.app_context():
        storage().delete_prefix("pictures")
    answer = client.http.get(job["images"][0]["urls"]["annotated"])
    assert error_of(answer)["code"] == "FILE_NOT_FOUND"


@pytest.fixture
def s3_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    for name, value in {
        "ACCESS_KEY_ID": "a",
        "SECRET_ACCESS_KEY": "b",
        "DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port())
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="tally")
    yield "s3://tally/lab", endpoint
    server.stop()


def test_the_whole_way_works_on_s3(make_workplace: MakeWorkplace, s3_bucket: tuple[str, str]) -> None:
    url, endpoint = s3_bucket
    client = Client(make_workplace(storage_url=url, s3_endpoint_url=endpoint))
    job = client.counted(PHOTO)
    assert original(client, job, Range="bytes=5-8").data == PHOTO[5:9]
    recount = client.post(f"/jobs/{job['job_id']}/recount", {"config": {"confidence_threshold": 0.95}})
    assert (recount.json or {})["data"]["count"] == 0
    assert purge(client, 8) == 1
    assert error_of(original(client, job))["code"] == "FILE_NOT_FOUND"
