"""How long does a recount take on stored candidates? Target: 1,000 candidates in under 100 ms.

python -m bench.recount [--quick] [--json PATH]
"""

from __future__ import annotations

import numpy as np

from bench.report import arguments, report, timed
from pipeline.archive import read_candidates, write_candidates
from pipeline.contract import CountSettings, Exemplar, Provenance, Region
from pipeline.count import count, summarise
from pipeline.segment.outline import CandidateBuilder
from pipeline.types import Candidates, Classification, TypeProbs

SIDE_PX = 2000
PROVENANCE = Provenance("drawn", "benchmark", None, None, "-", "cpu", "-", {})


def drawn_candidates(n: int, seed: int = 7) -> Candidates:
    """Return n discs at random, many of them overlapping, with ResNet-50-sized embeddings."""
    rng = np.random.default_rng(seed)
    builder = CandidateBuilder((SIDE_PX, SIDE_PX))
    for _ in range(n):
        radius = int(rng.integers(8, 40))
        x, y = rng.integers(0, SIDE_PX - 2 * radius, size=2)
        disc = np.hypot(*np.mgrid[-radius:radius, -radius:radius]) < radius
        builder.add(disc, (int(x), int(y)), float(rng.uniform(0.3, 1)), float(rng.uniform(0.6, 1)))
    seen = Classification(
        np.zeros((n, 0), np.int16),
        np.zeros((n, 0), np.float32),
        rng.random((n, 2048)).astype(np.float16),
        "resnet50",
    )
    return Candidates(
        builder.finish(), seen, TypeProbs(("disc",), np.full((n, 1), 0.9, np.float32), "request")
    )


def settings_by_name() -> dict[str, CountSettings]:
    """Return what a person may change on the result page."""
    roi = Region(((100, 100), (1900, 200), (1500, 1900)))
    return {
        "threshold": CountSettings(confidence_threshold=0.6),
        "everything on": CountSettings(
            exclude_edge=True, min_area_px=300, roi=(roi,), exemplars=(Exemplar(point_xy=(1000.0, 1000.0)),)
        ),
    }


def main() -> None:
    """Time reading the archive and recounting, by number of candidates and by settings."""
    args = arguments(__doc__).parse_args()
    rows = []
    for n in (100, 1000) if args.quick else (100, 1000, 5000):
        data = write_candidates(drawn_candidates(n))
        candidates = read_candidates(data)
        for name, settings in settings_by_name().items():

            def recount(settings: CountSettings = settings, candidates: Candidates = candidates) -> object:
                return summarise(candidates, count(candidates, settings), settings, {}, PROVENANCE)

            times = timed(recount, 3 if args.quick else 15)
            reading = timed(lambda data=data: read_candidates(data), 3)
            rows.append(
                {"candidates": n, "settings": name, "archive_bytes": len(data), "read_s": reading["median_s"]}
                | times
            )
    report("recount", rows, args.json)


if __name__ == "__main__":
    main()
