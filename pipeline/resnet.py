"""torchvision's ResNet-50 over the patches of a micro-batch: classes and embeddings. Needs torch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import weights
from pipeline.contract import ErrorCode, PipelineError
from pipeline.portions import Copies, OnPart, Passes, best_device, unheard
from pipeline.types import Classification, PatchBatch

if TYPE_CHECKING:
    import torch

WEIGHTS = "resnet50"
TOP = 5
EMBEDDING_SIZE = 2048
PATCHES_AT_ONCE = {"cpu": 32, "gpu": 256}
"""A CPU looks at 32 in two to ten seconds: so often a worker hears how far it is."""

Answer = tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float16]]


class ResNet50:
    """The network, loaded and warm. Arithmetic is fp32 everywhere."""

    def __init__(self, state: dict[str, torch.Tensor], device: str) -> None:
        """Take the parameters as they are: memory-mapped ones stay mapped on the CPU.

        Raises:
            PipelineError: MODEL_LOAD_ERROR when names or shapes are not those of ResNet-50.
        """
        import torch
        from torchvision.models import ResNet50_Weights, resnet50

        with torch.device("meta"):
            model = resnet50()
        try:
            model.load_state_dict(state, assign=True)
        except RuntimeError as error:
            message = "resnet50: the file's parameters are not this network's"
            raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, message) from error
        head, model.fc = model.fc, torch.nn.Identity()
        network = torch.nn.ModuleDict({"body": model, "head": head})
        self.device = device
        self._preprocess = ResNet50_Weights.IMAGENET1K_V2.transforms()
        self._passes = Passes(Copies(network, device), self._forward, "patches", PATCHES_AT_ONCE)

    def classify(self, patches: Sequence[PatchBatch], on_part: OnPart = unheard) -> list[Classification]:
        """Return the best five classes and the pooled features of every patch.

        The patches of all images go through the network together, in portions of one size.

        Args:
            patches: of any number of images.
            on_part: told the share that is done, between two passes.

        Raises:
            PipelineError: OUT_OF_MEMORY when even one patch does not fit the CPU; INFERENCE_ERROR.
        """
        rows = [patch for batch in patches for patch in batch.patches]
        parts = [answer for _, answer in self._passes.over(rows, on_part)]
        empty = (np.zeros((0, TOP), np.int16), np.zeros((0, TOP), np.float32))
        nothing = (*empty, np.zeros((0, EMBEDDING_SIZE), np.float16))
        ids, probs, embeddings = (np.concatenate(column) for column in zip(nothing, *parts, strict=True))
        bounds = np.cumsum([0] + [len(batch.patches) for batch in patches])
        return [
            Classification(ids[a:b], probs[a:b], embeddings[a:b], source="resnet50")
            for a, b in itertools.pairwise(bounds.tolist())
        ]

    def _forward(self, network: Any, device: str, rows: Sequence[NDArray[np.uint8]]) -> Answer:
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(same_side(rows)).to(device).permute(0, 3, 1, 2)  # (N, 3, S, S)
            features = network["body"](self._preprocess(pixels))  # (N, 2048)
            probs, ids = network["head"](features).softmax(dim=1).topk(TOP)
            return (
                ids.to(torch.int16).cpu().numpy(),
                probs.cpu().numpy(),
                features.to(torch.float16).cpu().numpy(),
            )


def same_side(rows: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Stack patches as (N, S, S, 3), growing those of a crowded image to the largest side among them."""
    side = max(len(row) for row in rows)
    return np.stack([row if len(row) == side else _grown(row, side) for row in rows])


def _grown(row: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(row, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


@lru_cache(maxsize=1)
def load() -> ResNet50:
    """Return the network with the published weights, on the GPU where there is one.

    Raises:
        PipelineError: MODEL_LOAD_ERROR without torch or verified weights; the message says what to do.
    """
    return ResNet50(weights.load_state_dict(WEIGHTS), best_device())
