"""Engines for tests of what happens around engines."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.contract import CountSettings
from pipeline.portions import OnPart, unheard
from pipeline.segment.base import EngineInfo
from pipeline.segment.classical import ClassicalSegmenter
from pipeline.types import CandidateBatch, Image


class PoisonedSegmenter:
    """Counts like ``classical``, takes batches as a GPU engine does, and fails on a batch with poison in it.

    Attributes:
        batches: the image ids of each call, in order.
    """

    info = EngineInfo("classical", None, None, "float32", "cuda:0")

    def __init__(self, poison: str) -> None:
        """Fail on the image of this id."""
        self.poison = poison
        self.batches: list[list[str]] = []

    def segment(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart = unheard
    ) -> list[CandidateBatch]:
        """Return the candidates of each image.

        Raises:
            RuntimeError: the poison is among them.
        """
        self.batches.append([image.image_id for image in images])
        if self.poison in self.batches[-1]:
            raise RuntimeError("poison")
        return ClassicalSegmenter().segment(images, settings, on_part)
