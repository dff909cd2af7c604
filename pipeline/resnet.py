"""torchvision's ResNet-50 over the patches of a micro-batch: classes and embeddings. Needs torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import weights
from pipeline.contract import ErrorCode, PipelineError
from pipeline.types import Classification, PatchBatch

if TYPE_CHECKING:
    import torch

WEIGHTS = "resnet50"
TOP = 5
EMBEDDING_SIZE = 2048
_PATCHES_AT_ONCE = {"cpu": 32, "cuda": 256}


class ResNet50:
    """The network, loaded and warm, on one device. Arithmetic is fp32 everywhere."""

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
            raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, f"resnet50: {error}") from error
        self.device = device
        self._model = model.requires_grad_(False).eval().to(device)
        self._head = self._model.fc
        self._model.fc = torch.nn.Identity()
        self._preprocess = ResNet50_Weights.IMAGENET1K_V2.transforms()

    def classify(self, patches: Sequence[PatchBatch]) -> list[Classification]:
        """Return the best five classes and the pooled features of every patch.

        The patches of all images go through the network together, in chunks of one size.

        Raises:
            PipelineError: OUT_OF_MEMORY when even one patch does not fit the device.
        """
        rows = [patch for batch in patches for patch in batch.patches]
        parts = list(self._chunks(rows, _PATCHES_AT_ONCE[self.device]))
        empty = (np.zeros((0, TOP), np.int16), np.zeros((0, TOP), np.float32))
        nothing = (*empty, np.zeros((0, EMBEDDING_SIZE), np.float16))
        ids, probs, embeddings = (np.concatenate(column) for column in zip(nothing, *parts, strict=True))
        bounds = np.cumsum([0] + [len(batch.patches) for batch in patches])
        return [
            Classification(ids[a:b], probs[a:b], embeddings[a:b], source="resnet50")
            for a, b in itertools.pairwise(bounds.tolist())
        ]

    def _chunks(
        self, rows: list[NDArray[np.uint8]], size: int
    ) -> Iterator[tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float16]]]:
        """Yield the answers in order, halving the chunk each time the device has no room for it."""
        import torch

        at = 0
        while at < len(rows):
            try:
                part = self._forward(same_side(rows[at : at + size]))
            except torch.OutOfMemoryError as error:
                if size == 1:
                    raise PipelineError(ErrorCode.OUT_OF_MEMORY, f"resnet50: {error}") from error
                size //= 2
            else:
                yield part
                at += size

    def _forward(
        self, patches: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float16]]:
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(patches).to(self.device).permute(0, 3, 1, 2)  # (N, 3, S, S)
            features = self._model(self._preprocess(pixels))  # (N, 2048)
            probs, ids = self._head(features).softmax(dim=1).topk(TOP)
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
    return ResNet50(weights.load_state_dict(WEIGHTS), device())


def device() -> str:
    """Return "cuda" where torch sees a GPU, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
