"""Drawn scenes as training batches: drawn by several processes, in the order of their seeds."""

from __future__ import annotations

import multiprocessing as mp
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.segment.mini_input import stretch_contrast
from pipeline.train.scenes import SCENE_PX, draw_scene
from pipeline.train.targets import make_targets

Arrays = tuple[NDArray[np.uint8], ...]
Draw = Callable[[int], Arrays]


def draw_sample(seed: int, size: int = SCENE_PX) -> Arrays:
    """Return image (3, S, S) and targets (4, S / 2, S / 2), both uint8, of one scene."""
    cv2.setNumThreads(1)
    scene = draw_scene(seed, size)
    return as_sample(scene.image, scene.labels, stretch=seed % 10 < 8)


def as_sample(image_hw3: NDArray[np.uint8], labels: NDArray[np.int32], *, stretch: bool) -> Arrays:
    """Return image (3, S, S), its contrast stretched or not, and targets (4, S / 2, S / 2), uint8."""
    image = stretch_contrast(image_hw3) if stretch else image_hw3
    targets = np.rint(make_targets(labels) * 255).astype(np.uint8)
    return np.ascontiguousarray(image.transpose(2, 0, 1)), targets


def _draw_batch(draw: Draw, seeds: range) -> Arrays:
    """Return the samples of several seeds, stacked."""
    return tuple(np.stack(arrays) for arrays in zip(*(draw(s) for s in seeds), strict=True))


def drawn_batches(draw: Draw, seed: int, batch: int, workers: int) -> Iterator[Arrays]:
    """Yield endless batches of new samples; the sequence depends on ``draw``, ``seed`` and ``batch`` only.

    Args:
        draw: gives the arrays of a sample of a seed.
        seed: samples of different seeds do not overlap for the first 10 million.
        batch: samples a batch.
        workers: processes that draw; 0 draws in this one.
    """
    start = seed * 10_000_000
    ranges = (range(k, k + batch) for k in range(start, start + 10_000_000, batch))
    if workers == 0:
        yield from (_draw_batch(draw, seeds) for seeds in ranges)
        return
    with mp.get_context("spawn").Pool(workers) as pool:
        pending = [pool.apply_async(_draw_batch, (draw, next(ranges))) for _ in range(3 * workers)]
        while True:
            yield pending.pop(0).get()
            pending.append(pool.apply_async(_draw_batch, (draw, next(ranges))))


class Replay:
    """The last ``capacity`` samples, kept on the device, so that each is learned from more than once."""

    def __init__(self, capacity: int, seed: int) -> None:
        """Keep nothing yet."""
        self._kept: list[Tensor] = []
        self._capacity, self._seen = capacity, 0
        self._choice = np.random.default_rng(seed)

    def add(self, batch: Sequence[Tensor]) -> None:
        """Keep (B, …) new samples, in place of the oldest."""
        if not self._kept:
            self._kept = [x.new_empty((self._capacity, *x.shape[1:])) for x in batch]
        rows = torch.arange(self._seen, self._seen + len(batch[0]), device=batch[0].device) % self._capacity
        for kept, new in zip(self._kept, batch, strict=True):
            kept[rows] = new
        self._seen += len(batch[0])

    def sample(self, n: int) -> list[Tensor]:
        """Return ``n`` kept samples, drawn with replacement."""
        rows = torch.from_numpy(self._choice.integers(0, min(self._seen, self._capacity), n))
        return [kept[rows.to(kept.device)] for kept in self._kept]


class Source:
    """Batches of new samples and kept ones; ``drawn`` is how many were new."""

    def __init__(
        self, batches: Iterator[Arrays], size: int, replay: Replay | None, device: torch.device
    ) -> None:
        """Draw nothing yet.

        Args:
            batches: new samples, see ``drawn_batches``.
            size: samples a batch, new and kept.
            replay: keeps them; without it a batch is what is new.
            device: that batches are on.
        """
        self._batches, self._size, self._replay, self._device = batches, size, replay, device
        self.drawn = 0

    def next(self) -> list[Tensor]:
        """Return the next batch on the device."""
        batch = [torch.from_numpy(a).to(self._device, non_blocking=True) for a in next(self._batches)]
        self.drawn += len(batch[0])
        if self._replay:
            self._replay.add(batch)
            again = self._replay.sample(self._size - len(batch[0]))
            batch = [torch.cat(pair) for pair in zip(batch, again, strict=True)]
        return batch


def augment(batch: Sequence[Tensor], choice: np.random.Generator) -> list[Tensor]:
    """Return the batch as floats in [0, 1], turned and mirrored as one, colours changed at times.

    Args:
        batch: pictures (B, 3, S, S) and what belongs to them (B, …, S', S'), uint8.
        choice: of what is done.
    """
    turns, mirror = int(choice.integers(4)), choice.random() < 0.5
    x, *rest = (torch.rot90(a.float() / 255, turns, (2, 3)) for a in batch)
    if mirror:
        x, *rest = (a.flip(3) for a in (x, *rest))
    if choice.random() < 0.3:
        x = x[:, choice.permutation(3).tolist()]
    if choice.random() < 0.15:
        x = 1 - x
    if choice.random() < 0.5:
        x = _filtered(x, choice)
    return [x, *rest]


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
