"""Images that say what is in them, and a pipeline that reads it: real files, known masks, no engine.

A painted image is a PNG whose pixels of object i have red = i + 1 and green = its quality in percent, plus
101 for things of the other kind, which look different. What has less than ``LEAST_QUALITY`` is seen faintly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from pipeline.contract import CountRequest, ObjectType, Provenance
from pipeline.count import count, summarise
from pipeline.run import ImageOutcome
from pipeline.settings import settings_to_json
from pipeline.types import CandidateBatch, Candidates
from tests.candidates import candidates_of, disc
from tests.drawn import encoded

SIZE_HW = (120, 160)
LEAST_QUALITY = 0.05
JPEG = b"\xff\xd8\xff\xe0 drawn"


class Disc(NamedTuple):
    """A disc at (x, y) px; ``quality`` in [0, 1] is its predicted IoU, ``kind`` 0 or 1 how it looks."""

    x: float
    y: float
    radius: float = 8.0
    quality: float = 0.9
    kind: int = 0


def row_of_discs(n: int, **changes: float) -> list[Disc]:
    """Return ``n`` discs well apart, in reading order."""
    return [Disc(20 + 25 * (i % 5), 20 + 25 * (i // 5), **changes) for i in range(n)]


def painted_png(discs: Sequence[Disc], size_hw: tuple[int, int] = SIZE_HW, shade: int = 0) -> bytes:
    """Return the file; another ``shade`` (blue) makes other bytes with the same objects."""
    pixels = np.zeros((*size_hw, 3), np.uint8)
    pixels[..., 2] = shade
    for i, d in enumerate(discs):
        pixels[disc(size_hw, d.x, d.y, d.radius)] = (i + 1, round(100 * d.quality) + 101 * d.kind, shade)
    return encoded(pixels)


def count_batch(
    requests: Sequence[CountRequest],
    *,
    object_types: Sequence[ObjectType],
    on_progress: Callable[[str, str, float], None],
    wanted: Callable[[str], bool],
    known: Mapping[str, Candidates],
    on_outcome: Callable[[ImageOutcome], None],
    read: Callable[[str, str], Candidates] | None = None,
) -> list[ImageOutcome]:
    """Count painted images; the same contract as ``pipeline.run.count_batch``.

    ``read`` gives the candidates of a path and a type; ``read_painted`` where it is None.
    """
    here = {request.image_id: (read or read_painted)(request.path, request.type) for request in requests}
    others = {**known, **here}
    outcomes = [_outcome(request, object_types, others) for request in requests if wanted(request.image_id)]
    for outcome in outcomes:
        on_progress(outcome.image_id, "count", 0.9)
        on_outcome(outcome)
    return outcomes


def _outcome(
    request: CountRequest, object_types: Sequence[ObjectType], others: Mapping[str, Candidates]
) -> ImageOutcome:
    candidates = others[request.image_id]
    instances = count(candidates, request.settings, object_types, others=others)
    settings = settings_to_json(request.settings)
    models = {"looks": "0" * 64}, {"mini": "1" * 64}
    provenance = Provenance("painted", "a test", None, None, "float32", "cpu", "0", settings, *models)
    result = summarise(candidates, instances, request.settings, {"segment": 0.001}, provenance)
    pictures = {name: JPEG + name.encode() for name in ("annotated", "heatmap", "rejected", "thumbnail")}
    files = {e.file_id for e in request.settings.exemplars} - {None, request.image_id}
    shown = {name: others[name] for name in files}
    return ImageOutcome(request.image_id, result, candidates, instances, pictures, exemplars_in=shown)


def read_painted(path: str, type_name: str) -> Candidates:
    """Return the candidates of a painted file, outlines included."""
    with PillowImage.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    drawn = [pixels[..., 0] == n for n in np.unique(pixels[..., 0]) if n]
    is_faint = [pixels[mask][0, 1] % 101 < 100 * LEAST_QUALITY for mask in drawn]
    masks = [mask for mask, is_left in zip(drawn, is_faint, strict=True) if not is_left]
    candidates = candidates_of(masks, (pixels.shape[0], pixels.shape[1]), (type_name,), prob=1.0)
    kind, percent = np.divmod(np.array([pixels[mask][0, 1] for mask in masks], int).reshape(len(masks)), 101)
    faint = [_faint(mask, pixels) for mask, is_left in zip(drawn, is_faint, strict=True) if is_left]
    batch = replace(
        candidates.batch,
        predicted_iou=(percent / 100).astype(np.float32),
        faint=np.array(faint, np.float32).reshape(-1, 4),
    )
    looks = np.ones((len(masks), 4), np.float16)
    looks[kind == 1, 1::2] = -1
    seen = replace(candidates.classification, embeddings=looks)
    return replace(candidates, batch=with_outlines(batch), classification=seen)


def shade_of(path: str) -> int:
    """Return the ``shade`` that a painted file was made with."""
    with PillowImage.open(path) as opened:
        return int(np.asarray(opened.convert("RGB"))[0, 0, 2])


def _faint(mask: NDArray[np.bool_], pixels: NDArray[np.uint8]) -> tuple[float, ...]:
    """Return the row of ``CandidateBatch.faint``."""
    y, x = np.nonzero(mask)
    return x.mean() + 0.5, y.mean() + 0.5, mask.sum(), pixels[mask][0, 1] % 101 / 100


def with_outlines(batch: CandidateBatch) -> CandidateBatch:
    """Return the batch with an eight-cornered outline inside each box."""
    low, high = batch.bbox_xyxy[:, :2], batch.bbox_xyxy[:, 2:]
    centre, half = (low + high) / 2, (high - low) / 2
    angles = np.arange(8) * np.pi / 4
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    corners = centre[:, None, :] + half[:, None, :] * around[None]
    offsets = np.arange(len(batch) + 1, dtype=np.int64) * 8
    return replace(batch, polygon_xy=corners.reshape(-1, 2).astype(np.float32), polygon_offsets=offsets)
