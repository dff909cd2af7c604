"""Engine ``mini``: a small bundled network on ONNX Runtime, applied over a pyramid of scales.

In: Images.  Out: one CandidateBatch an image.  Device: CPU.  Settings: CountSettings.exemplars
(thresholds, sizes and regions are the count stage's). The model and how it was made: docs/mini.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline import sessions
from pipeline.contract import CountSettings, Exemplar
from pipeline.portions import OnPart, each, unheard
from pipeline.segment.base import EngineInfo
from pipeline.segment.mini_exemplars import steer
from pipeline.segment.mini_input import stretch_contrast
from pipeline.segment.mini_maps import STRIDE_PX
from pipeline.segment.mini_peaks import MIN_QUALITY, Found
from pipeline.segment.mini_plain import plain_things
from pipeline.segment.mini_search import ScaleSearch
from pipeline.segment.mini_smaller import smaller_beside
from pipeline.segment.outline import CandidateBuilder, stack_batches
from pipeline.types import CandidateBatch, Image

MODEL = sessions.DATA / "mini.onnx"
LIKE_MODEL = MODEL.with_name("mini_like.onnx")
"""What is told of exemplars (``pipeline.segment.mini_like``)."""


def available() -> tuple[bool, str]:
    """Return whether the engine can run here, and why not."""
    return sessions.available(MODEL, LIKE_MODEL)


def load(path: Path | None = None) -> MiniSegmenter:
    """Return the engine with its bundled model, or with that of another file, for measuring.

    Raises:
        PipelineError: MODEL_LOAD_ERROR when the file is missing or is no model.
    """
    return MiniSegmenter(path or MODEL)


@cache
def _sha256(*paths: Path) -> str:
    """Return the hash of model files, one after the other, for provenance."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


class MiniSegmenter:
    """The engine, loaded. Deterministic on one machine type; holds no state between images."""

    info: EngineInfo

    def __init__(self, path: Path) -> None:
        """Load the model.

        Raises:
            PipelineError: MODEL_LOAD_ERROR.
        """
        self._session, self._like = sessions.open_session(path), sessions.open_session(LIKE_MODEL)
        self.info = EngineInfo("mini", path.stem, _sha256(path, LIKE_MODEL), "float32", "cpu")

    def segment(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart = unheard
    ) -> list[CandidateBatch]:
        """Return the candidates of each image, best first."""
        return [self._segment_one(image, settings.shown) for image in each(images, on_part)]

    def _segment_one(self, image: Image, shown: Sequence[Exemplar]) -> CandidateBatch:
        stretched = stretch_contrast(image.pixels_hw3)
        search = ScaleSearch(self._session, stretched)
        inside = [e for e in shown if e.file_id in (None, image.image_id)]
        elsewhere = [e for e in shown if e not in inside]
        if steered := steer(self._session, self._like, stretched, search, inside, elsewhere):
            batches = [candidates_of(s.found, image.size_hw, s.min_quality) for s in steered]
            return stack_batches(batches, image.size_hw, [(0, 0)] * len(batches))
        best = search.best()
        seen = candidates_of(search.at(best), image.size_hw)
        if not len(seen) and (plain := plain_things(image)):
            return plain
        smaller = smaller_beside(search, best)
        if smaller is None:
            return replace(seen, n_beside=search.n_beside(best))
        beside = replace(candidates_of(smaller, image.size_hw), faint=seen.faint[:0])
        return stack_batches([seen, beside], image.size_hw, [(0, 0)] * 2)


def candidates_of(found: Found, size_hw: tuple[int, int], min_quality: float = MIN_QUALITY) -> CandidateBatch:
    """Return instances as masks in image px, outlines smoothed at the image's resolution.

    Args:
        found: N instances.
        size_hw: of the image.
        min_quality: of what is proposed.
    """
    builder = CandidateBuilder(size_hw)
    for k, window in enumerate(ndimage.find_objects(found.labels, max_label=len(found.area))):
        if window is not None and found.quality[k] >= min_quality:
            mask, offset_xy = _mask_in_image(found, k + 1, window, size_hw)
            builder.add(mask, offset_xy, float(found.quality[k]), float(found.stability[k]))
    return replace(builder.finish(), faint=_faint_of(found, min_quality), scales=(found.maps.scale,))


def _faint_of(found: Found, min_quality: float) -> NDArray[np.float32]:
    """Return (F, 4) centres, areas (image px) and qualities of the instances that are not proposed."""
    # A quality of 0: another scale shows it.
    which = np.flatnonzero((found.quality > 0) & (found.quality < min_quality)) + 1
    # Moments, by bincount: centre_of_mass of a thousand labels takes a second.
    rows, columns = np.nonzero(found.labels)
    labels = found.labels[rows, columns]
    cells = np.maximum(np.bincount(labels, minlength=len(found.area) + 1), 1)
    x, y = (np.bincount(labels, at, len(found.area) + 1) / cells for at in (columns, rows))
    side = STRIDE_PX / found.maps.scale  # image px a cell
    seen = (x[which] * side, y[which] * side, found.area[which - 1] * side**2, found.quality[which - 1])
    return np.stack(seen, axis=1).astype(np.float32)


def _mask_in_image(
    found: Found, number: int, window: tuple[slice, slice], size_hw: tuple[int, int]
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """Return one instance as a crop of the image and where the crop starts (x, y)."""
    rows, columns = window
    inside = found.labels[window] == number
    soft = np.zeros((inside.shape[0] + 2, inside.shape[1] + 2), np.float32)
    np.copyto(soft[1:-1, 1:-1], found.maps.foreground[window], where=inside)
    _go_on_beyond_the_picture(soft, window, found.labels.shape)
    step = found.maps.scale / STRIDE_PX  # cells an image px
    top, left = ((s.start - 1) / step for s in (rows, columns))
    bottom, right = ((s.stop + 1) / step for s in (rows, columns))
    y0, x0 = max(0, int(top)), max(0, int(left))
    y1, x1 = min(size_hw[0], int(bottom) + 1), min(size_hw[1], int(right) + 1)
    # Cell j is about input px 2 j, whose centre in the image is (2 j + 0.5) / scale - 0.5.
    shift = 0.5 * step - 0.25
    place = np.array(
        [[step, 0, step * x0 + shift - columns.start + 1], [0, step, step * y0 + shift - rows.start + 1]]
    )
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    values = cv2.warpAffine(soft, place, (max(1, x1 - x0), max(1, y1 - y0)), flags=how)
    return values > 0.5, (x0, y0)


def _go_on_beyond_the_picture(
    soft: NDArray[np.float32], window: tuple[slice, slice], shape_hw: tuple[int, ...]
) -> None:
    """Fill the margin of one cell where the picture ends, so that what its border cuts reaches the border.

    The middle of the last cell lies up to two input px before the border: half of them would be missing.
    """
    for side, (cells, n) in enumerate(zip(window, shape_hw, strict=True)):
        lines = np.moveaxis(soft, side, 0)  # a view
        if cells.start == 0:
            lines[0] = lines[1]
        if cells.stop == n:
            lines[-1] = lines[-2]
