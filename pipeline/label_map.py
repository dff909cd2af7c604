"""Stage 5 of 7: a probability per object type for each candidate, from whatever parts are there.

In: PatchBatch, Classification, CandidateBatch.  Out: TypeProbs.  Device: GPU where there is one.
Settings: the request and what it means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline import open_clip_labels
from pipeline.consistency import HIGHEST, consistency
from pipeline.contract import ErrorCode, ObjectType, PipelineError
from pipeline.imagenet import Taxonomy, taxonomy
from pipeline.label_mix import imagenet_scores, pool, with_prior
from pipeline.object_types import asks_for_everything, find_type, plain
from pipeline.open_clip_labels import ZeroShot
from pipeline.portions import OnPart, unheard
from pipeline.types import CandidateBatch, Classification, PatchBatch, TypeProbs

DISTRACTORS = (
    ObjectType("background", prompts=("empty background", "plain surface")),
    ObjectType("shadow", prompts=("dark shadow",)),
    ObjectType("reflection", prompts=("bright reflection of light",)),
    ObjectType("texture", prompts=("rough texture",)),
    ObjectType("stain", prompts=("stain or scratch",)),
    ObjectType("table", prompts=("table top",)),
    ObjectType("tray", prompts=("tray or dish",)),
    ObjectType("paper", prompts=("sheet of paper with text",)),
    ObjectType("cloth", prompts=("piece of cloth",)),
    ObjectType("hand", prompts=("human hand",)),
    ObjectType("fragment", prompts=("small part of something",)),
    ObjectType("heap", prompts=("pile of many objects",)),
)
"""Answers that mean "none of these", for zero-shot labels."""

SOMETHING_ELSE = ObjectType("something else")
"""The same, where only ImageNet's classes are known."""


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
    requested = find_type(request_type, object_types) or ObjectType(request_type)
    zero_shot = _zero_shot(count_what)
    if zero_shot is None and not classification.class_ids.shape[1]:
        prior = consistency(batch, classification)
        return TypeProbs((requested.name,), prior[:, None], labelled_by="request")
    return label(
        patches, classification, batch, requested, object_types, count_what, zero_shot, taxonomy(), on_part
    )


def label(
    patches: PatchBatch,
    classification: Classification,
    batch: CandidateBatch,
    requested: ObjectType,
    object_types: Sequence[ObjectType],
    count_what: str,
    zero_shot: ZeroShot | None,
    known: Taxonomy,
    on_part: OnPart = unheard,
) -> TypeProbs:
    """Return what ``map_labels`` does, with the parts that are there handed in.

    Args:
        patches: N patches.
        classification: their classes and embeddings.
        batch: the candidates.
        requested: the type that is asked for.
        object_types: the finite set.
        count_what: ``CountSettings.count_what``.
        zero_shot: None without open_clip.
        known: what ImageNet's classes mean.
        on_part: as for ``map_labels``.
    """
    labels = [requested, *_competitors(requested, object_types, known)]
    if zero_shot is None:  # types without a class would only halve what ImageNet leaves to the request
        labels = [requested, *(other for other in labels[1:] if known.class_ids(other))]
    distractors = _distractors(labels, has_text=zero_shot is not None, known=known)
    columns = [*labels, *distractors]
    parts = {}
    if classification.class_ids.shape[1]:
        parts["imagenet"] = imagenet_scores(classification, columns, known)
    if zero_shot is not None:
        phrases = [_phrases(column) for column in columns]
        parts["open_clip"] = zero_shot.probabilities(patches, phrases, on_part)
    probs, labelled_by = pool(parts), "+".join(parts)
    prior = consistency(batch, classification)
    if asks_for_everything(count_what, requested.name):
        probs[:, 0] += probs[:, len(labels) :].sum(axis=1)
        names = tuple(column.name for column in labels)
        recognised = probs[:, 1 : len(labels)].max(axis=1, initial=0)  # a lone hammer among screws
        is_thing = np.maximum(prior, np.minimum(recognised, HIGHEST))
        return TypeProbs(names, probs[:, : len(labels)] * is_thing[:, None], labelled_by)
    probs = with_prior(probs, prior)
    return TypeProbs(tuple(column.name for column in columns), probs, labelled_by)


def _zero_shot(count_what: str) -> ZeroShot | None:
    ready, reason = open_clip_labels.zero_shot_choice()
    if ready:
        return open_clip_labels.load()
    if count_what == "text":
        message = f"count_what: counting by free text needs the weights of open_clip. {reason}"
        raise PipelineError(ErrorCode.INVALID_CONFIG, message)
    return None


def _competitors(
    requested: ObjectType, object_types: Sequence[ObjectType], known: Taxonomy
) -> list[ObjectType]:
    """The other types, without kinds of the request (apples when fruit is asked for) and the reverse."""
    return [
        other
        for other in object_types
        if plain(other.name) != plain(requested.name)
        and not known.is_kind_of(other, requested)
        and not known.is_kind_of(requested, other)
    ]


def _distractors(labels: Sequence[ObjectType], *, has_text: bool, known: Taxonomy) -> list[ObjectType]:
    """Labels that mean "none of these"; not one that is itself asked for or in the set."""
    if has_text:
        taken = {plain(word) for label in labels for word in (label.name, *label.synonyms)}
        return [distractor for distractor in DISTRACTORS if distractor.name not in taken]
    return [SOMETHING_ELSE] if known.class_ids(labels[0]) else []


def _phrases(label: ObjectType) -> tuple[str, ...]:
    return label.prompts or (label.name,)
