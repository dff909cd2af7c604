"""Drawn scenes as training batches: drawn by several processes, in the order of their seeds."""

from __future__ import annotations

import multiprocessing as mp
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.segment.mini_input import stretch_contrast
from pipeline.train.scenes import SCENE_PX, draw_scene
from pipeline.train.targets import make_targets

Sample = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def _draw_sample(seed: int) -> Sample:
    """Return image (3, S, S) and targets (4, S / 2, S / 2), both uint8, of one scene."""
    cv2.setNumThreads(1)
    scene = draw_scene(seed)
    image = stretch_contrast(scene.image) if seed % 10 < 8 else scene.image
    targets = np.rint(make_targets(scene.labels) * 255).astype(np.uint8)
    return np.ascontiguousarray(image.transpose(2, 0, 1)), targets


def _draw_batch(seeds: range) -> Sample:
    """Return the samples of several seeds, stacked."""
    images, targets = zip(*(_draw_sample(s) for s in seeds), strict=True)
    return np.stack(images), np.stack(targets)


def drawn_batches(seed: int, batch: int, workers: int) -> Iterator[Sample]:
    """Yield endless batches of new scenes; the sequence depends on ``seed`` and ``batch`` only.

    Args:
        seed: scenes of different seeds do not overlap for the first 10 million.
        batch: scenes a batch.
        workers: processes that draw; 0 draws in this one.
    """
    start = seed * 10_000_000
    ranges = (range(k, k + batch) for k in range(start, start + 10_000_000, batch))
    if workers == 0:
        yield from map(_draw_batch, ranges)
        return
    with mp.get_context("spawn").Pool(workers) as pool:
        pending = [pool.apply_async(_draw_batch, (next(ranges),)) for _ in range(3 * workers)]
        while True:
            yield pending.pop(0).get()
            pending.append(pool.apply_async(_draw_batch, (next(ranges),)))


class Replay:
    """The last ``capacity`` scenes, kept on the device, so that each is learned from more than once."""

    def __init__(self, capacity: int, seed: int, device: torch.device) -> None:
        """Reserve (capacity, …) uint8 memory on ``device``."""
        half = SCENE_PX // 2
        self._images = torch.empty((capacity, 3, SCENE_PX, SCENE_PX), dtype=torch.uint8, device=device)
        self._targets = torch.empty((capacity, 4, half, half), dtype=torch.uint8, device=device)
        self._capacity, self._seen = capacity, 0
        self._choice = np.random.default_rng(seed)

    def add(self, images: Tensor, targets: Tensor) -> None:
        """Keep (B, …) new samples, in place of the oldest."""
        rows = torch.arange(self._seen, self._seen + len(images), device=images.device) % self._capacity
        self._images[rows], self._targets[rows] = images, targets
        self._seen += len(images)

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """Return ``n`` kept samples, drawn with replacement."""
        rows = torch.from_numpy(self._choice.integers(0, min(self._seen, self._capacity), n)).to(
            self._images.device
        )
        return self._images[rows], self._targets[rows]


def augment(images: Tensor, targets: Tensor, choice: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return the batch as floats in [0, 1], turned and mirrored as one, colours shuffled now and then."""
    x, y = images.float() / 255, targets.float() / 255
    turns, mirror = int(choice.integers(4)), choice.random() < 0.5
    x, y = torch.rot90(x, turns, (2, 3)), torch.rot90(y, turns, (2, 3))
    if mirror:
        x, y = x.flip(3), y.flip(3)
    if choice.random() < 0.3:
        x = x[:, choice.permutation(3).tolist()]
    if choice.random() < 0.15:
        x = 1 - x
    if choice.random() < 0.5:
        x = _filtered(x, choice)
    return x, y


def _filtered(x: Tensor, choice: np.random.Generator) -> Tensor:
    """Return the batch with half of its pictures passed in part through random filters.

    Shapes stay, textures and colours change (Xu et al. 2021, RandConv); brightness and contrast stay.
    """
    size = int(choice.choice([1, 3, 5]))
    weights = torch.from_numpy(
        choice.normal(0, 1 / np.sqrt(3 * size**2), (3, 3, size, size)).astype(np.float32)
    )
    new = torch.nn.functional.conv2d(
        torch.nn.functional.pad(x, (size // 2,) * 4, mode="reflect"), weights.to(x)
    )
    mean, spread = ((v.mean((1, 2, 3), keepdim=True), v.std((1, 2, 3), keepdim=True)) for v in (x, new))
    new = (new - spread[0]) / (spread[1] + 1e-4) * mean[1] + mean[0]
    share = torch.from_numpy(choice.random((len(x), 1, 1, 1)).astype(np.float32)).to(x)
    which = torch.from_numpy(choice.random((len(x), 1, 1, 1)) < 0.5).to(x.device)
    return torch.where(which, torch.lerp(x, new, share), x).clamp(0, 1)
