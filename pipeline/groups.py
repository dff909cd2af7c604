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
from pipeline.ops.cluster import cluster
from pipeline.ops.exemplars import unit_rows
from pipeline.types import Candidates

SIZE_WEIGHT = 0.5
"""What a factor of e in area is worth beside the (unit) embedding when groups are formed."""

REACH = {"handcrafted": 0.45}
DEFAULT_REACH = 0.8
"""Distance to the most similar candidate of a chosen group from which nobody has chosen."""

Choices = Sequence[tuple[int, GroupChoice]]
"""Choices with their place in the settings."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups of N candidates, and what a person decided on them.

    Attributes:
        ids: (N,) int64. Group of each candidate, whatever the settings.
        names: one name a group id.
        labels: N names that a person gave the candidates, "" for none.
        kept: (N,) bool. A person wants them counted.
        left_out_as: N names of the group they were left out with, "" for those that were not.
    """

    ids: NDArray[np.int64]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    kept: NDArray[np.bool_]
    left_out_as: tuple[str, ...]


def group(candidates: Candidates, settings: CountSettings, others: Mapping[str, Candidates]) -> Grouping:
    """Form the groups of one image, and apply what a person chose.

    Args:
        candidates: N candidates of the image.
        settings: with the choices.
        others: candidates by image id; of this image too where choices name it.

    Raises:
        SettingsError: a choice names a group that its image does not have, or an image whose candidates
            are not known, or that are described in another way than these.
    """
    ids = cluster(_features(candidates))
    chosen: list[GroupChoice | None] = [None] * len(candidates)
    if settings.groups_scope == "job":
        chosen = _chosen_elsewhere(candidates, settings, others)
    own = [(n, c) for n, c in enumerate(settings.groups) if _is_of(c, candidates, others)]
    by_id = _by_id(own, ids)
    chosen = [by_id.get(i, choice) for i, choice in zip(ids.tolist(), chosen, strict=True)]
    names = _names(ids, by_id, chosen)
    return Grouping(
        ids,
        names,
        labels=tuple((choice.name or "") if choice else "" for choice in chosen),
        kept=np.array([bool(choice and choice.counted) for choice in chosen], dtype=np.bool_),
        left_out_as=tuple(
            "" if choice is None or choice.counted else choice.name or names[i]
            for i, choice in zip(ids.tolist(), chosen, strict=True)
        ),
    )


def _features(candidates: Candidates) -> NDArray[np.float32]:
    """Return (N, D + 1) float32 rows whose distance says how unlike candidates are in looks and size."""
    size = SIZE_WEIGHT * np.log(np.maximum(candidates.batch.area, 1)).astype(np.float32)
    return np.concatenate([unit_rows(candidates.classification.embeddings), size[:, None]], axis=1)


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
    candidates: Candidates, settings: CountSettings, others: Mapping[str, Candidates]
) -> list[GroupChoice | None]:
    """Return for each candidate the choice made for what it is most like in other images, None for none."""
    by_file: dict[str, list[tuple[int, GroupChoice]]] = {}
    for place, choice in enumerate(settings.groups):
        if choice.file_id is not None and not _is_of(choice, candidates, others):
            by_file.setdefault(choice.file_id, []).append((place, choice))
    features = [np.zeros((0, candidates.classification.embeddings.shape[1] + 1), np.float32)]
    ways: list[GroupChoice | None] = []
    for file_id, choices in by_file.items():
        source = _source(file_id, choices[0][0], candidates, others)
        features.append(_features(source))
        ids = cluster(features[-1])
        by_id = _by_id(choices, ids)
        ways += [by_id.get(i) for i in ids.tolist()]
    nearest, distance = _nearest(_features(candidates), np.concatenate(features))
    reach = REACH.get(candidates.classification.source, DEFAULT_REACH)
    return [ways[i] if d <= reach else None for i, d in zip(nearest.tolist(), distance.tolist(), strict=True)]


def _source(file_id: str, place: int, candidates: Candidates, others: Mapping[str, Candidates]) -> Candidates:
    """Return the candidates of another image, which must be described as these are."""
    source = others.get(file_id)
    if source is not None and source.classification.source == candidates.classification.source:
        return source
    message = f"want an image whose candidates are known and described alike, got {file_id}"
    raise SettingsError([{"field": f"config.groups[{place}].file_id", "message": message}])


def _nearest(
    rows: NDArray[np.float32], among: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each of N rows the nearest of M others and its distance; infinitely far where M is 0."""
    if not len(among):
        return np.zeros(len(rows), np.int64), np.full(len(rows), np.inf, np.float32)
    squared = (rows**2).sum(axis=1)[:, None] + (among**2).sum(axis=1)[None] - 2 * rows @ among.T
    nearest = np.argmin(squared, axis=1)
    closest = np.take_along_axis(squared, nearest[:, None], axis=1)[:, 0]
    return nearest.astype(np.int64), np.sqrt(np.maximum(closest, 0)).astype(np.float32)


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
