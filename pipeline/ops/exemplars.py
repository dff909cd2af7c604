"""Candidates that look like the things a person pointed at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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

OTHER_KIND_FARTHEST = {"handcrafted": 0.45}
OTHER_KIND_GAP, OTHER_KIND_SURE, OTHER_KIND_SHARE = 2.5, 0.05, 0.25
"""A clear gap in the distances beyond which lie a quarter as many as before it: more than a few odd ones."""

LIKENESS_GAP = 1.3
"""Log odds between the likenesses of two candidates that part what is like the exemplars from what is not."""

LIKENESS_TOP = 0.5
"""The gap lies below this, and below the exemplars' own."""

LITTLE_LIKE = 0.3
"""Below this likeness a candidate is little like the exemplars."""


@dataclass(frozen=True, slots=True)
class Looks:
    """E exemplars, as the candidates they point at look.

    Attributes:
        embeddings: (E, D) float32, unit length.
        area: (E,) float64 px.
    """

    embeddings: NDArray[np.float32]
    area: NDArray[np.float64]


def exemplar_key(exemplars: Sequence[Exemplar]) -> str:
    """Return the boxes and points of positive exemplars in px as one text, the same in whatever order."""
    places = (e.bbox_xywh or e.point_xy or () for e in exemplars if e.positive)
    return " ".join(sorted(",".join(f"{float(v):g}" for v in place) for place in places))


def likeness_told(batch: CandidateBatch, exemplars: Sequence[Exemplar]) -> NDArray[np.float32] | None:
    """Return (N,) what the engine says of likeness to just these exemplars, None where it says nothing."""
    return batch.likeness if batch.likeness_to == exemplar_key(exemplars) else None


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


def are_like(
    likeness: NDArray[np.float32], shown: Sequence[int], unwanted: Sequence[int] = ()
) -> NDArray[np.bool_]:
    """Return (N,) bool: the engine holds the candidate for like the exemplars it was told of.

    Things of one kind differ, by how much nobody says; so candidates are told apart at the widest gap in the
    log odds of their likeness. Without a wide one all are alike, except what is no more like the exemplars
    than something unwanted that is little like them.

    Args:
        likeness: (N,) float32 in [0, 1].
        shown: candidates that the exemplars point at.
        unwanted: those that negative ones point at.
    """
    odds = _log_odds(likeness)
    little = likeness[[i for i in unwanted if likeness[i] < LITTLE_LIKE]]
    kept = likeness > little.max(initial=-1.0)
    kept[list(shown)] = True
    top = min([_log_odds(np.float32(LIKENESS_TOP)), *odds[list(shown)]])
    steps = np.append(np.sort(odds[odds < top]), top)
    widths = np.diff(steps)
    if not len(widths) or widths.max() < LIKENESS_GAP:
        return np.asarray(kept, np.bool_)
    widest = int(np.argmax(widths))
    return np.asarray(kept & (odds > (steps[widest] + steps[widest + 1]) / 2), np.bool_)


def _log_odds(share: Any) -> Any:
    """Return the log odds of shares, those near 0 and 1 cut off."""
    cut = np.clip(share, 0.01, 0.99)
    return np.log(cut / (1 - cut))


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
    apart = _apart(seen, wanted)
    among = np.concatenate([_apart(home, wanted) for home in homes]) if homes else apart
    alike = apart <= _limit(among, wanted, source)
    return np.asarray(alike & are_nearer(seen, wanted, unwanted), dtype=np.bool_)


def are_another_kind(seen: Seen, wanted: Looks, source: str) -> NDArray[np.bool_]:
    """Return (N,) bool: by looks and size the candidate is of another kind that the image clearly has.

    Stricter than ``are_alike``: it goes beside what the engine says of likeness. Sources that were not
    measured say nothing.

    Args:
        seen: N candidates.
        wanted: at least one exemplar.
        source: of the embeddings.
    """
    if source not in OTHER_KIND_FARTHEST:
        return np.zeros(len(seen[1]), np.bool_)
    apart = _apart(seen, wanted)
    growth, middle = _widest_gap(apart, max(OTHER_KIND_SURE, _spread(wanted)), OTHER_KIND_FARTHEST[source])
    beyond = apart > (middle if growth >= OTHER_KIND_GAP else np.inf)
    is_kind = (beyond & np.isfinite(apart)).sum() >= OTHER_KIND_SHARE * (~beyond).sum()
    return np.asarray(beyond & is_kind, np.bool_)


def fit_in_size(area: NDArray[np.int64], wanted: Looks) -> NDArray[np.bool_]:
    """Return (N,) bool: the area in px is not far outside of the exemplars' range."""
    return np.asarray(_off_size(area, wanted) <= np.log(SIZE_FACTOR), np.bool_)


def are_nearer(seen: Seen, wanted: Looks, unwanted: Looks) -> NDArray[np.bool_]:
    """Return (N,) bool: the candidate does not look more like an unwanted exemplar than like a wanted one.

    Args:
        seen: N candidates.
        wanted: at least one exemplar.
        unwanted: any number.
    """
    if not len(unwanted.area):
        return np.ones(len(seen[1]), np.bool_)
    rows = unit_rows(seen[0])
    to_wanted, to_unwanted = ((rows @ looks.embeddings.T).max(axis=1) for looks in (wanted, unwanted))
    return np.asarray(to_wanted >= to_unwanted, np.bool_)


def are_unwanted(seen: Seen, unwanted: Looks, source: str, homes: Sequence[Seen] = ()) -> NDArray[np.bool_]:
    """Return (N,) bool: the candidate looks like an unwanted exemplar, where none says what is wanted.

    As ``are_alike``, but without a clear gap only what is surely alike goes.

    Args:
        seen: N candidates.
        unwanted: at least one exemplar.
        source: of the embeddings.
        homes: the images that the exemplars lie in, where ``seen`` is of another.
    """
    apart = _apart(seen, unwanted)
    among = np.concatenate([_apart(home, unwanted) for home in homes]) if homes else apart
    return np.asarray(apart <= _limit(among, unwanted, source, is_wanted=False), dtype=np.bool_)


def _apart(seen: Seen, wanted: Looks) -> NDArray[np.float64]:
    """Return how far candidates are from the exemplars in looks and size, inf where the size is far off."""
    embeddings, area = seen
    distance = 1 - (unit_rows(embeddings) @ wanted.embeddings.T).max(axis=1).astype(np.float64)
    off_size = _off_size(area, wanted)
    return np.where(off_size > np.log(SIZE_FACTOR), np.inf, distance + SIZE_WEIGHT * off_size)


def _off_size(area: NDArray[np.int64], wanted: Looks) -> NDArray[np.float64]:
    """Return the logarithm of how many times areas are outside of the exemplars' range, 0 inside."""
    size = np.log(np.maximum(area, 1))
    low, high = np.log(wanted.area.min()), np.log(wanted.area.max())
    return np.asarray(np.maximum(np.maximum(low - size, size - high), 0), np.float64)


def _limit(apart: NDArray[np.float64], wanted: Looks, source: str, *, is_wanted: bool = True) -> float:
    """Return the distance up to which candidates are alike: amid the clearest gap, else the one to err by."""
    spread = _spread(wanted)
    lone = len(wanted.area) == 1
    sure = max((LONE_SURE if lone else SURE_DISTANCE).get(source, DEFAULT_DISTANCE), spread)
    farthest = (LONE_FARTHEST if lone else FARTHEST).get(source, DEFAULT_DISTANCE)
    farthest = max(farthest, SPREAD_FACTOR * spread)
    growth, middle = _widest_gap(apart, sure, farthest)
    if growth > (LONE_GAP if lone else GAP):
        return middle
    return farthest if is_wanted else sure


def _spread(wanted: Looks) -> float:
    """Return how far exemplars are from each other at most."""
    return float(1 - (wanted.embeddings @ wanted.embeddings.T).min())


def _widest_gap(apart: NDArray[np.float64], sure: float, farthest: float) -> tuple[float, float]:
    """Return how many times as far the next distance is at most, beyond ``sure``, and the middle there."""
    steps = np.maximum(np.sort(apart[apart <= farthest]), 0)
    if len(steps) < 2:
        return 0.0, farthest
    growth = np.where(steps[1:] > sure, (steps[1:] + GAP_FLOOR) / (steps[:-1] + GAP_FLOOR), 0)
    widest = int(np.argmax(growth))
    return float(growth[widest]), float(steps[widest : widest + 2].mean())


def unit_rows(embeddings: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return (N, D) float32 rows of unit length; zero rows stay zero."""
    wide = embeddings.astype(np.float32)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(length, 1e-9), dtype=np.float32)
