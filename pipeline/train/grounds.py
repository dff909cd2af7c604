"""What objects lie on, and the furniture around them: everything that must not be counted."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
_PHOTOS = ("astronaut", "brick", "camera", "chelsea", "coffee", "grass", "moon", "motorcycle_left")
_PHOTOS_MORE = ("retina", "rocket", "text", "ihc", "clock_motion", "gravel")


@cache
def _photos() -> tuple[NDArray[np.uint8], ...]:
    """Return those of scikit-image's test photographs that show nothing countable."""
    from pathlib import Path

    import skimage.data

    folder = Path(skimage.data.__file__).parent
    paths = [p for n in _PHOTOS + _PHOTOS_MORE for p in sorted(folder.glob(n + ".*"))]
    photos = [cv2.imread(str(p)) for p in paths if p.suffix in (".png", ".jpg")]
    return tuple(np.asarray(cv2.cvtColor(p, cv2.COLOR_BGR2RGB), np.uint8) for p in photos if p is not None)


def noise(rng: np.random.Generator, size: int, cells: float, stretch: float = 1.0) -> Array:
    """Return (size, size) smooth noise in [0, 1] with about ``cells`` bumps across."""
    n, m = max(2, round(cells)), max(2, round(cells * stretch))
    cells_mn = rng.random((m, n), dtype=np.float32)
    return np.asarray(cv2.resize(cells_mn, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)


def fractal(rng: np.random.Generator, size: int, stretch: float = 1.0) -> Array:
    """Return (size, size) noise over several octaves, about [0, 1]."""
    start, fall = rng.uniform(2, 12), rng.uniform(0.4, 0.85)
    weights = [fall**k for k in range(5)]
    layers = [w * noise(rng, size, min(size / 2, start * 2**k), stretch) for k, w in enumerate(weights)]
    return np.asarray(np.sum(layers, axis=0, dtype=np.float32) / np.float32(sum(weights)))


def colour(rng: np.random.Generator) -> Array:
    """Return one (3,) float32 RGB colour in [0, 255]; greys, pale and dark ones are as likely as bright."""
    kind = rng.random()
    saturation = rng.uniform(0, 40) if kind < 0.4 else rng.uniform(40, 255)
    value = rng.uniform(8, 255) if kind < 0.7 else rng.uniform(120, 255)
    hsv = np.array([[[rng.integers(0, 180), saturation, value]]], dtype=np.uint8)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32), np.float32)


def _mix(a: Array, b: Array, amount: Array) -> Array:
    """Return ``a`` to ``b`` by an (H, W) amount, as (H, W, 3)."""
    return np.asarray(a + (b - a) * np.clip(amount, 0, 1)[..., None])


def _plain(rng: np.random.Generator, size: int) -> Array:
    shade = noise(rng, size, 2) * rng.uniform(0, 0.3) + rng.normal(0, 0.02, (size, size)).astype(np.float32)
    return np.broadcast_to(colour(rng), (size, size, 3)) * (0.85 + shade[..., None])


def _cloudy(rng: np.random.Generator, size: int) -> Array:
    a = colour(rng)
    b = np.clip(a + rng.normal(0, rng.choice([12, 40, 90]), 3), 0, 255).astype(np.float32)
    sharp = rng.uniform(1, 5)
    return _mix(a, b, 0.5 + (fractal(rng, size) - 0.5) * sharp)


def _wood(rng: np.random.Generator, size: int) -> Array:
    a = np.array([rng.uniform(90, 210), rng.uniform(60, 150), rng.uniform(30, 100)], dtype=np.float32)
    grain = fractal(rng, size, stretch=rng.uniform(8, 20))
    lines = 0.5 + 0.5 * np.sin(grain * rng.uniform(10, 40))
    out = _mix(a, a * rng.uniform(0.4, 0.9), lines)
    return out if rng.random() < 0.5 else np.ascontiguousarray(out.transpose(1, 0, 2))


def _weave(rng: np.random.Generator, size: int) -> Array:
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    turn, period = rng.uniform(0, np.pi), rng.uniform(2.5, 14)
    u, v = xx * np.cos(turn) + yy * np.sin(turn), yy * np.cos(turn) - xx * np.sin(turn)
    pattern = np.sin(2 * np.pi * u / period) * np.sin(2 * np.pi * v / (period * rng.uniform(0.6, 1.6)))
    a = colour(rng)
    return _mix(
        a, a * rng.uniform(0.5, 0.9), 0.5 + pattern * rng.uniform(0.1, 0.8) + fractal(rng, size) - 0.5
    )


def _creased(rng: np.random.Generator, size: int) -> Array:
    folds = np.abs(fractal(rng, size) - 0.5) * rng.uniform(3, 10)
    a = colour(rng)
    return _mix(a, a * rng.uniform(0.45, 0.9), 1 - np.clip(folds, 0, 1))


def _straw(rng: np.random.Generator, size: int) -> Array:
    out = np.ascontiguousarray(_cloudy(rng, size))
    base, turn = colour(rng), rng.uniform(0, np.pi)
    spread, length = rng.choice([0.3, 1.5]), rng.uniform(10, 70)
    for _ in range(int(rng.integers(60, 300))):
        p, t = rng.uniform(0, size, 2), turn + rng.normal(0, spread)
        q = p + length * rng.uniform(0.4, 1) * np.array([np.cos(t), np.sin(t)])
        tint = np.clip(base * rng.uniform(0.4, 1.3), 0, 255).tolist()
        cv2.line(
            out, p.astype(int).tolist(), q.astype(int).tolist(), tint, int(rng.integers(1, 4)), cv2.LINE_AA
        )
    return out


def _gravel(rng: np.random.Generator, size: int) -> Array:
    scale = rng.uniform(1.2, 3.4)
    cells = cv2.GaussianBlur(rng.random((size, size), dtype=np.float32), (0, 0), scale)
    cells = (cells - cells.mean()) / (cells.std() + 1e-6)
    a, b = colour(rng), colour(rng)
    return _mix(a, a + (b - a) * rng.uniform(0.1, 0.7), 0.5 + cells * rng.uniform(0.1, 0.5))


def _crop(rng: np.random.Generator, size: int) -> Array:
    """Return a part of a photograph, (size, size, 3), turned and with its colours swapped."""
    photos = _photos()
    photo = photos[int(rng.integers(len(photos)))]
    side = int(rng.uniform(0.15, 1.0) * min(photo.shape[:2]))
    top, left = (int(rng.integers(0, n - side + 1)) for n in photo.shape[:2])
    out = cv2.resize(photo[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
    return np.rot90(out, int(rng.integers(4))).astype(np.float32)[..., rng.permutation(3)]


def photo_relief(rng: np.random.Generator, size: int) -> Array:
    """Return the light and dark of a part of a photograph, (size, size), about 1 on average."""
    grey = _crop(rng, size).mean(axis=2)
    return np.asarray(np.clip(grey / (grey.mean() + 1), 0, 2), np.float32)


def _photo(rng: np.random.Generator, size: int) -> Array:
    out = _crop(rng, size)
    tint = colour(rng)
    fade = rng.uniform(0, 0.7)
    return out * (1 - fade) + tint * fade


def _soil(rng: np.random.Generator, size: int) -> Array:
    """Lit relief: soil, sand, crumpled cloth, plaster."""
    height = cv2.GaussianBlur(fractal(rng, size), (0, 0), rng.uniform(0.6, 2)) * rng.uniform(10, 60)
    gy, gx = np.gradient(height)
    turn = rng.uniform(0, 2 * np.pi)
    facing = (gx * np.cos(turn) + gy * np.sin(turn)) / np.sqrt(gx * gx + gy * gy + 1)
    return colour(rng) * np.asarray(0.8 + rng.uniform(0.2, 0.7) * facing, np.float32)[..., None]


def _noisy(rng: np.random.Generator, size: int) -> Array:
    """Noise of a camera in a dark or much enlarged picture: blobs that are nothing."""
    cells = max(8, round(size / rng.uniform(2, 16)))
    field = rng.normal(0, rng.choice([4, 10, 25, 50]), (cells, cells, int(rng.choice([1, 3]))))
    way = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_LINEAR
    large = cv2.resize(field.astype(np.float32), (size, size), interpolation=way)
    return colour(rng) + (large if large.ndim == 3 else large[..., None])


_KINDS = (_plain, _cloudy, _wood, _weave, _creased, _straw, _gravel, _photo, _soil, _noisy)
_WEIGHTS = (0.3, 0.11, 0.07, 0.07, 0.07, 0.07, 0.05, 0.2, 0.06, 0.03)


def draw_ground(rng: np.random.Generator, size: int, busy: bool = False, noisy: float = 1.0) -> Array:
    """Return a (size, size, 3) float32 ground in [0, 255].

    ``busy`` leaves out the plain ones; ``noisy`` says how many times as often noise comes.
    """
    weights = np.array(_WEIGHTS)
    weights[-1] *= noisy
    if busy:
        weights[0] = 0
    kind = _KINDS[int(rng.choice(len(_KINDS), p=weights / weights.sum()))]
    return np.clip(np.ascontiguousarray(kind(rng, size), dtype=np.float32), 0, 255)


def _lines(rng: np.random.Generator, image: Array) -> None:
    size = image.shape[0]
    for _ in range(int(rng.integers(1, 6))):
        p, q = rng.uniform(-0.2 * size, 1.2 * size, (2, 2)).astype(int).tolist()
        cv2.line(image, p, q, colour(rng).tolist(), int(rng.choice([1, 1, 2, 3, 6, 12])), cv2.LINE_AA)


def _grid(rng: np.random.Generator, image: Array) -> None:
    size, step = image.shape[0], rng.uniform(8, 90)
    layer, tint, width = image.copy(), colour(rng).tolist(), int(rng.choice([1, 1, 2, 4]))
    turn = rng.choice([0.0, rng.uniform(-0.5, 0.5)])
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    for k in np.arange(-size, size, step):
        for u, v in ((along, across), (across, along)):
            middle = size / 2 + k * u
            p, q = ((middle + s * 1.5 * size * v).astype(int).tolist() for s in (-1, 1))
            cv2.line(layer, p, q, tint, width, cv2.LINE_AA)
    cv2.addWeighted(layer, amount := rng.uniform(0.3, 1.0), image, 1 - amount, 0, dst=image)


def _rims(rng: np.random.Generator, image: Array) -> None:
    size = image.shape[0]
    centre, radius = (
        rng.uniform(-0.3 * size, 1.3 * size, 2).astype(int).tolist(),
        rng.uniform(0.3, 1.2) * size,
    )
    for _ in range(int(rng.integers(1, 5))):
        cv2.circle(image, centre, int(radius), colour(rng).tolist(), int(rng.integers(1, 7)), cv2.LINE_AA)
        radius *= rng.uniform(0.88, 0.99)


def _slabs(rng: np.random.Generator, image: Array) -> None:
    size = image.shape[0]
    for _ in range(int(rng.integers(1, 4))):
        centre, reach = rng.uniform(-0.2 * size, 1.2 * size, 2), rng.uniform(0.25, 0.9) * size
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
        points = centre + reach * np.stack([np.cos(angles), np.sin(angles)], 1)
        cv2.fillPoly(image, [points.astype(np.int32)], colour(rng).tolist(), cv2.LINE_AA)


def _letters(rng: np.random.Generator, image: Array) -> None:
    size = image.shape[0]
    for _ in range(int(rng.integers(1, 5))):
        text = "".join(rng.choice(list("ABCEHKMNSTXabdegknst0123456789 .-"), int(rng.integers(3, 14))))
        at, width = rng.uniform(-20, size, 2).astype(int).tolist(), int(rng.integers(1, 3))
        layer = np.zeros((size, size), np.uint8)
        cv2.putText(layer, text, at, int(rng.integers(0, 5)), rng.uniform(0.3, 1.6), 255, width, cv2.LINE_AA)
        image += (colour(rng) - image) * (layer[..., None] / np.float32(255))


def _specks(rng: np.random.Generator, image: Array) -> None:
    size, tint = image.shape[0], colour(rng)
    for _ in range(int(rng.integers(3, 80))):
        at = rng.uniform(0, size, 2).astype(int).tolist()
        cv2.circle(
            image, at, int(rng.integers(0, 3)), (tint * rng.uniform(0.5, 1.2)).tolist(), -1, cv2.LINE_AA
        )


def _shade(rng: np.random.Generator, image: Array) -> None:
    """A cast shadow of something outside the picture."""
    size = image.shape[0]
    mask = np.zeros((size, size), np.float32)
    points = rng.uniform(-0.3 * size, 1.3 * size, (int(rng.integers(3, 6)), 2)).astype(np.int32)
    cv2.fillPoly(mask, [points], 1.0, cv2.LINE_AA)
    soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 12))
    image *= 1 - rng.uniform(0.2, 0.7) * soft[..., None]


_FURNITURE = (_lines, _grid, _rims, _slabs, _letters, _specks, _shade)


def draw_furniture(rng: np.random.Generator, image: Array) -> None:
    """Draw up to three kinds of lines, grids, rims, slabs, letters, specks or shade into ``image``."""
    for kind in rng.choice(len(_FURNITURE), int(rng.choice([0, 1, 1, 2, 3])), replace=False):
        _FURNITURE[int(kind)](rng, image)
