"""What are examples in another photo worth? One box or three, each pair of the same things both ways.

The folder is as for ``bench.countbench``; photos are of the same things where domain and object are equal.
Random pairs of photos that share no thing are counted too: 0 is right there.
python -m bench.elsewhere FOLDER [--unlike PAIRS] [--json PATH]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.countbench import is_right
from bench.report import arguments, report
from pipeline.contract import CountRequest, CountSettings, Exemplar
from pipeline.run import count_batch

Photo = dict[str, Any]


def same_things(photos: list[Photo]) -> list[list[Photo]]:
    """Return the photos with boxes that show the same things as another one, by what they show."""
    of_kind: dict[tuple[str, str], list[Photo]] = defaultdict(list)
    for photo in photos:
        if photo["exemplars"]:
            of_kind[photo["domain"], photo["object"]].append(photo)
    return [some for _, some in sorted(of_kind.items()) if len(some) > 1]


def unlike(photos: list[Photo], kinds: list[list[Photo]], n: int) -> list[tuple[Photo, Photo]]:
    """Return random pairs: a photo with examples of ``same_things``, and one with no word in common."""
    rng, shown = random.Random(5), [photo for some in kinds for photo in some]
    drawn = [(rng.choice(shown), rng.choice(photos)) for _ in range(4 * n)] if shown else []
    return [pair for pair in drawn if not _words(pair[0]) & _words(pair[1])][:n]


def _words(photo: Photo) -> set[str]:
    names = " ".join([photo["domain"], photo["object"], *photo.get("others", {})]).lower()
    return {word.rstrip("s") for word in re.findall("[a-z]{3,}", names)}


def counted_by(shown: Photo, others: list[Photo], n_boxes: int, folder: Path) -> list[dict[str, Any]]:
    """Return the counts of photos by the first boxes of one that is not among them."""
    boxes = shown["exemplars"][:n_boxes]
    exemplars = tuple(Exemplar(bbox_xywh=tuple(box), file_id=shown["file"]) for box in boxes)
    settings = CountSettings(engine="mini", exemplars=exemplars, count_what="exemplars", visualize=False)
    there, *requests = (
        CountRequest(p["file"], str(folder / "images" / p["file"]), p["object"], settings)
        for p in (shown, *others)
    )
    known = {shown["file"]: count_batch([there])[0].candidates}
    rows = []
    for photo, outcome in zip(others, count_batch(requests, known=known), strict=True):
        if outcome.result is None:
            raise RuntimeError(f"{photo['file']}: want a count, got {outcome.error}")
        (low, high), asks = outcome.result.count_interval, outcome.result.needs_review
        row = {"boxes": n_boxes, "shown": shown["file"], "file": photo["file"], "true": photo["count"]}
        rows.append(row | {"mini": outcome.result.count, "low": low, "high": high, "asks": asks})
    return rows


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what counts and intervals are worth, by number of boxes, of counts of nothing and of others.

    Pairs that share no thing come last; of these, 0 alone is right.
    """
    out = []
    for is_there, n_boxes in sorted(
        {(row["true"] > 0, row["boxes"]) for row in rows}, key=lambda k: (not k[0], k[1])
    ):
        of_both = [row for row in rows if row["boxes"] == n_boxes and (row["true"] > 0) == is_there]
        for name, is_zero in (("0", (True,)), ("more", (False,)), ("all", (True, False))):
            some = [row for row in of_both if (row["mini"] == 0) in is_zero]
            wrong = [
                row
                for row in some
                if not is_right(row["mini"], row["true"]) or (row["mini"] and not is_there)
            ]
            line = {"things": "same" if is_there else "other", "boxes": n_boxes, "counted": name}
            line |= {"pairs": len(some), "right": len(some) - len(wrong)}
            held = [row["low"] <= row["true"] <= row["high"] for row in some]
            silent = sum(not row["asks"] for row in wrong)
            out.append(line | {"wrong_silent": silent, "held": statistics.fmean(held) if held else None})
    return out


def pair_arguments(description: str | None) -> argparse.Namespace:
    """Return what the command line says of the folder and of pairs that share no thing, two if quick."""
    parser = arguments(description)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--unlike", type=int, default=150, help="pairs of photos that share no thing")
    args = parser.parse_args()
    args.unlike = 2 if args.quick else args.unlike
    return args


def main() -> None:
    """Count every photo by the boxes of every other one of the same things, and some by those of others."""
    args = pair_arguments(__doc__)
    photos = json.loads((args.folder / "manifest.json").read_text())
    kinds = same_things(photos)
    others_of = unlike(photos, kinds, args.unlike)
    rows = []
    for n_boxes in (1, 3):
        for some in kinds[:2] if args.quick else kinds:
            for shown in some:
                others = [photo for photo in some if photo is not shown]
                rows += counted_by(shown, others, n_boxes, args.folder)
        for shown, other in others_of:
            rows += counted_by(shown, [other | {"count": 0}], n_boxes, args.folder)
    report("photos", rows, None)
    name = "examples in another photo: counts that are right, intervals that hold"
    report(name, summary(rows), args.json, photos=rows)


if __name__ == "__main__":
    main()
