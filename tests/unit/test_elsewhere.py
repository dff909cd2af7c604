"""What the benchmark on examples in another photo pairs, and says of the counts."""

from __future__ import annotations

from bench.elsewhere import same_things, summary


def photo(name, kind, boxes=1):
    return {"file": name, "domain": "coins", "object": kind, "exemplars": [[1, 2, 3, 4]] * boxes}


def test_photos_of_the_same_things_with_boxes_are_paired():
    photos = [photo("a", "coin"), photo("b", "medal"), photo("c", "coin"), photo("d", "coin", boxes=0)]
    assert same_things(photos) == [[photos[0], photos[2]]]


def test_counts_of_nothing_are_told_apart():
    rows = [
        {"boxes": 1, "true": 9, "mini": 0, "low": 0, "high": 9, "asks": True},
        {"boxes": 1, "true": 9, "mini": 0, "low": 0, "high": 8, "asks": False},
        {"boxes": 1, "true": 9, "mini": 9, "low": 9, "high": 9, "asks": False},
    ]
    nothing, more, every = summary(rows)
    assert nothing == {"boxes": 1, "counted": "0", "pairs": 2, "right": 0, "wrong_silent": 1, "held": 0.5}
    assert (more["pairs"], more["right"], more["held"]) == (1, 1, 1.0)
    assert (every["pairs"], every["right"], every["wrong_silent"]) == (3, 1, 1)
