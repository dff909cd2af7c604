"""Settings of SAM's automatic mask generation, under the names the paper's readers know (no torch here)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import SettingsError

Mode = Literal["reference", "exact", "fast"]


@dataclass(frozen=True, slots=True)
class SamSettings:
    """Every parameter of ``SamAutomaticMaskGenerator`` but ``output_mode`` (masks leave as run lengths).

    Attributes:
        mode: ``reference`` runs segment-anything's own layers, bit for bit; ``exact`` the same sums in
            float32, arranged for speed; ``fast`` also drops clearly unstable masks before they are
            enlarged, and encodes in half precision on a GPU.
        points_per_side: the image is asked about at a square grid of points; None: ``point_grids``.
        points_per_batch: points decoded at once; None: as many as memory holds.
        pred_iou_thresh: in [0, 1]. Masks must have a higher predicted IoU. SAM: 0.88.
        stability_score_thresh: in [0, 1]. Masks must be at least as stable. SAM: 0.95; 0.90 finds more.
        stability_score_offset: shift of the logit threshold that stability is measured with.
        box_nms_thresh: of two masks of one crop whose boxes have a higher IoU, the worse goes.
        crop_n_layers: layer i cuts the image into (2**i)**2 crops as well. 0: none.
        crop_nms_thresh: the same between crops, where the mask from the smaller crop stays.
        crop_overlap_ratio: overlap of the crops of layer 1, as a share of the image's short side.
        crop_n_points_downscale_factor: layer i has points_per_side / factor**i points a side.
        point_grids: one (P, 2) grid in [0, 1] (x, y) a layer, instead of ``points_per_side``.
        min_mask_region_area: px. Smaller islands and holes are removed; 0: off.
    """

    mode: Mode = "fast"
    points_per_side: int | None = 32
    points_per_batch: int | None = None
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    point_grids: tuple[NDArray[np.float64], ...] | None = None
    min_mask_region_area: int = 0

    def __post_init__(self) -> None:
        """Raise SettingsError that lists every field out of range."""
        limits = {
            "mode": self.mode in ("reference", "exact", "fast"),
            "points_per_side": (self.points_per_side is None) != (self.point_grids is None)
            and (self.points_per_side is None or self.points_per_side >= 1),
            "points_per_batch": self.points_per_batch is None or self.points_per_batch >= 1,
            "crop_n_layers": 0 <= self.crop_n_layers <= 4,
            "crop_overlap_ratio": 0 <= self.crop_overlap_ratio < 1,
            "crop_n_points_downscale_factor": self.crop_n_points_downscale_factor >= 1,
            "point_grids": self.point_grids is None or len(self.point_grids) > self.crop_n_layers,
            "min_mask_region_area": self.min_mask_region_area >= 0,
        }
        shares = ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "crop_nms_thresh")
        limits |= {name: 0 <= getattr(self, name) <= 1 for name in shares}
        wrong = [name for name, fits in limits.items() if not fits]
        if wrong:
            raise SettingsError(
                [{"field": f, "message": f"out of range: {getattr(self, f)!r}"} for f in wrong]
            )


COUNTING = SamSettings(stability_score_thresh=0.90)
"""What the ``sam`` engine counts with: SAM's own, but a little more of the less stable (docs/sam.md)."""
