"""Candidates that look like the things a person pointed at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import Exemplar
from pipeline.ops.boxes import box_iou
from pipeline.ops.rle import rle_to_runs
from pipeline.types import CandidateBatch

MIN_MATCH_IOU = 0.3
"""A drawn box means the candidate whose box it meets best, when they meet at least this much."""

SIZE_FACTOR = 5.0
"""Areas this many times outside of the exemplars' range do not fit, however alike the rest is."""

SURE_DISTANCE, LONE_SURE = {"handcrafted": 0.025}, {"handcrafted": 0.15}
"""Cosine distances up to this are alike; a lone exemplar says nothing of how things of its kind differ."""

FARTHEST, LONE_FARTHEST = {"handcrafted": 0.15}, {"handcrafted": 0.35}
"""Above this nothing is alike, unless the exemplars themselves differ as much."""

DEFAULT_DISTANCE = 0.3
"""All of these for embeddings that were not measured (anchors: VIRG count-anything)."""

SPREAD_FACTOR = 1.5
"""Nothing is alike at this many times the distance between exemplars and more."""

SIZE_WEIGHT = 0.035
"""Distance that a factor of e in area outside of the exemplars' range adds."""

GAP, LONE_GAP, GAP_FLOOR = 1.5, 2.0, 0.005
"""A gap in the distances is one where the next one is so many times as far, each with the floor added."""


@dataclass(frozen=True, slots=True)
class Looks:
    """E exemplars, as the candidates they point at look.

    Attributes:
        embeddings: (E, D) float32, unit length.
        area: (E,) float64 px.
    """

    embeddings: NDArray[np.float32]
    area: NDArray[np.float64]


def find_exemplar(batch: CandidateBatch, exemplar: Exemplar) -> int | None:
    """Return the candidate that an exemplar's box or point means, None when there is none."""
    if exemplar.bbox_xywh is not None:
        return match_box(batch.bbox_xyxy, exemplar.bbox_xywh)
    if exemplar.point_xy is None:
        return None
    box, point = batch.bbox_xyxy, np.array(exemplar.point_xy)
    near = np.flatnonzero((box[:, :2] <= point).all(axis=1) & (point < box[:, 2:]).all(axis=1))
    rles = [batch.rle(i) for i in near.tolist()]
    hit = match_point(batch.size_hw, rles, batch.area[near], exemplar.point_xy)
    return None if hit is None else int(near[hit])


def match_box(bbox_xyxy: NDArray[np.float32], box_xywh: tuple[float, float, float, float]) -> int | None:
    """Return the index of the candidate that a drawn box means, None when none meets it.

    Args:
        bbox_xyxy: (N, 4) float32 half-open px.
        box_xywh: x, y, width, height in px, same image.
    """
    x, y, width, height = box_xywh
    drawn = np.array([[x, y, x + width, y + height]], dtype=np.float32)
    iou = box_iou(bbox_xyxy, drawn)[:, 0]
    return int(np.argmax(iou)) if len(iou) and iou.max() >= MIN_MATCH_IOU else None


def match_point(
    size_hw: tuple[int, int],
    rles: list[NDArray[np.uint32]],
    area: NDArray[np.int64],
    point_xy: tuple[float, float],
) -> int | None:
    """Return the index of the smallest candidate whose mask holds the point, None when none does."""
    x, y = int(np.floor(point_xy[0])), int(np.floor(point_xy[1]))
    if not (0 <= x < size_hw[1] and 0 <= y < size_hw[0]):
        return None
    flat = x * size_hw[0] + y
    hits = [i for i, rle in enumerate(rles) if _holds(rle, flat)]
    return min(hits, key=lambda i: int(area[i]), default=None)


def _holds(rle: NDArray[np.uint32], flat: int) -> bool:
    starts, ends = rle_to_runs(rle)
    run = int(np.searchsorted(starts, flat, side="right")) - 1
    return run >= 0 and flat < int(ends[run])


Seen = tuple[NDArray[np.float16], NDArray[np.int64]]
"""(N, D) embeddings of any length and (N,) areas in px of an image's candidates."""


def are_alike(
    seen: Seen, wanted: Looks, unwanted: Looks, source: str, homes: Sequence[Seen] = ()
) -> NDArray[np.bool_]:
    """Return (N,) bool: the candidate looks like a wanted exemplar and not more like an unwanted one.

    Exemplars show how much things of their kind differ at least; they differ more than that. So the limit
    lies at the clearest gap among the candidates that are further off, and where there is none all of these
    are alike. Being outside of the exemplars' sizes adds to the distance.

    Args:
        seen: N candidates.
        wanted: at least one exemplar.
        unwanted: any number.
        source: of the embeddings, "resnet50" or "handcrafted": sets the distances.
        homes: the images that the wanted exemplars lie in, where ``seen`` is of another: theirs is the gap,
            so that one example means the same in every image.
    """
    apart, distance = _apart(seen, wanted)
    among = np.concatenate([_apart(home, wanted)[0] for home in homes]) if homes else apart
    alike = apart <= _limit(among, wanted, source)
    if len(unwanted.area):
        alike &= 1 - distance >= (unit_rows(seen[0]) @ unwanted.embeddings.T).max(axis=1)
    return np.asarray(alike, dtype=np.bool_)


def are_unwanted(seen: Seen, unwanted: Looks, source: str, homes: Sequence[Seen] = ()) -> NDArray[np.bool_]:
    """Return (N,) bool: the candidate looks like an unwanted exemplar, where none says what is wanted.

    As ``are_alike``, but without a clear gap only what is surely alike goes.

    Args:
        seen: N candidates.
        unwanted: at least one exemplar.
        source: of the embeddings.
        homes: the images that the exemplars lie in, where ``seen`` is of another.
    """
    apart, _ = _apart(seen, unwanted)
    among = np.concatenate([_apart(home, unwanted)[0] for home in homes]) if homes else apart
    return np.asarray(apart <= _limit(among, unwanted, source, is_wanted=False), dtype=np.bool_)


def _apart(seen: Seen, wanted: Looks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far candidates are from the exemplars, with their size (inf if far off) and without."""
    embeddings, area = seen
    distance = 1 - (unit_rows(embeddings) @ wanted.embeddings.T).max(axis=1).astype(np.float64)
    size = np.log(np.maximum(area, 1))
    low, high = np.log(wanted.area.min()), np.log(wanted.area.max())
    off_size = np.maximum(np.maximum(low - size, size - high), 0)
    apart = np.where(off_size > np.log(SIZE_FACTOR), np.inf, distance + SIZE_WEIGHT * off_size)
    return apart, distance


def _limit(apart: NDArray[np.float64], wanted: Looks, source: str, *, is_wanted: bool = True) -> float:
    """Return the distance up to which candidates are alike: amid the clearest gap, else the one to err by."""
    spread = float(1 - (wanted.embeddings @ wanted.embeddings.T).min())
    lone = len(wanted.area) == 1
    sure = max((LONE_SURE if lone else SURE_DISTANCE).get(source, DEFAULT_DISTANCE), spread)
    farthest = (LONE_FARTHEST if lone else FARTHEST).get(source, DEFAULT_DISTANCE)
    farthest = max(farthest, SPREAD_FACTOR * spread)
    steps = np.maximum(np.sort(apart[apart <= farthest]), 0)
    growth = np.where(steps[1:] > sure, (steps[1:] + GAP_FLOOR) / (steps[:-1] + GAP_FLOOR), 0)
    widest = int(np.argmax(growth)) if len(growth) else 0
    is_clear = len(growth) and growth[widest] > (LONE_GAP if lone else GAP)
    if is_clear:
        return float(steps[widest : widest + 2].mean())
    return farthest if is_wanted else sure


def unit_rows(embeddings: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return (N, D) float32 rows of unit length; zero rows stay zero."""
    wide = embeddings.astype(np.float32)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(length, 1e-9), dtype=np.float32)
