"""Every kind of image file becomes upright 8-bit RGB, or a named failure."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from app.uploads.decode import Decoded, decode
from pipeline.contract import CountSettings, ErrorCode, PipelineError
from pipeline.header import MAX_DECODED_PX, ImageHeader, probe, refuse_bomb
from pipeline.preprocess import page_offsets, preprocess, stack_pages, stretch_to_uint8

RED, WHITE = (255, 0, 0), (255, 255, 255)


def saved(tmp_path, picture, name="a.png", **options):
    path = tmp_path / name
    picture.save(path, **options)
    return path


def pixels(path, **settings):
    (image,) = preprocess("a", path, CountSettings(**settings))
    return image.pixels_hw3


@pytest.mark.parametrize(
    ("picture", "want"),
    [
        (PillowImage.new("RGB", (70, 80), RED), RED),
        (PillowImage.new("RGBA", (70, 80), (255, 0, 0, 0)), WHITE),
        (PillowImage.new("LA", (70, 80), (0, 255)), (0, 0, 0)),
        (PillowImage.new("L", (70, 80), 9), (9, 9, 9)),
        (PillowImage.new("1", (70, 80), 1), WHITE),
        (PillowImage.new("P", (70, 80)), (0, 0, 0)),
    ],
    ids=["RGB", "transparent", "LA", "grey", "1-bit", "palette"],
)
def test_every_png_mode_becomes_rgb_on_white(tmp_path, picture, want):
    got = pixels(saved(tmp_path, picture))
    assert got.shape == (80, 70, 3)
    assert got.dtype == np.uint8
    assert tuple(got[40, 35]) == want


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    got = pixels(saved(tmp_path, PillowImage.new("CMYK", (64, 64), (0, 255, 255, 0)), "a.jpg"))
    assert got[10, 10, 0] > 200
    assert got[10, 10, 1] < 60


def test_transparent_palette_png_lies_on_white(tmp_path):
    picture = PillowImage.new("P", (64, 64))
    picture.putpalette([10, 20, 30] + [0] * 765)
    assert tuple(pixels(saved(tmp_path, picture, transparency=0))[5, 5]) == WHITE


def test_exif_orientation_is_applied(tmp_path):
    picture = PillowImage.new("RGB", (100, 64), RED)
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert pixels(saved(tmp_path, picture, "a.jpg", exif=exif)).shape == (100, 64, 3)


def test_sixteen_bits_are_stretched_between_percentiles(tmp_path):
    ramp = np.linspace(1000, 3000, 64 * 64).reshape(64, 64).astype(np.uint16)
    got = pixels(saved(tmp_path, PillowImage.fromarray(ramp)))
    assert got.min() == 0
    assert got.max() == 255
    assert abs(int(got[32, 0, 0]) - 128) <= 2


def test_float_pixels_with_holes_are_stretched(tmp_path):
    values = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    values[0, 0] = np.nan
    got = pixels(saved(tmp_path, PillowImage.fromarray(values), "a.tif"))
    assert got[0, 0, 0] == 0
    assert got[-1, -1, 0] == 255


@pytest.mark.parametrize("values", [np.full((4, 4), np.nan), np.full((4, 4), 7)])
def test_flat_or_empty_values_become_black(values):
    assert not stretch_to_uint8(values).any()


def test_one_outlier_does_not_darken_the_rest():
    values = np.concatenate([np.linspace(0, 100, 1000), [65535]]).reshape(7, 143)
    assert stretch_to_uint8(values).mean() > 100


def two_page_tiff(tmp_path):
    first, second = PillowImage.new("RGB", (70, 80), RED), PillowImage.new("RGB", (90, 64), (0, 0, 255))
    return saved(tmp_path, first, "a.tif", save_all=True, append_images=[second])


def test_only_the_first_page_is_read_unless_all_are_asked_for(tmp_path):
    path = two_page_tiff(tmp_path)
    assert pixels(path).shape == (80, 70, 3)
    pages = preprocess("a", path, CountSettings(pages="all"))
    assert [page.size_hw for page in pages] == [(80, 70), (64, 90)]
    assert page_offsets(pages) == [(0, 0), (0, 80)]
    tall = stack_pages(pages).pixels_hw3
    assert tall.shape == (144, 90, 3)
    assert tuple(tall[0, 80]) == WHITE
    assert tuple(tall[100, 10]) == (0, 0, 255)


def tiff_of(path, *pages):
    """Write pages, each a side in px, its NewSubfileType (1: a smaller copy) and its SubIFDs."""
    with tifffile.TiffWriter(path, bigtiff=path.stem == "big") as file:
        for side, kind, n_below in pages:
            picture = np.full((side, side, 3), side, np.uint8)
            file.write(picture, photometric="rgb", subfiletype=kind, subifds=n_below)
    return path


@pytest.mark.parametrize("wanted", ["first", "all"])
@pytest.mark.parametrize(
    ("pages", "sides"),
    [([(96, 0, 0), (80, 1, 0), (64, 1, 0)], [96]), ([(64, 1, 0), (96, 0, 0)], [96]), ([(64, 1, 0)], [64]),
     ([(96, 0, 0), (64, 1, 0), (80, 0, 0), (64, 1, 0)], [96, 80])],
    ids=["pyramid", "thumbnail first", "thumbnail alone", "two pyramids"],
)  # fmt: skip
def test_smaller_copies_are_no_pages(tmp_path, pages, sides, wanted):
    path = tiff_of(tmp_path / "a.tif", *pages)
    assert probe(path) == ImageHeader("tiff", sides[0], sides[0], len(sides))
    got = [page.size_hw for page in preprocess("a", path, CountSettings(pages=wanted))]
    assert got == [(side, side) for side in (sides if wanted == "all" else sides[:1])]
    assert decode(path) == Decoded(sides[0], sides[0])


@pytest.mark.parametrize("read", [pixels, probe])
def test_of_a_raw_file_the_preview_is_not_counted(tmp_path, read):
    path = tiff_of(tmp_path / "a.dng", (64, 1, 1), (96, 0, 0))
    assert code_of(lambda: read(path)) == ErrorCode.FILE_ERROR
    assert decode(path).problem


def test_a_big_tiff_is_read(tmp_path):
    assert pixels(tiff_of(tmp_path / "big.tif", (64, 0, 0))).shape == (64, 64, 3)


UNREAD_TIFFS = {
    "64-bit": (np.zeros((80, 70)), {}, r"64 bits \(floating-point\), compression 1, .* 1$"),
    "float colours": (np.zeros((80, 70, 3), np.float32), {"photometric": "rgb"}, r"got 32 \+ 32 \+ 32 bits"),
    "complex": (np.zeros((80, 70), np.complex64), {}, "complex"),
    "five channels": (
        np.zeros((80, 70, 5), np.uint8),
        {"planarconfig": "contig"},
        r"8 \+ 8 \+ 8 \+ 8 bits",
    ),
    "tiles": (np.zeros((80, 70)), {"tile": (64, 64)}, "64 bits"),
    "sensor": (np.zeros((80, 70), np.uint16), {"photometric": "cfa"}, "photometric interpretation 32803"),
    "big": (np.zeros((80, 70)), {"bigtiff": True}, "64 bits"),
}


@pytest.mark.parametrize("read", [pixels, probe])
@pytest.mark.parametrize("kind", UNREAD_TIFFS)
def test_of_a_tiff_that_is_not_read_is_said_what_was_wanted_and_what_came(tmp_path, kind, read):
    values, options, got = UNREAD_TIFFS[kind]
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, values, **({"photometric": "minisblack"} | options))
    with pytest.raises(PipelineError, match=f"^want a TIFF of 8-bit, .*{got}") as caught:
        read(path)
    assert caught.value.code == ErrorCode.FILE_ERROR
    path.write_bytes(path.read_bytes()[:-9])
    assert code_of(lambda: read(path)) == ErrorCode.CORRUPTED_FILE


def test_a_compression_that_is_not_read_is_named(tmp_path):
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, np.zeros((80, 70), np.uint8))
    entry = struct.pack("<HHIH", 259, 3, 1, 1)
    path.write_bytes(path.read_bytes().replace(entry, struct.pack("<HHIH", 259, 3, 1, 34712)))
    with pytest.raises(PipelineError, match=r"got 8 bits \(unsigned\), compression 34712"):
        probe(path)


def code_of(call):
    with pytest.raises(PipelineError) as caught:
        call()
    return caught.value.code


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_a_truncated_file_is_corrupted(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    path = saved(tmp_path, PillowImage.fromarray(noise), name)
    assert decode(path) == Decoded(200, 200)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert code_of(lambda: pixels(path)) == ErrorCode.CORRUPTED_FILE
    assert decode(path).problem


def test_a_png_whose_copy_broke_off_is_corrupted_at_its_full_length(tmp_path):
    picture = np.full((200, 300, 3), 210, np.uint8)
    for x in range(20, 300, 40):
        cv2.circle(picture, (x, x % 180 + 10), 12, (60, 50, 40), -1, cv2.LINE_AA)
    path = saved(tmp_path, PillowImage.fromarray(picture))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    assert code_of(lambda: pixels(path)) == ErrorCode.CORRUPTED_FILE
    assert decode(path).problem
    path.write_bytes(whole[:-12])  # nothing but its end mark is lost
    np.testing.assert_array_equal(pixels(path), picture)


@pytest.mark.parametrize("read", [pixels, probe])
def test_a_missing_file_and_another_format_are_named(tmp_path, read):
    assert code_of(lambda: read(tmp_path / "no.png")) == ErrorCode.FILE_NOT_FOUND
    gif = saved(tmp_path, PillowImage.new("L", (64, 64)), "a.gif").rename(tmp_path / "a.png")
    assert code_of(lambda: read(gif)) == ErrorCode.FILE_ERROR
    assert code_of(lambda: read(tmp_path)) == ErrorCode.FILE_ERROR


def test_magic_bytes_without_an_image_behind_them_are_corrupted(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    assert code_of(lambda: probe(path)) == ErrorCode.CORRUPTED_FILE


@pytest.mark.parametrize("magic", [b"RIFF\x10\0\0\0WEBP", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0"])
def test_what_is_said_of_a_damaged_file_names_no_folder(tmp_path, magic):
    path = tmp_path / "a.img"
    path.write_bytes(magic + b"garbage")
    with pytest.raises(PipelineError) as caught:
        pixels(path)
    assert str(caught.value) == "a.img does not decode"


def test_header_tells_format_size_and_pages_whatever_the_name(tmp_path):
    path = two_page_tiff(tmp_path).rename(tmp_path / "a.jpg")
    assert probe(path) == ImageHeader("tiff", 70, 80, 2)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    content = io.BytesIO()
    PillowImage.new("1", (20_000, 20_000)).save(content, "PNG")
    path = tmp_path / "bomb.png"
    path.write_bytes(content.getvalue())
    monkeypatch.setattr(PillowImage.Image, "load", lambda self: pytest.fail("it was decoded"))
    assert probe(path).width == 20_000
    assert decode(path).problem
    assert code_of(lambda: pixels(path)) == ErrorCode.CORRUPTED_FILE


def test_the_largest_allowed_image_is_not_a_bomb():
    refuse_bomb((8192, MAX_DECODED_PX // 8192))


@pytest.fixture(scope="module")
def deep_colours():
    """(80, 70, 3) uint16 of a 12-bit camera: Pillow alone leaves 16 levels of these."""
    return np.random.default_rng(0).integers(0, 4096, (80, 70, 3)).astype(np.uint16)


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_16_bit_colours_are_stretched_together(tmp_path, deep_colours, name):
    cv2.imwrite(str(tmp_path / name), deep_colours[..., ::-1])
    np.testing.assert_array_equal(pixels(tmp_path / name), stretch_to_uint8(deep_colours))


def test_16_bit_colours_are_read_from_their_page_and_turned_upright(tmp_path, deep_colours):
    path = tmp_path / "a.tiff"
    upright = (274, "H", 1, 6, False)  # orientation 6: turn by 90 degrees clockwise
    with tifffile.TiffWriter(path) as file:
        for page in (deep_colours[::-1], deep_colours):
            file.write(page, photometric="rgb", extratags=[upright])
    got = preprocess("a", path, CountSettings(pages="all"))[1].pixels_hw3
    np.testing.assert_array_equal(got, np.rot90(stretch_to_uint8(deep_colours), -1))


def test_a_16_bit_png_is_turned_upright(tmp_path, deep_colours):
    cv2.imwrite(str(tmp_path / "plain.png"), deep_colours[..., ::-1])
    exif = PillowImage.Exif()
    exif[274] = 6
    data = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(data)) + b"eXIf" + data + struct.pack(">I", zlib.crc32(b"eXIf" + data))
    plain = (tmp_path / "plain.png").read_bytes()
    path = tmp_path / "a.png"
    path.write_bytes(plain[:33] + chunk + plain[33:])
    np.testing.assert_array_equal(pixels(path), np.rot90(stretch_to_uint8(deep_colours), -1))


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_transparent_16_bit_colours_lie_on_white(tmp_path, deep_colours, name):
    alpha = np.zeros((80, 70, 1), np.uint16)
    alpha[:40] = 65_535
    cv2.imwrite(str(tmp_path / name), np.dstack([deep_colours[..., ::-1], alpha]))
    got = pixels(tmp_path / name)
    np.testing.assert_array_equal(got[:40], stretch_to_uint8(deep_colours[:40]))
    assert (got[40:] == 255).all()


@pytest.mark.parametrize("hidden", [0, 65_535])
def test_what_lies_under_full_transparency_decides_nothing(tmp_path, deep_colours, hidden):
    alpha = np.full((80, 70, 1), 65_535, np.uint16)
    alpha[40:] = 0
    colours = np.where(alpha > 0, deep_colours, np.uint16(hidden))
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([colours[..., ::-1], alpha]))
    np.testing.assert_array_equal(pixels(tmp_path / "a.png")[:40], stretch_to_uint8(deep_colours[:40]))


def test_a_fourth_sample_that_is_no_alpha_hides_nothing(tmp_path, deep_colours):
    infrared = np.zeros((80, 70, 1), np.uint16)
    path = tmp_path / "a.tiff"
    four = np.dstack([deep_colours, infrared])
    tifffile.imwrite(path, four, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(pixels(path), stretch_to_uint8(deep_colours))


def test_16_bit_grey_whose_white_is_zero_is_no_negative(tmp_path, deep_colours):
    grey = deep_colours[..., 0]
    tifffile.imwrite(tmp_path / "a.tiff", grey, photometric="miniswhite")
    np.testing.assert_array_equal(pixels(tmp_path / "a.tiff")[..., 0], 255 - stretch_to_uint8(grey))


def test_16_bit_grey_with_alpha_is_stretched(tmp_path, deep_colours):
    grey = deep_colours[..., 0]
    png = saved(tmp_path, PillowImage.fromarray(np.zeros((80, 70, 2), np.uint8), "LA"))
    assert tuple(pixels(png)[0, 0]) == WHITE
    path = tmp_path / "deep.png"
    path.write_bytes(_grey_alpha_png(grey))
    np.testing.assert_array_equal(pixels(path)[..., 1], stretch_to_uint8(grey))


def _grey_alpha_png(grey):
    """Return a PNG of 16-bit grey and full alpha, which no library here writes."""
    samples = np.dstack([grey, np.full_like(grey, 65_535)]).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 16, 4, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_16_bit_colours_that_are_cut_short_are_corrupted(tmp_path, deep_colours, name):
    cv2.imwrite(str(tmp_path / name), deep_colours)
    path = tmp_path / f"cut_{name}"
    path.write_bytes((tmp_path / name).read_bytes()[:9_000])
    with pytest.raises(PipelineError) as caught:
        pixels(path)
    assert caught.value.code == ErrorCode.CORRUPTED_FILE


@pytest.mark.parametrize("read", [pixels, probe])
def test_16_bit_colours_plane_by_plane_are_refused(tmp_path, deep_colours, read):
    path = tmp_path / "a.tiff"
    planes = deep_colours.transpose(2, 0, 1)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    with pytest.raises(PipelineError, match="plane by plane") as caught:
        read(path)
    assert caught.value.code == ErrorCode.FILE_ERROR
