"""Stage 5 of 7: a probability per object type for each candidate.

In: PatchBatch, Classification, CandidateBatch.  Out: TypeProbs.  Device: CPU.  Settings: the request.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.consistency import consistency
from pipeline.contract import ObjectType
from pipeline.types import CandidateBatch, Classification, PatchBatch, TypeProbs


def map_labels(
    patches: PatchBatch,
    classification: Classification,
    batch: CandidateBatch,
    request_type: str,
    object_types: Sequence[ObjectType],
) -> TypeProbs:
    """Return type probabilities; without any classifier, by appearance consistency alone."""
    probs = consistency(batch, classification)
    return TypeProbs((request_type,), probs[:, None], labelled_by="request")
