"""Draws reliability rows as a picture: the chance that was stated, and how many were objects, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SIDE_PX = 400
LEFT_PX, TOP_PX, RIGHT_PX, BOTTOM_PX = 56, 40, 56, 48
TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def reliability_svg(rows: Sequence[Mapping[str, Any]], engine: str) -> str:
    """Return an SVG of one engine's rows: a point a range of chance with its candidates, and the diagonal.

    Args:
        rows: of ``bench.calibration.reliability``: engine, candidates, mean_stated, were_objects.
        engine: whose rows are drawn.

    Raises:
        ValueError: no row is of this engine.
    """
    some = [row for row in rows if row["engine"] == engine]
    if not some:
        raise ValueError(f"reliability rows: want some of {engine}, got none")
    points = [(*_at(row["mean_stated"], row["were_objects"]), row["candidates"]) for row in some]
    (left, bottom), (right, top) = _at(0, 0), _at(1, 1)
    width, height = right + RIGHT_PX, bottom + BOTTOM_PX
    middle = (left + right) / 2
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
        f' height="{height:g}" font-family="sans-serif" font-size="12">',
        f"<title>{engine}: chance that a candidate is an object, stated and measured</title>",
        f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>',
        _text(middle, 24, f"{engine}: is a stated chance kept? (numbers: candidates)", "middle"),
        *(line for tick in TICKS for line in _tick(tick)),
        f'<path d="M{left:g} {bottom:g}L{right:g} {top:g}" stroke="#666" stroke-dasharray="5 4"/>',
        _text(middle, bottom + 40, "chance stated", "middle"),
        f'<g transform="rotate(-90 14 {(top + bottom) / 2:g})">',
        _text(14, (top + bottom) / 2, "share that were objects", "middle"),
        "</g>",
        f'<path d="M{"L".join(f"{x:g} {y:g}" for x, y, _ in points)}" stroke="#05c" fill="none"/>',
    ]
    for x, y, n in points:
        lines.append(f'<circle cx="{x:g}" cy="{y:g}" r="4" fill="#05c"/>')
        lines.append(_text(x + 8, y + 14, f"{n:,}"))
    return "\n".join([*lines, "</svg>", ""])


def _at(stated: float, measured: float) -> tuple[float, float]:
    """Return x, y in px of two shares."""
    return round(LEFT_PX + SIDE_PX * stated, 1), round(TOP_PX + SIDE_PX * (1 - measured), 1)


def _tick(share: float) -> list[str]:
    """Return the lines and numbers of one share on both axes."""
    (left, bottom), (right, top), (x, y) = _at(0, 0), _at(1, 1), _at(share, share)
    lines = f"M{left:g} {y:g}L{right:g} {y:g}M{x:g} {bottom:g}L{x:g} {top:g}"
    return [
        f'<path d="{lines}" stroke="#ddd"/>',
        _text(left - 6, y + 4, f"{100 * share:g} %", "end"),
        _text(x, bottom + 18, f"{100 * share:g} %", "middle"),
    ]


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="#222">{text}</text>'
