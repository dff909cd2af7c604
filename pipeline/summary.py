"""Decisions → the answer for one image: count, interval, groups, sizes, and whether to look again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration import Calibration, calibration_of
from pipeline.contract import (
    CountResult,
    CountSettings,
    DensityEstimate,
    Group,
    Provenance,
    Rejection,
    SizeStats,
)
from pipeline.density import estimate_density
from pipeline.in_question import SEVERAL_KINDS, InQuestion, in_question, is_only_named
from pipeline.ops.boxes import overlapping_pairs
from pipeline.ops.interval import central_interval
from pipeline.types import CandidateBatch, Candidates, Instances

INTERVAL_LEVEL = 0.9
MIN_WIDTH = 2
WIDE_INTERVAL = 0.3
"""Width of the interval, as a share of the count, that alone asks for a look."""
DOUBTFUL_INTERVAL = 0.15
"""Width from which touching objects ask for a look."""
MANY_TOUCHING = 0.5
MANY_CUT = 0.25
SMALLEST_KIND = 3
"""A group is a kind of its own from so many objects."""
_LIMITS: Mapping[str, str] = {
    Rejection.TOO_SMALL: "too small",
    Rejection.TOO_LARGE: "too large",
    Rejection.EDGE: "cut by the edge",
    Rejection.OUTSIDE_ROI: "outside of the regions",
    Rejection.OTHER_TYPE: "of another kind",
    Rejection.RULE: "left out by the rules",
    Rejection.LOW_SCORE: "less sure than asked for",
    Rejection.LOW_STABILITY: "of no sure outline",
}
"""What keeps things out of a count of nothing, in words for people."""

HARDLY_ANY = 2
"""Where nothing but the request names the objects, so few ask for a look."""
HARDLY_ANY_BESIDE = 1
"""The same, of objects beside those that examples show."""

MANY_LARGE = 0.15
LARGE_FACTOR = 1.8
UNLIKE_FACTOR = 8.0
"""In area, from which things found at several scales are of very different sizes."""
DISAGREEING = 0.15
"""Share by which the numbers of things at two scales may differ."""
SMALL_OBJECT_PX = 64
MANY_OBJECTS = 5000


def summarise(
    candidates: Candidates,
    instances: Instances,
    settings: CountSettings,
    timings_s: Mapping[str, float],
    provenance: Provenance,
    *,
    is_corrected: bool = False,
) -> CountResult:
    """Return the answer for one image.

    The interval is the central 90 % of the distribution of the true count: the counted candidates and
    those kept out by their score alone are objects with the probability that the engine's calibration gives
    their score; objects that no candidate stands for come on top. It is widened to hold the count and, where
    examples leave open what is meant or some objects are unlike most, the count by the other reading.

    Args:
        candidates: N candidates.
        instances: the N decisions on them.
        settings: the settings they were made with.
        timings_s: stage → seconds.
        provenance: what made the candidates.
        is_corrected: a human said which objects are meant, so that examples leave nothing open.
    """
    counted, n_px = instances.counted, candidates.batch.size_hw[0] * candidates.batch.size_hw[1]
    scores = instances.scores[counted]
    known = calibration_for(instances, provenance.engine)
    question = InQuestion() if is_corrected else in_question(candidates, instances, settings)
    interval = count_interval(candidates, instances, known, question)
    labels = Counter(instances.labels[i] for i in counted.tolist())
    estimate = estimate_density(candidates, instances, settings, provenance.engine)
    reason = _review_reason(candidates, instances, interval, settings, estimate, question)
    return CountResult(
        count=len(counted),
        count_interval=interval,
        by_type=dict(labels.most_common()),
        groups=_groups(instances),
        stats=size_stats_of(candidates.batch.area[counted], n_px),
        average_confidence=round(float(scores.mean()), 4) if len(scores) else 0.0,
        needs_review=reason is not None,
        review_reason=reason,
        labelled_by=candidates.type_probs.labelled_by,
        timings_s=dict(timings_s),
        provenance=provenance,
        size_limits_px=instances.size_limits_px,
        engine_details=_engine_details(candidates, counted),
        density_estimate=estimate,
    )


def calibration_for(instances: Instances, engine: str) -> Calibration:
    """Return what is known of an engine's counts by examples in the picture, or of those without."""
    return calibration_of(engine, is_shown=bool(instances.shown))


def count_interval(
    candidates: Candidates, instances: Instances, known: Calibration, question: InQuestion
) -> tuple[int, int]:
    """Return the lowest and highest number of objects that ``summarise`` states of N candidates."""
    low, high = central_interval(known.distribution(candidates, instances), INTERVAL_LEVEL)
    n = len(instances.counted)
    return min(low, n - question.little_like - question.unlike), max(high, n + question.left_out)


def _groups(instances: Instances) -> tuple[Group, ...]:
    """Return the groups with something in them, the largest count first, those left out last."""
    counts = Counter(instances.group_ids[instances.counted].tolist())
    members = Counter(instances.group_ids[instances.group_ids >= 0].tolist())
    order = sorted(members, key=lambda i: (-counts[i], -members[i], i))
    return tuple(
        Group(
            id=i,
            name=instances.group_names[i],
            count=counts[i],
            left_out=members[i] - counts[i],
            counted=counts[i] > 0,
            part_of=instances.split_from.get(i),
            halves=instances.halves.get(i),
        )
        for i in order
    )


def _engine_details(candidates: Candidates, counted: NDArray[np.int64]) -> dict[str, Any]:
    """Say at which scales the engine looked, and for things of which size."""
    area = candidates.batch.area[counted]
    radius = round(float(np.sqrt(np.median(area) / np.pi)), 1) if len(area) else None
    return {"scales": [round(s, 4) for s in candidates.batch.scales], "typical_radius_px": radius}


def size_stats_of(areas: NDArray[np.int64], n_px: int) -> SizeStats:
    """Return the statistics of (N,) areas in px, in an image of ``n_px`` px; zeros when N is 0."""
    area = areas.astype(np.float64)
    p10, median, p90 = np.percentile(area, (10, 50, 90)) if len(area) else (0.0, 0.0, 0.0)
    return SizeStats(
        median_area_px=float(median),
        p10_area_px=float(p10),
        p90_area_px=float(p90),
        coverage_percent=round(min(100.0, 100.0 * float(area.sum()) / n_px), 3),
        density_per_megapixel=round(len(area) * 1e6 / n_px, 3),
    )


def _review_reason(
    candidates: Candidates,
    instances: Instances,
    interval: tuple[int, int],
    settings: CountSettings,
    estimate: DensityEstimate | None,
    question: InQuestion,
) -> str | None:
    """Say in words for people what makes this count most doubtful; None when nothing does.

    Touching is the cause of a doubt only where the interval shows one.
    """
    counted, batch = instances.counted, candidates.batch
    n, width = len(counted), interval[1] - interval[0]
    if batch.pages_left:
        return f"only the first of {1 + batch.pages_left} pages was counted"
    if not n:
        return _crowd_reason(estimate) or _nothing_reason(instances)
    box, area = batch.bbox_xyxy[counted], batch.area[counted]
    reasons = [
        _blank_reason(batch, counted, settings),
        _unmatched(instances, settings),
        _crowd_reason(estimate),
        _dense_reason(area),
    ]
    reasons.append(_examples_reason(instances, question))
    only_named = is_only_named(candidates, instances, settings)
    if only_named:
        reasons += [_sizes_reason(batch.scales, area), _unlike_reason(n, question.unlike)]
    if width > max(MIN_WIDTH, DOUBTFUL_INTERVAL * n):
        reasons.append(_touching_reason(box))
    reasons += [_large_reason(area), _cut_reason(batch.is_cut[counted]), _plain_reason(batch)]
    if not settings.shown:
        reasons.append(_scales_reason(len(batch), batch.n_beside))
    if width > max(MIN_WIDTH, WIDE_INTERVAL * n):
        reasons.append(f"wide interval: {interval[0]} to {interval[1]}")
    if only_named:
        reasons.append(_kinds_reason(instances.group_ids[counted]))
        reasons.append(_few_reason(n))
    return next((reason for reason in reasons if reason), None)


def _nothing_reason(instances: Instances) -> str:
    kinds = Counter("".join(why.partition(":")[:2]) for why in instances.rejections)
    n_unlike = kinds[Rejection.UNLIKE_EXEMPLAR]
    others = f"{n_unlike} other thing{'s' if n_unlike > 1 else ''}"
    if n_unlike and not (kinds[Rejection.LOW_SCORE] or kinds[Rejection.LOW_STABILITY]):
        return f"nothing is as the examples say, {others} left out"
    kept_out = max(_LIMITS, key=lambda why: kinds[why])
    n = kinds[kept_out]
    return f"nothing is counted of what was found: {n} {_LIMITS[kept_out]}" if n else "nothing was found"


def _blank_reason(batch: CandidateBatch, counted: NDArray[np.int64], settings: CountSettings) -> str | None:
    """A page without anything is asked about like a picture without; regions may leave out whole pages."""
    n_pages = len(batch.page_sizes_hw)
    blank = n_pages - len(np.unique(batch.page_of[counted]))
    return (
        f"nothing was found on {blank} of {n_pages} pages" if n_pages and blank and not settings.roi else None
    )


def _unmatched(instances: Instances, settings: CountSettings) -> str | None:
    lost, n = instances.unmet_exemplars, len(settings.shown)
    if not lost:
        return None
    said = f"{lost} of {n} examples meet no object that the engine sees"
    if instances.readings:
        return said
    chosen = (Rejection.UNLIKE_EXEMPLAR, Rejection.OTHER_TYPE)
    is_all = not any(why.startswith(chosen) for why in instances.rejections)
    return f"{said}: {'all that was found is counted' if is_all else 'what is meant is not known from them'}"


def _examples_reason(instances: Instances, question: InQuestion) -> str | None:
    """Examples may mean more or less than was made of them."""
    little, n = question.little_like, len(instances.counted)
    if instances.unsure:
        said = f"{little} of {n} objects" if little else f"{question.left_out} things left out"
        told = f"{said} look little like what was chosen in another photo: choose groups here"
        return told if little or question.left_out else None
    if little == n and not instances.shown:
        said = "nothing is closely like the examples in another photo, what is nearest was counted"
        return f"{said}: mark one if it is not meant"
    if little:
        return f"{little} of {n} objects look little like the examples: mark one if it is not meant"
    if question.left_out:
        things = f"{question.left_out} things as large as those counted"
        return f"{things} were left out as unlike: show one if meant"
    n_beside = len(set(instances.counted.tolist()) - instances.shown)
    if instances.shown and n_beside <= HARDLY_ANY_BESIDE:
        return f"{'hardly anything' if n_beside else 'nothing'} was found beside the examples"
    return None


def _crowd_reason(estimate: DensityEstimate | None) -> str | None:
    if estimate is None:
        return None
    return f"a heap or crowd, about {estimate.count} ({estimate.low} to {estimate.high}): {estimate.reason}"


def _dense_reason(area: NDArray[np.int64]) -> str | None:
    n, median = len(area), float(np.median(area))
    if n > MANY_OBJECTS:
        return f"too dense: {n} objects"
    return (
        f"too dense: the objects are very small, {median:.0f} px each" if median < SMALL_OBJECT_PX else None
    )


def _touching_reason(box: NDArray[np.float32]) -> str | None:
    n, touching = len(box), len(np.unique(overlapping_pairs(box)))
    return f"{touching} of {n} objects touch or overlap" if n > 2 and touching > MANY_TOUCHING * n else None


def _large_reason(area: NDArray[np.int64]) -> str | None:
    n, large = len(area), int((area > LARGE_FACTOR * float(np.median(area))).sum())
    many = large > max(1, MANY_LARGE * n)
    return f"{large} of {n} objects are much larger than the others: some may be several" if many else None


def _unlike_reason(n: int, n_unlike: int) -> str | None:
    return f"{n_unlike} of {n} objects look unlike the others: they may not be meant" if n_unlike else None


def _kinds_reason(group_ids: NDArray[np.int64]) -> str | None:
    """Nothing but the request names the objects, and they are not alike: some may not be meant."""
    n, sizes = len(group_ids), np.unique(group_ids, return_counts=True)[1]
    kinds = int((sizes >= SMALLEST_KIND).sum())
    many = kinds > 1 and n - sizes.max() > SEVERAL_KINDS * n
    return f"several kinds of things: {kinds} groups" if many else None


def _sizes_reason(scales: tuple[float, ...], area: NDArray[np.int64]) -> str | None:
    """What was found at several scales is counted together: large and much smaller things."""
    small = int((area * UNLIKE_FACTOR < area.max()).sum())
    is_both = len(scales) > 1 and small
    return f"things of very different sizes: {small} of {len(area)} are much smaller" if is_both else None


def _scales_reason(n: int, n_beside: tuple[int, ...]) -> str | None:
    """A picture looked at a little larger or smaller shows as many things, where these are seen well."""
    other = max(n_beside, key=lambda m: abs(m - n), default=n)
    off = abs(other - n) > max(1, DISAGREEING * n)
    return f"a closer or wider look shows {other} things, not {n}" if off else None


def _plain_reason(batch: CandidateBatch) -> str | None:
    """Other scales were looked at, and none shows what was found."""
    is_plain = batch.n_beside and not batch.scales
    return "the network sees nothing here: counted by colour and edges alone" if is_plain else None


def _few_reason(n: int) -> str | None:
    """Who has a picture counted has more to count: the many may be what the engine cannot see."""
    return f"hardly anything was found: {n} object{'s' if n > 1 else ''}" if n <= HARDLY_ANY else None


def _cut_reason(is_cut: NDArray[np.bool_]) -> str | None:
    n, cut = len(is_cut), int(is_cut.sum())
    return f"{cut} of {n} objects are cut by the image border" if cut > max(1, MANY_CUT * n) else None
