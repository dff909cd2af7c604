"""What are examples in another photo of the same things worth? One box or three, each pair both ways.

The folder is as for ``bench.countbench``; photos are of the same things where domain and object are equal.
python -m bench.elsewhere FOLDER [--json PATH]
"""

from __future__ import annotations

import json
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
    """Return what counts and intervals are worth, by number of boxes, of counts of nothing and of others."""
    out = []
    for n_boxes in sorted({row["boxes"] for row in rows}):
        for name, is_zero in (("0", (True,)), ("more", (False,)), ("all", (True, False))):
            some = [row for row in rows if row["boxes"] == n_boxes and (row["mini"] == 0) in is_zero]
            wrong = [row for row in some if not is_right(row["mini"], row["true"])]
            line = {"boxes": n_boxes, "counted": name, "pairs": len(some), "right": len(some) - len(wrong)}
            held = [row["low"] <= row["true"] <= row["high"] for row in some]
            silent = sum(not row["asks"] for row in wrong)
            out.append(line | {"wrong_silent": silent, "held": statistics.fmean(held) if held else None})
    return out


def main() -> None:
    """Count every photo by the boxes of every other one of the same things."""
    parser = arguments(__doc__)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    kinds = same_things(json.loads((args.folder / "manifest.json").read_text()))
    rows = []
    for photos in kinds[:2] if args.quick else kinds:
        for shown in photos:
            others = [photo for photo in photos if photo is not shown]
            for n_boxes in (1, 3):
                rows += counted_by(shown, others, n_boxes, args.folder)
    report("photos", rows, None)
    report("examples in another photo: counts that are right, intervals that hold", summary(rows), args.json)
    if args.json:
        content = json.loads(args.json.read_text()) | {"photos": rows}
        args.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
