"""Photos the browser tests upload: a real one that scikit-image brings along, and small drawn ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from tests import drawn

N_COINS = 24
COLUMNS, STEP_PX = 5, 80


def coins(folder: Path) -> Path:
    """Write scikit-image's photo of 24 coins, and return its path."""
    return _write(folder / "coins.png", data.coins())


def large_coins(folder: Path, turns: int) -> Path:
    """Write the coins four times as large and turned: a photo that takes a while to count."""
    picture = Image.fromarray(np.rot90(data.coins(), turns))
    path = folder / f"large-coins-{turns}.png"
    picture.resize((picture.width * 4, picture.height * 4), Image.Resampling.BICUBIC).save(path)
    return path


def discs(folder: Path, count: int, *, name: str | None = None) -> Path:
    """Write a drawn photo with ``count`` discs well apart."""
    rows = -(-count // COLUMNS)
    scene = drawn.ground(rows * STEP_PX + 20, COLUMNS * STEP_PX + 20, seed=count)
    centres = drawn.grid(COLUMNS, rows, STEP_PX)[:count]
    return _write(folder / (name or f"discs-{count}.png"), drawn.discs(scene, centres, 24))


def two_kinds(folder: Path, *, name: str = "two-kinds.png") -> Path:
    """Write a drawn photo with ten large brown discs and five smaller red ones between them."""
    scene = drawn.ground(3 * STEP_PX + 20, COLUMNS * STEP_PX + 20, seed=7)
    centres = drawn.grid(COLUMNS, 3, STEP_PX)
    scene = drawn.discs(scene, centres[:5] + centres[10:], 24)
    return _write(folder / name, drawn.discs(scene, centres[5:10], 17, drawn.RED))


def two_among(folder: Path) -> Path:
    """Write a drawn photo with thirteen large brown discs and two smaller red ones: one group."""
    scene = drawn.ground(3 * STEP_PX + 20, COLUMNS * STEP_PX + 20, seed=7)
    centres = drawn.grid(COLUMNS, 3, STEP_PX)
    scene = drawn.discs(scene, centres[:13], 24)
    return _write(folder / "two-among.png", drawn.discs(scene, centres[13:], 17, drawn.RED))


def small_only(folder: Path) -> Path:
    """Write a drawn photo with the five smaller red discs of ``two_kinds`` alone."""
    scene = drawn.ground(3 * STEP_PX + 20, COLUMNS * STEP_PX + 20, seed=8)
    centres = drawn.grid(COLUMNS, 3, STEP_PX)
    return _write(folder / "small.png", drawn.discs(scene, centres[5:10], 17, drawn.RED))


def empty(folder: Path) -> Path:
    """Write a photo of nothing but the ground."""
    return _write(folder / "empty.png", drawn.ground(300, 420, seed=3))


def too_small(folder: Path) -> Path:
    """Write a photo below the smallest accepted size."""
    return _write(folder / "tiny.png", np.zeros((30, 30), dtype=np.uint8))


def _write(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path
