"""Visual groups of one image, and what a person's choice of groups means for its candidates.

A choice holds for the members of its group. With the scope "job" it holds too for candidates of other
images: each goes the way of the candidate it is most like in the images where groups were chosen.
A group that holds two kinds can be split: its halves are groups themselves, of which other choices speak.
Where a group has the name of what is asked for, it is what is meant: what is not said to count is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import CountSettings, GroupChoice, Half, ObjectType, SettingsError, object_id
from pipeline.object_types import is_called
from pipeline.ops.exemplars import SAME_LIGHT
from pipeline.ops.kinds import Features, KindTree, distances, kind_features, kind_tree
from pipeline.types import Candidates

REACH = 1.0
"""Distance to the most similar candidate of a chosen group from which nobody has chosen."""

MOST_HALVED, HALVES_APART = 8, 0.6
"""So many groups, the largest, are told what halves they have, where these differ so much on average; at 1
kinds part."""

Choices = Sequence[tuple[int, GroupChoice]]
"""Choices with their place in the settings."""

NOT_NAMED = GroupChoice(-1, counted=False)
"""What holds for a candidate of which nobody said anything, beside a group with the name asked for."""


@dataclass(frozen=True, slots=True)
class Clustered:
    """One image's N candidates with their groups: what choices that hold for other images are made of.

    Attributes:
        candidates: of the image.
        features: what tells them apart. tree: of what is alike; None where N is 0.
        ids: (N,) int64. Group of each candidate, from 0 to the number of groups, before a person split any.
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
        ids: (N,) int64. Group of each candidate. names: by group id.
        split_from: id of the group that a person split, by id of its halves.
        is_chosen: some choice is of a group here, or holds for a candidate here.
        unsure: see ``Instances.unsure``.
        labels: N names that a person gave the candidates, "" for none.
        kept: (N,) bool. A person wants them counted.
        left_out_as: N names of the group they were left out with, "" for those that were not.
    """

    here: Clustered
    ids: NDArray[np.int64]
    names: Mapping[int, str]
    split_from: Mapping[int, int]
    is_chosen: bool
    unsure: frozenset[int]
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
    asked: ObjectType | None = None,
) -> Grouping:
    """Form the groups of one image, and apply what a person chose.

    Args:
        candidates: N candidates of the image.
        settings: with the choices.
        others: candidates by image id; of this image too where choices name it.
        chosen_in: ``clustered`` of these; None works it out here.
        asked: type whose name, given to a group, says which things are meant; None where names say nothing.

    Raises:
        SettingsError: a choice names a group that its image does not have, splits what is one thing, or names
            an image whose candidates are not known, or that are described in another way than these.
    """
    chosen_in = clustered(settings, others) if chosen_in is None else chosen_in
    here = next((one for one in chosen_in.values() if one.candidates is candidates), None)
    here = here or _clustered(candidates)
    chosen: list[GroupChoice | None] = [None] * len(candidates)
    apart = np.zeros(len(candidates), np.float32)
    if settings.groups_scope == "job":
        chosen, apart = _chosen_elsewhere(here, settings, others, chosen_in, asked)
    own = [(n, c) for n, c in enumerate(settings.groups) if _is_of(c, candidates, others)]
    ids, by_id = _split(here, own)
    chosen = _as_named([by_id.get(i, choice) for i, choice in zip(ids.tolist(), chosen, strict=True)], asked)
    n_groups = _n_groups(here)
    names = _names(ids, n_groups, by_id, chosen)
    is_named = bool(_meant_names(settings.groups, asked))
    little = [] if own else np.flatnonzero(apart > SAME_LIGHT).tolist()
    return Grouping(
        here,
        ids,
        names,
        {i: (i - _even(n_groups)) // 2 for i in names if i >= n_groups},
        bool(own) or any(chosen),
        frozenset(i for i in little if is_named or ((way := chosen[i]) and not way.says_nothing)),
        labels=tuple((choice.name or "") if choice else "" for choice in chosen),
        kept=np.array([bool(choice and choice.counted) for choice in chosen], dtype=np.bool_),
        left_out_as=tuple(
            choice.name or names[i] if choice and choice.counted is False else ""
            for i, choice in zip(ids.tolist(), chosen, strict=True)
        ),
    )


def _as_named(chosen: list[GroupChoice | None], asked: ObjectType | None) -> list[GroupChoice | None]:
    """Return what is chosen for each candidate of an image once the names of its groups are heard.

    Where some have the name that is asked for, and are not left out, they count, and what has not and is not
    said to count is left out.
    """
    meant = _meant_names(chosen, asked)
    if not meant:
        return chosen
    every = [choice or NOT_NAMED for choice in chosen]
    return [
        replace(choice, counted=choice.name in meant) if choice.counted is None else choice
        for choice in every
    ]


def _meant_names(choices: Iterable[GroupChoice | None], asked: ObjectType | None) -> set[str]:
    """Return the names that are that of what is asked for, of groups that are not left out."""
    words = {choice.name for choice in choices if choice and choice.name and choice.counted is not False}
    return {word for word in words if asked and is_called(asked, word)}


def _is_of(choice: GroupChoice, candidates: Candidates, others: Mapping[str, Candidates]) -> bool:
    return choice.file_id is None or others.get(choice.file_id) is candidates


def _split(one: Clustered, choices: Choices) -> tuple[NDArray[np.int64], dict[int, GroupChoice]]:
    """Return the group of each candidate once those are split that a person split, and what holds for which.

    The halves of group g of n are n + 2 g and n + 2 g + 1, with n rounded up to an even number: their ids do
    not depend on other splits, and differ in the last bit. What is said of a group that is split holds for
    both halves, its name for the larger one; a choice for a half replaces that.
    """
    ids, n_groups = one.ids.copy(), _n_groups(one)
    by_id: dict[int, GroupChoice] = {}
    for place, choice in sorted(choices, key=lambda chosen: chosen[1].id):
        members = np.flatnonzero(ids == choice.id)
        if not len(members):
            halves = ", or a half of one that is split" * any(other.split for _, other in choices)
            wanted = f"one of the groups 0 to {n_groups - 1} of this image{halves}"
            raise _wrong_choice(place, f"want {wanted if n_groups else 'no group here'}, got {choice.id}")
        if choice.split:
            second = _second_half(one, members)
            if second is None:
                raise _wrong_choice(place, f"want a group of things that differ to split, got {choice.id}")
            first_id = _first_half(n_groups, choice.id)
            ids[members] = first_id + second
            whole = by_id.pop(choice.id, choice) if choice.says_nothing else choice
            larger = _larger_half(second)
            for half in (0, 1) if not whole.says_nothing else ():
                name = whole.name if half == larger else None
                by_id[first_id + half] = replace(whole, id=first_id + half, split=False, name=name)
        else:
            by_id[choice.id] = choice
    return ids, by_id


def _second_half(one: Clustered, members: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Return whether each member of a group goes with its lighter half; None where nothing parts them.

    They weigh what they are worth as objects, whatever else is asked of them. What falls off the tree above
    the halves goes with the one that it is less far from on average.
    """
    halves = one.tree and one.tree.halves(members, one.candidates.batch.predicted_iou[members])
    if not halves:
        return None
    first, second = (half[members] for half in halves)
    rest = ~(first | second)
    to_first, to_second = (
        distances(one.features[members[rest]], one.features[members[half]]).mean(axis=1)
        for half in (first, second)
    )
    second[rest] = to_second < to_first
    return second


def _larger_half(second: NDArray[np.bool_]) -> int:
    """Return which half has more members, 0 or 1; the first of two that have as many."""
    return int(2 * second.sum() > len(second))


def halves(one: Clustered, ids: NDArray[np.int64], shown: NDArray[np.bool_]) -> dict[int, tuple[Half, Half]]:
    """Return what splitting a group would give, by group id, where both halves have something that shows.

    Args:
        one: an image with N candidates.
        ids: (N,) group of each, once those are split that a person split.
        shown: (N,) bool. Members that count, or would.
    """
    found, n_groups = {}, _n_groups(one)
    for i, _ in Counter(ids[shown].tolist()).most_common(MOST_HALVED):
        members = np.flatnonzero(ids == i)
        second = _second_half(one, members)
        if second is None:
            continue
        sides = members[~second], members[second]
        first_id, apart = _first_half(n_groups, i), distances(*(one.features[side] for side in sides))
        if all(shown[side].any() for side in sides) and apart.mean() >= HALVES_APART:
            larger = first_id + _larger_half(second)
            a, b = (
                Half(k, _number(k, n_groups), tuple(map(object_id, side[shown[side]].tolist())), k == larger)
                for k, side in enumerate(sides, first_id)
            )
            found[i] = a, b
    return found


def _n_groups(one: Clustered) -> int:
    return int(one.ids.max(initial=-1)) + 1


def _even(n: int) -> int:
    return n + n % 2


def _first_half(n_groups: int, i: int) -> int:
    return _even(n_groups) + 2 * i


def _wrong_choice(place: int, message: str, field: str = "id") -> SettingsError:
    return SettingsError([{"field": f"config.groups[{place}].{field}", "message": message}])


def _chosen_elsewhere(
    here: Clustered,
    settings: CountSettings,
    others: Mapping[str, Candidates],
    chosen_in: Mapping[str, Clustered],
    asked: ObjectType | None,
) -> tuple[list[GroupChoice | None], NDArray[np.float32]]:
    """Return for each candidate the choice made for what it is most like in other images, and its distance.

    None and more than ``REACH`` where nothing there is like it.
    """
    by_file: dict[str, list[tuple[int, GroupChoice]]] = {}
    for place, choice in enumerate(settings.groups):
        if choice.file_id is not None and not _is_of(choice, here.candidates, others):
            by_file.setdefault(choice.file_id, []).append((place, choice))
    ways: list[GroupChoice | None] = [None] * len(here.ids)
    closest = np.full(len(ways), np.nextafter(np.float32(REACH), np.float32(np.inf)), np.float32)
    for file_id, choices in by_file.items():
        _check_source(file_id, choices[0][0], here.candidates, others)
        there = chosen_in[file_id]
        ids, by_id = _split(there, choices)
        chosen = _as_named([by_id.get(i) for i in ids.tolist()], asked)
        nearest, distance = _nearest(here.features, there.features)
        for i in np.flatnonzero(distance < closest).tolist():
            ways[i] = chosen[nearest[i]]
        closest = np.minimum(closest, distance)
    return ways, closest


def _check_source(file_id: str, place: int, candidates: Candidates, others: Mapping[str, Candidates]) -> None:
    """Raise unless the candidates of another image are known, and described as these are."""
    source = others.get(file_id)
    if source is None or source.classification.source != candidates.classification.source:
        message = f"want an image whose candidates are known and described alike, got {file_id}"
        raise _wrong_choice(place, message, "file_id")


def _nearest(some: Features, among: Features) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each of N things the nearest of M others and its distance; infinitely far where M is 0."""
    apart = distances(some, among)
    if not apart.shape[1]:
        return np.zeros(len(apart), np.int64), np.full(len(apart), np.inf, np.float32)
    return np.argmin(apart, axis=1).astype(np.int64), np.asarray(apart.min(axis=1), np.float32)


def _names(
    ids: NDArray[np.int64],
    n_groups: int,
    by_id: Mapping[int, GroupChoice],
    chosen: Sequence[GroupChoice | None],
) -> dict[int, str]:
    """Return a name a group: a person's, else what most members are called elsewhere, else a number.

    Where only some members are left out, the others alone name it: so it is called what is counted of it.
    """
    names = {}
    for i in np.unique(ids).tolist():
        members = np.flatnonzero(ids == i).tolist()
        members = [k for k in members if not ((choice := chosen[k]) and choice.counted is False)] or members
        given = Counter(choice.name for k in members if (choice := chosen[k]) and choice.name)
        best, n = given.most_common(1)[0] if given else ("", 0)
        own = by_id.get(i)
        names[i] = (own.name if own else best if 2 * n > len(members) else None) or _number(i, n_groups)
    return names


def _number(i: int, n_groups: int) -> str:
    """Return "group 2", and for the halves of that "group 2.1" and "group 2.2"."""
    if i < n_groups:
        return f"group {i + 1}"
    whole, half = divmod(i - _even(n_groups), 2)
    return f"{_number(whole, n_groups)}.{half + 1}"
