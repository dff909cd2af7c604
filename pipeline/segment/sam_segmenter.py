"""The ``sam`` engine: automatic masks of any number of images within the memory there is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam

from pipeline.contract import CountSettings
from pipeline.memory import copy_to, is_out_of_memory, within_memory
from pipeline.portions import OnPart, best_device, rising, span, unheard
from pipeline.segment.base import EngineInfo, joined
from pipeline.segment.outline import candidates_from_masks
from pipeline.segment.sam_fast import FastNet
from pipeline.segment.sam_generate import Generated, Generator
from pipeline.segment.sam_memory import MIN_POINTS, Budget, points_that_fit
from pipeline.segment.sam_package import PackageNet
from pipeline.segment.sam_prompts import Prompter
from pipeline.segment.sam_settings import COUNTING, SamSettings
from pipeline.types import CandidateBatch, Image

log = logging.getLogger(__name__)

MAX_IMAGES = 8
"""Images a GPU encodes at once; it gains little beyond this. A CPU gains nothing, and takes long."""


class SamSegmenter:
    """SAM, loaded, on a device. Falls back to smaller steps, then to the CPU, when memory runs out.

    Args:
        sam: segment-anything's model with its weights.
        info: what provenance says; dtype and device are filled in here, and the models of the prompter left
            out where it is not asked.
        device: where to run; None is CUDA where there is some, else the CPU.
        settings: of mask generation.
        prompter: proposes points in ``mode: fast`` on a CPU; the whole grid is asked without it, in another
            mode, and on a card, which should answer all of it in less time than proposals take.
        max_images: images a GPU encodes at once, at most. A CPU encodes one.

    Attributes:
        info: engine, model and weights; dtype, device and prompter of the latest call, for provenance.
        budget: what the next call attempts at once; smaller after memory ran out.
    """

    def __init__(
        self,
        sam: Sam,
        info: EngineInfo,
        device: torch.device | None = None,
        settings: SamSettings = COUNTING,
        prompter: Prompter | None = None,
        max_images: int = MAX_IMAGES,
    ) -> None:
        """Move the model to the device, where it fits."""
        self.settings = settings
        self._sam, self._prompter = sam, prompter if settings.mode == "fast" else None
        self._prompt_models = info.prompt_models if self._prompter else {}
        home = device or torch.device(best_device())
        images = 1 if home.type == "cpu" else max_images
        try:
            self._generators = {home.type: self._on(sam, home)}
            self.budget = Budget(images, settings.points_per_batch or points_that_fit(home), home)
        except RuntimeError as error:
            if home.type == "cpu" or not is_out_of_memory(error):
                raise
            log.warning("no memory on %s for SAM itself; it is tried again with each image", home.type)
            self._generators = {"cpu": self._on(sam, torch.device("cpu"))}
            self.budget = Budget(1, MIN_POINTS, home)
        self._max_images, self.info = images, self._info_on(home, info)

    def warm_up(self) -> None:
        """Compile now what the first images would wait for; nothing is compiled on a CPU."""
        home = self._generators.get(self.budget.device.type)
        if home and isinstance(home.net, FastNet):
            home.net.warm_up(self._max_images)

    def prepare(self, image: Image, settings: CountSettings) -> None:
        """Resize an image ahead for the device; no count setting changes how."""
        if self.budget.device.type in self._generators:
            self._generators[self.budget.device.type].prepare(image.pixels_hw3)

    def segment(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart = unheard
    ) -> list[CandidateBatch]:
        """Return the candidates of each image, best first. No count setting changes SAM's masks.

        ``on_part`` is told the share that is done after each encoding and each portion of points.

        Raises:
            PipelineError: OUT_OF_MEMORY or INFERENCE_ERROR.
        """
        found: list[Generated] = []
        used: list[EngineInfo] = []
        told = rising(on_part)
        while len(found) < len(images):
            left = [image.pixels_hw3 for image in images[len(found) :]]
            masks, device = self._next(left, span(told, len(found) / len(images), 1.0))
            found += masks
            used.append(self._info_on(device, self.info))
        self.info = joined(used) if used else self.info
        return [candidates_from_masks(g.size_hw, g.rles, g.predicted_iou, g.stability_score) for g in found]

    def _next(
        self, images: Sequence[NDArray[np.uint8]], on_part: OnPart
    ) -> tuple[list[Generated], torch.device]:
        """Return the masks of as many of the images as fit at once, and where; remember what fitted."""

        def work(budget: Budget) -> list[Generated]:
            generator, some = self._generator(budget.device), images[: budget.images]
            own = span(on_part, 0.0, len(some) / len(images))
            return generator.generate(some, budget.images, budget.points, own)

        masks, used = within_memory(self.budget, work)
        on_home = used.device == self.budget.device
        self.budget = used if on_home else Budget(1, MIN_POINTS, self.budget.device)
        return masks, used.device

    def _info_on(self, device: torch.device, info: EngineInfo) -> EngineInfo:
        """Return the info with the arithmetic of the mode on a device and with what proposes points there."""
        half = self.settings.mode == "fast" and device.type == "cuda"
        prompt_models = self._prompt_models if device.type == "cpu" else {}
        dtype = "bfloat16" if half else "float32"
        return replace(info, dtype=dtype, device=device.type, prompt_models=prompt_models)

    def _generator(self, device: torch.device) -> Generator:
        """Return the generator of a device; the CPU's copy of the weights is made when first needed."""
        if device.type not in self._generators:
            self._generators[device.type] = self._on(copy_to(self._sam, device), device)
        return self._generators[device.type]

    def _on(self, sam: Sam, device: torch.device) -> Generator:
        """Return the model on a device, in the arithmetic of the mode."""
        fast = self.settings.mode == "fast"
        reference = self.settings.mode == "reference"
        net = PackageNet(sam, device) if reference else FastNet(sam, device, half=fast, compiled=fast)
        return Generator(net, self.settings, self._prompter if device.type == "cpu" else None)
