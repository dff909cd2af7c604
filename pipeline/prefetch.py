"""Which images are decoded and segmented together, and the thread that prepares the next ones meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.contract import CountRequest, ErrorCode, PipelineError, unforeseen
from pipeline.header import probe
from pipeline.segment.base import EngineInfo
from pipeline.types import CandidateBatch, Candidates, Image

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BATCH_PX = 32_000_000
"""Images are decoded together up to this; a larger one goes alone. Bounds memory, whatever is sent."""

MAX_DECODED_PX = 2 * MAX_BATCH_PX
"""A micro-batch is decoded ahead where it and the one in work stay below this: less than one of 8192² px."""


class UnwantedError(Exception):
    """Nobody wants the images in work any more."""


@dataclass(slots=True)
class Work:
    """One image on its way through the stages.

    Attributes:
        place: of the request among all.
        n_px: what decoding it takes, by its header: all pages that are counted.
        pages_left: those that are not.
        pages, batch, candidates: what the stages so far made of it.
        engine: what made its batch, as the engine said then.
        timings_s: seconds by stage. Decoding runs beside other stages, so that they may add up to more
            than has passed.
        error, skipped: why it goes no further.
    """

    place: int
    request: CountRequest
    n_px: int = 0
    pages_left: int = 0
    pages: list[Image] = field(default_factory=list)
    batch: CandidateBatch | None = None
    candidates: Candidates | None = None
    engine: EngineInfo | None = None
    timings_s: dict[str, float] = field(default_factory=dict)
    error: PipelineError | None = None
    skipped: bool = False


def micro_batches(works: Iterable[Work], max_images: int) -> list[list[Work]]:
    """Return, in order, what is decoded and segmented together; reads the files' headers only.

    Args:
        works: get their ``n_px``, or their error.
        max_images: in one micro-batch. All of them have at most ``MAX_BATCH_PX``, or it is a single one.
    """
    batches: list[list[Work]] = []
    for work in works:
        with failures_go_to([work]):
            header = probe(work.request.path)
            n_pages = header.pages if work.request.settings.pages == "all" else 1
            work.n_px, work.pages_left = header.width * header.height * n_pages, header.pages - n_pages
        last = batches[-1] if batches else None
        if last is None or len(last) >= max_images or _n_px(last) + work.n_px > MAX_BATCH_PX:
            batches.append([work])
        else:
            last.append(work)
    return batches


def fit_together(batch: Iterable[Work], following: Iterable[Work]) -> bool:
    """Return whether two micro-batches may be decoded at one time."""
    return _n_px(batch) + _n_px(following) <= MAX_DECODED_PX


def one_ahead(
    batches: Sequence[Sequence[T]],
    begin: Callable[[T], bool],
    prepare: Callable[[T], None],
    may_overlap: Callable[[Sequence[T], Sequence[T]], bool],
) -> Generator[Sequence[T], None, None]:
    """Yield each batch once all of its items are prepared, in order; never more than one batch ahead.

    Close the generator (``contextlib.closing``) however the loop ends: closing drops what has not begun
    and waits for the one item in work, so that no thread is left.

    Args:
        batches: what to prepare, in order.
        begin: called in the caller's thread before an item is handed over; False leaves it unprepared.
        prepare: called in the one thread, item by item; what it raises is raised here.
        may_overlap: says of a batch and the next one whether both may be in memory together. If not, the
            next one is prepared when the caller asks for it.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="tally-prefetch") as pool:

        def start(batch: Sequence[T]) -> list[Future[None]]:
            return [pool.submit(prepare, item) for item in batch if begin(item)]

        try:
            coming: list[Future[None]] | None = None
            for index, batch in enumerate(batches):
                for done in start(batch) if coming is None else coming:
                    done.result()
                following = batches[index + 1] if index + 1 < len(batches) else None
                is_free = following is not None and may_overlap(batch, following)
                coming = start(following) if following is not None and is_free else None
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def timed(stage: str, works: Sequence[Work]) -> Iterator[None]:
    """Share the time the block takes among these images."""
    started = time.perf_counter()
    yield
    seconds = (time.perf_counter() - started) / max(1, len(works))
    for work in works:
        work.timings_s[stage] = work.timings_s.get(stage, 0.0) + seconds


@contextmanager
def failures_go_to(works: Sequence[Work]) -> Iterator[None]:
    """Turn whatever the block raises into the error of these images, which then go no further.

    ``UnwantedError`` skips them. Of what nobody foresaw the error tells nothing; the log does.
    """
    failure: PipelineError | None
    try:
        yield
    except UnwantedError:
        failure = None
    except PipelineError as error:
        failure = error
    except MemoryError:
        failure = PipelineError(ErrorCode.OUT_OF_MEMORY, "the image does not fit into memory")
    except Exception:
        log.exception("a stage failed", extra={"images": [work.request.image_id for work in works]})
        failure = unforeseen()
    else:
        return
    for work in works:
        work.error, work.skipped = failure, failure is None
        work.candidates, work.pages = None, []


def _n_px(works: Iterable[Work]) -> int:
    return sum(work.n_px for work in works)
