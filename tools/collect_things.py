"""Fill the folder of things that training scenes may show (``pipeline.train.things``): emoji in 3D.

    python -m tools.collect_things PACKAGE.tgz OUT

``make train-mini`` fetches the package and does this. They are Microsoft's Fluent emoji, MIT; none of
them is part of Tally or of its models' files.
"""

from __future__ import annotations

import argparse
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE_PX = 160
LEAST_PX, LEAST_FILL, LEAST_WHOLE, LEAST_SPREAD = 24, 0.3, 0.96, 12.0
"""Smallest side, share of its box, share in one piece and spread of colours of a thing that is taken."""
_NO_THINGS = ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff", "20e3")
"""In the names of those that differ from others in the tone of the skin alone, and of key caps."""


def main() -> None:
    """Take the things out of the package."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    n = 0
    for name, picture in pictures(args.package):
        if (thing := cut_out(picture)) is not None:
            Image.fromarray(thing).save(args.out / f"{name}.png")
            n += 1
    print(f"{n} things")


def pictures(package: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield name and (H, W, 4) uint8 RGBA of each picture in a package."""
    with tarfile.open(package) as files:
        for member in files:
            path = Path(member.name)
            if path.suffix == ".webp" and not any(part in path.stem for part in _NO_THINGS):
                yield path.stem, np.asarray(Image.open(files.extractfile(member)).convert("RGBA"))


def cut_out(picture: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return a thing's largest piece, at most ``SIDE_PX`` wide and high; None if it is no single thing."""
    solid = (picture[..., 3] > 128).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(solid)
    if len(stats) < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, width, height, area = stats[largest].tolist()
    whole = area >= LEAST_WHOLE * solid.sum() and area >= LEAST_FILL * width * height
    if not whole or picture[labels == largest, :3].std(0).mean() < LEAST_SPREAD:
        return None
    near = cv2.dilate((labels == largest).astype(np.uint8), np.ones((3, 3), np.uint8))
    piece = picture.copy()
    piece[..., 3] *= near
    thing = Image.fromarray(piece[y : y + height, x : x + width])
    thing.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
    return np.asarray(thing) if min(thing.size) >= LEAST_PX else None


if __name__ == "__main__":
    main()
