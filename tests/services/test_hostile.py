"""Input made to hurt: it is refused with a named error, at little cost."""

from __future__ import annotations

import io
import json
import resource
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from app.files import service as files
from app.security import MAX_PLAIN_BODY_BYTES
from tests.doubles.painted import painted_png, row_of_discs
from tests.services.client import Client, error_of

THREE = painted_png(row_of_discs(3))
HALF_PAIR = "\ud800"


def refused(client: Client, path: str, text: str | bytes) -> dict[str, Any]:
    answer = client.http.post(f"/api{path}", data=text, content_type="application/json")
    assert answer.status_code == 400, answer.get_data(as_text=True)
    return error_of(answer)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"config":' + '{"a":' * 100_000,
        '{"version":' + "1" * 5000 + "}",
        b"\xff\xfe{}",
        b'{"name":"\xed\xa0\x80"}',
        json.dumps({"name": HALF_PAIR}),
        json.dumps({"name": "x", "synonyms": [HALF_PAIR]}),
    ],
    ids=["deep list", "deep object", "long number", "not utf-8", "raw half", "half a pair", "half in a list"],
)
def test_json_that_cannot_be_kept_is_refused(client: Client, text: str | bytes) -> None:
    assert refused(client, "/types", text)["code"] == "INVALID_REQUEST"


def test_a_config_that_cannot_be_kept_is_refused(client: Client) -> None:
    config = json.dumps({"symbolic_reasoning": {"rules": HALF_PAIR}})
    answer = client.submit(THREE, config=config)
    assert (answer.status_code, error_of(answer)["code"]) == (400, "INVALID_CONFIG")


def test_a_label_with_line_breaks_is_refused(client: Client) -> None:
    job = client.counted(THREE)
    edit = {"op": "relabel", "object_id": "c0", "label": "coin\n0 0.5 0.5 1 1"}
    body = {"job_id": job["job_id"], "file_id": job["images"][0]["file_id"], "version": 1, "edits": [edit]}
    assert error_of(client.post("/correct", body))["field"].startswith("edits.0.label")


def test_an_event_number_of_thousands_of_digits_is_refused(client: Client) -> None:
    job_id = client.accepted(THREE)["job_id"]
    answer = client.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": "9" * 5000})
    assert (answer.status_code, error_of(answer)["code"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("time_text", ["0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_beyond_the_calendar_is_refused(client: Client, time_text: str) -> None:
    answer = client.get(f"/jobs?created_after={time_text}")
    assert (answer.status_code, error_of(answer)["field"]) == (400, "created_after")


def test_only_uploads_may_be_large(client: Client) -> None:
    answer = client.http.post("/api/correct", data=b" " * 17_000_000, content_type="application/json")
    assert (answer.status_code, error_of(answer)["code"]) == (413, "FILE_TOO_LARGE")


def test_a_large_body_without_a_length_is_called_too_large(client: Client) -> None:
    chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    body = io.BytesIO(b'{"name": "' + b"x" * MAX_PLAIN_BODY_BYTES + b'"}')
    options = {"content_type": "application/json", "environ_overrides": chunked}
    answer = client.http.post("/api/types", input_stream=body, **options)
    assert (answer.status_code, error_of(answer)["code"]) == (413, "FILE_TOO_LARGE")
    answer = client.http.post("/api/types", input_stream=io.BytesIO(b'{"name": "nut M4"}'), **options)
    assert answer.status_code == 201


def test_pictures_are_embedded_up_to_a_size(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = client.counted(THREE)["job_id"]
    monkeypatch.setattr(files, "MAX_EMBEDDED_BYTES", len(THREE))
    for query in ("?overlay=bytes", "/visualization?format=url"):
        assert client.get(f"/jobs/{job_id}{query}").status_code == 200
    answer = client.get(f"/jobs/{job_id}/visualization?format=base64")
    assert (answer.status_code, error_of(answer)["code"]) == (400, "INVALID_REQUEST")


def test_a_tiff_of_endless_pages_costs_little(client: Client) -> None:
    answer = client.submit(_tiff_of_pages(4000))
    assert (answer.status_code, error_of(answer)["code"]) == (400, "CORRUPTED_FILE")


def test_a_small_tiff_in_a_huge_tile_takes_no_memory_of_the_web_process(client: Client) -> None:
    tiff, before = _tiff_in_a_tile(16_384), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert client.submit(tiff).status_code in (202, 400)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "KiB"


def _tiff_of_pages(n: int) -> bytes:
    """Return a TIFF whose directories form a long chain, all of one strip of pixels."""
    file = io.BytesIO()
    Image.new("L", (64, 64)).save(file, "TIFF")
    data = bytearray(file.getvalue())
    (start,) = struct.unpack_from("<I", data, 4)
    (n_tags,) = struct.unpack_from("<H", data, start)
    page = bytes(data[start : start + 2 + 12 * n_tags])
    data += b"\0" * (len(data) % 2)
    struct.pack_into("<I", data, start + len(page), len(data))
    for _ in range(n):
        data += page + struct.pack("<I", len(data) + len(page) + 4)
    struct.pack_into("<I", data, len(data) - 4, 0)
    return bytes(data)


def _tiff_in_a_tile(side: int) -> bytes:
    """Return a TIFF of 64 x 64 px, deflated, in one tile of ``side`` px."""
    pixels = zlib.compress(bytes(side * side), 9)
    longs = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: len(pixels)}
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in longs.items())
    header = b"II*\0" + struct.pack("<I", 8 + len(pixels))
    return header + pixels + struct.pack("<H", len(longs)) + tags + struct.pack("<I", 0)
