"""Visual groups of one image, and what a person's choice of groups means for its candidates.

A choice holds for the members of its group. With the scope "job" it holds too for candidates of other
images: each goes the way of the candidate it is most like in the images where groups were chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import CountSettings, GroupChoice, SettingsError
from pipeline.ops.kinds import Features, KindTree, distances, kind_features, kind_tree
from pipeline.types import Candidates

REACH = 1.0
"""Distance to the most similar candidate of a chosen group from which nobody has chosen."""

Choices = Sequence[tuple[int, GroupChoice]]
"""Choices with their place in the settings."""


@dataclass(frozen=True, slots=True)
class Clustered:
    """One image's N candidates with their groups: what choices that hold for other images are made of.

    Attributes:
        candidates: of the image.
        features: what tells them apart. tree: of what is alike; None where N is 0.
        ids: (N,) int64. Group of each candidate.
    """

    candidates: Candidates
    features: Features
    tree: KindTree | None
    ids: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups of N candidates, and what a person decided on them.

    Attributes:
        here: the candidates with their groups, which are the same whatever the settings.
        names: one name a group id.
        labels: N names that a person gave the candidates, "" for none.
        kept: (N,) bool. A person wants them counted.
        left_out_as: N names of the group they were left out with, "" for those that were not.
    """

    here: Clustered
    names: tuple[str, ...]
    labels: tuple[str, ...]
    kept: NDArray[np.bool_]
    left_out_as: tuple[str, ...]


def clustered(settings: CountSettings, others: Mapping[str, Candidates]) -> dict[str, Clustered]:
    """Return the images whose chosen groups hold for the whole job, by image id.

    Whoever counts several images works this out once, and hands it to each ``count``.
    """
    if settings.groups_scope != "job":
        return {}
    wanted = dict.fromkeys(choice.file_id for choice in settings.groups)
    return {name: _clustered(others[name]) for name in wanted if name is not None and name in others}


def _clustered(candidates: Candidates) -> Clustered:
    seen = candidates.classification
    features = kind_features((seen.embeddings, candidates.batch.area), seen.source)
    tree = kind_tree(features) if len(candidates) else None
    return Clustered(candidates, features, tree, tree.groups() if tree else np.zeros(0, np.int64))


def group(
    candidates: Candidates,
    settings: CountSettings,
    others: Mapping[str, Candidates],
    chosen_in: Mapping[str, Clustered] | None = None,
) -> Grouping:
    """Form the groups of one image, and apply what a person chose.

    Args:
        candidates: N candidates of the image.
        settings: with the choices.
        others: candidates by image id; of this image too where choices name it.
        chosen_in: ``clustered`` of these; None works it out here.

    Raises:
        SettingsError: a choice names a group that its image does not have, or an image whose candidates
            are not known, or that are described in another way than these.
    """
    chosen_in = clustered(settings, others) if chosen_in is None else chosen_in
    here = next((one for one in chosen_in.values() if one.candidates is candidates), None)
    here = here or _clustered(candidates)
    ids = here.ids
    chosen: list[GroupChoice | None] = [None] * len(candidates)
    if settings.groups_scope == "job":
        chosen = _chosen_elsewhere(here, settings, others, chosen_in)
    own = [(n, c) for n, c in enumerate(settings.groups) if _is_of(c, candidates, others)]
    by_id = _by_id(own, ids)
    chosen = [by_id.get(i, choice) for i, choice in zip(ids.tolist(), chosen, strict=True)]
    names = _names(ids, by_id, chosen)
    return Grouping(
        here,
        names,
        labels=tuple((choice.name or "") if choice else "" for choice in chosen),
        kept=np.array([bool(choice and choice.counted) for choice in chosen], dtype=np.bool_),
        left_out_as=tuple(
            choice.name or names[i] if choice and choice.counted is False else ""
            for i, choice in zip(ids.tolist(), chosen, strict=True)
        ),
    )


def _is_of(choice: GroupChoice, candidates: Candidates, others: Mapping[str, Candidates]) -> bool:
    return choice.file_id is None or others.get(choice.file_id) is candidates


def _by_id(choices: Choices, ids: NDArray[np.int64]) -> dict[int, GroupChoice]:
    """Return the choices of one image by group id."""
    n_groups = int(ids.max(initial=-1)) + 1
    for place, choice in choices:
        if choice.id >= n_groups:
            wanted = f"one of the groups 0 to {n_groups - 1} of this image" if n_groups else "no group here"
            message = f"want {wanted}, got {choice.id}"
            raise SettingsError([{"field": f"config.groups[{place}].id", "message": message}])
    return {choice.id: choice for _, choice in choices}


def _chosen_elsewhere(
    here: Clustered,
    settings: CountSettings,
    others: Mapping[str, Candidates],
    chosen_in: Mapping[str, Clustered],
) -> list[GroupChoice | None]:
    """Return for each candidate the choice made for what it is most like in other images, None for none."""
    by_file: dict[str, list[tuple[int, GroupChoice]]] = {}
    for place, choice in enumerate(settings.groups):
        if choice.file_id is not None and not _is_of(choice, here.candidates, others):
            by_file.setdefault(choice.file_id, []).append((place, choice))
    ways: list[GroupChoice | None] = [None] * len(here.ids)
    closest = np.full(len(ways), np.nextafter(np.float32(REACH), np.float32(np.inf)), np.float32)
    for file_id, choices in by_file.items():
        _check_source(file_id, choices[0][0], here.candidates, others)
        there = chosen_in[file_id]
        by_id = _by_id(choices, there.ids)
        nearest, distance = _nearest(here.features, there.features)
        for i in np.flatnonzero(distance < closest).tolist():
            ways[i] = by_id.get(int(there.ids[nearest[i]]))
        closest = np.minimum(closest, distance)
    return ways


def _check_source(file_id: str, place: int, candidates: Candidates, others: Mapping[str, Candidates]) -> None:
    """Raise unless the candidates of another image are known, and described as these are."""
    source = others.get(file_id)
    if source is None or source.classification.source != candidates.classification.source:
        message = f"want an image whose candidates are known and described alike, got {file_id}"
        raise SettingsError([{"field": f"config.groups[{place}].file_id", "message": message}])


def _nearest(some: Features, among: Features) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each of N things the nearest of M others and its distance; infinitely far where M is 0."""
    apart = distances(some, among)
    if not apart.shape[1]:
        return np.zeros(len(apart), np.int64), np.full(len(apart), np.inf, np.float32)
    return np.argmin(apart, axis=1).astype(np.int64), np.asarray(apart.min(axis=1), np.float32)


def _names(
    ids: NDArray[np.int64], by_id: Mapping[int, GroupChoice], chosen: Sequence[GroupChoice | None]
) -> tuple[str, ...]:
    """Return a name a group: a person's, else what most members are called elsewhere, else a number."""
    names = []
    for i in range(int(ids.max(initial=-1)) + 1):
        members = np.flatnonzero(ids == i).tolist()
        given = Counter(choice.name for k in members if (choice := chosen[k]) and choice.name)
        best, n = given.most_common(1)[0] if given else ("", 0)
        own = by_id.get(i)
        names.append((own.name if own else best if 2 * n > len(members) else None) or f"group {i + 1}")
    return tuple(names)
