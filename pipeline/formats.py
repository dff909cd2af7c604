"""The formats of image files that are taken: by their first bytes, and by what is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal, NamedTuple

Format = Literal["jpeg", "png", "tiff", "webp", "heic"]

MAGIC_BYTES = 12

HEIC_HELP = "export it as JPEG, or install the extra heif where Tally runs (pip install pillow-heif)"
"""Both ways out for who has HEIC where it is not read."""

ALL_FORMATS = "JPEG, PNG, TIFF or WebP, or HEIC where pillow-heif is installed"
"""For texts that are the same everywhere."""

_HEIC_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)


class Facts(NamedTuple):
    """What is to be known of a format.

    Attributes:
        name: for people. media_type: for browsers.
        decoders: names of Pillow's; for HEIC that of pillow-heif.
        suffixes: of file names, in small letters.
    """

    name: str
    media_type: str
    decoders: tuple[str, ...]
    suffixes: tuple[str, ...]


FORMATS: dict[Format, Facts] = {
    "jpeg": Facts("JPEG", "image/jpeg", ("JPEG", "MPO"), (".jpg", ".jpeg", ".jpe", ".jfif")),
    "png": Facts("PNG", "image/png", ("PNG",), (".png",)),
    "tiff": Facts("TIFF", "image/tiff", ("TIFF",), (".tif", ".tiff")),
    "webp": Facts("WebP", "image/webp", ("WEBP",), (".webp",)),
    "heic": Facts("HEIC", "image/heic", ("HEIF",), (".heic", ".heif", ".hif")),
}


def taken_formats() -> tuple[Format, ...]:
    """Return the formats that are read here: HEIC where the optional package pillow-heif is installed."""
    return tuple(one for one in FORMATS if one != "heic" or find_spec("pillow_heif") is not None)


def wanted() -> str:
    """Return the names of the formats that are taken, as an error says what it wanted."""
    *names, last = (FORMATS[one].name for one in taken_formats())
    return f"{', '.join(names)} or {last}"


def magic_format(first_bytes: bytes) -> Format | None:
    """Return the format that the first ``MAGIC_BYTES`` bytes belong to, taken or not; None for any other."""
    if first_bytes.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if first_bytes.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if first_bytes[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):  # the last two: BigTIFF
        return "tiff"
    if first_bytes[:4] == b"RIFF" and first_bytes[8:12] == b"WEBP":
        return "webp"
    if first_bytes[4:8] == b"ftyp" and first_bytes[8:12] in _HEIC_BRANDS:
        return "heic"
    return None
