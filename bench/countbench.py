"""How well does an engine count real photos? Without boxes or with a photo's first, beside simple recipes.

Also: which counts ask for a look, and the worst photos. The folder holds manifest.json, images/ and true
counts. A photo is right within 10 % of the truth or one; one with fewer boxes is given those it has.
python -m bench.countbench FOLDER [--engine mini] [--exemplars N] [--loose F] [--overlays DIR] [--json PATH]
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from bench.report import arguments, report
from pipeline.contract import CountRequest, CountSettings
from pipeline.run import count_batch
from tools.fit_calibration import MAX_BOXES, shown

LONG_SIDE_PX = 1024
MIN_SHARE = 2e-4
WORST = 10


def _grey(path: Path) -> np.ndarray:
    """Return the photo in grey, at most 1024 px long."""
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    scale = min(1.0, LONG_SIDE_PX / max(grey.shape))
    return cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _foreground(grey: np.ndarray) -> np.ndarray:
    """Return Otsu's foreground: the side that is less at the picture's border."""
    _, mask = cv2.threshold(cv2.GaussianBlur(grey, (5, 5), 0), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return mask < 128 if border.mean() > 127 else mask > 127


def particles(grey: np.ndarray) -> int:
    """Otsu and connected components."""
    labels, n = ndimage.label(_foreground(grey))
    return int((np.bincount(labels.ravel(), minlength=n + 1)[1:] > MIN_SHARE * grey.size).sum())


def distance_watershed(grey: np.ndarray) -> int:
    """Otsu and watershed of the distance transform."""
    mask = _foreground(grey)
    distance = ndimage.distance_transform_edt(mask)
    peaks = peak_local_max(distance, min_distance=max(5, LONG_SIDE_PX // 100), labels=ndimage.label(mask)[0])
    markers = np.zeros(grey.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-distance, markers, mask=mask)
    return int((np.bincount(labels.ravel(), minlength=2)[1:] > MIN_SHARE * grey.size).sum())


def blobs(grey: np.ndarray) -> int:
    """OpenCV's blob detector, dark and bright blobs, the more numerous."""
    counts = []
    for colour in (0, 255):
        settings = cv2.SimpleBlobDetector_Params()
        settings.minArea, settings.maxArea, settings.blobColor = (
            MIN_SHARE * grey.size,
            0.2 * grey.size,
            colour,
        )
        counts.append(len(cv2.SimpleBlobDetector_create(settings).detect(grey)))
    return max(counts)


def hough(grey: np.ndarray) -> int:
    """Hough circles."""
    short = min(grey.shape)
    circles = cv2.HoughCircles(
        cv2.medianBlur(grey, 5), cv2.HOUGH_GRADIENT, 1.5, short / 20, param1=100, param2=60,
        minRadius=short // 60, maxRadius=short // 4,
    )  # fmt: skip
    return 0 if circles is None else circles.reshape(-1, 3).shape[0]


RECIPES: dict[str, Callable[[np.ndarray], int]] = {
    "otsu_components": particles, "watershed": distance_watershed, "blob": blobs, "hough": hough
}  # fmt: skip


def is_right(counted: int, true: int) -> bool:
    """Return whether a count is within 10 % of the truth, or within one."""
    return abs(counted - true) <= max(1, 0.1 * true)


def count_photo(
    path: Path, photo: dict[str, Any], settings: CountSettings, overlays: Path | None
) -> dict[str, Any]:
    """Return the engine's and the recipes' counts of one photo; write its overlay when asked."""
    started = time.perf_counter()
    outcome = count_batch([CountRequest(photo["file"], str(path), photo["object"], settings)])[0]
    seconds = time.perf_counter() - started
    result = outcome.result
    if result is None:
        raise RuntimeError(f"{photo['file']}: want a count, got {outcome.error}")
    if overlays:
        overlays.mkdir(parents=True, exist_ok=True)
        (overlays / f"{path.stem}.jpg").write_bytes(outcome.pictures["annotated"])
    low, high = result.count_interval
    row = {k: photo[k] for k in ("file", "scene", "domain")} | {"true": photo["count"]}
    row |= {settings.engine: result.count, "low": low, "high": high, "seconds": round(seconds, 2)}
    row |= {name: recipe(_grey(path)) for name, recipe in RECIPES.items()}
    return row | {
        "boxes": len(settings.exemplars),
        "asks": result.needs_review,
        "reason": result.review_reason,
    }


def summary(rows: list[dict[str, Any]], key: str, engine: str) -> list[dict[str, Any]]:
    """Return share right within 10 %, exact, and MAE of each method for each value of ``key``."""
    out = []
    for value in (*sorted({r[key] for r in rows}), "all"):
        some = [r for r in rows if value in ("all", r[key])]
        line: dict[str, Any] = {key: value, "photos": len(some)}
        for name in (engine, *RECIPES):
            line[name] = statistics.fmean(is_right(r[name], r["true"]) for r in some)
        line["exact"] = statistics.fmean(r[engine] == r["true"] for r in some)
        line["mae"] = statistics.fmean(abs(r[engine] - r["true"]) for r in some)
        out.append(line)
    return out


def asking(rows: list[dict[str, Any]], engine: str) -> list[dict[str, Any]]:
    """Return how many counts are wrong and right, and how many of these ask for a look."""
    out = []
    for name in ("wrong", "right"):
        some = [r for r in rows if is_right(r[engine], r["true"]) == (name == "right")]
        out.append({"counts": name, "photos": len(some), "ask": sum(r["asks"] for r in some)})
    return out


def worst(rows: list[dict[str, Any]], engine: str) -> list[dict[str, Any]]:
    """Return the inexact counts that are off by the largest factors; 0 is taken for a half."""

    def factor(row: dict[str, Any]) -> float:
        return abs(math.log(max(row[engine], 0.5) / max(row["true"], 0.5)))

    most = sorted((r for r in rows if factor(r)), key=factor, reverse=True)[:WORST]
    return [{key: row[key] for key in ("file", "true", engine, "reason")} for row in most]


def loosened(box_xywh: Sequence[float], factor: float) -> list[float]:
    """Return a box so many times as wide and high about its middle, cut at the picture's left and top."""
    (x, y), (width, height) = box_xywh[:2], box_xywh[2:]
    left, top = max(0.0, x - width * (factor - 1) / 2), max(0.0, y - height * (factor - 1) / 2)
    return [left, top, x + width * (factor + 1) / 2 - left, y + height * (factor + 1) / 2 - top]


def main() -> None:
    """Count every photo of a folder and print the tables."""
    parser = arguments(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", default="mini")
    parser.add_argument(
        "--exemplars", type=int, choices=range(MAX_BOXES + 1), default=0, help="boxes a photo"
    )
    parser.add_argument("--loose", type=float, default=1.0, help="boxes are so many times as wide and high")
    parser.add_argument("--overlays", type=Path, help="folder for the annotated photos")
    args = parser.parse_args()
    photos = json.loads((args.folder / "manifest.json").read_text())
    photos = photos[::5] if args.quick else photos
    plain = CountSettings(engine=args.engine, visualize=args.overlays is not None)
    rows = []
    for photo in photos:
        boxes = [loosened(box, args.loose) for box in photo["exemplars"][: args.exemplars]]
        settings = shown(plain, boxes)
        rows.append(count_photo(args.folder / "images" / photo["file"], photo, settings, args.overlays))
    domains, asks = summary(rows, "domain", args.engine), asking(rows, args.engine)
    report("photos", rows, None)
    report("share right within 10 %, by domain", domains, None)
    report("counts that ask for a look", asks, None)
    report("the worst by |log(count / true)|", worst(rows, args.engine), None)
    name = f"countbench, {args.engine}, {args.exemplars} boxes: share right within 10 %, by scene"
    report(name, summary(rows, "scene", args.engine), args.json, domains=domains, asks=asks, photos=rows)


if __name__ == "__main__":
    main()
