"""Which things are of one kind: a tree of what is alike in looks and size, and where kinds part in it.

Average linkage (Sokal and Michener 1958; ``scipy.cluster.hierarchy``): two groups are as far apart as their
members are on average, so that one thing between two kinds does not join them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

KIND_DISTANCE = {"looks": 0.465, "handcrafted": 0.3}
"""Cosine distance at which kinds part, by source of the embeddings; measured on photos (docs/accuracy.md)."""
DEFAULT_DISTANCE = 0.3
"""The same for embeddings that were not measured (anchors: VIRG count-anything)."""
PARTS = {"looks": (slice(0, 320), slice(328, 352))}
"""Columns of the embeddings that a network made, and those of colour, by source, where both are known."""
SIZE_WEIGHT = 1 / 7
"""Share of that distance that a factor of e in area adds."""
GROUP_DISTANCE = 1.15
"""Groups that nobody showed an example of are further apart, in units of the distance at which kinds part."""
GAP, GAP_LEAST, GAP_FLOOR = 1.5, 3, 0.2
"""Nearer than that, two groups of so many are two kinds if they are so many times as far apart as the looser
is within itself, or as this floor: plain things on plain ground differ little, but clearly;
the same drawn thing, half a pixel further, by up to 0.2."""
HALF_SHARE, HALF_LEAST = 0.1, 1.0
"""What a group falls in has this share of its weight each, and so much at least: a speck is no half."""
FAR = 1.4
"""Examples further apart than this are of kinds that have nothing in common."""
MOST_ROWS = 2_000
"""More things are told apart by so many of them, spread evenly; the others go with the nearest of these."""

Seen = tuple[NDArray[np.float16], NDArray[np.int64]]
"""(N, D) embeddings of any length and (N,) areas in px of an image's candidates."""


@dataclass(frozen=True, slots=True)
class KindTree:
    """What of N things is alike.

    Attributes:
        row: (N,) int64. Leaf of each thing.
        left, right: (M - 1,) int64. What each merge joins: leaf 0 to M - 1, or M and the number of a merge.
        height: (M - 1,) float64, rising. How far apart the two are; beyond 1 they are two kinds.
        size: (M - 1,) int64. How many leaves they have together.
    """

    row: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    height: NDArray[np.float64]
    size: NDArray[np.int64]

    def groups(self) -> NDArray[np.int64]:
        """Return (N,) the kind of each thing: 0 is the most frequent; equal ones by their first thing."""
        n, parts = len(self.height) + 1, self._parts(GROUP_DISTANCE, 1.0)
        whole = np.ones(2 * n - 1, np.bool_)
        for k, (a, b) in enumerate(zip(self.left.tolist(), self.right.tolist(), strict=True)):
            whole[n + k] = whole[a] and whole[b] and not parts[k]
        top = np.arange(2 * n - 1)
        for k in np.flatnonzero(whole[n:])[::-1].tolist():
            top[[self.left[k], self.right[k]]] = top[n + k]
        _, first, ids, counts = np.unique(
            top[self.row], return_index=True, return_inverse=True, return_counts=True
        )
        rank = np.empty(len(counts), np.int64)
        rank[np.lexsort((first, -counts))] = np.arange(len(counts))
        return np.asarray(rank[ids], np.int64)

    def kind_of(
        self, shown: NDArray[np.int64], unwanted: NDArray[np.int64], limit: float = 1.0
    ) -> NDArray[np.bool_]:
        """Return (N,) bool: of the kind that at least one shown thing is of.

        That is what all of these have in common, and what joins it before kinds part, as long as nothing
        unwanted comes with it. Things of clearly different kinds mean the kind of each.

        Args:
            shown: things, at least one.
            unwanted: things of which none is wanted.
            limit: factor on the distances at which kinds part.
        """
        n, parts = len(self.height) + 1, self._parts(limit, limit)
        wanted, away = self._beneath(shown), self._beneath(unwanted)
        node = int(np.argmax(wanted == wanted[-1]))
        if node >= n and self.height[node - n] > FAR:
            kinds = [self.kind_of(np.array([one]), unwanted, limit) for one in shown]
            return np.asarray(np.any(kinds, axis=0), np.bool_)
        above = np.full(2 * n - 1, -1)
        above[self.left], above[self.right] = (np.arange(n, 2 * n - 1),) * 2
        while (up := int(above[node])) >= 0 and not parts[up - n] and away[up] == away[node]:
            node = up
        return self._inside(node)

    def halves(
        self, things: NDArray[np.int64], weight: NDArray[np.floating[Any]]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        """Return the two branches of the tree that some things fall in, the heavier first.

        Where the first place from the top that parts them leaves too little on one side, the next one
        below is taken, and so on; if all do, the one that leaves the most.

        Args:
            things: (M,) int64, some of the N things.
            weight: (M,) of each of these, 0 or more.

        Returns:
            (N,) bool twice. What falls off above is in neither. None where nothing parts them.
        """
        n, held = len(self.height) + 1, self._beneath(things, weight)
        heavier, best, most = 2 * n - 2, (0, 0), 0.0
        least = max(HALF_LEAST, HALF_SHARE * held[-1])
        while heavier >= n and most < least:
            sides = int(self.left[heavier - n]), int(self.right[heavier - n])
            heavier, lighter = sorted(sides, key=lambda side: -held[side])
            if held[lighter] > most:
                best, most = (heavier, lighter), held[lighter]
        return (self._inside(best[0]), self._inside(best[1])) if most else None

    def _inside(self, node: int) -> NDArray[np.bool_]:
        """Return (N,) bool: what is beneath a node."""
        n, left, right = len(self.height) + 1, self.left.tolist(), self.right.tolist()
        inside = [False] * (2 * n - 1)
        inside[node] = True
        for k in range(node - n, -1, -1):
            if inside[n + k]:
                inside[left[k]] = inside[right[k]] = True
        return np.array(inside, np.bool_)[self.row]

    def _parts(self, far: float, limit: float) -> NDArray[np.bool_]:
        """Return (M - 1,) bool: what a merge joins are two kinds: far apart, or with a gap between them."""
        n = len(self.height) + 1
        size = np.concatenate([np.ones(n, np.int64), self.size])
        inner = np.concatenate([np.zeros(n), self.height])
        several = np.minimum(size[self.left], size[self.right]) >= GAP_LEAST
        looser = np.maximum(np.maximum(inner[self.left], inner[self.right]), GAP_FLOOR)
        return np.asarray((self.height > far) | (several & (self.height > GAP * limit * looser)))

    def _beneath(
        self, things: NDArray[np.int64], weight: NDArray[np.floating[Any]] | None = None
    ) -> NDArray[np.float64]:
        """Return (2 M - 1,) how many of some things are in each node, or what these weigh."""
        n = len(self.height) + 1
        held = np.zeros(2 * n - 1)
        held[:n] = np.bincount(self.row[things], weight, n)
        for k, (a, b) in enumerate(zip(self.left.tolist(), self.right.tolist(), strict=True)):
            held[n + k] = held[a] + held[b]
        return held


@dataclass(frozen=True, slots=True)
class Features:
    """What ``distances`` tells N things apart by.

    Attributes:
        rows: (N, D) float32, looks, of unit length. log_area: (N,) float32.
        kind_distance: cosine distance of looks at which kinds part.
    """

    rows: NDArray[np.float32]
    log_area: NDArray[np.float32]
    kind_distance: float

    def __getitem__(self, which: NDArray[np.int64]) -> Features:
        """Return the features of some of the things."""
        return Features(self.rows[which], self.log_area[which], self.kind_distance)


def kind_features(seen: Seen, source: str) -> Features:
    """Return the features of N things whose embeddings are from ``source``, see ``Classification``."""
    log_area = np.log(np.maximum(seen[1], 1)).astype(np.float32)
    return Features(unit_rows(seen[0]), log_area, KIND_DISTANCE.get(source, DEFAULT_DISTANCE))


def distances(some: Features, others: Features) -> NDArray[np.float32]:
    """Return (N, M) how far things are apart in looks and size; 1 is where kinds part."""
    apart = some.rows @ others.rows.T
    np.maximum(np.subtract(1, apart, out=apart), 0, out=apart)
    apart /= np.float32(some.kind_distance)
    size = np.float32(SIZE_WEIGHT) * some.log_area[:, None] - np.float32(SIZE_WEIGHT) * others.log_area
    apart += np.abs(size, out=size)
    return np.asarray(apart, np.float32)


def kind_tree(features: Features, n_last: int = 0) -> KindTree:
    """Return the tree of N things, at least one; the last ``n_last`` are in it however many there are."""
    n = len(features.rows)
    some = np.arange(n)
    if n > MOST_ROWS + n_last:
        spread = np.linspace(0, n - n_last - 1, MOST_ROWS).astype(np.int64)
        some = np.concatenate([spread, some[n - n_last :]])
    chosen = features[some]
    apart = squareform(distances(chosen, chosen), checks=False)
    merges = linkage(apart, "average") if len(some) > 1 else np.zeros((0, 4))
    row = some if len(some) == n else _nearest(features, chosen)
    left, right, size = merges[:, [0, 1, 3]].T.astype(np.int64)
    return KindTree(row.astype(np.int64), left, right, merges[:, 2], size)


def _nearest(features: Features, chosen: Features) -> NDArray[np.int64]:
    """Return (N,) the nearest of some things, worked out for so many at once as there are of these."""
    n, at_once = len(features.rows), len(chosen.rows)
    blocks = (np.arange(start, min(n, start + at_once)) for start in range(0, n, at_once))
    return np.concatenate([np.argmin(distances(features[b], chosen), axis=1) for b in blocks])


def unit_rows(embeddings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return (N, D) float32 rows of unit length; zero rows stay zero."""
    wide = embeddings.astype(np.float32)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(length, 1e-9), dtype=np.float32)
