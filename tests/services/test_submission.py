"""POST /jobs: what is accepted, what is refused and how it is said, and that nothing is half done."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from sqlalchemy import func, select

from app.extensions import db
from app.jobs.models import Job, JobImage
from app.storage import StorageError, storage
from app.uploads.models import Image
from tests.doubles.painted import Disc, painted_png, row_of_discs
from tests.drawn import encoded
from tests.services.client import Client, data_of, error_of
from tests.services.conftest import MakeWorkplace

GOOD = painted_png(row_of_discs(3))


@pytest.fixture
def make_client(make_workplace: MakeWorkplace) -> Callable[..., Client]:
    return lambda **settings: Client(make_workplace(**settings))


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    return make_client(rate_limit_per_minute=100_000)


def noise(size_wh: tuple[int, int], file_format: str, **options: Any) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 255, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    return encoded(pixels, format=file_format, **options)


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and has no pixels: what a decompression bomb looks like."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", len(data)) + b"IDAT" + data
        + struct.pack(">I", zlib.crc32(b"IDAT" + data)) + b"\0\0\0\0IEND\xaeB`\x82"
    )  # fmt: skip


def n_rows(client: Client, model: type[Any]) -> int:
    with client.workplace.app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


def n_files(client: Client) -> int:
    with client.workplace.app.app_context():
        return len(list(storage().keys("images")))


def test_an_accepted_job_is_in_the_database_with_its_files(client: Client) -> None:
    data = client.accepted(GOOD, config={"confidence_threshold": 0.5}, names=["tray.png"])
    assert data["status_url"] == f"/api/v1/jobs/{data['job_id']}/status"
    (image,) = data["images"]
    assert {k: image[k] for k in ("filename", "width", "height", "size_bytes", "format")} == {
        "filename": "tray.png", "width": 160, "height": 120, "size_bytes": len(GOOD), "format": "png",
    }  # fmt: skip
    job = client.workplace.job(data["job_id"])
    assert (job.status, job.type, job.config) == ("queued", "coin", {"confidence_threshold": 0.5})
    assert [event.type for event in client.workplace.events(job.id)] == ["job.queued"]
    original = client.get(f"/files/{image['file_id']}/original")
    assert original.data == GOOD


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_each_format_is_known_by_its_bytes_and_not_by_its_name(client: Client, file_format: str) -> None:
    (image,) = client.accepted(noise((80, 64), file_format), names=["photo.gif"])["images"]
    assert (image["format"], image["width"], image["height"]) == (file_format.lower(), 80, 64)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_the_size_is_the_one_after_exif_orientation(client: Client, file_format: str) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    (image,) = client.accepted(noise((100, 64), file_format, exif=exif))["images"]
    assert (image["width"], image["height"]) == (64, 100)


BAD_FILES = {
    "INVALID_FORMAT": [b"GIF89a not an image", b"", b"\x89PN"],
    "INVALID_DIMENSIONS": [
        noise((63, 64), "PNG"), noise((64, 63), "PNG"), png_header(8193, 64), png_header(60_000, 60_000),
    ],
    "CORRUPTED_FILE": [
        noise((64, 64), "JPEG")[:-200], GOOD[:200], png_header(8192, 8192), png_header(100, 100),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "data"),
    [pytest.param(code, d, id=f"{code}-{i}") for code, ds in BAD_FILES.items() for i, d in enumerate(ds)],
)
def test_a_bad_file_is_refused_with_its_code_and_nothing_is_stored(
    client: Client, code: str, data: bytes
) -> None:
    answer = client.submit(GOOD, data, names=["good.png", "bad.png"])
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["field"]) == (400, code, "images[1]")
    assert [(d["filename"], d["code"]) for d in error["details"]] == [("bad.png", code)]
    assert (n_rows(client, Job), n_rows(client, Image), n_files(client)) == (0, 0, 0)


def test_all_bad_files_of_a_request_are_reported_together(client: Client) -> None:
    files = [b"GIF89a", GOOD, noise((32, 32), "PNG"), noise((64, 64), "JPEG")[:-200]]
    answer = client.submit(*files, names=["a.gif", "b.png", "c.png", "d.jpg"])
    details = error_of(answer)["details"]
    assert [(d["field"], d["filename"], d["code"]) for d in details] == [
        ("images[0]", "a.gif", "INVALID_FORMAT"),
        ("images[2]", "c.png", "INVALID_DIMENSIONS"),
        ("images[3]", "d.jpg", "CORRUPTED_FILE"),
    ]
    assert "a.gif" in error_of(answer)["message"]


def test_partial_takes_the_good_files_and_names_the_others(client: Client) -> None:
    data = client.accepted(b"GIF89a", GOOD, names=["a.gif", "b.png"], query="?partial=true")
    assert [image["filename"] for image in data["images"]] == ["b.png"]
    assert [(d["filename"], d["code"]) for d in data["rejected_files"]] == [("a.gif", "INVALID_FORMAT")]


def test_partial_with_only_bad_files_is_refused(client: Client) -> None:
    assert error_of(client.submit(b"GIF89a", query="?partial=true"))["code"] == "INVALID_FORMAT"


def test_a_job_needs_files_and_not_too_many(make_client: Callable[..., Client]) -> None:
    client = make_client(max_files=2)
    assert error_of(client.submit())["code"] == "NO_FILES"
    assert error_of(client.submit(GOOD, GOOD, GOOD))["code"] == "TOO_MANY_FILES"
    assert client.submit(GOOD, GOOD).status_code == 202


def test_a_file_over_the_limit_is_refused_by_name(make_client: Callable[..., Client]) -> None:
    client = make_client(max_file_bytes=len(GOOD))
    answer = client.submit(GOOD, GOOD + b"x", names=["fits.png", "large.png"])
    assert (answer.status_code, error_of(answer)["code"]) == (400, "FILE_TOO_LARGE")
    assert [d["filename"] for d in error_of(answer)["details"]] == ["large.png"]


def test_a_body_over_the_limit_is_a_413(make_client: Callable[..., Client]) -> None:
    answer = make_client(max_body_bytes=len(GOOD)).submit(GOOD)
    assert (answer.status_code, error_of(answer)["code"]) == (413, "FILE_TOO_LARGE")


def test_every_bad_config_field_is_listed(client: Client) -> None:
    error = error_of(client.submit(GOOD, config={"confidence_threshold": 3, "engine": "yolo", "colour": 1}))
    assert error["code"] == "INVALID_CONFIG"
    fields = {d["field"] for d in error["details"]}
    assert fields == {"config.confidence_threshold", "config.engine", "config.colour"}


def test_a_model_is_refused_before_the_engine_that_has_none_fails(client: Client) -> None:
    error = error_of(client.submit(GOOD, config={"engine": "mini", "model": "vit_b"}))
    assert (error["code"], error["field"]) == ("INVALID_CONFIG", "config.model")
    assert "only sam has models" in error["message"]
    assert "data" in client.submit(GOOD, config={"engine": "auto", "model": "vit_b"}).get_json()


def test_fields_that_are_wrong_in_what_they_name_are_listed_together(client: Client) -> None:
    webhook = {"webhook_url": "https://example.org/counted"}
    named = {
        "exemplars": [{"file_id": "img_none", "box": [1, 1, 9, 9]}],
        "symbolic_reasoning": {"enabled": True, "rules": "/etc/passwd"},
    }
    error = error_of(client.submit(GOOD, config=webhook | named))
    assert [d["field"] for d in error["details"]] == [
        "config.webhook_url", "config.exemplars[0].file_id", "config.symbolic_reasoning.rules",
    ]  # fmt: skip
    error = error_of(client.submit(GOOD, config=webhook | {"iou_threshold": 3}))
    assert {d["field"] for d in error["details"]} == {"config.iou_threshold", "config.webhook_url"}


@pytest.mark.parametrize("config", ["{", "[1]", "7", "[" * 100_000])
def test_a_config_that_is_no_json_object_is_refused(client: Client, config: str) -> None:
    error = error_of(client.submit(GOOD, config=config))
    assert (error["code"], error["field"]) == ("INVALID_CONFIG", "config")


@pytest.mark.parametrize("type_name", ["", "  ", "x" * 101, "co\x00in"])
def test_a_job_must_say_what_to_count(client: Client, type_name: str) -> None:
    error = error_of(client.submit(GOOD, type=type_name))
    assert (error["code"], error["field"]) == ("INVALID_REQUEST", "type")


@pytest.mark.parametrize("path", ["/jobs", "/inference/upload"])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x--\r\n"),
        ("multipart/form-data; boundary=x", b"no part"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="type"\r\n\r\nco'),
        ("multipart/form-data; boundary=x", b"--x\r\nName: type\r\n\r\ncoin\r\n--x--\r\n"),
        ("application/x-www-form-urlencoded", b"type=\xff"),
    ],
)
def test_a_body_that_cannot_be_read_is_told_so(
    client: Client, path: str, content_type: str, body: bytes
) -> None:
    answer = client.http.post(f"/api{path}", data=body, content_type=content_type)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (400, "INVALID_REQUEST")
    assert error["message"].startswith(f"the body cannot be read as {content_type.partition(';')[0]}: ")


@pytest.mark.parametrize("path", ["/jobs", "/inference/upload"])
@pytest.mark.parametrize("content_type", ["application/json", "image/png", None])
def test_a_body_that_is_no_form_of_files_is_told_so(
    client: Client, path: str, content_type: str | None
) -> None:
    answer = client.http.post(f"/api{path}", data=b'{"type": "coin"}', content_type=content_type)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert error["message"] == f"want Content-Type: multipart/form-data, got {content_type or 'none'}"


def test_any_words_can_be_counted(client: Client) -> None:
    assert client.counted(GOOD, type="  rusty   washers ")["type"] == "rusty washers"


def test_the_name_is_for_display_only(client: Client) -> None:
    (image,) = client.accepted(GOOD, names=["../../etc/pass\x07wd\u202egnp.png"])["images"]
    assert image["filename"] == "../../etc/passwdgnp.png"
    assert client.get(f"/files/{image['file_id']}/original").status_code == 200
    with client.workplace.app.app_context():
        assert all(len(key.split("/")) == 3 for key in storage().keys("images"))


def test_identical_bytes_are_stored_once(client: Client) -> None:
    client.accepted(GOOD, GOOD)
    client.accepted(GOOD)
    assert (n_files(client), n_rows(client, Image)) == (1, 3)


def test_the_same_key_and_body_is_one_job(client: Client) -> None:
    first = client.accepted(GOOD, key="k1")
    assert client.accepted(GOOD, key="k1") == first
    assert n_rows(client, Job) == 1
    assert client.accepted(GOOD, key="k2")["job_id"] != first["job_id"]


@pytest.mark.parametrize(
    "change", [{"type": "nut"}, {"config": {"iou_threshold": 0.4}}, {"names": ["other.png"]}]
)
def test_the_same_key_with_another_body_is_a_conflict(client: Client, change: dict[str, Any]) -> None:
    client.accepted(GOOD, key="k1")
    answer = client.submit(GOOD, key="k1", **change)
    assert (answer.status_code, error_of(answer)["code"]) == (409, "IDEMPOTENCY_CONFLICT")


def test_a_key_must_be_printable(client: Client) -> None:
    assert error_of(client.submit(GOOD, key="x" * 256))["field"] == "Idempotency-Key"


def test_ten_requests_at_once_with_one_key_are_one_job(client: Client) -> None:
    start, answers = threading.Barrier(10), []

    def send() -> None:
        other = Client(client.workplace)
        start.wait()
        answers.append(other.submit(GOOD, key="same"))

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({data_of(answer)["job_id"] for answer in answers}) == 1
    assert (n_rows(client, Job), n_rows(client, JobImage)) == (1, 1)


def test_a_full_queue_says_when_to_come_back(make_client: Callable[..., Client]) -> None:
    client = make_client(queue_max_images=2)
    client.accepted(GOOD, GOOD, key="k")
    answer = client.submit(GOOD)
    assert (answer.status_code, error_of(answer)["code"]) == (503, "QUEUE_FULL")
    assert answer.headers["Retry-After"] == "30"
    assert n_rows(client, Job) == 1
    assert client.submit(GOOD, GOOD, key="k").status_code == 202, "a repeat is answered, not refused"


def test_a_storage_that_fails_accepts_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with client.workplace.app.app_context():
        store = storage()
    folder = store.root  # type: ignore[attr-defined]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "images").write_text("a file where a folder should be")
    answer = client.submit(GOOD)
    assert (answer.status_code, error_of(answer)["code"]) == (500, "STORAGE_ERROR")
    assert n_rows(client, Job) == 0
    with pytest.raises(StorageError):
        store.put("images/aa/b", io.BytesIO(b""))


def test_a_large_image_is_checked_in_a_child_of_limited_memory(client: Client) -> None:
    photo = noise((2400, 1800), "JPEG", quality=1)  # the test client leaks bodies over half a megabyte
    (image,) = client.accepted(photo)["images"]
    assert (image["width"], image["height"]) == (2400, 1800)
    assert error_of(client.submit(photo[: len(photo) // 2]))["code"] == "CORRUPTED_FILE"


def test_a_database_that_is_away_is_a_503_that_can_be_repeated(make_client: Callable[..., Client]) -> None:
    client = make_client()
    with client.workplace.app.app_context():
        db.drop_all()
    answer = client.submit(GOOD, key="k")
    assert (answer.status_code, error_of(answer)["code"]) in {
        (503, "DATABASE_UNAVAILABLE"),
        (500, "DATABASE_ERROR"),
    }
    with client.workplace.app.app_context():
        db.session.rollback()
        db.create_all()
    assert client.submit(GOOD, key="k").status_code == 202


def test_without_redis_a_job_is_accepted_all_the_same(make_client: Callable[..., Client]) -> None:
    client = make_client(redis_url="redis://127.0.0.1:1/0")
    job = client.counted(painted_png([Disc(40, 40), Disc(80, 40)]))
    assert (job["status"], job["count"]) == ("completed", 2)
