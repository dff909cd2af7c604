"""Look for damage in a HEIC, whose decoder paints over what is missing: standard library only.

A photo of a phone is a grid of tiles, and libheif leaves those out that lie behind the end of the file; the
decoder of a tile goes on with whatever the bits now mean. Two signs are sure: a box that is longer than the
file, and bytes that HEVC never writes, such as the zeros of a copy that broke off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

NEVER_WRITTEN = (b"\0\0\0", b"\0\0\1", b"\0\0\2")
"""HEVC puts a 3 behind two zeros, so that these occur in no unit of it."""

SPARE_ZEROS = 3
"""Some writers leave as many behind a unit."""


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


def refuse_damaged_heic(data: bytes) -> None:
    """Raise SyntaxError for a file that is cut off, or has bytes in a coded picture that HEVC never writes.

    Args:
        data: of the whole file.
    """
    for box in _boxes(data, 0, len(data)):
        if box.kind == b"meta":
            _refuse_pictures(data, box)


def _refuse_pictures(data: bytes, meta: _Box) -> None:
    inside = {box.kind: box for box in _boxes(data, meta.start + 4, meta.end)}
    if b"iinf" not in inside or b"iloc" not in inside:
        return
    coded = _hevc_items(data, inside[b"iinf"])
    config = data.find(b"hvcC", meta.start, meta.end)
    n_length = (data[config + 25] & 3) + 1  # bytes of the length before each unit
    for item, extents in _extents(data, inside[b"iloc"]):
        if item not in coded:
            continue
        if any(start + length > len(data) for start, length in extents):
            raise SyntaxError("it is cut off")
        _refuse_units(b"".join(data[start : start + length] for start, length in extents), n_length)


def _refuse_units(picture: bytes, n_length: int) -> None:
    """Raise SyntaxError unless a coded picture is made of whole units, each of bytes that HEVC writes."""
    at = 0
    while at < len(picture):
        start = at + n_length
        at = start + int.from_bytes(picture[at:start])
        if at == start or at > len(picture):
            raise SyntaxError("its parts do not add up")
        if any(picture.find(never, start, at - SPARE_ZEROS) >= 0 for never in NEVER_WRITTEN):
            raise SyntaxError("it has bytes that are never written")


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes one after the other; what some phones put behind the last one is none."""
    while start + 8 <= end:
        size, kind, head = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16]), 16
        following = start + size if size else end
        if following > end and kind in (b"meta", b"mdat"):
            raise SyntaxError("it is cut off")
        if following > end or following < start + head:
            return
        yield _Box(kind, start + head, following)
        start = following


def _hevc_items(data: bytes, iinf: _Box) -> set[int]:
    """Return the numbers of the items that are HEVC pictures: tiles, the whole picture, thumbnails."""
    found = set()
    for box in _boxes(data, iinf.start + (6 if data[iinf.start] == 0 else 8), iinf.end):
        n_number = {2: 2, 3: 4}.get(data[box.start])
        if box.kind == b"infe" and n_number:
            number_end = box.start + 4 + n_number
            if data[number_end + 2 : number_end + 6] == b"hvc1":
                found.add(int.from_bytes(data[box.start + 4 : number_end]))
    return found


def _extents(data: bytes, iloc: _Box) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield each item that lies in the file itself: its number, and the start and length of its parts."""
    version, at = data[iloc.start], iloc.start + 6
    n_offset, n_length = data[at - 2] >> 4, data[at - 2] & 15
    n_base, n_index = data[at - 1] >> 4, data[at - 1] & 15 if version else 0

    def read(n_bytes: int) -> int:
        nonlocal at
        at += n_bytes
        if at > iloc.end:
            raise SyntaxError("its parts do not add up")
        return int.from_bytes(data[at - n_bytes : at])

    n_number = 4 if version == 2 else 2
    for _ in range(read(n_number)):
        item, method = read(n_number), read(2) & 15 if version else 0
        read(2)
        base, extents, n_parts = read(n_base), [], read(2)
        if n_parts > 1 and not n_index + n_offset + n_length:
            raise SyntaxError("its parts do not add up")
        for _ in range(n_parts):
            read(n_index)
            extents.append((base + read(n_offset), read(n_length)))
        if method == 0:
            yield item, extents
