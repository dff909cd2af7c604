"""Small SAMs of segment-anything's own classes with seeded weights, and pictures to show them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.utils.amg import build_point_grid

SIDE, PATCH, WIDTH = 128, 8, 64


def small_sam(seed: int = 0) -> Sam:
    """Return a SAM of 16 x 16 tokens whose masks follow the picture and differ from point to point."""
    torch.manual_seed(seed)
    grid = SIDE // PATCH
    encoder = ImageEncoderViT(
        depth=3, embed_dim=48, img_size=SIDE, mlp_ratio=2, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        num_heads=3, patch_size=PATCH, qkv_bias=True, use_rel_pos=True, global_attn_indexes=(1,),
        window_size=6, out_chans=WIDTH,
    )  # fmt: skip
    prompts = PromptEncoder(
        embed_dim=WIDTH, image_embedding_size=(grid, grid), input_image_size=(SIDE, SIDE), mask_in_chans=4
    )
    decoder = MaskDecoder(
        num_multimask_outputs=3, iou_head_depth=3, iou_head_hidden_dim=WIDTH, transformer_dim=WIDTH,
        transformer=TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=96, num_heads=8),
    )  # fmt: skip
    sam = Sam(encoder, prompts, decoder).eval()
    calibrate(sam, picture(SIDE, SIDE, seed), seed)
    return sam


def calibrate(sam: Sam, image: NDArray[np.uint8], seed: int = 0) -> None:
    """Scale and shift the output heads so that random weights behave a little like trained ones.

    Predicted IoU spreads over 0.3…0.9, mask logits reach far from the threshold, and the three
    masks of a point cover about a fifth, a twentieth and a hundredth of the image. Without this, all
    masks or none pass any limit.
    """
    torch.manual_seed(seed)
    decoder = sam.mask_decoder
    with torch.no_grad():
        for name, weight in sam.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:
                weight.normal_(std=0.2)
        decoder.output_upscaling[3].weight[:, 0] = 0.0  # one constant channel, which can shift the logits
        decoder.output_upscaling[3].bias[0] = 1.0
        logits, iou = _probe(sam, image)
        head = decoder.iou_prediction_head.layers[-1]
        scale = 0.12 / iou.std(0)
        head.weight[1:] *= scale[:, None]
        head.bias[1:] = (head.bias[1:] - iou.mean(0)) * scale + 0.6
        constant = float(torch.nn.functional.gelu(torch.tensor(1.0)))
        for i in range(1, decoder.num_mask_tokens):
            values = logits[:, i - 1].flatten(1)
            scale, shift = 25.0 / values.std(), torch.quantile(values[::3, ::7], (0.8, 0.95, 0.99)[i - 1])
            last = decoder.output_hypernetworks_mlps[i].layers[-1]
            last.weight *= scale
            last.bias *= scale
            last.bias[0] -= scale * shift / constant


def _probe(sam: Sam, image: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (P, 3, h, w) small logits and (P, 3) predicted IoU at a 6 x 6 grid of points."""
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    height, width = image.shape[:2]
    points = predictor.transform.apply_coords(build_point_grid(6) * [width, height], (height, width))
    coords, labels = torch.as_tensor(points)[:, None], torch.ones(len(points), 1)
    _, iou, logits = predictor.predict_torch(coords, labels, multimask_output=True)
    return logits, iou


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8: discs of several sizes and colours on a graded ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([60 + 80 * x / width, 90 + 60 * y / height, np.full(x.shape, 70.0)], axis=-1)
    for _ in range(12):
        cy, cx, r = (
            rng.uniform(0, height),
            rng.uniform(0, width),
            rng.uniform(2, max(4, min(height, width) / 6)),
        )
        pixels[(y - cy) ** 2 + (x - cx) ** 2 < r * r] = rng.uniform(0, 255, 3)
    return pixels.astype(np.uint8)


def iou_quantile(sam: Sam, image: NDArray[np.uint8], points_per_side: int, share: float) -> float:
    """Return the ``pred_iou_thresh`` that about ``share`` of the masks pass."""
    everything = reference(sam, image, points_per_side=points_per_side, pred_iou_thresh=0.0,
                           stability_score_thresh=0.0, box_nms_thresh=1.0)  # fmt: skip
    return float(np.quantile([m["predicted_iou"] for m in everything], 1 - share))


def reference(sam: Sam, image: NDArray[np.uint8], **settings: Any) -> list[dict[str, Any]]:
    """Return what segment-anything's own generator makes of an image."""
    return list(SamAutomaticMaskGenerator(sam, output_mode="uncompressed_rle", **settings).generate(image))
