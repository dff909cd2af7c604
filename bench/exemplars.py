"""What are one, two or three boxes around objects worth? Engine steered by them, beside only filtering.

Without any box also: whether some group has the right number, or one does once a group is split, and
whether nine in ten are one group.

Drawn scenes of one kind (as in training, other seeds), of several kinds of which one is boxed, and of bent
bands; with a folder of photos with true counts, its photos too. A count is right within 10 % or one.
python -m bench.exemplars [FOLDER] [--engine mini] [--quick] [--json PATH]
"""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from bench.countbench import is_right
from bench.report import arguments, report
from pipeline.contract import CountSettings, GroupChoice
from pipeline.count import count
from pipeline.ops.boxes import box_iou
from pipeline.segment.base import Segmenter
from pipeline.segment.registry import load
from pipeline.types import Candidates, Instances
from tools.fit_calibration import MAX_BOXES, candidates_of, drawn_scenes, shown

FIRST_SEED = 9_500_000_000
SIDE_PX = 640
MOST_BANDS = 18
LEAST = 5
"""Scenes with fewer objects say little: three of them are boxed."""
MET_IOU = 0.5
MEANS = (
    "right",
    "only_filtered",
    "error",
    "found_once",
    "found_once_before",
    "a_group_right",
    "a_group_or_half_right",
    "nine_in_ten_one_group",
)


@dataclass(frozen=True)
class Picture:
    """A picture, how many objects it shows, and boxes (x, y, width, height) around up to three of them."""

    scene: str
    pixels: np.ndarray
    true: int
    boxes: list[tuple[float, float, float, float]]


def box_of(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Return x, y, width, height of a mask in px."""
    return tuple(float(v) for v in cv2.boundingRect(mask.astype(np.uint8)))


def boxed(scene: str, pixels: np.ndarray, labels: np.ndarray, numbers: list[int], seed: int) -> Picture:
    """Return the picture with boxes around three of its objects, picked at random."""
    picked = np.random.default_rng(seed).permutation(numbers)[:MAX_BOXES]
    return Picture(scene, pixels, len(numbers), [box_of(labels == k) for k in picked])


def one_kind(n: int) -> Iterator[Picture]:
    """Yield scenes drawn as in training, enlarged at random."""
    for seed, (image, labels) in enumerate(drawn_scenes(FIRST_SEED, n)):
        factor = float(
            np.exp(np.random.default_rng(seed).uniform(0, np.log(3.2 if len(image) < 300 else 1.5)))
        )
        large = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        size = (large.shape[1], large.shape[0])
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
        numbers = np.unique(labels[labels > 0]).tolist()
        if len(numbers) >= LEAST:
            yield boxed("drawn, one kind", large, labels, numbers, seed)


def draw(mask: np.ndarray, shape: str, at: tuple[int, int], radius: float, angle: float) -> np.ndarray:
    """Return the mask of one object; a ring's hole is no part of it."""
    if shape in ("disc", "ring"):
        cv2.circle(mask, at, int(radius), 1, -1)
        if shape == "ring":
            cv2.circle(mask, at, int(radius / 2), 0, -1)
        return mask
    sides = (2.8 * radius, 0.8 * radius) if shape == "rod" else (1.8 * radius, 1.8 * radius)
    cv2.fillPoly(mask, [cv2.boxPoints((at, sides, angle)).astype(np.int32)], 1)
    return mask


def seen_on(tone: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return (K, 3) colours, those that are near a ground's tone replaced by one that is far from it."""
    is_near = np.abs(colours - tone).max(axis=1, keepdims=True) < 60
    return np.where(is_near, (tone + 128) % 256, colours)


def photographed(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Return a (H, W, 3) float32 drawing in uint8, a little out of focus and with noise."""
    noisy = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.5)) + rng.normal(0, 4, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def several_kinds(n: int) -> Iterator[Picture]:
    """Yield scenes of two or three shapes, half of them in one colour; the first shape is what is counted."""
    for seed in range(FIRST_SEED, FIRST_SEED + n):
        rng = np.random.default_rng(seed)
        tone = rng.uniform(0, 255, 3)
        image = np.full((SIDE_PX, SIDE_PX, 3), tone, np.float32)
        labels, kinds = np.zeros(image.shape[:2], np.int32), [-1]
        shapes = rng.permutation(("disc", "rod", "ring", "square"))[: rng.integers(2, 4)]
        n_colours = 1 if rng.random() < 0.5 else len(shapes)
        colours = seen_on(tone, rng.uniform(0, 255, (n_colours, 3)))
        radii = rng.uniform(18, 40, len(shapes))
        for _ in range(60):
            k = int(rng.integers(len(shapes)))
            radius = radii[k] * rng.uniform(0.9, 1.1)
            at = tuple(int(v) for v in rng.uniform(1.6 * radius, SIDE_PX - 1.6 * radius, 2))
            mask = draw(np.zeros(labels.shape, np.uint8), shapes[k], at, radius, rng.uniform(0, 180)) > 0
            if not labels[cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0].any():
                labels[mask] = len(kinds)
                kinds.append(k)
                image[mask] = colours[k % len(colours)] * rng.uniform(0.9, 1.1)
        pixels = photographed(rng, image)
        numbers = [i for i, k in enumerate(kinds) if k == 0]
        if len(numbers) >= LEAST:
            yield boxed("drawn, several kinds", pixels, labels, numbers, seed)


def bands(n: int) -> Iterator[Picture]:
    """Yield scenes of bands apart, half of two colours; the straightest two and the most bent are boxed."""
    for seed in range(FIRST_SEED, FIRST_SEED + n):
        rng = np.random.default_rng(seed)
        tone = rng.uniform(0, 255, 3)
        colours = seen_on(tone, rng.uniform(0, 255, (3, 3)))
        image = np.full((SIDE_PX, SIDE_PX, 3), tone, np.float32)
        labels = np.zeros(image.shape[:2], np.int32)
        length, width, of_two = rng.uniform(110, 200), rng.uniform(14, 26), rng.random() < 0.5
        bends: list[float] = []
        for _ in range(80):
            bend = rng.uniform(-3.6, 3.6) * (rng.random() < 0.75)
            way = rng.uniform(0, 2 * np.pi) + bend * np.linspace(0, 1, 40)
            xy = np.cumsum(np.stack([np.cos(way), np.sin(way)], 1) * length * rng.uniform(0.85, 1.15) / 40, 0)
            xy += rng.uniform(0, SIDE_PX, 2) - xy.mean(axis=0)
            whole, half = (band(points, width) for points in (xy, xy[20:]))
            is_apart = not labels[cv2.dilate(whole, np.ones((9, 9), np.uint8)) > 0].any()
            if is_apart and len(bends) < MOST_BANDS and xy.min() > width and xy.max() < SIDE_PX - width:
                bends.append(abs(bend))
                labels[whole > 0] = len(bends)
                one, other = rng.permutation(3)[:2] if of_two else (0, 0)
                image[whole > 0], image[half > 0] = colours[one], colours[other]
        pixels = photographed(rng, image)
        if len(bends) >= LEAST:
            order = np.argsort(bends)
            boxes = [box_of(labels == k + 1) for k in (*order[:2], order[-1])]
            yield Picture("drawn, bent", pixels, len(bends), boxes)


def band(xy: np.ndarray, width: float) -> np.ndarray:
    """Return the mask of a band along points."""
    mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    return cv2.polylines(mask, [np.rint(xy * 8).astype(np.int32)], False, 1, int(width), shift=3)


def photos(folder: Path) -> Iterator[Picture]:
    """Yield a folder's photos with the boxes that its manifest gives."""
    for photo in json.loads((folder / "manifest.json").read_text()):
        pixels = cv2.cvtColor(cv2.imread(str(folder / "images" / photo["file"])), cv2.COLOR_BGR2RGB)
        boxes = [tuple(float(v) for v in box) for box in photo["exemplars"]]
        yield Picture(f"photos, {photo['scene']}", pixels, photo["count"], boxes)


def found_once(candidates: Candidates, boxes: list[tuple[float, float, float, float]]) -> float:
    """Return the share of boxes that exactly one candidate's box meets."""
    drawn = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32)
    met = box_iou(candidates.batch.bbox_xyxy, drawn) >= MET_IOU
    return float((met.sum(axis=0) == 1).mean())


def groups_of(instances: Instances) -> Counter[int]:
    """Return how many counted objects each visual group has."""
    return Counter(instances.group_ids[instances.counted].tolist())


def measure(segmenter: Segmenter, engine: str, picture: Picture) -> list[dict[str, object]]:
    """Return a row for each number of boxes."""
    plain = CountSettings(engine=engine, count_what="everything", visualize=False)
    unsteered = candidates_of(segmenter, picture.pixels, plain)
    instances = count(unsteered, plain)
    n, groups = len(instances.counted), groups_of(instances)
    choices = [(GroupChoice(i, split=True),) for i, size in groups.items() if size > 1]
    split = [groups_of(count(unsteered, replace(plain, groups=choice))) for choice in choices]
    sizes, after = list(groups.values()), [size for parts in [groups, *split] for size in parts.values()]
    rows: list[dict[str, object]] = [
        {
            "scene": picture.scene,
            "boxes": 0,
            "right": is_right(n, picture.true),
            "error": abs(n - picture.true) / picture.true,
            "a_group_right": any(is_right(size, picture.true) for size in sizes),
            "a_group_or_half_right": any(is_right(size, picture.true) for size in after),
            "nine_in_ten_one_group": n > 0 and max(sizes) >= 0.9 * n,
        }
    ]
    for boxes in range(1, len(picture.boxes) + 1):
        settings = shown(plain, picture.boxes[:boxes])
        started = time.perf_counter()
        steered = candidates_of(segmenter, picture.pixels, settings)
        seconds = time.perf_counter() - started
        n, before = (len(count(c, settings).counted) for c in (steered, unsteered))
        rows.append(
            {
                "scene": picture.scene,
                "boxes": boxes,
                "right": is_right(n, picture.true),
                "only_filtered": is_right(before, picture.true),
                "error": abs(n - picture.true) / picture.true,
                "found_once": found_once(steered, picture.boxes[:boxes]),
                "found_once_before": found_once(unsteered, picture.boxes[:boxes]),
                "seconds": seconds,
            }
        )
    return rows


def summary(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return a row for each scene and number of boxes: shares and means, and median seconds."""
    out = []
    for scene, boxes in sorted({(r["scene"], r["boxes"]) for r in rows}):
        some = [r for r in rows if (r["scene"], r["boxes"]) == (scene, boxes)]
        line = {"scene": scene, "boxes": boxes, "pictures": len(some)}
        for key in MEANS:
            if key in some[0]:
                line[key] = statistics.fmean(r[key] for r in some)
        if "seconds" in some[0]:
            line["median_s"] = statistics.median(r["seconds"] for r in some)
        out.append(line)
    return out


def main() -> None:
    """Print and write the table."""
    parser = arguments(__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--engine", default="mini")
    args = parser.parse_args()
    segmenter, _ = load(args.engine, None)
    n = 4 if args.quick else 30
    drawn = (one_kind(n), several_kinds(n // 2), bands(n))
    pictures = (*drawn, photos(args.folder) if args.folder else iter(()))
    rows = [row for some in pictures for picture in some for row in measure(segmenter, args.engine, picture)]
    report(f"exemplars, {args.engine}: share right within 10 %", summary(rows), args.json)


if __name__ == "__main__":
    main()
