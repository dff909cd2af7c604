"""Stage 6 of 7: decide on each candidate, and add up. numpy and scipy only: a recount needs no worker.

In: Candidates.  Out: Instances, CountResult (``summarise``).  Device: CPU.  Settings: CountSettings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import CountSettings, ObjectType, Rejection, SettingsError, object_id
from pipeline.groups import Clustered, Grouping, clustered, group, halves
from pipeline.object_types import asks_for_everything
from pipeline.ops.exemplars import find_exemplar, meant_elsewhere, what_is_meant
from pipeline.ops.kinds import kind_features, kind_tree
from pipeline.ops.nms import KEPT, suppress
from pipeline.ops.overlap import mask_overlaps
from pipeline.ops.regions import points_in_regions
from pipeline.rules import follows
from pipeline.summary import size_stats_of, summarise
from pipeline.types import Candidates, Instances, Readings, RuleEffects

__all__ = ["Clustered", "clustered", "count", "object_id", "requested_type", "size_stats_of", "summarise"]

MIN_AREA_PX = 12
"""Default lower limit of a mask's area: 4 px across. Counters usually take 25, which loses small grains."""

MAX_AREA_SHARE = 0.4
"""Default upper limit of a mask's area, a share of the image or its largest page (anchors (f): Cellpose)."""

MIN_STABILITY = 0.5
"""Masks that halve when their threshold moves are accidents; engines may be stricter themselves."""

EXEMPLAR_PROBABILITY = 0.95
"""Probability that a candidate like the exemplars is one of the things meant."""

SCORE_DIGITS = 6
"""Decimals of a score, decided on as it is stated: who takes one as the threshold counts that object."""

KEPT_OUT_BY_CHOICE = ("", Rejection.LOW_SCORE, Rejection.LOW_STABILITY)
"""What a group left out may take over: those that would count, and those that only doubt keeps out."""


def requested_type(candidates: Candidates, object_types: Sequence[ObjectType]) -> ObjectType:
    """Return the type asked for, one without limits where it is not of the finite set."""
    name = candidates.type_probs.requested
    return next((one for one in object_types if one.name == name), ObjectType(name))


def count(
    candidates: Candidates,
    settings: CountSettings,
    object_types: Sequence[ObjectType] = (),
    *,
    others: Mapping[str, Candidates] | None = None,
    chosen_in: Mapping[str, Clustered] | None = None,
) -> Instances:
    """Decide which candidates are counted, and say why the others are not.

    Regions, size, edge, exemplars, rules, other types, score, stability, suppression of duplicates (mask IoU)
    and of parts (mask IoS) of one type: the first of these that a candidate fails is its rejection. What is
    not meant is no doubtful object, so doubt comes after. Groups that a person left out go last, so that the
    count falls by what was counted of them.

    Args:
        candidates: N candidates of one image.
        settings: everything that decides.
        object_types: the finite set; gives the requested type's size limits where settings have none, and the
            words that, as a group's name, say that it is what is asked for.
        others: candidates of other images by their image id, for exemplars that lie in those.
        chosen_in: ``groups.clustered`` of the settings and ``others``, where several images are counted.

    Returns:
        N decisions. Groups are formed over all candidates, so their ids do not depend on other settings.

    Raises:
        SettingsError: an exemplar lies in an image that ``others`` does not have, a chosen group does not
            exist, or the rules are not those whose effects are stored.

    Complexity: N² box comparisons; linear in mask runs. 1,000 candidates take well under 0.1 s.
    """
    effects = _rule_effects(candidates, settings)
    requested = requested_type(candidates, object_types)
    is_of_type = _is_of_type(candidates, settings)
    named = requested if is_of_type and not settings.exemplars else None
    grouping = group(candidates, settings, others or {}, chosen_in, named)
    matched = _match_exemplars(grouping.here, settings, others or {})
    type_ids, scores = _score(candidates, settings, by_exemplars=matched.is_shown)
    scores[matched.pointed_at] = np.maximum(scores[matched.pointed_at], EXEMPLAR_PROBABILITY)
    if effects is not None:
        scores = np.clip(scores + effects.boosts, 0, 1).astype(np.float32)
        type_ids = _relabelled(type_ids, effects, candidates.type_probs.types)
    scores = scores.round(SCORE_DIGITS)
    rejections = [""] * len(candidates)
    stable = candidates.batch.stability_score >= MIN_STABILITY
    stable[matched.pointed_at] = True
    _reject_by_place(rejections, candidates, settings)
    low, high = limits = _size_limits(candidates, settings, requested)
    _reject(rejections, candidates.batch.area < low, Rejection.TOO_SMALL)
    _reject(rejections, candidates.batch.area > high, Rejection.TOO_LARGE)
    if settings.exclude_edge:
        _reject(rejections, candidates.batch.is_cut, Rejection.EDGE)
    _reject(rejections, ~matched.readings.meant & ~grouping.kept, Rejection.UNLIKE_EXEMPLAR)
    if effects is not None:
        rejections = [
            why or (rule and f"{Rejection.RULE}{rule}")
            for why, rule in zip(rejections, effects.rejected_by, strict=True)
        ]
    if is_of_type and not matched.is_shown:
        names = candidates.type_probs.types
        other = (type_ids != 0) & ~grouping.kept
        if effects is not None:  # a rule that names an object means it to be counted under that name
            other &= np.array([not name for name in effects.relabels], dtype=np.bool_)
        for i in np.flatnonzero(other).tolist():
            rejections[i] = rejections[i] or f"{Rejection.OTHER_TYPE}{names[type_ids[i]]}"
    _reject(rejections, scores < settings.confidence_threshold, Rejection.LOW_SCORE)
    _reject(rejections, ~stable, Rejection.LOW_STABILITY)
    _reject_doubles(rejections, candidates, settings, type_ids, scores)
    would_count = np.array([not why for why in rejections], dtype=np.bool_)
    groups = np.where(would_count, grouping.ids, -1).astype(np.int64)
    labels = _labels(candidates, type_ids, grouping)
    _leave_groups_out(rejections, grouping)
    return Instances(
        scores,
        type_ids,
        groups,
        tuple(rejections),
        limits,
        labels,
        grouping.names,
        grouping.split_from,
        grouping.is_chosen,
        grouping.unsure,
        matched.unmet,
        frozenset(matched.pointed_at),
        matched.readings if matched.is_shown else None,
        halves(grouping.here, grouping.ids, would_count),
    )


def _score(
    candidates: Candidates, settings: CountSettings, *, by_exemplars: bool
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return each candidate's type and score: mask quality times the probability of what is asked for."""
    quality, probs = candidates.batch.predicted_iou, candidates.type_probs.probs
    if not probs.size:
        return np.zeros(len(quality), dtype=np.int64), quality.copy()
    type_ids = np.argmax(probs, axis=1).astype(np.int64)
    if by_exemplars:
        return np.zeros_like(type_ids), quality * np.float32(EXEMPLAR_PROBABILITY)
    if _asks_for_everything(candidates, settings):
        return type_ids, quality * np.minimum(probs.sum(axis=1), 1)
    return type_ids, quality * np.take_along_axis(probs, type_ids[:, None], axis=1)[:, 0]


def _is_of_type(candidates: Candidates, settings: CountSettings) -> bool:
    """Return whether things of one kind are asked for, by its name."""
    return settings.count_what in ("type", "text") and not _asks_for_everything(candidates, settings)


def _asks_for_everything(candidates: Candidates, settings: CountSettings) -> bool:
    return asks_for_everything(settings.count_what, candidates.type_probs.requested)


def _rule_effects(candidates: Candidates, settings: CountSettings) -> RuleEffects | None:
    """Return the stored effects of the rules asked for; the solver never runs here."""
    if settings.rules is None:
        return None
    if not follows(candidates.rule_effects, settings.rules):
        message = "want the rules that this image was counted with (a new job runs others), got others"
        raise SettingsError([{"field": "config.symbolic_reasoning.rules", "message": message}])
    return candidates.rule_effects


def _relabelled(
    type_ids: NDArray[np.int64], effects: RuleEffects, types: tuple[str, ...]
) -> NDArray[np.int64]:
    changed = type_ids.copy()
    for i, name in enumerate(effects.relabels):
        if name:
            changed[i] = types.index(name)
    return changed


def _reject(rejections: list[str], failed: NDArray[np.bool_], why: str) -> None:
    for i in np.flatnonzero(failed).tolist():
        rejections[i] = rejections[i] or str(why)


def _reject_by_place(rejections: list[str], candidates: Candidates, settings: CountSettings) -> None:
    """Centres of boxes must lie in an included region, where there is one, and in no excluded one."""
    box = candidates.batch.bbox_xyxy.astype(np.float64)
    centres = (box[:, :2] + box[:, 2:]) / 2
    _reject(rejections, ~points_in_regions(centres, settings.roi), Rejection.OUTSIDE_ROI)


def _size_limits(candidates: Candidates, settings: CountSettings, own: ObjectType) -> tuple[int, int]:
    """Return the limits of the settings, else of the requested type, else the defaults."""
    largest_px = max(h * w for h, w in candidates.batch.page_sizes_hw or [candidates.batch.size_hw])
    low = _first(settings.min_area_px, own.min_area_px, MIN_AREA_PX)
    high = _first(settings.max_area_px, own.max_area_px, int(MAX_AREA_SHARE * largest_px))
    return low, high


def _first(*limits: int | None) -> int:
    return next(limit for limit in limits if limit is not None)


def _reject_doubles(
    rejections: list[str],
    candidates: Candidates,
    settings: CountSettings,
    type_ids: NDArray[np.int64],
    scores: NDArray[np.float32],
) -> None:
    """Class-wise: first duplicates by IoU, the stronger stays; then parts and wholes by IoS.

    Of a part and a whole the stronger stays (granularity auto), the whole (whole) or the part (part).
    A part that goes is ``inside:`` the whole; a whole that goes is ``duplicate_of:`` its part. What was a
    duplicate of one that goes as a part or whole comes back, unless it is one of what stays.
    """
    batch = candidates.batch
    pairs, shared = mask_overlaps(batch.size_hw, batch.rle_counts, batch.rle_offsets, batch.bbox_xyxy)
    same = type_ids[pairs[:, 0]] == type_ids[pairs[:, 1]]
    pairs, shared = pairs[same], shared[same]
    area = batch.area
    both = area[pairs]
    iou = shared / (both.sum(axis=1) - shared)
    ios = shared / both.min(axis=1)
    by_score = np.lexsort((-area, -scores))
    ranks = {
        "auto": by_score,
        "whole": np.argsort(-area, kind="stable"),
        "part": np.argsort(area, kind="stable"),
    }
    rank, stays = ranks[settings.granularity], np.zeros(len(area), dtype=np.bool_)
    while True:
        winners = _suppress(rejections, _ahead(stays, by_score), pairs[iou > settings.iou_threshold])
        _suppress(rejections, _ahead(stays, rank), pairs[ios > settings.max_overlap], area)
        stays = np.array([not why for why in rejections], dtype=np.bool_)
        bereft = np.flatnonzero((winners != KEPT) & ~stays[winners]).tolist()
        if not bereft:
            return
        for i in bereft:
            rejections[i] = ""


def _ahead(some: NDArray[np.bool_], rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank with some candidates before all others."""
    return rank[np.argsort(~some[rank], kind="stable")]


def _suppress(
    rejections: list[str],
    rank: NDArray[np.int64],
    conflicts: NDArray[np.int64],
    area: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Reject the losers of conflicts; with ``area``, one smaller than its winner lies inside it.

    Returns:
        (N,) int64, as ``suppress``.
    """
    alive = np.array([not why for why in rejections], dtype=np.bool_)
    winners = suppress(rank, conflicts, alive)
    for i in np.flatnonzero(winners != KEPT).tolist():
        is_part = area is not None and area[i] <= area[winners[i]]
        why = Rejection.INSIDE if is_part else Rejection.DUPLICATE_OF
        rejections[i] = f"{why}{object_id(int(winners[i]))}"
    return winners


def _labels(candidates: Candidates, type_ids: NDArray[np.int64], grouping: Grouping) -> tuple[str, ...]:
    """Return the word shown for each candidate: the name a person gave its group, else its type."""
    types = candidates.type_probs.types or ("object",)
    return tuple(given or types[i] for given, i in zip(grouping.labels, type_ids.tolist(), strict=True))


def _leave_groups_out(rejections: list[str], grouping: Grouping) -> None:
    for i, name in enumerate(grouping.left_out_as):
        if name and rejections[i] in KEPT_OUT_BY_CHOICE:
            rejections[i] = f"{Rejection.OTHER_TYPE}{name}"


Guest = tuple[Candidates, int]
"""Candidates of another image, and the one of them that an exemplar there points at."""


@dataclass(frozen=True, slots=True)
class _Matched:
    """What exemplars say of N candidates.

    Attributes:
        is_shown: some exemplar shows what is wanted, and says of each candidate whether it is that.
        readings: what they mean; everything where none says anything.
        pointed_at: candidates that exemplars of this image show.
        unmet: see ``Instances.unmet_exemplars``.
    """

    is_shown: bool
    readings: Readings
    pointed_at: list[int]
    unmet: int


def _match_exemplars(here: Clustered, settings: CountSettings, others: Mapping[str, Candidates]) -> _Matched:
    """Compare the candidates with the exemplars.

    An exemplar that the engine has no candidate for says nothing about appearance and is left out.
    """
    candidates, n = here.candidates, len(here.candidates)
    shown: dict[bool, list[int]] = {True: [], False: []}
    guests: list[Guest] = []
    unmet_here = 0
    for number, exemplar in enumerate(settings.exemplars):
        source = candidates if exemplar.file_id is None else others.get(exemplar.file_id)
        if source is None or source.classification.source != candidates.classification.source:
            message = f"want an image whose candidates are known and described alike, got {exemplar.file_id}"
            raise SettingsError([{"field": f"config.exemplars[{number}].file_id", "message": message}])
        index = find_exemplar(source.batch, exemplar)
        if index is None:
            unmet_here += exemplar.positive and source is candidates
        elif source is candidates:
            shown[exemplar.positive].append(index)
        else:
            shown[exemplar.positive].append(n + len(guests))
            guests.append((source, index))
    pointed_at = [i for i in shown[True] if i < n]
    unmet = unmet_here if shown[True] else len(settings.shown)
    return _Matched(bool(shown[True]), _meant(here, shown, guests), pointed_at, unmet)


def _meant(here: Clustered, shown: Mapping[bool, list[int]], guests: Sequence[Guest]) -> Readings:
    """Return what exemplars mean of N candidates; those of other images join these as their guests."""
    n, features, tree = len(here.candidates), here.features, here.tree
    if tree is None or not (shown[True] or shown[False]):
        return Readings(*(np.ones(n, np.bool_),) * 3)
    joined, source = tree, here.candidates.classification.source
    if guests:
        everyone = [(here.candidates, slice(None)), *((image, slice(k, k + 1)) for image, k in guests)]
        rows = np.concatenate([image.classification.embeddings[which] for image, which in everyone])
        area = np.concatenate([image.batch.area[which] for image, which in everyone])
        features = kind_features((rows, area), source)
        joined = kind_tree(features, len(guests))
    wanted, unwanted = (np.array(shown[side], np.int64) for side in (True, False))
    found = what_is_meant(joined, features, wanted, unwanted, n)
    found = Readings(found.meant[:n], found.narrow[:n], found.wide[:n])
    is_elsewhere = len(wanted) and wanted.min() >= n
    return meant_elsewhere(tree, features, wanted, unwanted, found, source) if is_elsewhere else found
