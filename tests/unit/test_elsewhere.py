"""What the benchmark on examples in another photo pairs, and says of the counts."""

from __future__ import annotations

from bench.elsewhere import same_things, summary, unlike


def photo(name, kind, boxes=1):
    return {"file": name, "domain": "coins", "object": kind, "exemplars": [[1, 2, 3, 4]] * boxes}


def test_photos_of_the_same_things_with_boxes_are_paired():
    photos = [photo("a", "coin"), photo("b", "medal"), photo("c", "coin"), photo("d", "coin", boxes=0)]
    assert same_things(photos) == [[photos[0], photos[2]]]


def test_photos_that_share_no_thing_are_drawn():
    coins = [photo("a", "coin"), photo("b", "coin")]
    tray, nuts = (
        photo(name, "nut") | {"domain": "nuts", "others": others}
        for name, others in (("c", {"coins": 2}), ("d", {}))
    )
    pairs = unlike([*coins, tray, nuts], [coins], 3)
    assert len(pairs) == 3
    assert all(shown in coins and other is nuts for shown, other in pairs)


def test_counts_of_nothing_are_told_apart():
    rows = [
        {"boxes": 1, "true": 9, "mini": 0, "low": 0, "high": 9, "asks": True},
        {"boxes": 1, "true": 9, "mini": 0, "low": 0, "high": 8, "asks": False},
        {"boxes": 1, "true": 9, "mini": 9, "low": 9, "high": 9, "asks": False},
    ]
    nothing, more, every = summary(rows)
    told = {"things": "same", "boxes": 1, "counted": "0", "pairs": 2, "right": 0, "wrong_silent": 1}
    assert nothing == told | {"held": 0.5}
    assert (more["pairs"], more["right"], more["held"]) == (1, 1, 1.0)
    assert (every["pairs"], every["right"], every["wrong_silent"]) == (3, 1, 1)


def test_where_the_things_are_not_there_nothing_but_0_is_right():
    there = {"boxes": 1, "true": 9, "mini": 9, "low": 9, "high": 9, "asks": True}
    rows = [there, *({**there, "true": 0, "low": 0, "mini": n} for n in (0, 1))]
    (*_, same), (nothing, more, every) = summary(rows)[:3], summary(rows)[3:]
    assert (same["things"], same["right"], every["things"]) == ("same", 1, "other")
    assert (nothing["right"], more["right"], every["right"], every["wrong_silent"]) == (1, 0, 1, 0)
