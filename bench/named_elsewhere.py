"""What is a group that was named in another photo worth? Pairs of photos of the same things, and of others.

The folder is as for ``bench.countbench``, with a point in each thing that is counted: by these the groups of
one photo are named, as a person would who looks at them. Where a pair shares no thing, 0 is right.
python -m bench.named_elsewhere FOLDER [--unlike PAIRS] [--quick] [--json PATH]
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.countbench import is_right
from bench.elsewhere import Photo, pair_arguments, same_things, unlike
from bench.report import report
from pipeline.contract import CountRequest, CountSettings, Exemplar, GroupChoice, Provenance
from pipeline.count import count
from pipeline.ops.exemplars import find_exemplar
from pipeline.run import count_batch
from pipeline.summary import summarise
from pipeline.types import Candidates, Instances

OTHER = "another thing"
"""Name of the groups that are not what is asked for."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One photo as it is counted without any example."""

    candidates: Candidates
    instances: Instances
    provenance: Provenance


def counted(photo: Photo, folder: Path) -> Counted:
    """Count one photo without any example."""
    path, settings = str(folder / "images" / photo["file"]), CountSettings(engine="mini", visualize=False)
    (done,) = count_batch([CountRequest(photo["file"], path, photo["object"], settings)])
    if done.result is None or done.candidates is None or done.instances is None:
        raise RuntimeError(f"{photo['file']}: want a count, got {done.error}")
    return Counted(done.candidates, done.instances, done.result.provenance)


def named(photo: Photo, found: Counted) -> tuple[GroupChoice, ...]:
    """Return a name for each group of a photo: what is asked for where most of it holds a marked point."""
    groups = found.instances.group_ids.tolist()
    points = (Exemplar(point_xy=(float(x), float(y))) for x, y in photo["points"])
    held = {find_exemplar(found.candidates.batch, point) for point in points}
    meant = Counter(groups[i] for i in held & set(found.instances.counted.tolist()) if i is not None)
    all_of = sorted(Counter(i for i in groups if i >= 0).items())
    return tuple(
        GroupChoice(i, photo["file"], photo["object"] if 2 * meant[i] > n else OTHER) for i, n in all_of
    )


def row_of(shown: Photo, photo: Photo, known: dict[str, Counted], things: str) -> dict[str, Any] | None:
    """Return what a photo counts by the names given in another one, None where none is of its things."""
    there, here = known[shown["file"]], known[photo["file"]]
    choices = named(shown, there)
    if all(choice.name == OTHER for choice in choices):
        return None
    settings = CountSettings(groups=choices, groups_scope="job")
    asked = _asked(here.candidates, shown["object"])
    decided = count(asked, settings, others={shown["file"]: there.candidates})
    found = summarise(asked, decided, settings, {}, here.provenance)
    (low, high), true = found.count_interval, photo["count"] if things == "same" else 0
    row = {"things": things, "shown": shown["file"], "file": photo["file"], "true": true, "mini": found.count}
    return row | {"low": low, "high": high, "asks": found.needs_review, "reason": found.review_reason}


def _asked(candidates: Candidates, name: str) -> Candidates:
    """Return candidates as if such things had been asked for."""
    return replace(candidates, type_probs=replace(candidates.type_probs, types=(name,)))


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how many counts are right, and wrong without asking, and whose intervals hold."""
    out = []
    for things in ("same", "other"):
        some = [row for row in rows if row["things"] == things]
        right = [is_right(row["mini"], row["true"]) if row["true"] else not row["mini"] for row in some]
        asks = [row["asks"] for row in some]
        out.append(
            {
                "things": things,
                "pairs": len(some),
                "right": sum(right),
                "right_ask": sum(r and a for r, a in zip(right, asks, strict=True)),
                "wrong_silent": sum(not r and not a for r, a in zip(right, asks, strict=True)),
                "held": sum(row["low"] <= row["true"] <= row["high"] for row in some),
            }
        )
    return out


def main() -> None:
    """Count photos by the names given in others of the same things, and some by those in photos of others."""
    args = pair_arguments(__doc__)
    photos = [p for p in json.loads((args.folder / "manifest.json").read_text()) if p.get("points")]
    kinds = same_things(photos)[: 2 if args.quick else None]
    pairs = [(a, b, "same") for some in kinds for a in some for b in some if a is not b]
    pairs += [(a, b, "other") for a, b in unlike(photos, kinds, args.unlike)]
    seen = {photo["file"]: photo for a, b, _ in pairs for photo in (a, b)}
    known = {name: counted(photo, args.folder) for name, photo in seen.items()}
    rows = [row for pair in pairs if (row := row_of(*pair[:2], known, pair[2]))]
    name = "names given in another photo: counts that are right, intervals that hold"
    report(name, summary(rows), args.json, photos=rows)


if __name__ == "__main__":
    main()
