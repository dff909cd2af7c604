"""Pictures of things that scenes may show beside what is drawn, from the folder TALLY_TRAIN_THINGS names.

``tools.collect_things`` fills one: PNG files with an alpha channel. Without it scenes are drawn alone.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

VARIABLE = "TALLY_TRAIN_THINGS"
SHARE = 0.28
"""Share of scenes that show such things."""


def folder() -> Path | None:
    """Return the folder of pictures, None where none is named."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def draw_things(rng: np.random.Generator, n: int) -> list[NDArray[np.uint8]]:
    """Return ``n`` things, each (H, W, 4) uint8 RGBA; some may come twice.

    Raises:
        FileNotFoundError: there are none. ValueError: a file is no picture with an alpha channel.
    """
    all_of_them = _things(folder())
    return [all_of_them[int(i)] for i in rng.choice(len(all_of_them), n)]


@cache
def _things(here: Path | None) -> list[NDArray[np.uint8]]:
    paths = sorted(here.glob("*.png")) if here else []
    if not paths:
        raise FileNotFoundError(f"want PNG files in the folder that {VARIABLE} names, got {here}")
    return [_rgba(path) for path in paths]


def _rgba(path: Path) -> NDArray[np.uint8]:
    """Return a thing, (H, W, 4) uint8."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.shape[2:] != (4,) or picture.dtype != np.uint8:
        message = f"want a PNG file with 8 bits and an alpha channel, got {path.name}"
        raise ValueError(message)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA), np.uint8)
