"""What a patch looks like: to a bundled network that learned from photos, and by colour, texture and shape.

Model: ``looks.onnx`` (docs/models.md), EfficientNet-Lite0, headless. It tells kinds apart that colour and
shape alone do not; plain red and blue discs it does not tell apart, so what is made by hand stands beside it.
What ``classify`` uses where ResNet-50 is not installed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import sessions
from pipeline.embedding import EMBEDDING_SIZE as HANDCRAFTED_SIZE
from pipeline.embedding import WEIGHTS, handcrafted_embeddings
from pipeline.ops.kinds import PARTS, unit_rows
from pipeline.portions import OnPart, each, unheard
from pipeline.types import PatchBatch

MODEL = sessions.DATA / "looks.onnx"
NETWORK_SIZE = PARTS["looks"][0].stop
EMBEDDING_SIZE = NETWORK_SIZE + HANDCRAFTED_SIZE
HANDCRAFTED_WEIGHT = sum(WEIGHTS.values())
"""What the cosine of looks made by hand counts beside that of the network's."""
SIDE_PX, SMALL_SIDE_PX = 96, 64
"""Patch sides; the smaller one where the usual thing is no larger. Still less makes all things look alike."""
_CHUNK = 64


def available() -> tuple[bool, str]:
    """Return whether the network can run here, and why not."""
    return sessions.available(MODEL)


def side_px(bbox_xyxy: NDArray[np.float32]) -> int:
    """Return the patch side worth cutting for (N, 4) boxes in px."""
    longest = (bbox_xyxy[:, 2:] - bbox_xyxy[:, :2]).max(axis=1, initial=0)
    return SMALL_SIDE_PX if len(longest) and np.median(longest) < SMALL_SIDE_PX else SIDE_PX


@cache
def _session() -> Any:
    return sessions.open_session(MODEL)


def looks_embeddings(patches: PatchBatch, on_part: OnPart = unheard) -> NDArray[np.float16]:
    """Return (N, ``EMBEDDING_SIZE``) float16 of N patches: the network's looks, then those made by hand.

    Args:
        patches: with or without the background around the mask.
        on_part: told the share that is done, between two passes of the network; may raise, to stop.

    Raises:
        PipelineError: MODEL_LOAD_ERROR when the file is damaged.
    """
    rows = [np.zeros((0, NETWORK_SIZE), np.float32)]
    for start in each(range(0, len(patches.patches), _CHUNK), on_part):
        (values,) = _session().run(None, {"patches": patches.patches[start : start + _CHUNK]})
        rows.append(values)
    by_hand = np.float32(HANDCRAFTED_WEIGHT**0.5) * handcrafted_embeddings(patches).astype(np.float32)
    return np.concatenate([unit_rows(np.concatenate(rows)), by_hand], axis=1).astype(np.float16)
