"""Plain things side by side, as tiles, cards and labels are, which mini takes for the ground of other things.

Where the network sees nothing at all, colour and edges may: what the engine ``classical`` finds is taken
where it is two things or more that stand out surely and are of one size. In cloth, clouds, straw and noise it
finds things, too, but none that are so.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.contract import CountSettings
from pipeline.segment import classical
from pipeline.types import CandidateBatch, Image

LEAST_SURE = 0.9
"""Mean quality from which they stand out."""
MOST_UNLIKE = 0.2
"""Standard deviation of their log area up to which they are of one size."""
MOST_CUT = 0.5
"""Share that the edge cuts, above which they are what shows of the ground around one large thing."""


def plain_things(image: Image) -> CandidateBatch | None:
    """Return what colour and edges alone show; None where that is not surely two things of a size, or more.

    ``n_beside`` says that the network shows none, so that such a count asks for a look.
    """
    (found,) = classical.load().segment([image], CountSettings())
    if len(found) < 2 or float(found.predicted_iou.mean()) < LEAST_SURE:
        return None
    are_things = np.log(found.area).std() <= MOST_UNLIKE and found.is_cut.mean() <= MOST_CUT
    return replace(found, n_beside=(0,)) if are_things else None
