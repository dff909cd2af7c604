"""Where drawn objects lie: apart, in clumps, in grids, in rows that the edge cuts, heaped or piled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.float64]
"""(N, 2) centres (x, y) in px, in drawing order."""
Layout = Callable[[np.random.Generator, int, NDArray[np.float64], float], Places]


def scattered(rng: np.random.Generator, size: int, radii: NDArray[np.float64], gap: float) -> Places:
    """Return random centres at least ``gap`` times the sum of radii apart, within a random window."""
    span = size * rng.choice([1.1, 1.1, 0.75, 0.5])
    corner = (size - span) * rng.random(2) if span < size else np.full(2, -0.05 * size)
    placed: list[NDArray[np.float64]] = []
    kept: list[float] = []
    for r in radii:
        for _ in range(12):
            p = corner + span * rng.random(2)
            if not placed or (np.hypot(*(np.array(placed) - p).T) > gap * (np.array(kept) + r)).all():
                placed.append(p)
                kept.append(float(r))
                break
    return np.array(placed).reshape(-1, 2)


def clumped(rng: np.random.Generator, size: int, radii: NDArray[np.float64], gap: float) -> Places:
    """Return centres grown outwards from one to three seeds so that neighbours touch."""
    placed = [rng.uniform(0.1 * size, 0.9 * size, 2) for _ in range(int(rng.integers(1, 4)))]
    for i in range(len(placed), len(radii)):
        sizes = radii[: len(placed)]
        for _ in range(10):
            j = int(rng.integers(len(placed)))
            t = rng.uniform(0, 2 * np.pi)
            p = placed[j] + gap * (radii[j] + radii[i]) * np.array([np.cos(t), np.sin(t)])
            if (np.hypot(*(np.array(placed) - p).T) >= 0.97 * gap * (sizes + radii[i])).all():
                break
        else:
            p = rng.uniform(0, size, 2)
        placed.append(p)
    return np.array(placed).reshape(-1, 2)


def gridded(rng: np.random.Generator, size: int, radii: NDArray[np.float64], gap: float) -> Places:
    """Return the nodes of a turned, jittered square or hexagonal grid, with some left empty."""
    pitch = 2 * float(np.median(radii)) * gap * rng.uniform(1.0, 1.7)
    hexagonal, turn = rng.random() < 0.5, rng.choice([0.0, rng.uniform(-0.6, 0.6)])
    n = int(np.ceil(size / pitch)) + 2
    row, col = np.mgrid[-n : n + 1, -n : n + 1].astype(float)
    x = (col + 0.5 * (row % 2) * hexagonal) * pitch
    y = row * pitch * (0.87 if hexagonal else rng.uniform(1.0, 1.4))
    points = np.stack(
        [
            x.ravel() * np.cos(turn) - y.ravel() * np.sin(turn),
            x.ravel() * np.sin(turn) + y.ravel() * np.cos(turn),
        ],
        1,
    )
    points = (
        points
        + size * rng.uniform(0.3, 0.7, 2)
        + rng.normal(0, pitch * rng.choice([0.0, 0.03, 0.08]), points.shape)
    )
    window = (points > -0.3 * pitch).all(1) & (points < size + 0.3 * pitch).all(1)
    points = points[window & (rng.random(len(points)) < rng.choice([1.0, 0.95, 0.7]))]
    near = np.argsort(np.hypot(*(points - size * rng.uniform(0.3, 0.7, 2)).T))[: len(radii)]
    return np.asarray(points[near], np.float64)


def heaped(rng: np.random.Generator, size: int, radii: NDArray[np.float64], gap: float) -> Places:
    """Return centres of a heap: closer than touching, later ones over earlier ones."""
    middle, spread = rng.uniform(0.25, 0.75, 2) * size, size * rng.uniform(0.25, 0.9)
    placed: list[NDArray[np.float64]] = []
    for i, r in enumerate(radii):
        best, room = None, -np.inf
        for _ in range(6):
            p = middle + spread * rng.uniform(-0.6, 0.6, 2)
            free = (
                np.min(np.hypot(*(np.array(placed) - p).T) - gap * 0.75 * (radii[:i] + r)) if placed else 1.0
            )
            if free > room:
                best, room = p, free
        if best is not None and room > -0.35 * r:
            placed.append(best)
        else:
            placed.append(np.full(2, -1e4))
    return np.array(placed).reshape(-1, 2)


def edged(rng: np.random.Generator, size: int, radii: NDArray[np.float64], gap: float) -> Places:
    """Return rows that the picture's edge cuts, along one side or more, and others scattered."""
    radius = float(np.median(radii))
    pitch = 2 * radius * gap * rng.choice([1.0, rng.uniform(1.0, 1.5)])
    across = radius * rng.uniform(-0.35, 0.6)
    rows = []
    for side in rng.permutation(4)[: int(rng.integers(1, 5))].tolist():
        along = np.arange(rng.uniform(-0.5, 0.5) * pitch, size + 0.3 * pitch, pitch)
        way_in = np.full(len(along), across if side % 2 else size - 1 - across)
        rows.append(np.stack([along, way_in] if side < 2 else [way_in, along], 1))
    points = np.concatenate([*rows, scattered(rng, size, radii, gap)])
    keep = np.ones(len(points), bool)
    for i, p in enumerate(points):
        before = points[:i][keep[:i]]
        keep[i] = not len(before) or np.hypot(*(before - p).T).min() > 1.9 * radius * gap
    return np.asarray(points[keep][: len(radii)], np.float64)


def piled(rng: np.random.Generator, size: int, radii: NDArray[np.float64], gap: float) -> Places:
    """Return centres in two or three dense layers, later ones over earlier ones: no ground shows between."""
    layers = int(rng.integers(2, 4))
    pitch = 2 * float(np.median(radii)) * gap * rng.uniform(0.85, 1.05)
    reach = min(size * rng.uniform(0.3, 0.9), pitch * np.sqrt(0.87 * len(radii) / (layers * np.pi)))
    middle, squash = size * rng.uniform(0.3, 0.7, 2), rng.uniform(0.6, 1.0)
    n = int(np.ceil(reach / pitch)) + 2
    row, col = np.mgrid[-n : n + 1, -n : n + 1].astype(float)
    grid = np.stack([(col + 0.5 * (row % 2)) * pitch, row * pitch * 0.87], -1).reshape(-1, 2)
    placed = []
    for layer in range(layers):
        turn = rng.uniform(0, np.pi)
        across = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        points = grid @ across + rng.uniform(-0.5, 0.5, 2) * pitch + rng.normal(0, 0.1 * pitch, grid.shape)
        inside = np.hypot(points[:, 0], points[:, 1] / squash) < reach * (1 - layer * rng.uniform(0, 0.25))
        placed.append(rng.permutation(points[inside]) + middle)
    return np.concatenate(placed)[: len(radii)]


LAYOUTS: dict[str, Layout] = {
    "scattered": scattered,
    "clumped": clumped,
    "gridded": gridded,
    "heaped": heaped,
    "edged": edged,
    "piled": piled,
}
