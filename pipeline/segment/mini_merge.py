"""Joins what neighbouring scales show: the whole instead of its pieces, single things instead of a clump."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.nms import KEPT, suppress
from pipeline.segment.mini_links import cells_at
from pipeline.segment.mini_peaks import Found
from pipeline.segment.mini_scale import LIKELY, Levels

Array = NDArray[np.float64]

SIZE_WIDTH = 0.5
"""Log radius by which the things of one picture differ, as far as other scales may tell."""
HOME_BONUS = 0.7
"""Log odds by which the chosen scale is believed more than its neighbours."""
TAKEN = 0.5
"""Two instances are rivals when they share more than this of the smaller one."""
FOREIGN = 0.38
"""Chance from which an instance of another scale is taken over."""


def merge_levels(levels: Levels, home: int) -> Found:
    """Return the instances of a level and its two neighbours, each thing once, in the frame of the level.

    Of rivals that cover each other the likelier stays, where a usual size makes likelier. ``quality`` of the
    result is the chance to be an object.

    Args:
        levels: the scales that were run; ``home`` is one of them.
        home: the level that shows the objects best.
    """
    around = [level for level in (home, home - 1, home + 1) if level in levels.founds]
    chances = [_chances_by_size(levels, level, home) for level in around]
    first = np.cumsum([0, *(len(c) for c in chances)])
    chance = np.concatenate(chances)
    is_home = np.arange(len(chance)) < first[1]
    alive = is_home | (chance >= FOREIGN)
    rivals = _rivals(levels, around, first.tolist())
    kept = alive & (suppress(np.argsort(-chance, kind="stable"), rivals, alive) == KEPT)
    merged = _only(levels.founds[home], kept[: first[1]], chances[0])
    for k, level in enumerate(around[1:], start=1):
        merged = _with(merged, levels.founds[level], kept[first[k] : first[k + 1]], chances[k])
    return merged


def _chances_by_size(levels: Levels, level: int, home: int) -> Array:
    """Return (N,) the chances of a level's instances, less for sizes that are unusual at the home level."""
    found, usual = levels.founds[home], levels.chances(home) > LIKELY
    chance = levels.chances(level)
    odds = np.log(chance / (1 - chance)) + (HOME_BONUS if level == home else 0.0)
    if usual.any():
        radius = float(np.median(found.radius_px[usual])) / found.maps.scale
        off = np.log(levels.founds[level].radius_px / levels.founds[level].maps.scale / radius)
        odds = odds - 0.5 * (off / SIZE_WIDTH) ** 2
    return np.asarray(1 / (1 + np.exp(-odds)))


def _rivals(levels: Levels, around: list[int], first: list[int]) -> NDArray[np.int64]:
    """Return (P, 2) pairs of rows, of the instances of all levels around in one list, that are rivals."""
    pairs = [np.zeros((0, 2), np.int64)]
    start = dict(zip(around, first, strict=False))
    for coarse in around:
        for fine in around:
            if coarse < fine:
                links = levels.links(coarse, fine)
                both = np.stack([links.coarse + start[coarse], links.fine + start[fine]], axis=1)
                pairs.append(both[links.of_smaller > TAKEN])
    return np.concatenate(pairs)


def _only(found: Found, kept: NDArray[np.bool_], chance: Array) -> Found:
    """Return the kept instances alone, with their chances as quality."""
    table = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.int32)
    quality = chance[kept].astype(np.float32)
    return Found(found.maps, table[found.labels], found.area[kept], quality, found.stability[kept])


def _with(found: Found, other: Found, kept: NDArray[np.bool_], chance: Array) -> Found:
    """Return ``found`` and the kept instances of another scale, on cells that are still free."""
    if not kept.any():
        return found
    rows, columns = cells_at(found.maps, other.maps)
    table = np.concatenate([[0], np.where(kept, np.cumsum(kept) + len(found.area), 0)]).astype(np.int32)
    more = table[other.labels[rows[:, None], columns]]
    taken = (more > 0) & (found.labels == 0)
    labels = np.where(taken, more, found.labels).astype(np.int32)
    foreground = np.where(taken, other.maps.foreground[rows[:, None], columns], found.maps.foreground)
    cells = np.bincount(labels[foreground > 0.5], minlength=len(found.area) + int(kept.sum()) + 1)[1:]
    return Found(
        replace(found.maps, foreground=foreground.astype(np.float32)),
        labels,
        cells.astype(np.float32),
        np.concatenate([found.quality, chance[kept].astype(np.float32)]),
        np.concatenate([found.stability, other.stability[kept]]),
    )
