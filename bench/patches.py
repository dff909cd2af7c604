"""Would one vectorised pass over all candidates cut patches faster than one resize each, as we do?

python -m bench.patches [--quick] [--json PATH]

Discs of 16 to 80 px on several photos. The vectorised ways write only pixels, no masks, so they are compared
with a loop that writes only pixels too; the pipeline's own, masks included, stands beside it. Ways:

* NumPy: a summed-area table of all photos read at every patch's corners (shrunk), four pixels (grown). It
  computes what the loop does, so it must agree to one grey level;
* remap: OpenCV's, on all photos as one, as many patches as fit its 32,767 px. It only samples;
* roi_align: torchvision's, where it is installed; it averages samples, in float32, and reads beyond the box.

``off_mean``, ``off_max``: grey levels between a way and the loop, inside the boxes. One thread.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from bench.recount import SIDE_PX, drawn_candidates
from bench.report import arguments, report, timed
from pipeline.contract import CountSettings
from pipeline.patches import FILL_RGB, context_boxes, extract_patches
from pipeline.types import CandidateBatch, Image

PLANS = ((4, 250, 64), (4, 50, 96), (4, 50, 224))
"""Photos, candidates of each, patch side in px."""

AT_ONCE = 64
"""Patches NumPy makes at once: more take longer, as they leave the cache."""

REMAP_PX = 2**15 - 1

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cuts:
    """N candidates of all photos, and where their crops go.

    Attributes:
        pixels: (B, H, W, 3) uint8. photo: (N,) int, row in ``pixels``.
        box_xyxy: (N, 4) int64 half-open px. side: of a patch, px.
        window_xywh: (N, 4) int64 px: where in the patch the crop lies.
    """

    pixels: NDArray[np.uint8]
    photo: NDArray[np.int64]
    box_xyxy: NDArray[np.int64]
    side: int
    window_xywh: NDArray[np.int64]

    def edges(self, axis: int) -> Floats:
        """Return (N, side + 1) px of the photo: where the pixels of each patch begin and end, with bars."""
        start, size = self.window_xywh[:, axis, None], self.window_xywh[:, axis + 2, None]
        low, high = self.box_xyxy[:, axis, None], self.box_xyxy[:, axis + 2, None]
        return low + (np.arange(self.side + 1) - start) * ((high - low) / size)

    def middles(self, axis: int) -> Floats:
        """Return (N, side) px of the photo, 0 in the middle of its first: the middle of each patch's pixels.

        Within the box: its edges are repeated.
        """
        edges = self.edges(axis)
        low, high = self.box_xyxy[:, axis, None], self.box_xyxy[:, axis + 2, None]
        return np.clip((edges[:, 1:] + edges[:, :-1]) / 2 - 0.5, low, high - 1)

    def inside(self) -> NDArray[np.bool_]:
        """Return (N, side, side): which pixels belong to the crop, not to the bars."""
        at = np.arange(self.side)
        start, size = self.window_xywh[:, :2, None], self.window_xywh[:, 2:, None]
        is_in = (at >= start) & (at < start + size)  # (N, 2, side)
        return is_in[:, 1, :, None] & is_in[:, 0, None, :]

    def filled(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return grey levels, rounded where they are not whole, as patches with bars."""
        patches = values if values.dtype == np.uint8 else np.rint(values).astype(np.uint8)
        patches[~self.inside()] = FILL_RGB
        return patches

    def some(self, rows: NDArray[np.int64]) -> Cuts:
        """Return the cuts of some candidates."""
        return Cuts(self.pixels, self.photo[rows], self.box_xyxy[rows], self.side, self.window_xywh[rows])


def cuts_of(pixels: NDArray[np.uint8], batches: list[CandidateBatch], side: int) -> Cuts:
    """Return where to cut what, as ``extract_patches`` does."""
    photo = np.repeat(np.arange(len(batches)), [len(batch) for batch in batches])
    box = np.concatenate([context_boxes(batch.bbox_xyxy, batch.size_hw) for batch in batches])
    size = box[:, 2:] - box[:, :2]
    new = np.maximum(1, np.rint(size * (side / size.max(axis=1, keepdims=True)))).astype(np.int64)
    return Cuts(pixels, photo, box, side, np.concatenate([(side - new) // 2, new], axis=1))


def one_by_one(cuts: Cuts) -> NDArray[np.uint8]:
    """Return (N, S, S, 3): the pipeline's resize, without masks."""
    patches = np.full((len(cuts.photo), cuts.side, cuts.side, 3), FILL_RGB, np.uint8)
    rows = zip(patches, cuts.photo.tolist(), cuts.box_xyxy.tolist(), cuts.window_xywh.tolist(), strict=True)
    for patch, photo, (x0, y0, x1, y1), (left, top, width, height) in rows:
        how = cv2.INTER_AREA if max(x1 - x0, y1 - y0) > cuts.side else cv2.INTER_LINEAR
        crop = cuts.pixels[photo, y0:y1, x0:x1]
        patch[top : top + height, left : left + width] = cv2.resize(crop, (width, height), interpolation=how)
    return patches


def by_numpy(cuts: Cuts) -> NDArray[np.uint8]:
    """Return (N, S, S, 3) by gathers over all photos."""
    is_shrunk = (cuts.box_xyxy[:, 2:] - cuts.box_xyxy[:, :2]).max(axis=1) > cuts.side
    patches = np.empty((len(cuts.photo), cuts.side, cuts.side, 3), np.uint8)
    table = np.stack([cv2.integral(photo) for photo in cuts.pixels]) if is_shrunk.any() else cuts.pixels
    for rows, make, source in (
        (np.flatnonzero(is_shrunk), _averaged, table),
        (np.flatnonzero(~is_shrunk), _between, cuts.pixels),
    ):
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            patches[some] = cuts.some(some).filled(make(cuts.some(some), source))
    return patches


def _averaged(cuts: Cuts, table: NDArray[Any]) -> Floats:
    """Return the mean of the photo under each pixel of each patch, of a (B, H + 1, W + 1, 3) table."""
    x, y = (
        np.clip(cuts.edges(axis), cuts.box_xyxy[:, axis, None], cuts.box_xyxy[:, axis + 2, None])
        for axis in (0, 1)
    )
    sums = _bilinear(table, cuts.photo, x, y, np.array(table.shape[1:3])[::-1] - 1)
    area = np.diff(y, axis=1)[:, :, None] * np.diff(x, axis=1)[:, None, :]
    total = np.diff(np.diff(sums, axis=1), axis=2)
    return total / np.where(area > 0, area, 1.0)[..., None]


def _between(cuts: Cuts, pixels: NDArray[np.uint8]) -> Floats:
    """Return the photo between four pixels at the middle of each pixel of each patch, edges repeated."""
    x, y = cuts.middles(0), cuts.middles(1)
    return _bilinear(pixels, cuts.photo, x, y, np.array(pixels.shape[1:3])[::-1] - 1)


def _bilinear(
    values: NDArray[Any], row: NDArray[np.int64], x: Floats, y: Floats, last_xy: NDArray[np.int64]
) -> Floats:
    """Return (N, Y, X, 3) of (B, H, W, 3) values at every pair of (N, X) and (N, Y) positions."""
    left, top = (np.minimum(at.astype(np.int64), end - 1) for at, end in zip((x, y), last_xy, strict=True))
    across, down = (x - left)[:, None, :, None], (y - top)[:, :, None, None]
    b, top, left = row[:, None, None], top[:, :, None], left[:, None, :]
    upper = values[b, top, left] * (1 - across) + values[b, top, left + 1] * across
    lower = values[b, top + 1, left] * (1 - across) + values[b, top + 1, left + 1] * across
    result: Floats = upper * (1 - down) + lower * down
    return result


def by_remap(cuts: Cuts) -> NDArray[np.uint8]:
    """Return (N, S, S, 3), sampled by OpenCV from all photos as one."""
    atlas, n = cuts.pixels.reshape(-1, *cuts.pixels.shape[2:]), REMAP_PX // cuts.side
    patches = np.empty((len(cuts.photo), cuts.side, cuts.side, 3), np.uint8)
    for start in range(0, len(patches), n):
        some = cuts.some(np.arange(start, min(start + n, len(patches))))
        x, y = some.middles(0), some.middles(1) + some.photo[:, None] * cuts.pixels.shape[1]
        shape = (len(x), cuts.side, cuts.side)
        maps = (np.broadcast_to(at, shape) for at in (x[:, None, :], y[:, :, None]))
        sampled = cv2.remap(
            atlas, *(at.reshape(-1, cuts.side).astype(np.float32) for at in maps), cv2.INTER_LINEAR
        )
        patches[start : start + n] = some.filled(sampled.reshape(*shape, 3))
    return patches


def by_roi_align(cuts: Cuts) -> NDArray[np.uint8]:
    """Return (N, S, S, 3) by torchvision."""
    import torch
    from torchvision.ops import roi_align

    x, y = cuts.edges(0), cuts.edges(1)
    rois = np.stack([cuts.photo, x[:, 0], y[:, 0], x[:, -1], y[:, -1]], axis=1).astype(np.float32)
    photos = torch.from_numpy(cuts.pixels).permute(0, 3, 1, 2).float()
    cut = roi_align(photos, torch.from_numpy(rois), cuts.side, sampling_ratio=-1, aligned=True)
    return cuts.filled(cut.permute(0, 2, 3, 1).numpy())


def rows_for(n_photos: int, n: int, side: int, repeats: int) -> list[dict[str, object]]:
    """Return one row a way for n candidates on each photo."""
    tiled = np.tile(data.astronaut(), (4, 4, 1))[:SIDE_PX, :SIDE_PX]
    pixels = np.stack([np.roll(tiled, 37 * photo, axis=1) for photo in range(n_photos)])
    batches = [drawn_candidates(n, seed=photo).batch for photo in range(n_photos)]
    images = [Image(str(photo), pixels[photo]) for photo in range(n_photos)]
    cuts, settings = cuts_of(pixels, batches, side), CountSettings()

    def with_masks() -> NDArray[np.uint8]:
        found = [extract_patches(*one, settings, side_px=side) for one in zip(images, batches, strict=True)]
        return np.concatenate([batch.patches for batch in found])

    ways: dict[str, Callable[[], NDArray[np.uint8]]] = {
        "one by one, with masks (the pipeline's)": with_masks,
        "one by one": lambda: one_by_one(cuts),
        "NumPy, at once": lambda: by_numpy(cuts),
        "remap, at once": lambda: by_remap(cuts),
    }
    if importlib.util.find_spec("torchvision") is not None:
        import torch

        torch.set_num_threads(1)
        ways["roi_align, at once"] = lambda: by_roi_align(cuts)
    want, inside = one_by_one(cuts).astype(np.int16), cuts.inside()
    shrunk = float(((cuts.box_xyxy[:, 2:] - cuts.box_xyxy[:, :2]).max(axis=1) > side).mean())
    facts = {"photos": n_photos, "candidates": len(cuts.photo), "side_px": side, "share_shrunk": shrunk}
    rows = []
    for name, run in ways.items():
        off = np.abs(run() - want)[inside]
        agreement = {"off_mean": float(off.mean()), "off_max": int(off.max())}
        rows.append({"way": name, **facts, **timed(run, repeats), **agreement})
    alone = rows[1]["cpu_s"]
    return [row | {"ratio": row["cpu_s"] / alone} for row in rows]


def main() -> None:
    """Compare the ways for each number of candidates and side."""
    args = arguments(__doc__).parse_args()
    cv2.setNumThreads(1)
    rows = []
    for n_photos, n, side in ((2, 20, 64),) if args.quick else PLANS:
        rows += rows_for(n_photos, n, side, 1 if args.quick else 15)
    report("patches, one by one and at once", rows, args.json)


if __name__ == "__main__":
    main()
