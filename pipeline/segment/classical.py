"""The ``classical`` engine: no weights, no learning, deterministic. The last resort, and the comparison.

Many guesses at the foreground (``foreground_maps``, three thresholds each) are cut into objects
(``split_touching``); the guess whose objects are most alike, most solid and stand out most is taken.
Where nothing stands out from noise, nothing is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.contract import CountSettings
from pipeline.portions import OnPart, each, unheard
from pipeline.segment.base import EngineInfo
from pipeline.segment.foreground import foreground_maps, noise_sigma, to_lab
from pipeline.segment.guess import MIN_AREA_PX, Guess, keep_labels, measure, ring_contrast
from pipeline.segment.outline import CandidateBuilder
from pipeline.segment.splitting import fill_holes, split_touching
from pipeline.types import CandidateBatch, Image

Floats = NDArray[np.float32]

WORK_SIDE_PX = 512
"""Longer side at which the guesses are compared."""

FINE_SIDE_PX = 2048
"""Longer side of the second look, when the objects turn out small."""

LOST_WHEN_SHRUNK_BY = 2.5
"""Images shrunk by more may hold things that the first look cannot see."""

SMALL_AREA_PX = 140
LEVELS = (0.6, 0.85, 1.15)
"""Thresholds of each map, in units of Otsu's."""

MIN_CONTRAST = 6.0
"""Lab units between an object and the ring around it; weaker objects are not believed."""

NOISE_FACTOR = 6.0
"""Objects must stand out by so many standard deviations of the (smoothed) noise."""

ADDED_SOLIDITY = 0.9
ADDED_FACTOR = 1.7
ADDED_OVERLAP = 0.05
ADDED_CONTRAST = 0.4
"""What another guess adds must be solid, about as large as the usual object, nearly all new, and not
much fainter than the usual object."""


class ClassicalSegmenter:
    """Segmenter of OpenCV and scikit-image; nothing to load, no state."""

    info = EngineInfo("classical", None, None, "float32", "cpu")

    def segment(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart = unheard
    ) -> list[CandidateBatch]:
        """Return the candidates of each image, best first; none where nothing stands out."""
        return [_segment(image.pixels_hw3) for image in each(images, on_part)]


def load() -> ClassicalSegmenter:
    """Return the engine."""
    return ClassicalSegmenter()


def _segment(pixels_hw3: NDArray[np.uint8]) -> CandidateBatch:
    guess = best_guess(_shrink(pixels_hw3, WORK_SIDE_PX))
    shrunk_by = max(pixels_hw3.shape[:2]) / WORK_SIDE_PX
    if shrunk_by > 1.3:
        fine = _shrink(pixels_hw3, FINE_SIDE_PX)
        close_up = guess
        if guess is None or (shrunk_by > LOST_WHEN_SHRUNK_BY and not _is_small(guess)):
            close_up = best_guess(_middle(fine, WORK_SIDE_PX))
        if close_up and (guess is None or (_is_small(close_up) and close_up.score >= guess.score)):
            guess = best_guess(fine, close_up.name) or guess
    builder = CandidateBuilder((pixels_hw3.shape[0], pixels_hw3.shape[1]))
    if guess is not None:
        _add_objects(builder, guess)
    return builder.finish()


def _is_small(guess: Guess | None) -> bool:
    return guess is not None and float(np.median(guess.area)) < SMALL_AREA_PX


def _middle(pixels_hw3: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Return the middle of an image, no side over ``side_px``: shows whether small things are there."""
    height, width = pixels_hw3.shape[:2]
    y, x = max(0, (height - side_px) // 2), max(0, (width - side_px) // 2)
    return pixels_hw3[y : y + side_px, x : x + side_px]


def _shrink(pixels_hw3: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    height, width = pixels_hw3.shape[:2]
    scale = min(1.0, side_px / max(height, width))
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels_hw3, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def best_guess(pixels_hw3: NDArray[np.uint8], only: str | None = None) -> Guess | None:
    """Return the most believable way to see objects in an image, None when there is none.

    Args:
        pixels_hw3: (H, W, 3) uint8 RGB, small enough that objects are not much over 200 px wide.
        only: name of the one map to look at; None tries all.
    """
    lab = to_lab(pixels_hw3)
    floor = max(MIN_CONTRAST, NOISE_FACTOR * noise_sigma(lab))
    guesses = []
    for name, contrast_map in foreground_maps(lab).items():
        if only not in (None, name):
            continue
        otsu = _otsu(contrast_map)
        for threshold in sorted({max(otsu * level, floor / 2) for level in LEVELS}):
            foreground = fill_holes(_clean(contrast_map > threshold))
            labels = split_touching(foreground, MIN_AREA_PX)
            guess = measure(lab, name, contrast_map, threshold, labels, floor)
            if guess is not None:
                guesses.append(guess)
    guesses.sort(key=lambda guess: -guess.score)
    return _trim(_complete(lab, guesses, floor)) if guesses else None


def _complete(lab: Floats, guesses: Sequence[Guess], floor: float) -> Guess:
    """Add to the best guess what others see where it sees nothing: as large, solid, and standing out.

    So dark objects are found beside bright ones, and faint ones beside strong ones.
    """
    best = guesses[0]
    labels, usual = best.labels.copy(), float(np.median(best.area))
    rows = [np.stack([best.area, best.solidity], axis=1)]
    for other in guesses[1:]:
        fits = (other.solidity >= ADDED_SOLIDITY) & (
            np.abs(np.log(other.area / usual)) < np.log(ADDED_FACTOR)
        )
        covered = np.bincount(other.labels[labels > 0], minlength=len(fits) + 1)[1:]
        fits &= covered <= ADDED_OVERLAP * other.area
        if fits.any():
            added = keep_labels(other.labels, fits)
            labels = np.where((labels == 0) & (added > 0), added + sum(map(len, rows)), labels).astype(
                np.int32
            )
            rows.append(np.stack([other.area, other.solidity], axis=1)[fits])
    area, solidity = np.concatenate(rows).T
    if len(area) == len(best.area):
        return best
    # Ground between objects looks like an object to a map that sees their edges: it must differ from
    # the ground that is left when all objects are taken away.
    contrast = ring_contrast(lab, labels, len(area))
    needed = max(floor, ADDED_CONTRAST * float(np.median(best.contrast)))
    kept = (np.arange(len(area)) < len(best.area)) | (contrast >= needed)
    contrast[: len(best.area)] = best.contrast
    return replace(
        best,
        labels=keep_labels(labels, kept),
        area=area[kept],
        contrast=contrast[kept],
        solidity=solidity[kept],
    )


def _trim(guess: Guess) -> Guess:
    """Move outlines to where the contrast has fallen to half of the object's own: low thresholds bulge."""
    labels, n = guess.labels, len(guess.area)
    at = np.flatnonzero(labels)
    total = np.bincount(labels.ravel()[at], weights=guess.contrast_map.ravel()[at], minlength=n + 1)
    half = (0.5 * total / np.maximum(np.concatenate([[1.0], guess.area]), 1)).astype(np.float32)
    inner = cv2.erode((labels > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    kept = inner | (guess.contrast_map >= half[labels])
    return replace(guess, labels=np.where(kept, labels, 0).astype(np.int32))


def _otsu(contrast_map: Floats) -> float:
    top = max(float(np.percentile(contrast_map, 99.5)), 1e-6)
    scaled = np.clip(contrast_map * (255 / top), 0, 255).astype(np.uint8)
    return float(cv2.threshold(scaled, 0, 255, cv2.THRESH_OTSU)[0]) * top / 255


def _clean(foreground: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Open with a 3 px cross: hairs and single pixels go, necks of one pixel part."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return np.asarray(cv2.morphologyEx(foreground.view(np.uint8), cv2.MORPH_OPEN, cross), dtype=np.uint8)


def _add_objects(builder: CandidateBuilder, guess: Guess) -> None:
    """Scale each object to the image and give it its quality."""
    quality = (1 - np.exp(-guess.contrast / 10)) * np.clip((guess.solidity - 0.4) / 0.45, 0, 1)
    stability = _stability(guess)
    scale_y, scale_x = np.array(builder.size_hw) / guess.labels.shape
    for k, window in enumerate(ndimage.find_objects(guess.labels)):
        rows, columns = window
        x0, x1 = int(columns.start * scale_x), int(np.ceil(columns.stop * scale_x))
        y0, y1 = int(rows.start * scale_y), int(np.ceil(rows.stop * scale_y))
        mask = (guess.labels[window] == k + 1).astype(np.float32)
        size_wh = min(x1, builder.size_hw[1]) - x0, min(y1, builder.size_hw[0]) - y0
        crop = cv2.resize(mask, size_wh, interpolation=cv2.INTER_LINEAR) >= 0.5
        builder.add(crop, (x0, y0), float(np.sqrt(quality[k])), float(stability[k]))


def _stability(guess: Guess) -> NDArray[np.float64]:
    """Return (N,): IoU of each object cut at 20 % above and below its threshold."""
    n = len(guess.area)
    grown = cv2.dilate(guess.labels.astype(np.float32), np.ones((5, 5), np.uint8)).astype(np.int32)
    grown = np.where(guess.labels > 0, guess.labels, grown)
    strict = np.bincount(guess.labels[guess.contrast_map > 1.2 * guess.threshold], minlength=n + 1)[1:]
    loose = np.bincount(grown[guess.contrast_map > 0.8 * guess.threshold], minlength=n + 1)[1:]
    return np.asarray(strict / np.maximum(loose, 1), dtype=np.float64)
