"""Exemplars that must say which image they lie in: where there are several, a box is no place."""

from __future__ import annotations

from collections.abc import Sequence

from app.jobs.asked import Fault, refuse
from pipeline.contract import Exemplar


def refuse_unanchored(exemplars: Sequence[Exemplar], n_images: int) -> None:
    """Raise INVALID_CONFIG for exemplars that name no image, when several images are counted by them.

    Args:
        exemplars: of a config.
        n_images: that are counted with it.
    """
    if n_images > 1:
        hint = f"there are {n_images}, and POST /inference/upload gives ids before anything is counted"
        refuse(unanchored(exemplars, hint))


def unanchored(exemplars: Sequence[Exemplar], hint: str = "") -> list[Fault]:
    """Return what is wrong with exemplars that do not say which image they lie in."""
    message = "want the id of the image that it lies in, got none" + (hint and f": {hint}")
    return [
        {"field": f"config.exemplars[{i}].file_id", "message": message}
        for i, exemplar in enumerate(exemplars)
        if exemplar.file_id is None
    ]
