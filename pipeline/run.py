"""The seven stages in order, timed, in micro-batches: the one file that imports them all.

A bad image fails alone: its outcome carries the error and its neighbours are counted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata
from itertools import accumulate

import numpy as np

from pipeline.classify import classify, patch_side_px
from pipeline.contract import (
    STAGES,
    CountRequest,
    CountResult,
    CountSettings,
    ErrorCode,
    ObjectType,
    PipelineError,
    Provenance,
)
from pipeline.count import count, summarise
from pipeline.explain import DrawnObject, drawn_objects, explain
from pipeline.explain import render as render_objects
from pipeline.header import probe
from pipeline.label_map import map_labels
from pipeline.patches import extract_patches
from pipeline.preprocess import page_offsets, preprocess, stack_pages
from pipeline.rules import apply_rules
from pipeline.segment.base import Segmenter
from pipeline.segment.outline import stack_batches
from pipeline.segment.registry import load
from pipeline.settings import settings_to_json
from pipeline.types import CandidateBatch, Candidates, Image, Instances, TypeProbs

log = logging.getLogger(__name__)

OnProgress = Callable[[str, str, float], None]
Wanted = Callable[[str], bool]

MAX_BATCH_IMAGES = 8
MAX_BATCH_PX = 32_000_000
"""Images are decoded together up to this; a larger one goes alone. Bounds memory, whatever is sent."""

STAGE_SHARES = (0.05, 0.6, 0.07, 0.08, 0.05, 0.02, 0.13)
"""Usual share of an image's time, in the order of ``STAGES``: what progress is counted in."""

_DONE_BEFORE = dict(zip(STAGES, accumulate(STAGE_SHARES, initial=0.0), strict=False))


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """What became of one request: a result, an error, or neither when it was skipped.

    Attributes:
        image_id: of the request.
        result, candidates, instances: the count and what it was made from; None without a result.
        size_hw: of the counted picture in px (all pages of a TIFF below each other); None unless decoded.
        pictures: JPEG bytes by name: annotated, heatmap, rejected, thumbnail.
        error: why there is no result.
        skipped: ``wanted`` said no.
    """

    image_id: str
    result: CountResult | None = None
    candidates: Candidates | None = None
    instances: Instances | None = None
    size_hw: tuple[int, int] | None = None
    pictures: dict[str, bytes] = field(default_factory=dict)
    error: PipelineError | None = None
    skipped: bool = False


@dataclass(slots=True)
class _Work:
    """One image on its way through the stages."""

    place: int
    request: CountRequest
    pages: list[Image] = field(default_factory=list)
    batch: CandidateBatch | None = None
    candidates: Candidates | None = None
    timings_s: dict[str, float] = field(default_factory=dict)
    error: PipelineError | None = None
    skipped: bool = False


def count_batch(
    requests: Sequence[CountRequest],
    *,
    object_types: Sequence[ObjectType] = (),
    on_progress: OnProgress = lambda image_id, stage, fraction: None,
    wanted: Wanted = lambda image_id: True,
    known: Mapping[str, Candidates] | None = None,
    on_outcome: Callable[[ImageOutcome], None] = lambda outcome: None,
) -> list[ImageOutcome]:
    """Count every image; one outcome a request, in the order of the requests.

    Args:
        requests: all with the same engine and model.
        object_types: the finite set of types.
        on_progress: told (image_id, stage that begins, share of the image that is done in [0, 1]).
        wanted: asked with the image_id before an image is decoded; False skips it.
        known: candidates of images outside of this batch, for exemplars that lie in them. Those of the
            batch itself are known to each other.
        on_outcome: given each outcome as soon as it is there, before the batch is through.

    Never raises for an image, a file or a missing engine: see ``ImageOutcome.error``.
    """
    if not requests:
        return []
    works = [_Work(place, request) for place, request in enumerate(requests)]
    try:
        segmenter, reason = load(requests[0].settings.engine, requests[0].settings.model)
    except PipelineError as error:
        return [ImageOutcome(request.image_id, error=error) for request in requests]
    run = _Run(segmenter, reason, object_types, on_progress, wanted, dict(known or {}), on_outcome)
    return run.all(works)


def render(
    path: str,
    candidates: Candidates,
    instances: Instances,
    settings: CountSettings,
    extra_objects: Sequence[DrawnObject] = (),
) -> dict[str, bytes]:
    """Return the pictures again, after a recount or a human's corrections; no model runs.

    Args:
        path: the image file.
        candidates: of that image.
        instances: the decisions to draw.
        settings: those of the count.
        extra_objects: what humans added; drawn as counted.

    Raises:
        PipelineError: the file is missing or does not decode.
    """
    image = stack_pages(preprocess("", path, settings))
    objects, rejected = drawn_objects(candidates, instances)
    return render_objects(image, [*objects, *extra_objects], rejected, settings)


@dataclass(slots=True)
class _Run:
    """One call of ``count_batch``."""

    segmenter: Segmenter
    reason: str
    object_types: Sequence[ObjectType]
    on_progress: OnProgress
    wanted: Wanted
    known: dict[str, Candidates]
    on_outcome: Callable[[ImageOutcome], None]

    def all(self, works: Sequence[_Work]) -> list[ImageOutcome]:
        """Take micro-batches through the stages; wait with images whose exemplars lie in later ones."""
        outcomes: dict[int, ImageOutcome] = {}
        waiting: list[_Work] = []
        for batch in self._micro_batches(works):
            self._find_candidates(batch)
            self.known |= {w.request.image_id: w.candidates for w in batch if w.candidates}
            for work in batch:
                if self._lacks_exemplars(work):
                    work.pages = []  # decoded again when its turn comes
                    waiting.append(work)
                else:
                    outcomes[work.place] = self._finish(work)
                    self.on_outcome(outcomes[work.place])
        for work in waiting:
            outcomes[work.place] = self._finish(work)
            self.on_outcome(outcomes[work.place])
        return [outcomes[place] for place in range(len(works))]

    def _micro_batches(self, works: Sequence[_Work]) -> Iterator[list[_Work]]:
        """Decode image by image; hand them on when enough are together. Bad and unwanted ones too."""
        limit = MAX_BATCH_IMAGES if self.segmenter.info.device.startswith("cuda") else 1
        batch: list[_Work] = []
        n_px = 0
        for work in works:
            size = self._header_px(work)
            if batch and (len(batch) >= limit or n_px + size > MAX_BATCH_PX):
                yield batch
                batch, n_px = [], 0
            self._decode(work)
            batch.append(work)
            n_px += size
        yield batch

    def _header_px(self, work: _Work) -> int:
        n_px = 0
        with _failures_go_to([work]):
            header = probe(work.request.path)
            n_pages = header.pages if work.request.settings.pages == "all" else 1
            n_px = header.width * header.height * n_pages
        return n_px

    def _decode(self, work: _Work) -> None:
        if work.error:
            return
        if not self.wanted(work.request.image_id):
            work.skipped = True
            return
        with self._stage("preprocess", [work]), _failures_go_to([work]):
            work.pages = preprocess(work.request.image_id, work.request.path, work.request.settings)

    def _find_candidates(self, works: Sequence[_Work]) -> None:
        """Stages 2 to 5, all images of a micro-batch together."""
        alive = [w for w in works if w.pages]
        for group in _by_settings(alive):
            with self._stage("segment", group):
                self._segment(group)
        alive = [w for w in alive if w.batch is not None]
        patches = {}
        for work in alive:
            with self._stage("extract_patches", [work]), _failures_go_to([work]):
                image = stack_pages(work.pages)
                patches[work.place] = extract_patches(
                    image, _batch_of(work), work.request.settings, side_px=patch_side_px()
                )
        alive = [w for w in alive if w.error is None]
        with self._stage("classify", alive), _failures_go_to(alive):
            seen = classify([patches[w.place] for w in alive])
        for work, classification in zip(
            [w for w in alive if w.error is None], seen if alive else [], strict=True
        ):
            with self._stage("map_labels", [work]), _failures_go_to([work]):
                batch = _batch_of(work)
                probs = map_labels(
                    patches[work.place],
                    classification,
                    batch,
                    work.request.type,
                    self.object_types,
                    count_what=work.request.settings.count_what,
                )
                work.candidates = Candidates(batch, classification, probs)
                if work.request.settings.rules is not None:
                    work.candidates = _with_rules(work.candidates, work.request.settings.rules)

    def _segment(self, group: Sequence[_Work]) -> None:
        """Run the engine on a group; when that fails, on each image alone, so that one fails alone."""
        settings = group[0].request.settings
        try:
            pages = [page for work in group for page in work.pages]
            found = iter(self.segmenter.segment(pages, settings))
            for work in group:
                work.batch = _join_pages(work.pages, [next(found) for _ in work.pages])
        except Exception:
            if len(group) > 1:
                log.warning("a batch of %d images failed; retrying each alone", len(group), exc_info=True)
                for work in group:
                    self._segment([work])
                return
            with _failures_go_to(group):
                raise

    def _lacks_exemplars(self, work: _Work) -> bool:
        files = {e.file_id for e in work.request.settings.exemplars if e.file_id is not None}
        return work.candidates is not None and bool(files - self.known.keys())

    def _finish(self, work: _Work) -> ImageOutcome:
        """Stages 6 and 7."""
        image_id, settings = work.request.image_id, work.request.settings
        if work.candidates is not None:
            with _failures_go_to([work]):
                own = work.candidates
                with self._stage("count", [work]):
                    instances = count(own, settings, self.object_types, others=self.known | {image_id: own})
                with self._stage("explain", [work]):
                    image = stack_pages(work.pages or preprocess(image_id, work.request.path, settings))
                    pictures = explain(own, instances, image, settings)
                result = summarise(own, instances, settings, work.timings_s, self._provenance(settings))
                work.pages, work.batch = [], None
                self.on_progress(image_id, STAGES[-1], 1.0)
                return ImageOutcome(image_id, result, own, instances, own.batch.size_hw, pictures)
        return ImageOutcome(image_id, error=work.error, skipped=work.skipped)

    def _provenance(self, settings: CountSettings) -> Provenance:
        info = self.segmenter.info
        return Provenance(
            info.engine,
            self.reason,
            info.model,
            info.weights_sha256,
            info.dtype,
            info.device,
            _code_version(),
            settings_to_json(settings),
        )

    @contextmanager
    def _stage(self, name: str, works: Sequence[_Work]) -> Iterator[None]:
        """Announce a stage of some images, and share its time among them."""
        for work in works:
            self.on_progress(work.request.image_id, name, _DONE_BEFORE[name])
        started = time.perf_counter()
        yield
        seconds = (time.perf_counter() - started) / max(1, len(works))
        for work in works:
            work.timings_s[name] = work.timings_s.get(name, 0.0) + seconds


@contextmanager
def _failures_go_to(works: Sequence[_Work]) -> Iterator[None]:
    """Turn whatever a stage raises into the error of these images."""
    try:
        yield
    except PipelineError as error:
        failure = error
    except MemoryError:
        failure = PipelineError(ErrorCode.OUT_OF_MEMORY, "the image does not fit into memory")
    except Exception as error:
        log.exception("a stage failed")
        failure = PipelineError(ErrorCode.INFERENCE_ERROR, f"{type(error).__name__}: {error}")
    else:
        return
    for work in works:
        work.error, work.candidates, work.pages = failure, None, []


def _by_settings(works: Iterable[_Work]) -> list[list[_Work]]:
    groups: dict[CountSettings, list[_Work]] = {}
    for work in works:
        groups.setdefault(work.request.settings, []).append(work)
    return list(groups.values())


def _join_pages(pages: Sequence[Image], batches: Sequence[CandidateBatch]) -> CandidateBatch:
    if len(pages) == 1:
        return batches[0]
    height, width = sum(p.size_hw[0] for p in pages), max(p.size_hw[1] for p in pages)
    return stack_batches(batches, (height, width), page_offsets(pages))


def _batch_of(work: _Work) -> CandidateBatch:
    if work.batch is None:
        raise ValueError(f"{work.request.image_id}: want segmented, got none")
    return work.batch


def _with_rules(candidates: Candidates, rules: str) -> Candidates:
    """Run the rules; names they give that no type has become types of probability 0."""
    effects = apply_rules(candidates, rules)
    known = candidates.type_probs
    new = tuple(sorted({name for name in effects.relabels if name} - set(known.types)))
    probs = np.pad(known.probs, ((0, 0), (0, len(new))))
    type_probs = TypeProbs(known.types + new, probs, known.labelled_by)
    return replace(candidates, type_probs=type_probs, rule_effects=effects)


@cache
def _code_version() -> str:
    try:
        return metadata.version("tally")
    except metadata.PackageNotFoundError:
        return "unknown"
