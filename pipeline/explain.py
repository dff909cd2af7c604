"""Stage 7 of 7: pictures that prove a count.

In: Image, DrawnObjects.  Out: encoded pictures by name.  Device: CPU.  Settings: CountSettings.

Pictures larger than ``MAX_SIDE_PX`` are drawn smaller, so that memory follows the picture, not the photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.contract import CountSettings, Region
from pipeline.faint import FaintThing, faint_things
from pipeline.ops.reading_order import reading_order
from pipeline.types import Candidates, Image, Instances

MAX_SIDE_PX = 4096
THUMBNAIL_SIDE_PX = 320
JPEG_QUALITY = 88
CIRCLE_CORNERS = 24
OUTSIDE = 0.45
"""Brightness of what lies outside of the regions that are counted."""
PALETTE_RGB = (
    (230, 25, 75),
    (60, 180, 75),
    (255, 200, 0),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 220, 230),
    (240, 50, 230),
    (170, 220, 30),
    (250, 150, 180),
    (0, 150, 140),
    (170, 110, 40),
)
"""Neighbouring numbers get unlike colours."""

FAINT = "faint"
"""Stands in the place of a reason: these are no candidates."""

REASON_RGB = {
    "low_score": (255, 160, 0),
    "low_stability": (255, 220, 0),
    "duplicate_of": (200, 0, 255),
    "inside": (120, 80, 255),
    "too_small": (0, 200, 255),
    "too_large": (0, 90, 255),
    "edge": (0, 220, 120),
    "outside_roi": (150, 150, 150),
    "other_type": (255, 80, 160),
    "unlike_exemplar": (255, 60, 60),
    "rule": (140, 90, 40),
    "human": (255, 255, 255),
    FAINT: (255, 205, 140),
}
"""Colour of each kind of rejection, and of what was seen too faintly, also for the legend of the page."""


@dataclass(frozen=True, slots=True)
class DrawnObject:
    """One outline to draw.

    Attributes:
        number: what is written in it, from 1; 0 writes nothing.
        label: the word beside the number.
        confidence: score in [0, 1].
        polygon_xy: (P, 2) float32 px, image frame, P >= 3; a point or box may stand in as a small polygon.
        reason: "" for counted objects, else the rejection, or ``FAINT``.
    """

    number: int
    label: str
    confidence: float
    polygon_xy: NDArray[np.float32]
    reason: str = ""


def drawn_objects(
    candidates: Candidates, instances: Instances
) -> tuple[list[DrawnObject], list[DrawnObject]]:
    """Return the counted objects, numbered in reading order, and the rejected ones."""
    counted = instances.counted[reading_order(candidates.batch.bbox_xyxy[instances.counted])].tolist()
    number = {index: i + 1 for i, index in enumerate(counted)}
    objects = [
        DrawnObject(
            number.get(i, 0),
            instances.labels[i],
            float(instances.scores[i]),
            candidates.batch.polygon(i),
            instances.rejections[i],
        )
        for i in [*counted, *(i for i, why in enumerate(instances.rejections) if why)]
    ]
    return objects[: len(counted)], objects[len(counted) :]


def drawn_faint(
    candidates: Candidates, objects: Sequence[DrawnObject], settings: CountSettings
) -> list[DrawnObject]:
    """Return circles around what was seen too faintly to propose, as ``faint_things``."""
    counted = (thing.polygon_xy for thing in objects)
    return [_circle(thing) for thing in faint_things(candidates.batch, counted, settings.roi)]


def _circle(thing: FaintThing) -> DrawnObject:
    angles = np.linspace(0, 2 * np.pi, CIRCLE_CORNERS, endpoint=False)
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    polygon_xy = (thing.x, thing.y) + thing.radius * around
    return DrawnObject(0, "", thing.confidence, polygon_xy.astype(np.float32), FAINT)


def explain(
    candidates: Candidates, instances: Instances, image: Image, settings: CountSettings
) -> dict[str, bytes]:
    """Return the pictures of one counted image; as ``render``."""
    objects, rejected = drawn_objects(candidates, instances)
    return render(image, objects, [*rejected, *drawn_faint(candidates, objects, settings)], settings)


def render(
    image: Image, objects: Sequence[DrawnObject], rejected: Sequence[DrawnObject], settings: CountSettings
) -> dict[str, bytes]:
    """Return JPEG bytes by name: annotated, heatmap, rejected and thumbnail.

    Args:
        image: read, never changed.
        objects: the counted ones, whoever found them.
        rejected: drawn in the colour of their reason.
        settings: ``show_labels`` writes the labels, ``confidence_display`` the scores, beside the
            numbers where there is room. With ``visualize`` off only the thumbnail is made.
    """
    small, scale = _fit(image.pixels_hw3, MAX_SIDE_PX)
    thumbnail, _ = _fit(small, THUMBNAIL_SIDE_PX)
    pictures = {"thumbnail": _jpeg(thumbnail)}
    if not settings.visualize:
        return pictures
    pictures["annotated"] = _jpeg(_annotate(small, objects, scale, settings))
    pictures["heatmap"] = _jpeg(_heatmap(small, objects, scale))
    pictures["rejected"] = _jpeg(_draw_rejected(small, rejected, scale))
    return pictures


def _fit(pixels_hw3: NDArray[np.uint8], max_side: int) -> tuple[NDArray[np.uint8], float]:
    """Return the picture with no side over ``max_side``, and the factor it was scaled by."""
    height, width = pixels_hw3.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    if scale == 1.0:
        return pixels_hw3, scale
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels_hw3, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8), scale


def _jpeg(pixels_hw3: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels_hw3, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise ValueError(f"a picture of shape {pixels_hw3.shape} does not encode")
    return bytes(data)


def _points(thing: DrawnObject, scale: float) -> NDArray[np.int32]:
    """Outline in px of the drawn picture: polygons lie on pixel edges, lines on pixel centres."""
    return np.round(thing.polygon_xy * scale - 0.5).astype(np.int32).reshape(-1, 1, 2)


def _line_px(objects: Sequence[DrawnObject], scale: float) -> int:
    """Line width that suits the objects: thin on small ones."""
    if not objects:
        return 1
    sides = [float(np.ptp(thing.polygon_xy, axis=0).max()) * scale for thing in objects]
    return int(np.clip(np.median(sides) / 28, 1, 6))


def _annotate(
    small: NDArray[np.uint8], objects: Sequence[DrawnObject], scale: float, settings: CountSettings
) -> NDArray[np.uint8]:
    small = _dimmed_outside(small, settings.roi, scale)
    filled, line_px = small.copy(), _line_px(objects, scale)
    for thing in objects:
        cv2.fillPoly(filled, [_points(thing, scale)], PALETTE_RGB[thing.number % len(PALETTE_RGB)])
    picture = np.asarray(cv2.addWeighted(small, 0.65, filled, 0.35, 0), dtype=np.uint8)
    for thing in objects:
        colour = PALETTE_RGB[thing.number % len(PALETTE_RGB)]
        cv2.polylines(picture, [_points(thing, scale)], True, (0, 0, 0), line_px + 2, cv2.LINE_AA)
        cv2.polylines(picture, [_points(thing, scale)], True, colour, line_px, cv2.LINE_AA)
    for thing in objects:  # after all outlines, so that no number is crossed out by a neighbour
        _write(picture, thing, scale, settings)
    return picture


def _dimmed_outside(small: NDArray[np.uint8], regions: Sequence[Region], scale: float) -> NDArray[np.uint8]:
    """Darken what is not counted: outside of the included regions, and inside of the excluded ones."""
    if not regions:
        return small
    is_counted = np.full(small.shape[:2], not any(region.include for region in regions), np.uint8)
    for region in sorted(regions, key=lambda region: not region.include):
        corners = _within_rows(np.array(region.polygon_xy) * scale - 0.5, len(small))
        cv2.fillPoly(is_counted, [np.round(corners).astype(np.int32)], int(region.include))
    dim = cv2.convertScaleAbs(small, alpha=OUTSIDE)
    return np.asarray(cv2.copyTo(small, is_counted, dim), np.uint8)


def _within_rows(polygon_xy: NDArray[np.float64], n_rows: int) -> NDArray[np.float64]:
    """Return a polygon that is the same in the rows of a picture, and reaches no more than one beyond them.

    OpenCV walks over every row of a polygon, also where there is no picture: a region may reach for 10⁶ px.
    """
    way = np.roll(polygon_xy, -1, axis=0) - polygon_xy
    with np.errstate(divide="ignore", invalid="ignore"):
        at = (np.array([[-1.0], [n_rows]]) - polygon_xy[:, 1]) / way[:, 1]  # where edges leave the rows
    share = np.vstack([np.zeros(len(way)), np.sort(np.clip(np.nan_to_num(at), 0, 1), axis=0)])
    points = (polygon_xy[:, None] + share.T[:, :, None] * way[:, None]).reshape(-1, 2)
    points[:, 1] = np.clip(points[:, 1], -1, n_rows)
    return np.asarray(points)


def _write(picture: NDArray[np.uint8], thing: DrawnObject, scale: float, settings: CountSettings) -> None:
    """Write the number into the middle, and under it the label and score when both lines fit."""
    if not thing.number:
        return
    low, high = thing.polygon_xy.min(axis=0) * scale, thing.polygon_xy.max(axis=0) * scale
    x, y = (low + high) / 2
    room_w, room_h = (high - low).tolist()
    size = float(np.clip(min(room_h / 60, room_w / (22 * len(str(thing.number)) + 12)), 0.3, 1.6))
    words = [thing.label] if settings.show_labels and thing.label else []
    if settings.confidence_display:
        words.append(f"{thing.confidence:.2f}")
    note = " ".join(words)
    note_size = size * 0.55
    fits = note and note_size >= 0.3 and _text_wh(note, note_size)[0] <= room_w * 1.1
    if fits:
        _put(picture, note, x, y + 20 * size, note_size)
    _put(picture, str(thing.number), x, y - (6 * size if fits else 0), size)


def _text_wh(text: str, size: float) -> tuple[int, int]:
    width, height = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0]
    return int(width), int(height)


def _put(picture: NDArray[np.uint8], text: str, x: float, y: float, size: float) -> None:
    """Write white text on a black rim around (x, y), moved inside the picture where it would stick out."""
    plain = text.encode("ascii", "replace").decode()  # the built-in font has no other letters
    width, height = _text_wh(plain, size)
    left = int(np.clip(x - width / 2, 1, max(1, picture.shape[1] - width - 1)))
    base = int(np.clip(y + height / 2, height + 1, max(height + 1, picture.shape[0] - 2)))
    rim, weight = max(1, round(size * 1.6)), max(1, round(size * 1.8))
    # A rim by a thicker stroke is not drawn by every OpenCV's font: four shifted copies are.
    rims = [(x, y, (0, 0, 0)) for x in (-rim, rim) for y in (-rim, rim)]
    for shift_x, shift_y, colour in [*rims, (0, 0, (255, 255, 255))]:
        at = left + shift_x, base + shift_y
        cv2.putText(picture, plain, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, weight, cv2.LINE_AA)


def _heatmap(small: NDArray[np.uint8], objects: Sequence[DrawnObject], scale: float) -> NDArray[np.uint8]:
    """Colour where objects are dense, on the grey photo: centres, blurred as wide as they lie apart."""
    height, width = small.shape[:2]
    step = max(1.0, max(height, width) / 512)
    density = np.zeros((int(height / step) + 1, int(width / step) + 1), dtype=np.float32)
    for thing in objects:
        x, y = (thing.polygon_xy.min(axis=0) + thing.polygon_xy.max(axis=0)) / 2 * scale / step
        density[int(np.clip(y, 0, density.shape[0] - 1)), int(np.clip(x, 0, density.shape[1] - 1))] += 1
    spacing = (height * width / max(1, len(objects))) ** 0.5 / step
    blurred = cv2.GaussianBlur(density, (0, 0), float(np.clip(0.4 * spacing, 3, 64)))
    relative = cv2.resize(np.asarray(blurred / max(float(blurred.max()), 1e-9), np.float32), (width, height))
    colours = cv2.applyColorMap((relative * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    grey = cv2.cvtColor(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    mixed = cv2.addWeighted(grey, 0.45, cv2.cvtColor(colours, cv2.COLOR_BGR2RGB), 0.55, 0)
    return np.where((relative > 0.03)[:, :, None], mixed, grey).astype(np.uint8)


def _draw_rejected(
    small: NDArray[np.uint8], rejected: Sequence[DrawnObject], scale: float
) -> NDArray[np.uint8]:
    """Outline the rejected on a darkened photo, each kind in its colour, the faint thinly, with a legend."""
    picture = (small * 0.55).astype(np.uint8)
    line_px = _line_px([thing for thing in rejected if thing.reason != FAINT], scale)
    kinds = dict[str, int]()
    for thing in rejected:
        kind = thing.reason.split(":")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
        colour = REASON_RGB.get(kind, (255, 255, 255))
        width_px = 1 if kind == FAINT else line_px
        cv2.polylines(picture, [_points(thing, scale)], True, colour, width_px, cv2.LINE_AA)
    size = float(np.clip(max(small.shape[:2]) / 1600, 0.4, 2.0))
    for line, (kind, n) in enumerate(sorted(kinds.items())):
        top = int((line + 1) * 30 * size)
        cv2.rectangle(
            picture, (4, top - int(16 * size)), (int(24 * size), top), REASON_RGB.get(kind, (255,) * 3), -1
        )
        text = f"{kind.replace('_', ' ')}: {n}"
        _put(picture, text, 30 * size + _text_wh(text, size * 0.7)[0] / 2, top - 8 * size, size * 0.7)
    return picture
