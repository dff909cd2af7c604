"""Candidates as the facts of an answer-set program: whole numbers and quoted names only."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.overlap import mask_overlaps
from pipeline.types import CandidateBatch, Candidates

NEIGHBOURS = 8
"""``near/3`` holds for this many nearest candidates of each: the facts grow with N, not with N²."""

INSIDE_SHARE = 0.9
"""Share of a mask that must lie in a larger one for ``inside/2``."""

FACTS = {
    "image": 2, "median_area": 1, "candidate": 1, "type": 2, "score": 2, "quality": 2, "stability": 2,
    "area": 2, "cx": 2, "cy": 2, "width": 2, "height": 2, "near": 3, "inside": 2, "overlaps": 3, "edge": 1,
}  # fmt: skip
"""Every fact by its number of values: a program may speak of them where an image has none."""

SAMPLE = """
image(100,100). median_area(500). candidate(0..1). type(0..1,"object"). score(0..1,500). quality(0..1,500).
stability(0..1,500). area(0,100). area(1,900). cx(0..1,50). cy(0..1,50). width(0,12). width(1,100).
height(0,12). height(1,100). near(0,1,0). near(1,0,0). inside(0,1). overlaps(0,1,111). overlaps(1,0,111).
edge(0..1).
"""
"""Facts of every kind, of a small thing in a large one: what rules are tried on before any image."""


def facts_of(candidates: Candidates) -> str:
    """Return the facts of docs/rules.md, one a line, in candidate order, and which there could be.

    Complexity: N log N for neighbours, and the overlapping pairs.
    """
    batch, types = candidates.batch, candidates.type_probs
    height, width = batch.size_hw
    lines = [f"#defined {name}/{n_values}." for name, n_values in FACTS.items()]
    lines += [f"image({width},{height}).", f"median_area({_median(batch.area)})."]
    if len(batch):
        best = types.probs.argmax(axis=1)
        names = [_quoted(types.types[k]) for k in best]
        lines += _unary("type", names) + _unary("score", _per_mille(types.probs.max(axis=1)))
    lines += [f"candidate({i})." for i in range(len(batch))]
    lines += _unary("quality", _per_mille(batch.predicted_iou))
    lines += _unary("stability", _per_mille(batch.stability_score))
    lines += _unary("area", batch.area.tolist()) + _places(batch)
    lines += [f"edge({i})." for i in np.flatnonzero(batch.is_cut)]
    return "\n".join(lines + _near(batch) + _shared(batch))


def _median(area: NDArray[np.int64]) -> int:
    return int(np.median(area)) if len(area) else 0


def _per_mille(share: NDArray[np.float32]) -> list[int]:
    return [int(v) for v in np.rint(share.astype(np.float64) * 1000)]


def _unary(name: str, values: Iterable[int | str]) -> list[str]:
    return [f"{name}({i},{value})." for i, value in enumerate(values)]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _places(batch: CandidateBatch) -> list[str]:
    box = np.rint(batch.bbox_xyxy).astype(np.int64)
    centre = (box[:, :2] + box[:, 2:]) // 2
    sides = box[:, 2:] - box[:, :2]
    return (
        _unary("cx", centre[:, 0].tolist())
        + _unary("cy", centre[:, 1].tolist())
        + _unary("width", sides[:, 0].tolist())
        + _unary("height", sides[:, 1].tolist())
    )


def _near(batch: CandidateBatch) -> list[str]:
    """``near(A, B, D)``: B is one of A's nearest, D px between the middles of their boxes."""
    from scipy.spatial import cKDTree  # not for the web process, which only compares digests of rules

    n = len(batch)
    if n < 2:
        return []
    centres = (batch.bbox_xyxy[:, :2] + batch.bbox_xyxy[:, 2:]).astype(np.float64) / 2
    distance, other = cKDTree(centres).query(centres, k=min(NEIGHBOURS + 1, n))
    return [
        f"near({a},{b},{round(d)})."
        for a in range(n)
        for d, b in zip(distance[a].tolist(), other[a].tolist(), strict=True)
        if a != b
    ]


def _shared(batch: CandidateBatch) -> list[str]:
    """``overlaps(A, B, IoU per mille)`` both ways round, and ``inside(A, B)`` for the smaller A."""
    pairs, px = mask_overlaps(batch.size_hw, batch.rle_counts, batch.rle_offsets, batch.bbox_xyxy)
    lines = []
    for (a, b), shared in zip(pairs.tolist(), px.tolist(), strict=True):
        area_a, area_b = int(batch.area[a]), int(batch.area[b])
        iou = round(1000 * shared / (area_a + area_b - shared))
        lines += [f"overlaps({a},{b},{iou}).", f"overlaps({b},{a},{iou})."]
        small, large = (a, b) if area_a < area_b else (b, a)
        if area_a != area_b and shared >= INSIDE_SHARE * min(area_a, area_b):
            lines.append(f"inside({small},{large}).")
    return lines
