"""Typed batches that travel between the stages: frozen dataclasses that check their own shapes.

Everything here is numpy on the CPU. Masks travel as run lengths (COCO order: column-major, first run
background), because a hundred boolean masks of a 12-megapixel photo are 1.2 GB. N = 0 is legal everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import Half


class ShapeError(ValueError):
    """An array has another shape or dtype than its dataclass documents."""


def _check(name: str, array: NDArray[np.generic], shape: tuple[int | None, ...], dtype: type) -> None:
    """Raise ShapeError unless ``array`` has ``shape`` (None: any length) and ``dtype``."""
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        raise ShapeError(f"{name}: want {shape} {np.dtype(dtype)}, got {array.shape} {array.dtype}")


@dataclass(frozen=True, slots=True)
class Image:
    """One decoded image, EXIF orientation applied, alpha dropped on white.

    Attributes:
        image_id: the caller's name for it.
        pixels_hw3: (H, W, 3) uint8 RGB.
    """

    image_id: str
    pixels_hw3: NDArray[np.uint8]

    def __post_init__(self) -> None:
        """Raise ShapeError unless the pixels are (H, W, 3) uint8."""
        _check("pixels_hw3", self.pixels_hw3, (None, None, 3), np.uint8)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in px."""
        return self.pixels_hw3.shape[0], self.pixels_hw3.shape[1]


@dataclass(frozen=True, slots=True)
class CandidateBatch:
    """N class-agnostic instance masks of one image, in the engine's order (best first).

    Convention:
        boxes are half-open px, (x_min, y_min, x_max, y_max), image frame.

    Attributes:
        size_hw: image height and width in px.
        rle_counts: (R,) uint32. Run lengths of all masks, one after the other.
        rle_offsets: (N + 1,) int64. Mask i is ``rle_counts[rle_offsets[i]:rle_offsets[i + 1]]``.
        bbox_xyxy: (N, 4) float32. Tightest box of each mask.
        area: (N,) int64. Mask area in px.
        predicted_iou: (N,) float32 in [0, 1]. The engine's guess of its own mask quality.
        stability_score: (N,) float32 in [0, 1]. IoU of the mask cut at threshold +- offset.
        polygon_xy: (P, 2) float32. Outline points of all masks (outer contour of the largest part).
        polygon_offsets: (N + 1,) int64. Rows of ``polygon_xy`` of mask i.
        faint: (F, 4) float32. Centre x, y in px, area in px and quality in [0, 1] of what the engine saw
            too faintly to propose: no candidates, but evidence of how many things there are.
        scales: the engine's input px an image px at which it looked; empty where it chooses none.
        n_beside: how many things the next scales show, those at which the engine looked.
        pages_left: pages of the file that were not looked at.
        page_sizes_hw: of the pages that lie below each other in this picture; empty where it is alone.
    """

    size_hw: tuple[int, int]
    rle_counts: NDArray[np.uint32]
    rle_offsets: NDArray[np.int64]
    bbox_xyxy: NDArray[np.float32]
    area: NDArray[np.int64]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    polygon_xy: NDArray[np.float32]
    polygon_offsets: NDArray[np.int64]
    scales: tuple[float, ...] = ()
    faint: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    n_beside: tuple[int, ...] = ()
    pages_left: int = 0
    page_sizes_hw: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        """Raise ShapeError unless the arrays agree on N."""
        n = len(self.area)
        _check("rle_counts", self.rle_counts, (None,), np.uint32)
        _check("rle_offsets", self.rle_offsets, (n + 1,), np.int64)
        _check("bbox_xyxy", self.bbox_xyxy, (n, 4), np.float32)
        _check("area", self.area, (n,), np.int64)
        _check("predicted_iou", self.predicted_iou, (n,), np.float32)
        _check("stability_score", self.stability_score, (n,), np.float32)
        _check("polygon_xy", self.polygon_xy, (None, 2), np.float32)
        _check("polygon_offsets", self.polygon_offsets, (n + 1,), np.int64)
        _check("faint", self.faint, (None, 4), np.float32)
        if int(self.rle_offsets[-1]) != len(self.rle_counts):
            raise ShapeError(
                f"rle_offsets end at {self.rle_offsets[-1]}, rle_counts has {len(self.rle_counts)}"
            )
        if int(self.polygon_offsets[-1]) != len(self.polygon_xy):
            raise ShapeError(
                f"polygon_offsets end at {self.polygon_offsets[-1]}, polygon_xy has {len(self.polygon_xy)}"
            )

    def __len__(self) -> int:
        """Return N."""
        return len(self.area)

    @property
    def page_of(self) -> NDArray[np.int64]:
        """Return (N,) int64: the page that each mask lies on; 0 in a picture alone."""
        bottoms = np.cumsum([height for height, _ in self.page_sizes_hw[:-1]])
        middle = self.bbox_xyxy[:, 1::2].mean(axis=1)
        return np.asarray(np.searchsorted(bottoms, middle, side="right"), dtype=np.int64)

    @property
    def to_border(self) -> NDArray[np.float32]:
        """Return (N, 4) float32: px from each side of a mask to that of its page, 0 where that cuts it."""
        sizes = np.array(self.page_sizes_hw or [self.size_hw], dtype=np.float32)
        bottoms = np.cumsum(sizes[:, 0])
        page = self.page_of
        tops, left = (bottoms - sizes[:, 0])[page], np.zeros(len(self))
        border = np.stack([left, tops, sizes[page, 1], bottoms[page]], axis=1)
        return np.asarray((self.bbox_xyxy - border) * (1, 1, -1, -1), dtype=np.float32)

    @property
    def is_cut(self) -> NDArray[np.bool_]:
        """Return (N,) bool: the mask reaches the border of the image, or of its page."""
        return np.asarray((self.to_border <= 0).any(axis=1))

    def polygon(self, index: int) -> NDArray[np.float32]:
        """Return the (P_i, 2) float32 outline (x, y) of one mask."""
        return self.polygon_xy[self.polygon_offsets[index] : self.polygon_offsets[index + 1]]

    def rle(self, index: int) -> NDArray[np.uint32]:
        """Return the run lengths of one mask."""
        return self.rle_counts[self.rle_offsets[index] : self.rle_offsets[index + 1]]


@dataclass(frozen=True, slots=True)
class PatchBatch:
    """N square cut-outs, one per candidate, in candidate order.

    Attributes:
        patches: (N, S, S, 3) uint8 RGB; S from ``classify.patch_side_px``, in px.
        masks: (N, S, S) bool. The candidate's mask in the patch frame.
    """

    patches: NDArray[np.uint8]
    masks: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Raise ShapeError unless the arrays agree on N and S."""
        n, side = len(self.patches), self.patches.shape[1]
        _check("patches", self.patches, (n, side, side, 3), np.uint8)
        _check("masks", self.masks, (n, side, side), np.bool_)


@dataclass(frozen=True, slots=True)
class Classification:
    """What the classifier said of N candidates.

    Attributes:
        class_ids: (N, 5) int16. Best ImageNet classes, best first; (N, 0) without a classifier.
        class_probs: same shape, float32. Their probabilities.
        embeddings: (N, D) float16. Appearance: features of ResNet-50 (2048-d) or of
            ``pipeline.looks`` (378-d), or handcrafted ones.
        source: "resnet50", "looks" or "handcrafted".
    """

    class_ids: NDArray[np.int16]
    class_probs: NDArray[np.float32]
    embeddings: NDArray[np.float16]
    source: str

    def __post_init__(self) -> None:
        """Raise ShapeError unless the arrays agree on N."""
        n = len(self.embeddings)
        _check("class_ids", self.class_ids, (n, None), np.int16)
        _check("class_probs", self.class_probs, self.class_ids.shape, np.float32)
        _check("embeddings", self.embeddings, (n, None), np.float16)


@dataclass(frozen=True, slots=True)
class TypeProbs:
    """Probability of each object type for each candidate.

    Attributes:
        types: K type names; the requested one is first. Distractors have names too.
        probs: (N, K) float32 in [0, 1]; rows sum to at most 1.
        labelled_by: see ``contract.CountResult``.
    """

    types: tuple[str, ...]
    probs: NDArray[np.float32]
    labelled_by: str

    def __post_init__(self) -> None:
        """Raise ShapeError unless there is one column a type."""
        _check("probs", self.probs, (None, len(self.types)), np.float32)

    @property
    def requested(self) -> str:
        """The name that objects of the requested type carry; "" where no type is asked for."""
        return self.types[0] if self.types else ""


@dataclass(frozen=True, slots=True)
class Candidates:
    """All that is stored of one image's candidates: enough to recount without any model.

    Attributes:
        batch, classification, type_probs: of the same N candidates.
        rule_effects: what the rules of the settings derived; None when the settings had none.
    """

    batch: CandidateBatch
    classification: Classification
    type_probs: TypeProbs
    rule_effects: RuleEffects | None = None

    def __post_init__(self) -> None:
        """Raise ShapeError unless the parts agree on N."""
        lengths = {len(self.batch), len(self.classification.embeddings), len(self.type_probs.probs)}
        if self.rule_effects is not None:
            lengths.add(len(self.rule_effects.rejected_by))
        if len(lengths) != 1:
            raise ShapeError(
                f"candidates, embeddings, type_probs, rule_effects: want one N, got {sorted(lengths)}"
            )

    def __len__(self) -> int:
        """Return N."""
        return len(self.batch)


@dataclass(frozen=True, slots=True)
class Readings:
    """What exemplars mean of N things.

    Attributes:
        meant: (N,) bool. What is taken to be meant.
        narrow: (N,) bool. The same, if they are read more closely.
        wide: (N,) bool. The same, if they are read less so.
    """

    meant: NDArray[np.bool_]
    narrow: NDArray[np.bool_]
    wide: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Instances:
    """The decision on each of N candidates.

    Attributes:
        scores: (N,) float32 in [0, 1]. Probability that the candidate is one object asked for.
        type_ids: (N,) int64. Column of ``TypeProbs.types``.
        group_ids: (N,) int64. Visual group of candidates that are counted, or would be but for a person's
            choice of groups; -1 for the others.
        rejections: N strings; "" for counted candidates, else a ``contract.Rejection`` (completed).
        size_limits_px: inclusive (low, high) limits of the mask area that held.
        labels: N words shown for the candidates: the name a person gave their group, else their type.
        group_names: by group id. split_from: id of the group that a person split, by id of its halves.
        is_chosen: a person's choice of groups says something of these candidates.
        unsure: candidates for which a choice in another image holds though they are little like what it was
            made of, in an image in which nothing was chosen.
        unmet_exemplars: positive exemplars in this image that meet no candidate; all where none of them meets
            one in any image, so that nothing was compared with them.
        shown: candidates that positive exemplars in this image point at.
        readings: what positive exemplars mean; None where there are none.
        halves: by group id, what splitting it would give, where its halves differ.
    """

    scores: NDArray[np.float32]
    type_ids: NDArray[np.int64]
    group_ids: NDArray[np.int64]
    rejections: tuple[str, ...]
    size_limits_px: tuple[int, int]
    labels: tuple[str, ...]
    group_names: Mapping[int, str]
    split_from: Mapping[int, int]
    is_chosen: bool = False
    unsure: frozenset[int] = frozenset()
    unmet_exemplars: int = 0
    shown: frozenset[int] = frozenset()
    readings: Readings | None = None
    halves: Mapping[int, tuple[Half, Half]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ShapeError unless the arrays agree on N."""
        n = len(self.rejections)
        if len(self.labels) != n:
            raise ShapeError(f"labels: want {n}, got {len(self.labels)}")
        _check("scores", self.scores, (n,), np.float32)
        _check("type_ids", self.type_ids, (n,), np.int64)
        _check("group_ids", self.group_ids, (n,), np.int64)

    @property
    def counted(self) -> NDArray[np.int64]:
        """Indices of the counted candidates, in candidate order."""
        return np.array([i for i, why in enumerate(self.rejections) if not why], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class RuleEffects:
    """What answer-set rules derived about N candidates; stored, so that a recount needs no solver.

    Attributes:
        boosts: (N,) float32 in [-1, 1]. Added to the score.
        rejected_by: N strings. Name of the rule that rejects the candidate, "" for none.
        relabels: N strings. Type the candidate becomes, "" for none.
        program_sha256: hex digest of the rules they follow from: they hold for no others.
    """

    boosts: NDArray[np.float32]
    rejected_by: tuple[str, ...]
    relabels: tuple[str, ...]
    program_sha256: str

    def __post_init__(self) -> None:
        """Raise ShapeError unless the parts agree on N."""
        n = len(self.rejected_by)
        _check("boosts", self.boosts, (n,), np.float32)
        if len(self.relabels) != n:
            raise ShapeError(f"relabels: want {n}, got {len(self.relabels)}")
