"""An engine with nothing to learn: every connected bright region is one object."""

from __future__ import annotations

from collections.abc import Sequence

from scipy import ndimage

from pipeline.contract import CountSettings
from pipeline.portions import OnPart, unheard
from pipeline.segment.base import EngineInfo
from pipeline.segment.outline import candidates_from_masks
from pipeline.types import CandidateBatch, Image


class ComponentsSegmenter:
    """Segments bright connected regions exactly; remembers the sizes of what it was shown."""

    def __init__(self) -> None:
        self.info = EngineInfo("components", None, None, "uint8", "cpu")
        self.shown: list[tuple[int, int]] = []

    def segment(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart = unheard
    ) -> list[CandidateBatch]:
        self.shown += [image.size_hw for image in images]
        found = [self._one(image) for image in images]
        on_part(1.0)
        return found

    def _one(self, image: Image) -> CandidateBatch:
        labels, n = ndimage.label(image.pixels_hw3[..., 0] > 127)
        masks = (labels == k for k in range(1, n + 1))
        return candidates_from_masks(image.size_hw, masks, [0.9] * n, [0.9] * n)
