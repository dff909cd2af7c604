"""Stage 4 of 7: what each patch looks like.

In: PatchBatches.  Out: one Classification a PatchBatch.  Device: GPU where there is one.  Settings: none.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import numpy as np

from pipeline import resnet, weights
from pipeline.embedding import handcrafted_embeddings
from pipeline.portions import OnPart, unheard
from pipeline.types import Classification, PatchBatch

FULL_SIDE_PX = 224
SMALL_SIDE_PX = 64


def classify(patches: Sequence[PatchBatch], on_part: OnPart = unheard) -> list[Classification]:
    """Describe all candidates of a micro-batch, by ResNet-50 where it is available, else by hand.

    Args:
        patches: of the images of a micro-batch.
        on_part: told the share that is done, between two passes of the network; may raise, to stop.

    Raises:
        PipelineError: MODEL_LOAD_ERROR, OUT_OF_MEMORY or INFERENCE_ERROR, from ResNet-50.
    """
    source, _ = classifier_choice()
    if source == "resnet50":
        return resnet.load().classify(patches, on_part)
    return [_handcrafted(batch) for batch in patches]


def classifier_choice() -> tuple[str, str]:
    """Return ("resnet50" or "handcrafted", why)."""
    if importlib.util.find_spec("torchvision") is None:
        return "handcrafted", "torchvision is not installed (pip install 'tally[deep]')"
    ready, reason = weights.available(resnet.WEIGHTS)
    return ("resnet50", reason) if ready else ("handcrafted", reason)


def patch_side_px() -> int:
    """Return the patch side worth cutting: 224 px where a network looks at patches, else 64."""
    names = (resnet.WEIGHTS, "open_clip_vit_b_32")
    has_torch = importlib.util.find_spec("torch") is not None
    return FULL_SIDE_PX if has_torch and any(weights.available(n)[0] for n in names) else SMALL_SIDE_PX


def _handcrafted(batch: PatchBatch) -> Classification:
    n = len(batch.patches)
    return Classification(
        np.zeros((n, 0), np.int16),
        np.zeros((n, 0), np.float32),
        handcrafted_embeddings(batch),
        source="handcrafted",
    )
