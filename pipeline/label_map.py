"""Stage 5 of 7: a probability per object type for each candidate, from whatever parts are there.

In: PatchBatch, Classification, CandidateBatch.  Out: TypeProbs.  Device: GPU where there is one.
Settings: the request and what it means.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pipeline import open_clip_labels
from pipeline.contract import ErrorCode, ObjectType, PipelineError
from pipeline.labels import label
from pipeline.open_clip_labels import ZeroShot
from pipeline.portions import OnPart, unheard
from pipeline.types import CandidateBatch, Classification, PatchBatch, TypeProbs


def map_labels(
    patches: PatchBatch,
    classification: Classification,
    batch: CandidateBatch,
    request_type: str,
    object_types: Sequence[ObjectType],
    *,
    count_what: str = "type",
    on_part: OnPart = unheard,
) -> TypeProbs:
    """Return the probability of the request and of everything it could be confused with.

    Args:
        patches: N patches, in candidate order.
        classification: their classes and embeddings.
        batch: the candidates.
        request_type: name or synonym of a type, or free text.
        object_types: the finite set; competitors, unless they are kinds of the request or it of them.
        count_what: ``CountSettings.count_what``. "everything", and the type "object", name candidates without
            preferring any.
        on_part: told the share that is done, between two passes of a network; may raise, to stop.

    Returns:
        One column a label, the request first, under its type's name where it is one. Without any
        classifier the request is the only column, with the probability of appearance consistency,
        whatever is asked for. Where everything is, a row sums to that, or to what a classifier makes
        of the type it recognises, if that is more.

    Raises:
        PipelineError: INVALID_CONFIG for free text without open_clip; MODEL_LOAD_ERROR, OUT_OF_MEMORY or
            INFERENCE_ERROR, from open_clip.
    """
    zero_shot = _zero_shot(count_what)
    by_text = partial(zero_shot.probabilities, patches, on_part=on_part) if zero_shot else None
    return label(classification, batch, request_type, object_types, count_what, by_text)


def _zero_shot(count_what: str) -> ZeroShot | None:
    ready, reason = open_clip_labels.zero_shot_choice()
    if ready:
        return open_clip_labels.load()
    if count_what == "text":
        message = f"count_what: counting by free text needs the weights of open_clip. {reason}"
        raise PipelineError(ErrorCode.INVALID_CONFIG, message)
    return None
