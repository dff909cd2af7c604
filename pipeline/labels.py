"""What each candidate is called: a probability per label, from the parts that are there, without any network.

``label_map`` has the stage; a recount with another type is labelled anew here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.consistency import HIGHEST, consistency
from pipeline.contract import ObjectType, SettingsError
from pipeline.imagenet import Taxonomy, taxonomy
from pipeline.label_mix import imagenet_scores, pool, with_prior
from pipeline.object_types import asks_for_everything, find_type, plain
from pipeline.types import CandidateBatch, Candidates, Classification, TypeProbs

ByText = Callable[[Sequence[Sequence[str]]], NDArray[np.float32]]
"""For each of K labels the phrases that describe it -> (N, K) float32, rows sum to 1."""

REQUEST, OPEN_CLIP = "request", "open_clip"
"""In ``TypeProbs.labelled_by``: nothing but the request, and the network that reads text."""

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


def label(
    classification: Classification,
    batch: CandidateBatch,
    request_type: str,
    object_types: Sequence[ObjectType],
    count_what: str,
    by_text: ByText | None = None,
) -> TypeProbs:
    """Return what ``label_map.map_labels`` does, with what reads text handed in.

    Args:
        classification: classes and embeddings of N candidates.
        batch: the candidates.
        request_type: name or synonym of a type, or free text.
        object_types: the finite set.
        count_what: ``CountSettings.count_what``.
        by_text: None without open_clip.
    """
    requested = find_type(request_type, object_types) or ObjectType(request_type)
    prior = consistency(batch, classification)
    if by_text is None and not classification.class_ids.shape[1]:
        return TypeProbs((requested.name,), prior[:, None], labelled_by=REQUEST)
    known = taxonomy()
    labels = [requested, *_competitors(requested, object_types, known)]
    if by_text is None:  # types without a class would only halve what ImageNet leaves to the request
        labels = [requested, *(other for other in labels[1:] if known.class_ids(other))]
    distractors = _distractors(labels, has_text=by_text is not None, known=known)
    columns = [*labels, *distractors]
    parts = {}
    if classification.class_ids.shape[1]:
        parts["imagenet"] = imagenet_scores(classification, columns, known)
    if by_text is not None:
        parts[OPEN_CLIP] = by_text([_phrases(column) for column in columns])
    probs, labelled_by = pool(parts), "+".join(parts)
    if asks_for_everything(count_what, requested.name):
        probs[:, 0] += probs[:, len(labels) :].sum(axis=1)
        names = tuple(column.name for column in labels)
        recognised = probs[:, 1 : len(labels)].max(axis=1, initial=0)  # a lone hammer among screws
        is_thing = np.maximum(prior, np.minimum(recognised, HIGHEST))
        return TypeProbs(names, probs[:, : len(labels)] * is_thing[:, None], labelled_by)
    probs = with_prior(probs, prior)
    return TypeProbs(tuple(column.name for column in columns), probs, labelled_by)


def relabelled(
    candidates: Candidates, request_type: str, object_types: Sequence[ObjectType], count_what: str
) -> Candidates:
    """Return stored candidates as a new count of another type would have them; no rules have seen these.

    Args:
        candidates: N candidates.
        request_type: as for ``label``.
        object_types: as for ``label``.
        count_what: as for ``label``.

    Raises:
        SettingsError: of another type, where open_clip named the candidates: it has to look at them again.
    """
    known = candidates.type_probs
    name = (find_type(request_type, object_types) or ObjectType(request_type)).name
    if OPEN_CLIP in known.labelled_by:
        if name == known.requested:
            return candidates
        message = (
            f"want {known.requested!r}: open_clip named these candidates and must look again; start a new job"
        )
        raise SettingsError([{"field": "type", "message": message}])
    if known.labelled_by == REQUEST:
        probs = TypeProbs((name,), known.probs[:, :1], REQUEST)
    else:
        probs = label(candidates.classification, candidates.batch, request_type, object_types, count_what)
    return replace(candidates, type_probs=probs, rule_effects=None)


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
