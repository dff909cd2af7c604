"""Stage 4 of 7: what each patch looks like.

In: PatchBatches.  Out: one Classification a PatchBatch.  Device: CPU.  Settings: none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.embedding import handcrafted_embeddings
from pipeline.types import Classification, PatchBatch


def classify(patches: Sequence[PatchBatch]) -> list[Classification]:
    """Describe all candidates of a micro-batch by the handcrafted embedding."""
    return [_handcrafted(batch) for batch in patches]


def _handcrafted(batch: PatchBatch) -> Classification:
    n = len(batch.patches)
    return Classification(
        np.zeros((n, 0), np.int16),
        np.zeros((n, 0), np.float32),
        handcrafted_embeddings(batch),
        source="handcrafted",
    )
