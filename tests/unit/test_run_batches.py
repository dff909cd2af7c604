"""Images go through the engine together and are decoded one micro-batch ahead; each still ends alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from pipeline.contract import CountRequest, CountSettings, ErrorCode, Tiling
from pipeline.portions import OnPart, unheard
from pipeline.preprocess import preprocess
from pipeline.run import count_batch
from pipeline.segment.base import EngineInfo
from pipeline.types import CandidateBatch, Image
from tests.doubles.segmenters import PoisonedSegmenter
from tests.drawn import CENTRES, discs, ground

CLASSICAL = CountSettings(engine="classical")
LIMIT_S = 20


class OneByOne(PoisonedSegmenter):
    """An engine on the CPU that tells what it is given before it begins, and has no poison."""

    info = EngineInfo("classical", None, None, "float32", "cpu")

    def __init__(self, on_images: Callable[[str], None] = lambda image_id: None) -> None:
        super().__init__("no image has this name")
        self.on_images = on_images

    def segment(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart = unheard
    ) -> list[CandidateBatch]:
        self.on_images(images[0].image_id)
        return super().segment(images, settings, on_part)


@pytest.fixture
def use(monkeypatch) -> Callable[[PoisonedSegmenter], PoisonedSegmenter]:
    """Count with an engine of the test."""

    def load(engine: PoisonedSegmenter) -> PoisonedSegmenter:
        monkeypatch.setattr("pipeline.run.load", lambda name, model, mode: (engine, "a double"))
        return engine

    return load


@pytest.fixture
def decoded(monkeypatch) -> dict[str, threading.Event]:
    """Events that are set as images have been decoded."""
    events = {name: threading.Event() for name in "abcdefgh"}

    def telling(image_id: str, path: str, settings: CountSettings) -> list[Image]:
        pages = preprocess(image_id, path, settings)
        events[image_id].set()
        return pages

    monkeypatch.setattr("pipeline.run.preprocess", telling)
    return events


@pytest.fixture(autouse=True)
def _no_thread_stays():
    yield
    assert [t.name for t in threading.enumerate() if t.name.startswith("tally-prefetch")] == []


@pytest.fixture
def photos(tmp_path) -> Callable[..., list[CountRequest]]:
    """Requests for pictures of 3, 4, 5 ... discs, named by one letter each."""

    def write(names: str, **settings: CountSettings) -> list[CountRequest]:
        requests = []
        for index, name in enumerate(names):
            path = tmp_path / f"{name}.png"
            PillowImage.fromarray(discs(ground(), CENTRES[: 3 + index], 20)).save(path)
            requests.append(CountRequest(name, str(path), "disc", settings.get(name, CLASSICAL)))
        return requests

    return write


def test_a_failing_batch_is_retried_image_by_image(photos, use):
    engine = use(PoisonedSegmenter("b"))
    outcomes = count_batch(photos("abc"))
    assert engine.batches == [["a", "b", "c"], ["a"], ["b"], ["c"]]
    assert [o.result.count if o.result else o.error.code for o in outcomes] == [
        3,
        ErrorCode.INFERENCE_ERROR,
        5,
    ]


def test_a_batch_that_nobody_wants_any_more_is_left_and_not_retried(photos, use):
    engine = use(PoisonedSegmenter("none"))
    outcomes = count_batch(photos("abc"), wanted=lambda name: not engine.batches)
    assert engine.batches == [["a", "b", "c"]]
    assert [(o.skipped, o.error) for o in outcomes] == [(True, None)] * 3


def test_a_batch_goes_on_while_one_of_its_images_is_wanted(photos, use):
    engine = use(PoisonedSegmenter("none"))
    outcomes = count_batch(photos("abc"), wanted=lambda name: name == "b" or not engine.batches)
    assert engine.batches == [["a", "b", "c"]]
    assert [o.result.count if o.result else o.skipped for o in outcomes] == [True, 4, True]


def test_images_of_different_settings_share_no_engine_call(photos, use):
    engine = use(PoisonedSegmenter("none"))
    tiled = CountSettings(engine="classical", tiling=Tiling(enabled=True))
    count_batch(photos("abc", b=tiled))
    assert engine.batches == [["a", "c"], ["b"]]


def test_settings_that_no_mask_depends_on_do_not_part_images(photos, use):
    engine = use(PoisonedSegmenter("none"))
    others = {
        "b": CountSettings(engine="classical", priority=9, webhook_url="https://example.org/done"),
        "c": CountSettings(engine="classical", visualize=False, show_labels=False, mask_background=True),
    }
    outcomes = count_batch(photos("abc", **others))
    assert engine.batches == [["a", "b", "c"]]
    assert [o.result.provenance.settings["priority"] for o in outcomes] == [0, 9, 0]
    assert [set(o.pictures) == {"thumbnail"} for o in outcomes] == [False, False, True]


def test_the_next_image_is_decoded_while_the_engine_looks_at_this_one(photos, use, decoded):
    seen = []

    def on_images(name: str) -> None:
        following = chr(ord(name) + 1)
        seen.append(following == "d" or decoded[following].wait(LIMIT_S))
        assert not decoded[chr(ord(name) + 2)].is_set()

    use(OneByOne(on_images))
    assert [o.result.count for o in count_batch(photos("abc"))] == [3, 4, 5]
    assert seen == [True, True, True]


class Preparing(OneByOne):
    """An engine that does a part ahead, and tells of it."""

    def __init__(self, prepared: dict[str, threading.Event], on_images: Callable[[str], None]) -> None:
        super().__init__(on_images)
        self.prepared = prepared

    def prepare(self, image: Image, settings: CountSettings) -> None:
        if image.image_id == "d":
            raise MemoryError
        assert threading.current_thread().name.startswith("tally-prefetch")
        self.prepared[image.image_id].set()


def test_the_next_image_is_prepared_for_the_engine_while_it_looks_at_this_one(photos, use):
    prepared = {name: threading.Event() for name in "abc"}
    seen = []

    def on_images(name: str) -> None:
        following = chr(ord(name) + 1)
        seen.append((prepared[name].is_set(), following == "d" or prepared[following].wait(LIMIT_S)))

    use(Preparing(prepared, on_images))
    outcomes = count_batch(photos("abcd"))
    assert [o.result.count if o.result else o.error.code for o in outcomes] == [
        3,
        4,
        5,
        ErrorCode.OUT_OF_MEMORY,
    ]
    assert seen == [(True, True)] * 3


def test_batches_are_decoded_ahead_as_a_whole(photos, use, decoded, monkeypatch):
    monkeypatch.setattr("pipeline.run.MAX_BATCH_IMAGES", 2)
    requests = photos("abcde")
    engine = PoisonedSegmenter("none")
    ahead = []

    def on_progress(name: str, stage: str, share: float) -> None:
        if (name, stage) == ("a", "segment") and not ahead:
            ahead.extend(decoded[following].wait(LIMIT_S) for following in "cd")
            ahead.append(decoded["e"].is_set())

    use(engine)
    count_batch(requests, on_progress=on_progress)
    assert ahead == [True, True, False]
    assert engine.batches == [["a", "b"], ["c", "d"], ["e"]]


def test_images_that_together_pass_the_limit_are_decoded_one_after_the_other(
    photos, use, decoded, monkeypatch
):
    monkeypatch.setattr("pipeline.prefetch.MAX_DECODED_PX", 400 * 600)
    finished: list[str] = []
    begun: dict[str, list[str]] = {}

    def on_progress(name: str, stage: str, share: float) -> None:
        if stage == "preprocess":
            begun[name] = list(finished)

    use(OneByOne())
    outcomes = count_batch(
        photos("abc"), on_progress=on_progress, on_outcome=lambda o: finished.append(o.image_id)
    )
    assert begun == {"a": [], "b": ["a"], "c": ["a", "b"]}
    assert [o.result.count for o in outcomes] == [3, 4, 5]


def test_decoding_ahead_changes_no_result(photos, use, monkeypatch):
    requests = photos("abcdef")
    use(OneByOne())
    ahead = count_batch(requests)
    monkeypatch.setattr("pipeline.prefetch.MAX_DECODED_PX", 0)
    for one, other in zip(ahead, count_batch(requests), strict=True):
        assert one.result.count == other.result.count
        assert one.pictures == other.pictures
        assert np.array_equal(one.candidates.batch.rle_counts, other.candidates.batch.rle_counts)


def test_an_image_that_does_not_decode_ahead_fails_alone(photos, use):
    requests = photos("abcd")
    torn = Path(requests[1].path)
    torn.write_bytes(torn.read_bytes()[:2000])
    use(OneByOne())
    outcomes = count_batch(requests)
    assert [o.result.count if o.result else o.error.code for o in outcomes] == [
        3,
        ErrorCode.CORRUPTED_FILE,
        5,
        6,
    ]


def test_an_image_cancelled_after_it_was_decoded_is_not_segmented(photos, use, decoded):
    cancelled: set[str] = set()

    def on_images(name: str) -> None:
        assert decoded["b"].wait(LIMIT_S)
        cancelled.add("b")

    engine = use(OneByOne(on_images))
    outcomes = count_batch(photos("abc"), wanted=lambda name: name not in cancelled)
    assert [o.skipped for o in outcomes] == [False, True, False]
    assert engine.batches == [["a"], ["c"]]
    assert outcomes[1].error is None


def test_callbacks_come_in_the_callers_thread(photos, use):
    threads = set()

    def note(*_: object) -> bool:
        threads.add(threading.get_ident())
        return True

    use(OneByOne())
    count_batch(photos("abc"), on_progress=note, wanted=note, on_outcome=note)
    assert threads == {threading.get_ident()}


class StopNow(BaseException):
    """What a signal handler may raise."""


def test_an_interrupted_batch_leaves_no_thread(photos, use):
    def interrupt(name: str) -> None:
        raise StopNow

    use(OneByOne(interrupt))
    with pytest.raises(StopNow):
        count_batch(photos("abcd"))
