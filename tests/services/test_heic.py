"""HEIC over HTTP: counted where pillow-heif is installed, refused with what to do where it is not."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image as PillowImage

from pipeline.run import count_batch
from tests.doubles.painted import painted_png, row_of_discs
from tests.drawn import CENTRES, discs, encoded, ground
from tests.services.client import Client, data_of, error_of
from tests.services.test_truth import counted_really

pillow_heif = pytest.importorskip("pillow_heif")
pillow_heif.register_heif_opener()

GOOD = painted_png(row_of_discs(3))


def heic(**options: Any) -> bytes:
    """Return a photo of 600 x 400 px with 28 discs, in tiles as phones write it."""
    return encoded(
        discs(ground(), CENTRES, 20), **{"format": "HEIF", "quality": 80, "tile_size": 256} | options
    )


def of_width(width: int) -> bytes:
    whole = heic(tile_size=0)
    at = whole.index(b"ispe") + 8
    return whole[:at] + width.to_bytes(4) + whole[at + 4 :]


def test_a_turned_heic_is_counted_upright_and_kept_as_it_is(client: Client) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    photo = heic(exif=exif.tobytes())
    job = counted_really(client, photo, names=["IMG_1.HEIC"], config={"engine": "classical"})
    (image,) = job["images"]
    assert (job["status"], image["count"]) == ("completed", 28)
    assert (image["format"], image["width"], image["height"]) == ("heic", 400, 600)
    result = client.results(job["job_id"])
    assert max(one["bbox"]["y2"] for one in result["detections"]) > 400
    original = client.get(f"/files/{image['file_id']}/original")
    assert (original.data, original.mimetype) == (photo, "image/heic")
    for kind in ("thumbnail", "annotated"):
        assert client.get(f"/files/{image['file_id']}/{kind}").mimetype == "image/jpeg"


def test_a_stored_heic_can_be_counted_later(client: Client) -> None:
    form = {"files": [(io.BytesIO(heic()), "IMG_1.HEIC")]}
    upload = data_of(client.http.post("/api/inference/upload", data=form))
    (file,) = upload["uploaded_files"]
    assert file["format"] == "heic"
    body = {"upload_id": upload["upload_id"], "type": "disc", "config": {"engine": "classical"}}
    job_id = data_of(client.post("/inference/predict", body))["job_id"]
    client.workplace.drain(count_batch)
    assert data_of(client.get(f"/jobs/{job_id}"))["images"][0]["count"] == 28


BROKEN = {
    "cut": (heic()[:-2000], "CORRUPTED_FILE"),
    "zeros at the end": (heic()[:-2000] + bytes(2000), "CORRUPTED_FILE"),
    "no picture": (heic()[:40] + bytes(100), "CORRUPTED_FILE"),
    "another size than it says": (of_width(700), "CORRUPTED_FILE"),
    "too wide": (of_width(8193), "INVALID_DIMENSIONS"),
    "a bomb": (of_width(2**30), "INVALID_DIMENSIONS"),
    "AVIF": (b"\0\0\0\x18ftypavif" + bytes(12), "INVALID_FORMAT"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_bad_heic_is_refused_when_it_is_sent(client: Client, kind: str) -> None:
    data, code = BROKEN[kind]
    answer = client.submit(GOOD, data, names=["good.png", "IMG_1.HEIC"])
    assert (answer.status_code, error_of(answer)["code"]) == (400, code)
    assert [detail["filename"] for detail in error_of(answer)["details"]] == ["IMG_1.HEIC"]


def test_without_the_package_the_refusal_says_both_ways_out(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.formats.find_spec", lambda name: None)
    error = error_of(client.submit(heic(), names=["IMG_1.HEIC"]))
    assert error["code"] == "INVALID_FORMAT"
    assert "export it as JPEG, or install the extra heif" in error["message"]
    assert "pip install pillow-heif" in error["message"]
