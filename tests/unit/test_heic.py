"""HEIC as phones write it: read upright once, in 8 bits; refused where it is damaged or cannot be read."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageOps

from app.uploads.decode import Decoded, check_decodes, decode
from pipeline.contract import ErrorCode, PipelineError
from pipeline.formats import magic_format
from pipeline.header import ImageHeader, probe
from pipeline.heic_damage import refuse_damaged_heic
from tests.drawn import encoded, ground, rods
from tests.unit.test_damaged import damaged, is_visible, photo, pixels

pillow_heif = pytest.importorskip("pillow_heif")
pillow_heif.register_heif_opener()

WHOLE, TILES = {"format": "HEIF", "quality": 80}, {"format": "HEIF", "quality": 80, "tile_size": 256}
ORIENTATION = 0x0112


def scene():
    """Return a picture of 200 x 120 px that looks another way however it is turned or mirrored."""
    return PillowImage.fromarray(rods(ground(120, 200), [(40, 30), (90, 30), (40, 80)]))


def exif_of(orientation):
    exif = PillowImage.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "IMG_1.jpg"


def same(got, want):
    return got.shape == want.shape and np.abs(got.astype(int) - want).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_turn_that_heic_and_its_exif_both_tell_is_made_once(path, orientation):
    path.write_bytes(encoded(scene(), **WHOLE, exif=exif_of(orientation)))
    turned = scene()
    turned.getexif()[ORIENTATION] = orientation
    want = np.asarray(ImageOps.exif_transpose(turned))
    assert same(pixels(path), want)
    assert decode(path) == Decoded(want.shape[1], want.shape[0])
    assert probe(path) == ImageHeader("heic", want.shape[1], want.shape[0], 1)


def test_what_exif_alone_tells_turns_nothing_as_in_viewers(path):
    block = {"type": "Exif", "content_type": "", "data": bytes(4) + exif_of(6).removeprefix(b"Exif\0\0")}
    path.write_bytes(encoded(scene(), **WHOLE, metadata=[block]))
    with PillowImage.open(path) as opened:
        assert opened.info["original_orientation"] == 6
    assert same(pixels(path), np.asarray(scene()))
    assert decode(path) == Decoded(200, 120)


def test_of_several_pictures_the_primary_one_is_counted(path):
    others = [scene().transpose(PillowImage.Transpose.ROTATE_180), PillowImage.new("RGB", (80, 64))]
    path.write_bytes(encoded(scene(), **WHOLE, save_all=True, append_images=others, primary_index=1))
    assert same(pixels(path), np.asarray(others[0]))
    assert probe(path).pages == 1


def test_transparency_lies_on_white_and_grey_becomes_rgb(path):
    clear = scene().convert("RGBA")
    clear.putalpha(0)
    path.write_bytes(encoded(clear, **WHOLE))
    assert pixels(path).min() == 255
    path.write_bytes(encoded(scene().convert("L"), **WHOLE))
    assert same(pixels(path), np.asarray(scene().convert("L").convert("RGB")))


def test_ten_bits_become_eight(path):
    deep = np.linspace(0, 65535, 96 * 128 * 3).reshape(96, 128, 3).astype(np.uint16)
    file = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (128, 96), deep.tobytes()).save(file, quality=90)
    path.write_bytes(file.getvalue())
    assert same(pixels(path), deep >> 8)


def box(kind, content):
    return (8 + len(content)).to_bytes(4) + kind + content


def of_size(width, height):
    """Return a HEIC that says it has another size than its coded picture, 200 x 120 px."""
    whole = encoded(scene(), **WHOLE)
    at = whole.index(b"ispe") + 8
    return whole[:at] + width.to_bytes(4) + height.to_bytes(4) + whole[at + 8 :]


def test_too_many_pixels_are_refused_before_they_are_decoded(path, monkeypatch):
    path.write_bytes(of_size(20_000, 20_000))
    monkeypatch.setattr(PillowImage.Image, "load", lambda self: pytest.fail("it was decoded"))
    assert probe(path).width == 20_000
    assert decode(path).problem
    assert pixels(path) is None


def test_another_size_than_it_says_is_damage_and_found_in_a_child_process(path, monkeypatch):
    path.write_bytes(of_size(64, 64))
    monkeypatch.setattr("app.uploads.decode.decode", lambda path: pytest.fail("decoded in this process"))
    assert [one.problem for one in check_decodes([path], [probe(path)])] == ["does not decode to its end"]
    path.write_bytes(encoded(scene(), **WHOLE))
    assert check_decodes([path], [probe(path)]) == [Decoded(200, 120)]


@pytest.mark.parametrize("options", [WHOLE, TILES], ids=["whole", "tiles"])
def test_a_heic_cut_anywhere_or_ending_in_zeros_is_refused(path, options):
    whole = encoded(photo(), **options)
    for end in {len(whole) - 1, *np.linspace(13, len(whole) - 16, 30).astype(int)}:
        path.write_bytes(whole[:end])
        assert pixels(path) is None, f"{end} of {len(whole)} bytes"
        assert decode(path).problem
        path.write_bytes(whole[:end] + bytes(len(whole) - end))
        assert pixels(path) is None or len(whole) - end < 16, f"zeros behind {end} of {len(whole)} bytes"


@pytest.mark.parametrize("options", [WHOLE, TILES], ids=["whole", "tiles"])
def test_some_visible_damage_is_noticed(path, options):
    rng, whole, noticed = np.random.default_rng(0), encoded(photo(), **options), []
    path.write_bytes(whole)
    want = pixels(path)
    while len(noticed) < 40:
        path.write_bytes(damaged(whole, rng))
        got = pixels(path)
        if got is None or got.shape != want.shape or is_visible(got, want):
            noticed.append(got is None)
    assert sum(noticed) >= 17


def test_a_list_of_more_parts_than_its_box_holds_is_damage(path):
    """Else four thousand million of them would be looked for, or many that take no room."""
    too_many = b"\2\0\0\0\x44\x40" + b"\xff" * 4
    no_room = bytes(4) + b"\0\0" + b"\0\1" + b"\0\1\0\0" + b"\xff\xff"
    for parts in (too_many, no_room):
        items = box(b"iinf", bytes(6)) + box(b"iloc", parts)
        with pytest.raises(SyntaxError, match="do not add up"):
            refuse_damaged_heic(box(b"meta", bytes(4) + items))


SOUND = {
    "whole": lambda: encoded(photo(), **WHOLE),
    "tiles": lambda: encoded(photo(), **TILES),
    "best": lambda: encoded(photo(), format="HEIF", quality=-1, chroma=444),
    "poor": lambda: encoded(photo(), format="HEIF", quality=0),
    "black": lambda: encoded(PillowImage.new("RGB", (900, 700)), **TILES),
    "thumbnails": lambda: encoded(photo(), **WHOLE, thumbnails=[64, 128], exif=exif_of(8)),
    "two pictures": lambda: encoded(photo(), **TILES, save_all=True, append_images=[photo("L")]),
    "bytes after the end": lambda: encoded(photo(), **WHOLE) + b"\0\0\4\0SEFT" + bytes(50),
}


@pytest.mark.parametrize("kind", SOUND)
def test_sound_files_are_never_refused(path, kind, capfd):
    path.write_bytes(SOUND[kind]())
    assert pixels(path) is not None
    assert not decode(path).problem
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"hevc"])
def test_without_the_package_both_ways_out_are_said(path, brand, monkeypatch):
    path.write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(12))
    monkeypatch.setattr("pipeline.formats.find_spec", lambda name: None)
    with pytest.raises(PipelineError) as caught:
        probe(path)
    assert caught.value.code == ErrorCode.FILE_ERROR
    assert str(caught.value) == (
        "want JPEG, PNG, TIFF or WebP, got HEIC: export it as JPEG, or install the extra heif where Tally "
        "runs (pip install pillow-heif)"
    )


def test_avif_is_not_taken(path):
    path.write_bytes(b"\0\0\0\x18ftypavif" + bytes(12))
    assert magic_format(path.read_bytes()) is None
    with pytest.raises(PipelineError, match="want JPEG, PNG, TIFF, WebP or HEIC, got other bytes"):
        probe(path)


def test_the_web_process_starts_without_the_package():
    code = "import sys, wsgi, app.uploads.service; sys.exit('pillow_heif' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
