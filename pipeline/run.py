"""The seven stages in order, timed, in micro-batches: the one file that imports them all.

A bad image fails alone: its outcome carries the error and its neighbours are counted. While one
micro-batch is counted, a thread decodes the next one and prepares it for the engine; everything else
happens in the caller's thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import accumulate

from pipeline.classify import classify, patch_side_px
from pipeline.contract import (
    STAGES,
    CountRequest,
    CountResult,
    CountSettings,
    Exemplar,
    ObjectType,
    PipelineError,
)
from pipeline.count import count, summarise
from pipeline.explain import explain
from pipeline.label_map import map_labels
from pipeline.ops.exemplars import framed
from pipeline.patches import extract_patches
from pipeline.portions import OnPart, span
from pipeline.prefetch import (
    UnwantedError,
    Work,
    failures_go_to,
    fit_together,
    micro_batches,
    one_ahead,
    timed,
)
from pipeline.preprocess import page_offsets, preprocess, stack_pages
from pipeline.provenance import provenance_of
from pipeline.rules import why_refused, with_rules
from pipeline.segment.base import Prepares, Segmenter
from pipeline.segment.outline import join_pages
from pipeline.segment.registry import load
from pipeline.types import CandidateBatch, Candidates, Classification, Image, Instances

log = logging.getLogger(__name__)

OnProgress = Callable[[str, str, float], None]
Wanted = Callable[[str], bool]

MAX_BATCH_IMAGES = 4
"""Images a GPU gets at once: half of what a worker claims, so that the other half is decoded meanwhile. A CPU
gets one: more at once are no faster there, and come later (bench/batching.py)."""

STAGE_SHARES = (0.05, 0.6, 0.07, 0.08, 0.05, 0.02, 0.13)
"""Usual share of an image's time, in the order of ``STAGES``: what progress is counted in."""

_SHARE = dict(zip(STAGES, STAGE_SHARES, strict=True))
_DONE_BEFORE = dict(zip(STAGES, accumulate(STAGE_SHARES, initial=0.0), strict=False))


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """What became of one request: a result, an error, or neither when it was skipped.

    Attributes:
        image_id: of the request.
        result, candidates, instances: the count and what it was made from; None without a result.
        pictures: JPEG bytes by name: annotated, heatmap, rejected, thumbnail.
        error: why there is no result.
        skipped: ``wanted`` said no.
        exemplars_in: candidates of the other images that its exemplars lie in, by image id.
    """

    image_id: str
    result: CountResult | None = None
    candidates: Candidates | None = None
    instances: Instances | None = None
    pictures: dict[str, bytes] = field(default_factory=dict)
    error: PipelineError | None = None
    skipped: bool = False
    exemplars_in: dict[str, Candidates] = field(default_factory=dict)


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
        requests: all with the same engine, model and mode.
        object_types: the finite set of types.
        on_progress: told (image_id, stage that begins, share of the image that is done in [0, 1]).
        wanted: asked with the image_id before an image is decoded, again before it is segmented, and between
            parts of the engine's work and passes of the networks that look at patches; False skips it.
        known: candidates of images outside of this batch, for exemplars that lie in them. Those of the
            batch itself are known to each other.
        on_outcome: given each outcome as soon as it is there, before the batch is through.

    Never raises for an image, a file or a missing engine: see ``ImageOutcome.error``.
    """
    if not requests:
        return []
    works = [Work(place, request) for place, request in enumerate(requests)]
    try:
        first = requests[0].settings
        segmenter, reason = load(first.engine, first.model, first.mode)
    except PipelineError as error:
        return [ImageOutcome(request.image_id, error=error) for request in requests]
    run = _Run(segmenter, reason, object_types, on_progress, wanted, dict(known or {}), on_outcome)
    return run.all(works)


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

    def all(self, works: Sequence[Work]) -> list[ImageOutcome]:
        """Take micro-batches through the stages, images that exemplars lie in first; these may wait too."""
        showing = {name for work in works for name in _exemplar_images(work.request.settings)}
        works = sorted(works, key=lambda work: work.request.image_id not in showing)
        outcomes: dict[int, ImageOutcome] = {}
        waiting: list[Work] = []
        max_images = MAX_BATCH_IMAGES if self.segmenter.info.device.startswith("cuda") else 1
        batches = micro_batches(works, max_images)
        with closing(one_ahead(batches, self._begin, self._decode, fit_together)) as decoded:
            for batch in decoded:
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

    def _begin(self, work: Work) -> bool:
        """Return whether to decode an image, and announce that; what its rules make vain is not begun."""
        if work.request.settings.rules is not None:
            work.error = work.error or why_refused(work.request.settings.rules)
        if work.error or not self._is_still_wanted(work):
            return False
        self.on_progress(work.request.image_id, "preprocess", _DONE_BEFORE["preprocess"])
        return True

    def _decode(self, work: Work) -> None:
        """Stage 1, in a thread of its own, and what the engine does ahead: only its image is touched."""
        with timed("preprocess", [work]), failures_go_to([work]):
            work.pages = preprocess(work.request.image_id, work.request.path, work.request.settings)
            if isinstance(self.segmenter, Prepares):
                for page in work.pages:
                    self.segmenter.prepare(page, work.request.settings)

    def _is_still_wanted(self, work: Work) -> bool:
        if not self.wanted(work.request.image_id):
            work.skipped, work.pages = True, []
        return not work.skipped

    def _find_candidates(self, works: Sequence[Work]) -> None:
        """Stages 2 to 5, all images of a micro-batch together."""
        alive = [w for w in works if w.pages and self._is_still_wanted(w)]
        for group in _by_engine_settings(alive):
            with self._stage("segment", group):
                self._segment(group)
        alive = [w for w in alive if w.batch is not None]
        patches = {}
        for work in alive:
            with self._stage("extract_patches", [work]), failures_go_to([work]):
                image, batch = stack_pages(work.pages), _batch_of(work)
                side = patch_side_px(batch.bbox_xyxy)
                patches[work.place] = extract_patches(image, batch, work.request.settings, side_px=side)
        alive = [w for w in alive if w.error is None]
        seen: list[Classification] = []
        with self._stage("classify", alive), failures_go_to(alive):
            seen = classify([patches[w.place] for w in alive], self._between("classify", alive))
        for work, classification in zip(alive if seen else [], seen, strict=True):
            if not self._is_still_wanted(work):
                continue
            with self._stage("map_labels", [work]), failures_go_to([work]):
                batch = _batch_of(work)
                probs = map_labels(
                    patches[work.place],
                    classification,
                    batch,
                    work.request.type,
                    self.object_types,
                    count_what=work.request.settings.count_what,
                    on_part=self._between("map_labels", [work]),
                )
                work.candidates = Candidates(batch, classification, probs)
                if work.request.settings.rules is not None:
                    work.candidates = with_rules(work.candidates, work.request.settings.rules)

    def _between(self, stage: str, works: Sequence[Work]) -> OnPart:
        """Return what the passes of a network tell; it raises when nobody wants any of the images now."""

        def on_part(share: float) -> None:
            for work in works:
                fraction = _DONE_BEFORE[stage] + share * _SHARE[stage]
                self.on_progress(work.request.image_id, stage, fraction)
            if not any(self.wanted(work.request.image_id) for work in works):
                raise UnwantedError

        return on_part

    def _segment(self, group: Sequence[Work]) -> None:
        """Run the engine on a group; when that fails, on each image alone, so that one fails alone."""
        settings = _engine_settings(group[0].request.settings)
        settings = replace(settings, exemplars=framed(settings.exemplars, self.known))
        try:
            found = iter(self._find(group, settings))
            for work in group:
                work.engine = self.segmenter.info
                joined = join_pages([next(found) for _ in work.pages])
                work.batch = replace(joined, pages_left=work.pages_left)
        except Exception as error:
            if len(group) > 1 and not isinstance(error, UnwantedError):
                log.warning("a batch of %d images failed; retrying each alone", len(group), exc_info=True)
                for work in group:
                    self._segment([work])
                return
            with failures_go_to(group):
                raise

    def _find(self, group: Sequence[Work], settings: CountSettings) -> list[CandidateBatch]:
        """Return the candidates of all pages; those of a stack are told the exemplars in their own px."""
        on_part, n_pages = self._between("segment", group), sum(len(work.pages) for work in group)
        if not settings.exemplars or all(len(work.pages) == 1 for work in group):
            return self.segmenter.segment([page for work in group for page in work.pages], settings, on_part)
        found: list[CandidateBatch] = []
        for work in group:
            for page, (_, top) in zip(work.pages, page_offsets(work.pages), strict=True):
                own = tuple(_seen_from_page(e, page, top) for e in settings.exemplars)
                part = span(on_part, len(found) / n_pages, (len(found) + 1) / n_pages)
                found += self.segmenter.segment([page], replace(settings, exemplars=own), part)
        return found

    def _lacks_exemplars(self, work: Work) -> bool:
        return (
            work.candidates is not None and not _exemplar_images(work.request.settings) <= self.known.keys()
        )

    def _finish(self, work: Work) -> ImageOutcome:
        """Stages 6 and 7."""
        image_id, settings = work.request.image_id, work.request.settings
        if work.candidates is not None:
            with failures_go_to([work]):
                own = work.candidates
                with self._stage("count", [work]):
                    instances = count(own, settings, self.object_types, others=self.known | {image_id: own})
                with self._stage("explain", [work]):
                    image = stack_pages(work.pages or preprocess(image_id, work.request.path, settings))
                    pictures = explain(own, instances, image, settings)
                made_by = provenance_of(work.engine or self.segmenter.info, self.reason, own, settings)
                result = summarise(own, instances, settings, work.timings_s, made_by)
                work.pages, work.batch = [], None
                self.on_progress(image_id, STAGES[-1], 1.0)
                shown = {name: self.known[name] for name in _exemplar_images(settings) - {image_id}}
                return ImageOutcome(image_id, result, own, instances, pictures, exemplars_in=shown)
        return ImageOutcome(image_id, error=work.error, skipped=work.skipped)

    @contextmanager
    def _stage(self, name: str, works: Sequence[Work]) -> Iterator[None]:
        """Announce a stage of some images, and share its time among them."""
        for work in works:
            self.on_progress(work.request.image_id, name, _DONE_BEFORE[name])
        with timed(name, works):
            yield


def _exemplar_images(settings: CountSettings) -> set[str]:
    return {e.file_id for e in settings.exemplars if e.file_id is not None}


def _by_engine_settings(works: Iterable[Work]) -> list[list[Work]]:
    groups: dict[CountSettings, list[Work]] = {}
    for work in works:
        groups.setdefault(_engine_settings(work.request.settings), []).append(work)
    return list(groups.values())


def _engine_settings(settings: CountSettings) -> CountSettings:
    """Return the settings without what no mask depends on, so that more jobs share an engine call."""
    return replace(
        settings,
        groups=(),
        groups_scope="image",
        roi=(),
        template=None,
        rules=None,
        mask_background=False,
        visualize=True,
        show_labels=True,
        confidence_display=True,
        priority=0,
        webhook_url=None,
    )


def _seen_from_page(exemplar: Exemplar, page: Image, top: int) -> Exemplar:
    """Return an exemplar in px of a page that starts at ``top``; off the page it lies in another image."""
    if exemplar.file_id not in (None, page.image_id):
        return exemplar
    box, point = exemplar.bbox_xywh, exemplar.point_xy
    middle = box[1] + box[3] / 2 if box else point[1] if point else 0.0
    is_here = top <= middle < top + page.size_hw[0]
    return replace(
        exemplar,
        bbox_xywh=(box[0], box[1] - top, *box[2:]) if box else None,
        point_xy=(point[0], point[1] - top) if point else None,
        file_id=None if is_here else f"another page of {page.image_id}",
    )


def _batch_of(work: Work) -> CandidateBatch:
    if work.batch is None:
        raise ValueError(f"{work.request.image_id}: want segmented, got none")
    return work.batch
