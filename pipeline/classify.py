"""Stage 4 of 7: what each patch looks like.

In: PatchBatches.  Out: one Classification a PatchBatch.  Device: GPU where there is one.  Settings: none.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline import looks, resnet, weights
from pipeline.embedding import handcrafted_embeddings
from pipeline.portions import OnPart, each, span, unheard
from pipeline.types import Classification, PatchBatch

FULL_SIDE_PX = 224


def classify(patches: Sequence[PatchBatch], on_part: OnPart = unheard) -> list[Classification]:
    """Describe all candidates of a micro-batch, by ResNet-50 or else by a bundled network, at worst by hand.

    Args:
        patches: of the images of a micro-batch.
        on_part: told the share that is done, between two passes of the network; may raise, to stop.

    Raises:
        PipelineError: MODEL_LOAD_ERROR; OUT_OF_MEMORY or INFERENCE_ERROR from ResNet-50.
    """
    source, _ = classifier_choice()
    if source == "resnet50":
        return resnet.load().classify(patches, on_part)
    if source == "looks":
        parts = (span(on_part, k / len(patches), (k + 1) / len(patches)) for k in range(len(patches)))
        described = [looks.looks_embeddings(*one) for one in zip(patches, parts, strict=True)]
    else:
        described = [handcrafted_embeddings(batch) for batch in each(patches, on_part)]
    return [_unclassified(embeddings, source) for embeddings in described]


def classifier_choice() -> tuple[str, str]:
    """Return ("resnet50", "looks" or "handcrafted", why)."""
    if importlib.util.find_spec("torchvision") is None:
        ready, reason = False, "torchvision is not installed (pip install 'tally[deep]')"
    else:
        ready, reason = weights.available(resnet.WEIGHTS)
    if ready:
        return "resnet50", reason
    return ("looks" if looks.available()[0] else "handcrafted"), reason


def patch_side_px(bbox_xyxy: NDArray[np.float32]) -> int:
    """Return the patch side worth cutting for (N, 4) boxes in px: 224 px where torch's networks look."""
    names = (resnet.WEIGHTS, "open_clip_vit_b_32")
    has_torch = importlib.util.find_spec("torch") is not None
    if has_torch and any(weights.available(name)[0] for name in names):
        return FULL_SIDE_PX
    return looks.side_px(bbox_xyxy)


def _unclassified(embeddings: NDArray[np.float16], source: str) -> Classification:
    n = len(embeddings)
    return Classification(np.zeros((n, 0), np.int16), np.zeros((n, 0), np.float32), embeddings, source)
