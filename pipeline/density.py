"""Heaps and crowds: about how many things there are where they cannot be told apart one by one.

An estimate with an interval, beside the count and never in place of it. It is worked out from the decisions
on the candidates and from what the engine saw too faintly to propose, so that a recount works it out anew:
regions and size limits act on it, a threshold does not. The table (data/density.json) is fitted by
tools/fit_density.py on drawn heaps and checked on others by bench/density.py. numpy and scipy only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pipeline.calibration import doubtful
from pipeline.consistency import weighted_median
from pipeline.contract import CountSettings, DensityEstimate, Rejection
from pipeline.ops.regions import points_in_regions
from pipeline.types import Candidates, Instances

TABLE = Path(__file__).parent / "data" / "density.json"

EVIDENCE = ("always", "doubt", "skew")
"""Names of the entries of ``Crowd.evidence``."""

LEAST_COUNTED, LEAST_SEEN = 10, 40
"""Fewer tell nothing of a crowd: on photos the faint are then grass, straw or parts of large things."""
LEAST_DOUBT = 0.25
"""Share of the instances that are too faint to propose, from which a count of the others is not trusted."""
MOST_APART = 1.1
"""Usual diameters from one thing to the nearest, in the median, up to which things lie in a heap: on photos,
what is faint and stands apart is something else, as weeds are among seedlings."""
LEAST_CHANGE = 0.15
"""An estimate that is nearer to the count than this share says nothing new."""

_UNLIKE = (Rejection.UNLIKE_EXEMPLAR, Rejection.OTHER_TYPE, Rejection.RULE)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Crowd:
    """What an engine saw in the place that is counted, sure or faint.

    Attributes:
        n_seen: instances, counted or doubtful or faint. share: of them that are of the kind asked for.
        apart: usual diameters from the middle of one to that of the nearest other, in the median.
        evidence: (3,) float64 in the order of ``EVIDENCE``: 1; share of the faint; log of the mean over the
            typical area, which rises with clumps and falls with pieces.
    """

    n_seen: int
    share: float
    apart: float
    evidence: Floats

    @property
    def doubt(self) -> float:
        """Share of the instances that are too faint to propose."""
        return float(self.evidence[1])

    def is_heap(self, n_counted: int) -> bool:
        """Return whether a count of so many is not to be trusted, since too much else lies there."""
        return n_counted >= LEAST_COUNTED and self.doubt >= LEAST_DOUBT and self.apart <= MOST_APART


@dataclass(frozen=True, slots=True)
class DensityModel:
    """What is known of one engine.

    Attributes:
        weights: one a name of ``EVIDENCE``: log of the things that there are for each that was seen.
        spread: the same for the log of the error's size (in logs).
        below, above: the interval's ends in units of that size.
    """

    weights: tuple[float, ...]
    spread: tuple[float, ...]
    below: float
    above: float

    def log_ratio(self, evidence: Floats) -> tuple[float, float]:
        """Return log(true / seen) as expected, and the size of its error."""
        return float(np.dot(self.weights, evidence)), float(np.exp(np.dot(self.spread, evidence)))

    def interval(self, crowd: Crowd, n_counted: int) -> tuple[float, float, float]:
        """Return the estimate and the ends of its 90 % interval, which begins at the count or below.

        What looks like a heap may be none: on photos all of it was counted then.
        """
        middle, error = self.log_ratio(crowd.evidence)
        seen = crowd.n_seen * crowd.share
        low, best, high = (seen * np.exp(middle + k * error) for k in (self.below, 0.0, self.above))
        return float(best), float(min(low, n_counted)), float(high)


def density_model(engine: str) -> DensityModel | None:
    """Return what is known of an engine; None when it tells nothing of what it saw faintly."""
    return _table().get(engine)


@cache
def _table() -> dict[str, DensityModel]:
    entries = json.loads(TABLE.read_text(encoding="utf-8"))
    return {
        engine: DensityModel(tuple(e["weights"]), tuple(e["spread"]), e["below"], e["above"])
        for engine, e in entries.items()
    }


def estimate_density(
    candidates: Candidates, instances: Instances, settings: CountSettings, engine: str
) -> DensityEstimate | None:
    """Return an estimate where the count of instances is not to be trusted, else None.

    None with exemplars too: what is faint has no looks to compare with theirs.

    Args:
        candidates: N candidates of one image, with what was seen faintly.
        instances: the N decisions on them.
        settings: those of the decisions; regions hold for what is faint too.
        engine: that made the candidates.
    """
    model, count = density_model(engine), len(instances.counted)
    if model is None or settings.exemplars:
        return None
    crowd = seen_in(candidates, instances, settings)
    if crowd is None or not crowd.is_heap(count):
        return None
    best, low, high = model.interval(crowd, count)
    if abs(best - count) <= max(1.0, LEAST_CHANGE * count):
        return None
    n_faint = round(crowd.doubt * crowd.n_seen)
    reason = f"{n_faint} of {crowd.n_seen} things cannot be told apart from those around them"
    return DensityEstimate(round(best), int(low), int(np.ceil(high)), "heap", reason)


def seen_in(candidates: Candidates, instances: Instances, settings: CountSettings) -> Crowd | None:
    """Return what was seen in the regions of the settings, or None where that is too little to judge by."""
    batch = candidates.batch
    judged = np.concatenate([instances.counted, doubtful(instances)])
    low, high = instances.size_limits_px
    faint = batch.faint.astype(np.float64)
    faint = faint[points_in_regions(faint[:, :2], settings.roi)]
    faint = faint[(faint[:, 2] >= low) & (faint[:, 2] <= high)]
    area = np.concatenate([batch.area[judged].astype(np.float64), faint[:, 2]])
    quality = np.concatenate([batch.predicted_iou[judged].astype(np.float64), faint[:, 3]])
    if len(area) < LEAST_SEEN:
        return None
    box = batch.bbox_xyxy[judged].astype(np.float64)
    middle_xy = np.concatenate([(box[:, :2] + box[:, 2:]) / 2, faint[:, :2]])
    nearest = KDTree(middle_xy).query(middle_xy, k=2)[0][:, 1]
    typical = weighted_median(area, np.maximum(quality, 0.05) ** 2)
    apart = float(np.median(nearest) / np.sqrt(4 / np.pi * typical))
    evidence = np.array([1.0, len(faint) / len(area), float(np.log(area.mean() / typical))])
    return Crowd(len(area), _share_of_kind(instances, len(judged)), apart, evidence)


def _share_of_kind(instances: Instances, n_kept: int) -> float:
    """Return the share of the candidates in place that are of the kind asked for: the faint have no looks."""
    unlike = sum(why.startswith(_UNLIKE) for why in instances.rejections)
    return n_kept / (n_kept + unlike) if unlike else 1.0
