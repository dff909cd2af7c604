"""The next micro-batch is prepared beside the work on this one, never a further one, and no thread stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from pipeline import prefetch
from pipeline.contract import CountRequest, CountSettings, ErrorCode
from pipeline.prefetch import Work, fit_together, micro_batches, one_ahead

LIMIT_S = 20


class Preparer:
    """Prepares words; tells which, in which thread, and lets tests wait for that or hold it up."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.prepared: list[str] = []
        self.threads: dict[str, set[int]] = {"begin": set(), "prepare": set()}
        self.is_in_work = {word: threading.Event() for word in "abcdef"}
        self.is_done = {word: threading.Event() for word in "abcdef"}
        self.may_end = {word: threading.Event() for word in "abcdef"}
        for event in self.may_end.values():
            event.set()

    def begin(self, word: str) -> bool:
        self.threads["begin"].add(threading.get_ident())
        self.begun.append(word)
        return word != "x"

    def prepare(self, word: str) -> None:
        self.threads["prepare"].add(threading.get_ident())
        if word == "!":
            raise ZeroDivisionError(word)
        self.is_in_work[word].set()
        assert self.may_end[word].wait(LIMIT_S)
        self.prepared.append(word)
        self.is_done[word].set()

    def run(
        self,
        batches: Sequence[Sequence[str]],
        may_overlap: Callable[[Sequence[str], Sequence[str]], bool] = lambda one, other: True,
    ) -> Generator[Sequence[str], None, None]:
        return one_ahead(batches, self.begin, self.prepare, may_overlap)


@pytest.fixture(autouse=True)
def _no_thread_stays():
    yield
    assert [t.name for t in threading.enumerate() if t.name.startswith("tally-prefetch")] == []


def test_the_next_batch_is_prepared_while_the_caller_works_and_none_after_it():
    preparer = Preparer()
    with closing(preparer.run(["ab", "c", "d"])) as ready:
        assert next(ready) == "ab"
        assert preparer.is_done["c"].wait(LIMIT_S)
        assert preparer.begun == ["a", "b", "c"]
        assert next(ready) == "c"
        assert preparer.is_done["d"].wait(LIMIT_S)
        assert list(ready) == ["d"]
    assert preparer.prepared == ["a", "b", "c", "d"]


def test_what_does_not_fit_beside_the_work_is_prepared_after_it():
    preparer = Preparer()
    with closing(preparer.run(["a", "b"], lambda one, other: False)) as ready:
        next(ready)
        assert preparer.begun == ["a"]
        next(ready)
        assert preparer.prepared == ["a", "b"]


def test_callers_are_asked_in_their_own_thread_and_a_no_leaves_the_item_as_it_is():
    preparer = Preparer()
    assert list(preparer.run(["ax", "x", "b"])) == ["ax", "x", "b"]
    assert preparer.prepared == ["a", "b"]
    assert preparer.threads["begin"] == {threading.get_ident()}
    assert len(preparer.threads["prepare"]) == 1
    assert threading.get_ident() not in preparer.threads["prepare"]


def test_what_preparing_raises_reaches_the_caller():
    ready = Preparer().run(["a", "!", "b"])
    assert next(ready) == "a"
    with pytest.raises(ZeroDivisionError):
        next(ready)


def test_leaving_early_drops_what_has_not_begun_and_waits_for_what_has():
    preparer = Preparer()
    preparer.may_end["b"].clear()
    ready = preparer.run(["a", "bcd"])
    next(ready)
    assert preparer.is_in_work["b"].wait(LIMIT_S)
    threading.Timer(0.3, preparer.may_end["b"].set).start()
    ready.close()
    assert preparer.begun == ["a", "b", "c", "d"]
    assert preparer.prepared == ["a", "b"]


def works(tmp_path: Path, sizes: dict[str, tuple[int, int]], **settings: object) -> list[Work]:
    found = []
    for place, (name, size_wh) in enumerate(sizes.items()):
        path = tmp_path / name
        if size_wh[0]:
            PillowImage.new("1", size_wh).save(path, "TIFF")
        found.append(Work(place, CountRequest(name, str(path), "disc", CountSettings(**settings))))
    return found


def names(batches: Sequence[Sequence[Work]]) -> list[str]:
    return ["".join(work.request.image_id for work in batch) for batch in batches]


def test_micro_batches_are_bounded_in_images_and_in_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(prefetch, "MAX_BATCH_PX", 1000)
    sizes = {"a": (20, 20), "b": (20, 20), "c": (20, 20), "d": (90, 20), "e": (10, 10), "f": (10, 10)}
    assert names(micro_batches(works(tmp_path, sizes), 8)) == ["ab", "c", "d", "ef"]
    assert names(micro_batches(works(tmp_path, sizes), 1)) == list("abcdef")
    assert micro_batches([], 8) == []


def test_a_file_without_a_header_takes_no_pixels_and_keeps_its_error(tmp_path):
    found = works(tmp_path, {"a": (20, 20), "b": (0, 0), "c": (20, 20)})
    assert names(micro_batches(found, 8)) == ["abc"]
    assert [work.n_px for work in found] == [400, 0, 400]
    assert found[1].error is not None
    assert found[1].error.code == ErrorCode.FILE_NOT_FOUND


def test_pages_that_are_counted_take_pixels(tmp_path):
    pages = [PillowImage.new("1", (30, 10)) for _ in range(3)]
    pages[0].save(tmp_path / "a", "TIFF", save_all=True, append_images=pages[1:])
    for which, n_px in (("first", 300), ("all", 900)):
        request = CountRequest("a", str(tmp_path / "a"), "disc", CountSettings(pages=which))
        assert micro_batches([Work(0, request)], 1)[0][0].n_px == n_px


def test_the_largest_image_shares_memory_with_no_other():
    def sized(n_px: int) -> list[Work]:
        return [Work(0, CountRequest("a", "a", "disc"), n_px=n_px)]

    largest, photo = sized(8192 * 8192), sized(12_000_000)
    assert not fit_together(largest, photo)
    assert not fit_together(photo, largest)
    assert fit_together(sized(prefetch.MAX_BATCH_PX), sized(prefetch.MAX_BATCH_PX))
