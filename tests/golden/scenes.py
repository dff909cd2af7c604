"""What the golden tests count: small drawn pictures and one photo that scikit-image ships."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image as PillowImage

from pipeline.contract import CountRequest, CountSettings
from pipeline.run import ImageOutcome, count_batch
from pipeline.segment.registry import load
from tests.drawn import SCENES

FOLDER = Path(__file__).parent / "expected"
MANIFEST, EXPECTED, MASKS = FOLDER / "MANIFEST.json", FOLDER / "expected.json", FOLDER / "masks.npz"


def coins() -> NDArray[np.uint8]:
    """Return the photo of 24 Greek coins as (H, W, 3) uint8."""
    return np.repeat(skimage.data.coins()[:, :, None], 3, axis=2)


PICTURES: dict[str, tuple[Callable[[], NDArray[np.uint8]], int]] = {"skimage coins": (coins, 24), **SCENES}
PICTURES |= {f"{name}, mini": PICTURES[name] for name in ("skimage coins", "rods")}
"""Name → (function that gives its pixels, true number)."""


def engine_of(name: str) -> str:
    """Return the engine that counts a picture: the last word of its name, or classical."""
    return "mini" if name.endswith(", mini") else "classical"


def counted(name: str, folder: Path) -> ImageOutcome:
    """Count one picture with its engine, through a file as users do."""
    path = folder / "picture.png"
    PillowImage.fromarray(PICTURES[name][0]()).save(path)
    settings = CountSettings(engine=engine_of(name))
    (outcome,) = count_batch([CountRequest(name, str(path), "object", settings)])
    if outcome.error:
        raise outcome.error
    return outcome


def answer(outcome: ImageOutcome) -> dict[str, Any]:
    """Return the part of a result that must not change unseen."""
    result, batch = outcome.result, outcome.candidates.batch
    return {
        "count": result.count,
        "count_interval": list(result.count_interval),
        "groups": [group.count for group in result.groups],
        "needs_review": result.needs_review,
        "candidates": len(batch),
        "total_area_px": int(batch.area.sum()),
    }


def foreground(outcome: ImageOutcome) -> NDArray[np.bool_]:
    """Return (H, W) bool: all counted objects together, drawn from their outlines."""
    batch = outcome.candidates.batch
    canvas = np.zeros(batch.size_hw, np.uint8)
    for index in outcome.instances.counted:
        cv2.fillPoly(canvas, [np.round(batch.polygon(index)).astype(np.int32)], 1)
    return canvas.astype(np.bool_)


def manifest() -> dict[str, str]:
    """Return what the expected results were made with."""
    return {
        "engines": "classical, mini",
        "device": "cpu",
        "dtype": "float32",
        "weights_sha256": str(load("mini")[0].info.weights_sha256),
        "python": ".".join(map(str, sys.version_info[:2])),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "scikit-image": skimage.__version__,
        "onnxruntime": metadata.version("onnxruntime"),
    }
