"""What the scores of an engine are worth: how often such a candidate is an object, how many are missed.

The table (data/calibration.json) is fitted by tools/fit_calibration.py on drawn scenes and checked on
photos by bench/calibration.py. An engine without an entry is taken at its word: its scores are the
chances, and those below an eighth are noise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import Rejection
from pipeline.ops.boxes import overlapping_pairs
from pipeline.ops.interval import count_distribution
from pipeline.types import Candidates, Instances

TABLE = Path(__file__).parent / "data" / "calibration.json"

EVIDENCE = ("always", "doubt", "weak", "touching", "uneven")
"""Names of the columns of ``evidence``."""

_DOUBTFUL = (Rejection.LOW_SCORE, Rejection.LOW_STABILITY)

SHOWN = ", shown"
"""Follows an engine's name where exemplars say what to count."""

CLEAR_DOUBT, SURE_DOUBT = 0.1, 0.03
"""Mean doubt below which an image is clear, and its candidates err less and less together; and below which
less and less is missed."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is known of one engine.

    Attributes:
        scores, chances: rising knots: a candidate of this score is an object with this probability.
        misses: one weight a name of ``EVIDENCE``: log of the misses for each counted object; fewer where
            the mean doubt is below ``SURE_DOUBT``.
        shape: of the gamma spread of the misses between images; small is wide.
        spread: standard deviation, in log odds, of the error that all candidates of an image share;
            less where their mean doubt is below ``CLEAR_DOUBT``.
    """

    scores: tuple[float, ...] = (0.124, 0.125, 1.0)
    chances: tuple[float, ...] = (0.0, 0.125, 1.0)
    misses: tuple[float, ...] = ()
    shape: float = 1.0
    spread: float = 0.0

    def chance(self, scores: NDArray[np.float32]) -> Floats:
        """Return (N,) probabilities of (N,) scores: linear between the knots, level beyond them."""
        return np.interp(scores.astype(np.float64), self.scores, self.chances)

    def missed(self, seen: Floats, n_counted: int) -> float:
        """Return the expected number of objects that no candidate stands for, few where all is sure.

        Args:
            seen: (5,) of ``evidence``.
            n_counted: number of counted objects.
        """
        if not self.misses:
            return 0.0
        return n_counted * float(np.exp(np.dot(self.misses, seen))) * min(1.0, float(seen[1]) / SURE_DOUBT)

    def distribution(self, candidates: Candidates, instances: Instances) -> Floats:
        """Return the probabilities of 0, 1, … objects in the picture that these decisions were made on."""
        judged = np.concatenate([instances.counted, doubtful(instances)])
        seen = evidence(candidates, instances, self)
        return count_distribution(
            self.chance(instances.scores[judged]),
            self.spread * min(1.0, float(seen[1]) / CLEAR_DOUBT),
            self.missed(seen, len(instances.counted)),
            self.shape,
        )


def calibration_of(engine: str, *, is_shown: bool = False) -> Calibration:
    """Return what is known of an engine, the identity when nothing is.

    Args:
        engine: its name.
        is_shown: exemplars say what to count; where that was not measured it makes no difference.
    """
    known = _table()
    plain = known.get(engine, Calibration())
    return known.get(engine + SHOWN, plain) if is_shown else plain


def stated_chances(engine: str, scores: NDArray[np.float32]) -> Floats | None:
    """Return (N,) probabilities that candidates of (N,) scores are objects; None where that was not measured.

    The curve of an engine is the same where exemplars say what to count.
    """
    known = _table().get(engine)
    return known.chance(scores) if known else None


@cache
def _table() -> dict[str, Calibration]:
    entries = json.loads(TABLE.read_text(encoding="utf-8"))
    return {
        engine: Calibration(
            tuple(entry["scores"]),
            tuple(entry["chances"]),
            tuple(entry["misses"]),
            entry["shape"],
            entry["spread"],
        )
        for engine, entry in entries.items()
    }


def doubtful(instances: Instances) -> NDArray[np.int64]:
    """Return the candidates that only their score or stability keeps from being counted."""
    return np.array([i for i, why in enumerate(instances.rejections) if why in _DOUBTFUL], dtype=np.int64)


def evidence(candidates: Candidates, instances: Instances, known: Calibration) -> Floats:
    """Return (5,) float64, each in [0, 1]: what in a picture goes with objects that were missed.

    In the order of ``EVIDENCE``: 1; mean doubt of the counted; share of weak candidates among all that
    might count; share of counted boxes that overlap; unevenness of their sizes.
    """
    counted, weak = instances.counted, len(doubtful(instances))
    n = len(counted)
    if not n:
        return np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    batch = candidates.batch
    doubt = 1.0 - float(known.chance(instances.scores[counted]).mean())
    touching = len(np.unique(overlapping_pairs(batch.bbox_xyxy[counted]))) / n
    low, high = np.percentile(np.log(np.maximum(batch.area[counted], 1)), (25, 75))
    return np.array([1.0, doubt, weak / (weak + n), touching, min(1.0, float(high - low))])
