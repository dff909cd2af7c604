"""What a count is asked for and answered with: the words app/ and pipeline/ share (stdlib only).

``CountSettings`` is the ``config`` of the HTTP API (docs/settings.md) and of ``tally count``: this file
is the one place for its defaults, ``settings.py`` for its ranges. ``CountResult`` is the answer for one
image.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

STAGES = ("preprocess", "segment", "extract_patches", "classify", "map_labels", "count", "explain")
"""Stage names in running order; keys of ``CountResult.timings_s`` and ``stage.progress`` events."""

ENGINES = ("auto", "classical", "mini", "sam")
SAM_MODELS = ("vit_b", "vit_l", "vit_h")
MODES = ("fast", "exact")
PAGES = ("first", "all")


class ErrorCode(StrEnum):
    """Why an image or a job failed."""

    MODEL_LOAD_ERROR = "MODEL_LOAD_ERROR"
    FILE_ERROR = "FILE_ERROR"
    FILE_NOT_FOUND = "FILE_NOT_FOUND"
    CORRUPTED_FILE = "CORRUPTED_FILE"
    INFERENCE_ERROR = "INFERENCE_ERROR"
    STORAGE_ERROR = "STORAGE_ERROR"
    QUEUE_TIMEOUT = "QUEUE_TIMEOUT"
    MAX_RETRIES = "MAX_RETRIES"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    INVALID_CONFIG = "INVALID_CONFIG"


RETRIED = frozenset({ErrorCode.STORAGE_ERROR, ErrorCode.INFERENCE_ERROR})
"""Failures that another attempt may mend; after the last one they are told as ``MAX_RETRIES``."""


class PipelineError(Exception):
    """A failure with a stable code; the message says what was wanted and what came."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        """Keep the code beside the message."""
        super().__init__(message)
        self.code = code


def unforeseen() -> PipelineError:
    """Return what those who asked are told of a failure nobody foresaw: internals go to the log alone."""
    return PipelineError(ErrorCode.INFERENCE_ERROR, "counting failed unexpectedly; the log says why")


class SettingsError(PipelineError):
    """Settings out of range; ``details`` lists every bad field, not only the first."""

    def __init__(self, details: list[dict[str, str]]) -> None:
        """Join the details into one message."""
        text = "; ".join(f"{d['field']}: {d['message']}" for d in details)
        super().__init__(ErrorCode.INVALID_CONFIG, text)
        self.details = details


class Rejection(StrEnum):
    """Why a candidate is not counted. Those with a trailing colon are completed by an id or a name."""

    LOW_SCORE = "low_score"
    LOW_STABILITY = "low_stability"
    DUPLICATE_OF = "duplicate_of:"
    INSIDE = "inside:"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    EDGE = "edge"
    OUTSIDE_ROI = "outside_roi"
    OTHER_TYPE = "other_type:"
    UNLIKE_EXEMPLAR = "unlike_exemplar"
    RULE = "rule:"
    HUMAN = "human"


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One "count things like this" (or unlike this) in image pixels of the image ``file_id``.

    Attributes:
        bbox_xywh: x, y, width, height in px, or None when a point is given.
        point_xy: x, y in px, or None when a box is given.
        positive: False for "not these".
        file_id: image the box lies in; None means the image that is counted.
        corrected: taken from a human's corrections, and replaced when they are taken again.
    """

    bbox_xywh: tuple[float, float, float, float] | None = None
    point_xy: tuple[float, float] | None = None
    positive: bool = True
    file_id: str | None = None
    corrected: bool = False


@dataclass(frozen=True, slots=True)
class GroupChoice:
    """What a person says of one visual group as a whole, after it was counted.

    Attributes:
        id: of the group in the image ``file_id``; None means the image that is counted.
        name: its objects are counted under this name; None leaves their type's. The name of what is
            asked for says which things are meant: groups of which nothing else is said are left out.
        counted: False leaves the whole group out, True counts it whatever else was asked for; None
            says neither.
        split: it falls in two that are groups themselves. What is said here holds for both, the name for the
            larger one, unless another choice speaks of that half.
    """

    id: int
    file_id: str | None = None
    name: str | None = None
    counted: bool | None = None
    split: bool = False

    @property
    def says_nothing(self) -> bool:
        """Whether it neither names its group nor says if that counts."""
        return self.name is None and self.counted is None


@dataclass(frozen=True, slots=True)
class Region:
    """One polygon in image pixels; objects whose centre lies in it are counted, or left out.

    Attributes:
        polygon_xy: at least three (x, y) px.
        include: False excludes what lies inside.
        file_id: the only image that it is of; None means every image that is counted.
    """

    polygon_xy: tuple[tuple[float, float], ...]
    include: bool = True
    file_id: str | None = None


@dataclass(frozen=True, slots=True)
class Tiling:
    """Sliced inference (``sahi`` in the API): ``enabled`` None decides by image and object size."""

    enabled: bool | None = None
    slice_width: int = 1024
    slice_height: int = 1024
    overlap_ratio: float = 0.2


@dataclass(frozen=True, slots=True)
class CountSettings:
    """Everything that decides a count besides the pixels and the weights. Immutable.

    Attributes:
        engine: name of ``ENGINES``. model: SAM variant, one of ``SAM_MODELS``; None is the default.
        mode: of the engine ``sam``. "exact": the masks of the reference, asked for at every point of its
            grid; "fast": asked for where things are proposed (docs/sam.md).
        confidence_threshold: in [0, 1]; candidates with a lower score are not counted.
        iou_threshold: in [0, 1]; of two masks of one type with a higher IoU the weaker goes.
        max_overlap: in [0, 1]; of two masks of one type the smaller goes when a higher share of it
            lies inside the other (IoS).
        min_area_px, max_area_px: inclusive limits of the mask area; None is the engine's default.
        exclude_edge: leave out objects cut by the image border.
        granularity: keep wholes, parts, or let the scores decide.
        count_what: meaning of the request: a type of the finite set, free text, exemplars, everything.
        groups: visual groups that a person named, kept or left out.
        groups_scope: the choices hold in their own images, or also for what is alike in the job's others.
        template: name of the saved settings that these came from; decides nothing any more.
        rules: answer-set rules or a saved name; None is off.
        mask_background: neutralise what lies around an object before it is classified.
        visualize: draw overlays. show_labels, confidence_display: what is written on them.
        pages: of a multi-page TIFF. priority: 0 (default) to 9 (first).
    """

    engine: str = "auto"
    model: str | None = None
    mode: Literal["fast", "exact"] = "fast"
    confidence_threshold: float = 0.25
    iou_threshold: float = 0.5
    max_overlap: float = 0.9
    min_area_px: int | None = None
    max_area_px: int | None = None
    exclude_edge: bool = False
    granularity: Literal["auto", "whole", "part"] = "auto"
    count_what: Literal["type", "text", "exemplars", "everything"] = "type"
    exemplars: tuple[Exemplar, ...] = ()
    groups: tuple[GroupChoice, ...] = ()
    groups_scope: Literal["image", "job"] = "image"
    template: str | None = None
    roi: tuple[Region, ...] = ()
    tiling: Tiling = field(default_factory=Tiling)
    rules: str | None = None
    mask_background: bool = False
    visualize: bool = True
    show_labels: bool = True
    confidence_display: bool = True
    pages: Literal["first", "all"] = "first"
    priority: int = 0
    webhook_url: str | None = None

    @property
    def shown(self) -> tuple[Exemplar, ...]:
        """The exemplars of what is meant."""
        return tuple(exemplar for exemplar in self.exemplars if exemplar.positive)

    def in_image(self, file_id: str) -> CountSettings:
        """Return the settings without the regions of other images."""
        return replace(self, roi=tuple(one for one in self.roi if one.file_id in (None, file_id)))


@dataclass(frozen=True, slots=True)
class ObjectType:
    """One member of the finite set of things that can be asked for."""

    name: str
    synonyms: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    min_area_px: int | None = None
    max_area_px: int | None = None


@dataclass(frozen=True, slots=True)
class CountRequest:
    """Count ``type`` in one image.

    Attributes:
        image_id: caller's name for the image; comes back in the outcome.
        path: local file with the encoded image; opened once, never written.
        type: what to count: name of an ``ObjectType``, or free text.
    """

    image_id: str
    path: str
    type: str
    settings: CountSettings = field(default_factory=CountSettings)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which code, weights and machine made a count; equal provenance means an equal count.

    Attributes:
        patch_models: name -> sha256 of the networks that described or named the candidates; none where that
            was made by hand, and in results from before this was kept.
        prompt_models: name -> sha256 of the networks that proposed where the engine was asked; none where the
            engine found its places alone, and in results from before this was kept.
    """

    engine: str
    engine_reason: str
    model: str | None
    weights_sha256: str | None
    dtype: str
    device: str
    code_version: str
    settings: dict[str, Any]
    patch_models: dict[str, str] = field(default_factory=dict)
    prompt_models: dict[str, str] = field(default_factory=dict)


def object_id(index: int) -> str:
    """Return the id of candidate ``index`` in results, rejections and corrections: "c12"."""
    return f"c{index}"


@dataclass(frozen=True, slots=True)
class Half:
    """One of the two groups that splitting a group would give.

    Attributes:
        id: of that group, by which a choice for it names it. name: what it would be called.
        objects: ids of those in it that count, or would but for a person's choice of groups.
        larger: it has more members than the other, counted or not: the name of the whole goes with it.
    """

    id: int
    name: str
    objects: tuple[str, ...]
    larger: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Visually similar objects. ``id`` is stable within one candidates file.

    Attributes:
        count: counted objects. left_out: those that only a person's choice of groups keeps out.
        counted: whether any of them is counted; False for a group left out as a whole.
        part_of: id of the group that a person split, of which this is one half; None for one that is whole.
        halves: what splitting it would give; None where its halves do not differ, or were not looked for.
    """

    id: int
    name: str
    count: int
    left_out: int = 0
    counted: bool = True
    part_of: int | None = None
    halves: tuple[Half, Half] | None = None


@dataclass(frozen=True, slots=True)
class SizeStats:
    """Areas of the counted objects in px and their share and density in the image."""

    median_area_px: float
    p10_area_px: float
    p90_area_px: float
    coverage_percent: float
    density_per_megapixel: float


@dataclass(frozen=True, slots=True)
class DensityEstimate:
    """About how many things there are where they cannot be told apart: beside a count, never in its place.

    Attributes:
        count: the estimate. low, high: its 90 % interval, inclusive.
        method: how it was made: "heap", from what was seen surely and faintly.
        reason: why the count of instances is not to be trusted, for people.
    """

    count: int
    low: int
    high: int
    method: str
    reason: str


@dataclass(frozen=True, slots=True)
class CountResult:
    """The count of one image.

    Attributes:
        count: number of counted objects. count_interval: inclusive, see ``summarise``.
        by_type: label -> count. average_confidence: mean score of the counted, 0.0 for none.
        needs_review: a human should look; review_reason says why, None when not.
        labelled_by: what named the objects: "request", or "imagenet", "open_clip" or both, joined by "+".
        timings_s: stage of ``STAGES`` -> seconds.
        size_limits_px: inclusive limits of the mask area that held: a type's own may change later.
        engine_details: what the engine chose by itself: ``scales`` (its input px an image px) and
            ``typical_radius_px`` (of a disc of the median area, image px; None when nothing is counted).
        density_estimate: for heaps and crowds; None where the count of instances can be trusted as it is.
    """

    count: int
    count_interval: tuple[int, int]
    by_type: dict[str, int]
    groups: tuple[Group, ...]
    stats: SizeStats
    average_confidence: float
    needs_review: bool
    review_reason: str | None
    labelled_by: str
    timings_s: dict[str, float]
    provenance: Provenance
    size_limits_px: tuple[int, int]
    engine_details: dict[str, Any] = field(default_factory=dict)
    density_estimate: DensityEstimate | None = None

    def counted_twice(self, name: str | None) -> CountResult:
        """Return this count, asking for a look where the same bytes were counted as file ``name``, too."""
        if name is None:
            return self
        return replace(self, needs_review=True, review_reason=f"the same picture as {name}; both are counted")

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, dicts and numbers, ready for ``json.dumps``."""
        return asdict(self) | {"count_interval": list(self.count_interval)}
