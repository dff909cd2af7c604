"""Files that are damaged or cut: how much of it is noticed, and that sound ones are never refused."""

from __future__ import annotations

import os
import struct

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image as PillowImage

from app.uploads.decode import decode
from pipeline.contract import CountSettings, ErrorCode, PipelineError
from pipeline.jpeg_warnings import damage_of_jpeg
from pipeline.preprocess import preprocess
from tests.drawn import encoded

DAMAGED = {
    "jpeg": ({"format": "JPEG", "quality": 85}, 15),
    "jpeg with restarts": ({"format": "JPEG", "quality": 85, "restart_marker_rows": 1}, 26),
    "progressive": ({"format": "JPEG", "quality": 85, "progressive": True}, 34),
    "png": ({"format": "PNG"}, 40),
    "webp": ({"format": "WEBP"}, 40),
    "lossless webp": ({"format": "WEBP", "lossless": True}, 22),
    "raw tiff": ({"format": "TIFF"}, 34),
    "lzw tiff": ({"format": "TIFF", "compression": "tiff_lzw"}, 30),
    "deflated tiff": ({"format": "TIFF", "compression": "tiff_adobe_deflate"}, 24),
}
"""How each is written, and how many of 40 damages must be noticed; docs/accuracy.md has what was measured."""

N_DAMAGES, VISIBLE_LEVELS, VISIBLE_SHARE = 40, 32, 0.005
"""A damage is visible where so great a share of the pixels is off by more than so many of 255 levels."""


def photo(mode="RGB"):
    return PillowImage.fromarray(skimage.data.coffee()).resize((600, 400)).convert(mode)


def pixels(path):
    """Return the pixels that are counted, or None when the file is refused as corrupted."""
    try:
        (image,) = preprocess("a", path, CountSettings())
    except PipelineError as error:
        if error.code != ErrorCode.CORRUPTED_FILE:
            raise
        return None
    return image.pixels_hw3


def damaged(data, rng):
    """Overwrite 1 to 4096 bytes with any or with zeros, or lose them; or turn one bit."""
    n_bytes, start = int(2 ** rng.uniform(0, 12)), int(rng.integers(len(data) // 10, len(data) * 9 // 10))
    end = min(start + n_bytes, len(data) - 50)
    kind = rng.choice(["any", "zeros", "lost", "bit"])
    if kind == "bit":
        return data[:start] + bytes([data[start] ^ 1 << int(rng.integers(8))]) + data[start + 1 :]
    patch = {"any": rng.bytes(end - start), "zeros": bytes(end - start), "lost": b""}[kind]
    return data[:start] + patch + data[end:]


def is_visible(got, want):
    off = np.abs(got.astype(int) - want).max(axis=-1) > VISIBLE_LEVELS
    return off.mean() > VISIBLE_SHARE


@pytest.mark.parametrize("kind", DAMAGED)
def test_most_visible_damage_is_noticed(tmp_path, kind):
    options, least = DAMAGED[kind]
    path, rng, whole = tmp_path / "a.img", np.random.default_rng(0), encoded(photo(), **options)
    path.write_bytes(whole)
    want, noticed = pixels(path), []
    while len(noticed) < N_DAMAGES:
        path.write_bytes(damaged(whole, rng))
        got = pixels(path)
        if got is None or is_visible(got, want):
            noticed.append(got is None)
    assert sum(noticed) >= least


CUT = {
    "jpeg": {"format": "JPEG"},
    "grey jpeg": {"format": "JPEG"},
    "progressive": {"format": "JPEG", "progressive": True},
    "png": {"format": "PNG"},
    "webp": {"format": "WEBP"},
    "lossless webp": {"format": "WEBP", "lossless": True},
    "tiff": {"format": "TIFF"},
    "lzw tiff": {"format": "TIFF", "compression": "tiff_lzw"},
    "jpeg tiff": {"format": "TIFF", "compression": "jpeg"},
}


@pytest.mark.parametrize("kind", CUT)
def test_a_file_cut_anywhere_is_refused_unless_every_pixel_is_there(tmp_path, kind):
    path = tmp_path / "a.img"
    whole = encoded(photo("L" if "grey" in kind else "RGB").resize((90, 70)), **CUT[kind])
    path.write_bytes(whole)
    want = pixels(path)
    ends = {*range(len(whole) - 24, len(whole)), *np.linspace(13, len(whole) - 1, 40).astype(int)}
    for end in sorted(ends):
        path.write_bytes(whole[:end])
        got = pixels(path)
        assert (got is None) == bool(decode(path).problem)
        assert got is None or np.array_equal(got, want), f"{end} of {len(whole)} bytes"
        assert got is None or len(whole) - end <= 24  # no more than a PNG's or a JPEG's end mark was cut


def exif_turned():
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    return exif


def opencv_made(extension, picture, *options):
    return cv2.imencode(extension, picture, options)[1].tobytes()


def webp_of_tiny_parts():
    """Return a lossless WebP whose picture takes fewer bytes than are looked at."""
    return encoded(PillowImage.new("RGB", (64, 64), (9, 9, 9)), format="WEBP", lossless=True)


DEEP = np.random.default_rng(0).integers(0, 65_536, (80, 70, 3)).astype(np.uint16)
EIGHT = (DEEP >> 8).astype(np.uint8)
SOUND = {
    "baseline": lambda: encoded(photo(), format="JPEG"),
    "best quality": lambda: encoded(photo(), format="JPEG", quality=100, subsampling=0, optimize=True),
    "progressive": lambda: encoded(photo(), format="JPEG", progressive=True),
    "restarts": lambda: encoded(photo(), format="JPEG", restart_marker_blocks=3),
    "grey": lambda: encoded(photo("L"), format="JPEG"),
    "CMYK": lambda: encoded(photo("CMYK"), format="JPEG"),
    "turned": lambda: encoded(photo(), format="JPEG", exif=exif_turned()),
    "bytes after the end": lambda: encoded(photo(), format="JPEG") + b"\0motion photo" + bytes(5_000),
    "two pictures": lambda: encoded(photo(), format="MPO", save_all=True, append_images=[photo("L")]),
    "bytes before the end": lambda: encoded(photo(), format="JPEG")[:-2] + bytes(228) + b"\xff\xd9",
    "OpenCV's baseline": lambda: opencv_made(".jpg", EIGHT),
    "OpenCV's progressive": lambda: opencv_made(".jpg", EIGHT, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "OpenCV's restarts": lambda: opencv_made(".jpg", EIGHT, cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "OpenCV's grey": lambda: opencv_made(".jpg", EIGHT[..., 0]),
    "lossy webp": lambda: encoded(photo(), format="WEBP"),
    "poor webp": lambda: encoded(photo(), format="WEBP", quality=0, method=0),
    "flat webp": lambda: encoded(PillowImage.new("RGB", (900, 700), (20, 90, 200)), format="WEBP"),
    "lossless webp": lambda: encoded(photo(), format="WEBP", lossless=True),
    "tiny webp": webp_of_tiny_parts,
    "transparent webp": lambda: encoded(photo("RGBA"), format="WEBP", exif=exif_turned()),
    "moving webp": lambda: encoded(photo(), format="WEBP", save_all=True, append_images=[photo("L")]),
    "webp and bytes": lambda: encoded(photo(), format="WEBP") + bytes(100),
    "OpenCV's webp": lambda: opencv_made(".webp", EIGHT, cv2.IMWRITE_WEBP_QUALITY, 80),
    "OpenCV's lossless webp": lambda: opencv_made(".webp", EIGHT, cv2.IMWRITE_WEBP_QUALITY, 101),
    "16-bit png": lambda: opencv_made(".png", DEEP),
    "16-bit tiff": lambda: opencv_made(".tiff", DEEP),
}


@pytest.mark.parametrize("kind", SOUND)
def test_sound_files_are_never_refused(tmp_path, kind, capfd):
    path = tmp_path / "a.img"
    path.write_bytes(SOUND[kind]())
    assert pixels(path) is not None
    assert not decode(path).problem
    assert capfd.readouterr().err == ""


def test_a_webp_may_hold_other_things_before_its_picture(tmp_path):
    whole = encoded(photo(), format="WEBP")
    junk = b"JUNK" + struct.pack("<I", 3) + b"abc\0"
    path = tmp_path / "a.webp"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(whole) - 8 + len(junk)) + b"WEBP" + whole[12:] + junk)
    assert pixels(path) is not None


@pytest.fixture
def lost_bytes(tmp_path):
    """A JPEG that lacks a thousand bytes in its middle."""
    whole = encoded(photo(), format="JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[: len(whole) // 2] + whole[len(whole) // 2 + 1_000 :])
    return path


def test_of_a_damaged_jpeg_is_said_what_is_wrong(lost_bytes, capfd):
    with pytest.raises(PipelineError, match="premature end of data segment") as caught:
        preprocess("a", lost_bytes, CountSettings())
    assert caught.value.code == ErrorCode.CORRUPTED_FILE
    assert capfd.readouterr().err == ""


def test_what_others_print_meanwhile_is_passed_on(lost_bytes, capfd, monkeypatch):
    read = cv2.imread

    def read_and_print(*arguments):
        os.write(2, b"a log line\n")
        return read(*arguments)

    monkeypatch.setattr(cv2, "imread", read_and_print)
    assert damage_of_jpeg(lost_bytes)
    assert capfd.readouterr().err == "a log line\n"


def test_without_standard_error_nothing_is_refused(lost_bytes, monkeypatch):
    def closed(_):
        raise OSError("bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    assert damage_of_jpeg(lost_bytes) is None
